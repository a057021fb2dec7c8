"""What a run tells those who measure, and that they can neither hold it up nor fail it."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from telemetry_support import ANA, Hanging, Kept, Raising, desk, open_desk, recorded

from remit import Caller, EvaluationError, LedgerError, Runtime
from remit.host.telemetry import Telemetry
from remit.observations import NAMES
from remit.testing import telemetry_contract
from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from remit.ports import Batch, TelemetrySink

RITA = Caller(id="rita", roles=("risk-officer",), attributes={"jurisdiction": "EU"})
SMALL = "Refund 40 euros for order A-1001."
LARGE = "Refund 900 euros for order A-1002, it does not work."


def test_every_decision_of_the_log_is_told_once_with_its_record_and_index(tmp_path: Path) -> None:
    kept = Kept()
    with open_desk(tmp_path / "store", kept) as runtime:
        result = runtime.run(SMALL, caller=ANA)
    told = [item for item in kept.seen if item.name.startswith("decision_")]
    assert result.status == "completed"
    assert [(item.values["decision"], item.values["index"]) for item in told] == [
        (record.digest, record.index) for record in recorded(tmp_path / "store", "decision")
    ]
    assert all(item.duration_s > 0 for item in told)


def test_a_run_is_told_from_its_beginning_to_its_end_and_what_began_ended(tmp_path: Path) -> None:
    kept = Kept()
    with open_desk(tmp_path / "store", kept) as runtime:
        runtime.run(SMALL, caller=ANA)
    assert [name for name in kept.names if not name.startswith("ledger_")] == [
        "run_started",
        "decision_allowed",
        "agent_revised",
        "decision_allowed",
        "decision_allowed",
        "backend_opened",
        "inference_started",
        "inference_finished",
        "decision_allowed",
        "tool_started",
        "tool_finished",
        "decision_allowed",
        "decision_allowed",
        "inference_started",
        "inference_finished",
        "agent_revised",
        "run_ended",
    ]
    assert kept.closed == 0


def test_a_denied_and_a_waiting_run_are_told_as_such(tmp_path: Path) -> None:
    kept = Kept()
    with open_desk(tmp_path / "store", kept, transcript="large-refund") as runtime:
        runtime.run(SMALL, caller=Caller(id="bob", roles=("clerk",), attributes={"jurisdiction": "US"}))
        runtime.run(LARGE, caller=ANA)
    denied = kept.named("decision_denied")
    assert [item.values["action"] for item in denied] == ["activate"]
    assert [item.values["role"] for item in kept.named("approval_requested")] == ["risk-officer"]
    assert [item.values["action"] for item in kept.named("decision_awaiting_approval")] == ["refund"]
    assert [item.values["status"] for item in kept.named("run_ended")] == ["denied", "awaiting_approval"]


def test_the_answer_of_a_person_is_told_with_its_record_and_without_their_name(tmp_path: Path) -> None:
    kept = Kept()
    with open_desk(tmp_path / "store", kept, transcript="large-refund") as runtime:
        result = runtime.run(LARGE, caller=ANA)
        runtime.approve(result.pending.id, by=ANA, reason="mine")
        runtime.refuse(result.pending.id, by=RITA, reason="a reason of rita's")
    (settled,) = kept.named("approval_settled")
    (record,) = recorded(tmp_path / "store", "approval")
    assert (settled.values["record"], settled.values["approved"]) == (record.digest, False)
    assert (settled.values["for_run"], settled.values["role"]) == (result.run, "risk-officer")
    assert "rita" not in json.dumps([dict(item.values) for item in kept.seen])
    denied = kept.named("decision_denied")
    assert [(item.values["action"], item.values["resource"]) for item in denied] == [("approve", "")]


def test_what_a_dry_run_decides_is_told_as_such(tmp_path: Path) -> None:
    kept = Kept()
    with open_desk(tmp_path / "store", kept) as runtime:
        runtime.run(SMALL, caller=ANA, dry_run=True)
        runtime.run(SMALL, caller=ANA)
    said = [item.values["dry_run"] for item in kept.seen if item.name.startswith("decision_")]
    assert said == [True] * 6 + [False] * 6
    assert [item.values["outcome"] for item in kept.named("tool_finished")] == ["dry_run", "ok"]


def test_a_sink_of_the_embedder_may_be_told_of_several_agents_and_stays_open(tmp_path: Path) -> None:
    kept = Kept()
    for name in ("one", "two"):
        with open_desk(tmp_path / name, kept) as runtime:
            runtime.run(SMALL, caller=ANA)
    assert (len(kept.named("run_ended")), kept.closed) == (2, 0)


def test_nothing_told_holds_arguments_results_reasons_or_the_caller_unless_asked_for(tmp_path: Path) -> None:
    kept, asked = Kept(), Kept()
    with open_desk(tmp_path / "one", kept) as runtime:
        runtime.run(SMALL, caller=ANA)
    with open_desk(tmp_path / "large", kept, transcript="large-refund") as runtime:
        runtime.run(LARGE, caller=ANA)
    with open_desk(tmp_path / "two", asked, content=True) as runtime:
        runtime.run(SMALL, caller=ANA)
    said = json.dumps([[dict(item.values), dict(item.private)] for item in kept.seen])
    assert [word for word in ("ana-the-clerk", "A-1001", "A-1002", "clerks may") if word in said] == []
    assert {item.private["caller"] for item in asked.named("run_started")} == {"ana-the-clerk"}
    assert ["A-1001" in item.private["arguments"] for item in asked.named("tool_started")] == [True]
    assert ["A-1001" in item.private["result"] for item in asked.named("tool_finished")] == [True]


def test_an_observation_holds_no_member_that_its_name_does_not_list(tmp_path: Path) -> None:
    kept = Kept()
    with open_desk(tmp_path / "store", kept, content=True, transcript="large-refund") as runtime:
        runtime.run(LARGE, caller=ANA)
    unlisted = [
        (item.name, member)
        for item in kept.seen
        for member in (*item.values, *item.private)
        if member not in (*NAMES[item.name].members, *NAMES[item.name].private)
    ]
    assert kept.seen
    assert unlisted == []


def test_a_sink_that_raises_is_counted_and_logged_once_and_the_run_goes_on(tmp_path: Path) -> None:
    raising, kept = Raising(), Kept()
    with capture_logs() as lines, open_desk(tmp_path / "store", raising, kept) as runtime:
        result = runtime.run(SMALL, caller=ANA)
    assert result.status == "completed"
    assert raising.tried == len(kept.seen) > 10
    assert runtime.telemetry_counts is not None
    assert runtime.telemetry_counts.failed == raising.tried
    assert [line["event"] for line in lines if line["event"].startswith("telemetry")] == ["telemetry_failed"]


def test_a_sink_that_hangs_does_not_hold_up_a_run_and_what_does_not_fit_is_counted(tmp_path: Path) -> None:
    hanging = Hanging()
    telemetry = Telemetry([hanging], owned=[hanging], max_queued=4, close_s=0.2)
    sample = telemetry_contract.sample("run_started")
    with capture_logs() as lines:
        for _ in range(20):
            telemetry.tell(sample)
        telemetry.close()
    hanging.go.set()
    counts = telemetry.counts
    assert counts.told + counts.dropped >= 19
    assert counts.dropped >= 15
    assert [line["event"] for line in lines] == ["telemetry_dropped", "telemetry_abandoned"]


def test_a_run_ends_while_a_sink_hangs(tmp_path: Path) -> None:
    hanging = Hanging()
    runtime = open_desk(tmp_path / "store", hanging)
    result = runtime.run(SMALL, caller=ANA)
    hanging.go.set()
    runtime.close()
    assert result.status == "completed"


class Unwritable:
    """The real store, whose ledger takes nothing more from the first intent to refund on."""

    def __init__(self, folder: Path) -> None:
        self.real = open_store(folder)
        self.broken = False

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)

    def submit(self, batch: Batch) -> Future:
        self.broken = self.broken or any(
            draft.kind == "intent" and draft.body["target"] == "refund" for draft in batch.records
        )
        if self.broken:
            failed: Future = Future()
            failed.set_exception(LedgerError("no space is left"))
            return failed
        return self.real.submit(batch)

    def records(self, **which: object) -> object:
        return self.real.records(**which)


def test_a_ledger_that_fails_denies_and_telemetry_says_so(tmp_path: Path) -> None:
    kept, store = Kept(), Unwritable(tmp_path / "store")
    document = desk(tmp_path / "project")
    with (
        Runtime.open(
            document,
            store=store,
            backend="scripted",
            folder=tmp_path / "project",
            telemetry=[kept, Raising()],
        ) as runtime,
        pytest.raises(LedgerError),
    ):
        runtime.run(SMALL, caller=ANA)
    store.real.close()
    last = [item for item in kept.seen if item.name.startswith("decision_")][-1]
    assert (last.name, last.values["action"], last.values["kind"]) == (
        "decision_denied",
        "refund",
        "unavailable",
    )
    assert last.values["decision"] == ""
    assert kept.named("tool_started") == []
    assert {item.values["error"] for item in kept.named("ledger_failed")} == {"LedgerError"}


def test_a_kill_in_flight_is_told_with_its_kind_of_scope_alone(tmp_path: Path) -> None:
    from remit.ports import Stop

    kept = Kept()
    with open_desk(tmp_path / "store", kept) as runtime:
        runtime.store.control.stop(
            Stop(
                scope="tool:refund",
                order="kill",
                by="otto",
                reason="a leak at Acme",
                at="2026-01-01T00:00:00.000Z",
            )
        )
        result = runtime.run(SMALL, caller=ANA)
    assert result.status == "terminated"
    assert [dict(item.values) for item in kept.named("stop_noticed")] == [
        {"order": "kill", "scope": "tool", "in_flight": False}
    ]


def test_no_name_that_a_model_made_up_is_told(tmp_path: Path) -> None:
    kept = Kept()
    with open_desk(tmp_path / "store", kept) as runtime:
        answer = runtime.remember("the-block-of-john-smith", "a note", by=ANA)
    assert not answer.allowed
    assert "john-smith" not in json.dumps([dict(item.values) for item in kept.seen])
    assert [item.values["resource"] for item in kept.named("decision_denied")] == ["Block"]


def test_who_asks_for_telemetry_that_is_not_there_is_told_what_is(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no telemetry is called `loki`: there is `log`, `otel`"):
        open_desk(tmp_path / "store", "loki")


def test_without_anybody_who_measures_nothing_is_made(tmp_path: Path) -> None:
    with open_desk(tmp_path / "store") as runtime:
        runtime.run(SMALL, caller=ANA)
        assert runtime.telemetry_counts is None
        assert runtime._agent.ledger is runtime._agent.store


def test_the_log_has_one_line_for_each_observation_under_its_name_and_level(tmp_path: Path) -> None:
    kept = Kept()
    with capture_logs() as lines, open_desk(tmp_path / "store", kept, "log") as runtime:
        runtime.run(SMALL, caller=ANA)
    assert [line["event"] for line in lines] == kept.names
    assert {line["log_level"] for line in lines} == {NAMES[name].level for name in kept.names}
    assert "ana-the-clerk" not in json.dumps(lines)


def _log() -> TelemetrySink:
    from remit_adapters.log_telemetry import open_sink

    return open_sink()


@pytest.mark.parametrize("case", telemetry_contract.CASES, ids=lambda case: case.__name__)
def test_the_log_keeps_the_contract(case: Callable[[Callable[[], TelemetrySink]], None]) -> None:
    with capture_logs():
        case(_log)


def test_closing_hands_over_what_is_queued(tmp_path: Path) -> None:
    class Slow(Kept):
        def observe(self, observation: object) -> None:
            time.sleep(0.002)
            super().observe(observation)

    slow = Slow()
    telemetry = Telemetry([slow], owned=[slow])
    for _ in range(50):
        telemetry.tell(telemetry_contract.sample("run_started"))
    telemetry.close()
    telemetry.close()
    assert (len(slow.seen), slow.closed, telemetry.counts.told) == (50, 1, 50)


def test_the_documentation_lists_every_name_with_its_level_and_members() -> None:
    page = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text(encoding="utf-8")
    rows = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in page.splitlines()
        if re.match(r"\| `[a-z_]+` \| (debug|info|warning|error) \|", line)
    ]
    assert rows == [
        (
            f"`{name}`",
            named.level,
            ", ".join(f"`{member}`" for member in named.members),
            ", ".join(f"`{member}`" for member in named.private),
            named.meaning,
        )
        for name, named in NAMES.items()
    ]
