"""Shadow: a candidate beside production is recorded, never enforced, and cannot be felt."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from host_support import ANN, RISK, agent, call, runtime, say

from remit.document.revision import revise
from remit.engine.cedar import CedarEngine
from remit.errors import DocumentError, LedgerError, PolicyError
from remit.host import opening
from remit.host.candidate import candidate_of
from remit.host.shadow import Shadow
from remit.policy.compile import compile_governance, compile_shadows
from remit.testing.clock import FixedClock
from remit.testing.memory_ledger import MemoryLedger
from remit.workbench.replay.source import open_source
from remit.workbench.shadow.summary import summarize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from remit.document.model import Document
    from remit.ports import Batch
    from remit.records import Receipt

SCRIPT = (call("order_status", order=7), call("refund", order=7, amount=20), say("done"))
STRICT = {
    "id": "strict",
    "effect": "forbid",
    "on": ["refund"],
    "when": "context.input.amount > 10",
    "because": "small refunds only",
}


def with_rules(document: Document, *rules: dict[str, Any]) -> Document:
    governance = {**document.governance.value, "rules": list(rules)}
    return revise(
        document,
        operation="amend",
        actor="test",
        at="2026-01-01T00:00:00.000Z",
        decision="",
        governance=governance,  # type: ignore[arg-type]  # rules are JSON
    )


def enforced(store: Any) -> list[Any]:
    """Everything in the log but shadows, without what differs between any two runs."""
    found = []
    for record in store.records():
        if record.value["kind"] != "shadow":
            body = record.value["body"]
            found.append((record.value["kind"], body.get("action"), body.get("verdict"), body.get("rules")))
    return found


def shadows(store: Any) -> list[Any]:
    return [record.value["body"] for record in store.records() if record.value["kind"] == "shadow"]


class Broken:
    """An engine that hangs, raises or takes its time."""

    name = "broken"

    def __init__(self, how: str, until: threading.Event) -> None:
        self._how = how
        self._until = until

    def decide(self, _: Any) -> Any:
        if self._how == "hangs":
            self._until.wait(60)
        if self._how == "is slow":
            time.sleep(0.05)
        raise ZeroDivisionError("a defect in the candidate's engine")


@pytest.fixture
def until() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_candidate_is_recorded_beside_each_decision_and_enforced_in_none(tmp_path: Path) -> None:
    document = agent(*SCRIPT)
    rt = runtime(document, tmp_path, shadow=with_rules(document, STRICT))
    result = rt.run("refund order 7", caller=ANN)
    rt.close()
    assert (result.status, result.text) == ("completed", "done")
    found = shadows(rt.store)
    assert [body["action"] for body in found] == [step.action for step in result.steps]
    flipped = [body for body in found if body["candidate"]["verdict"] != body["enforced"]["verdict"]]
    assert [(body["action"], body["candidate"]["rules"]) for body in flipped] == [("refund", ["strict"])]
    counts = rt.shadow_counts
    assert counts is not None
    assert (counts.offered, counts.recorded, counts.dropped, counts.failed) == (9, 9, 0, 0)
    rt.store.close()
    source = open_source(tmp_path / "store")
    summary = summarize(source)
    source.close()
    assert (summary.decisions, summary.shadowed, summary.flips) == (9, 9, 1)


@pytest.mark.parametrize("how", ["hangs", "raises", "is slow", "cannot be made"])
def test_a_candidate_that_fails_changes_neither_results_nor_records_of_the_enforced_path(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch, until: threading.Event
) -> None:
    document = agent(*SCRIPT)
    plain = runtime(document, tmp_path / "plain")
    expected = plain.run("refund order 7", caller=ANN)

    def prepare(*_: Any) -> Broken:
        if how == "cannot be made":
            raise MemoryError("no engine")
        return Broken(how, until)

    monkeypatch.setattr(opening, "prepare_engine", prepare)
    monkeypatch.setattr("remit.host.shadow.Shadow.close", _quick_close(Shadow.close))
    rt = runtime(document, tmp_path / "shadowed", shadow=with_rules(document, STRICT))
    result = rt.run("refund order 7", caller=ANN)
    rt.close()
    assert expected.steps == result.steps
    assert (expected.status, expected.text, expected.usage) == (result.status, result.text, result.usage)
    assert enforced(plain.store) == enforced(rt.store)
    assert rt.store.verify().intact
    counts = rt.shadow_counts
    assert counts is not None
    assert counts.offered == len(result.steps)
    if how == "hangs":
        assert counts.recorded == 0
    else:
        assert counts.failed == counts.recorded == len(result.steps)
        assert all(
            body["failed"].split(":")[0] in ("ZeroDivisionError", "MemoryError") for body in shadows(rt.store)
        )


def _quick_close(close: Callable[..., None]) -> Callable[[Shadow], None]:
    return lambda shadow: close(shadow, 1.5)


class Refusing(MemoryLedger):
    """A ledger that takes no shadow."""

    def submit(self, batch: Batch) -> Future[tuple[Receipt, ...]]:
        if any(draft.kind == "shadow" for draft in batch.records):
            raise LedgerError("the disk is full")
        return super().submit(batch)


def offered(shadow: Shadow, document: Document, times: int) -> None:
    from remit.gate.answers import Granted
    from remit.project.questions import Question, build_request
    from remit.records import Receipt

    image = compile_governance(document)
    request = build_request(document, Question(action="order_status", input={"order": 1}))
    for index in range(times):
        granted = Granted(
            permit=None,
            content="",
            decision=CedarEngine(image).decide(request),
            request="",
            receipt=Receipt(index=index, digest=f"sha256:{index:064x}"),
            intent=None,
            key="",
            redacted_arguments=(),
            redact_result=(),
            approvals=(),
            step=1,
            target="",
        )
        shadow.offer(
            request, granted, approvals=(), document=document, image=image, watched=False, run="run-1"
        )


def test_a_ledger_that_refuses_shadows_is_counted(tmp_path: Path) -> None:
    document = agent(*SCRIPT)
    ledger = Refusing()
    shadow = Shadow(ledger, FixedClock(), candidate_of(document), make_engine=CedarEngine)
    offered(shadow, document, 5)
    shadow.close()
    assert (shadow.counts.offered, shadow.counts.unrecorded, shadow.counts.recorded) == (5, 5, 0)


def test_what_the_queue_does_not_take_is_dropped_counted_and_said_in_the_ledger(
    until: threading.Event,
) -> None:
    document, ledger = agent(*SCRIPT), MemoryLedger()
    shadow = Shadow(
        ledger,
        FixedClock(),
        candidate_of(document),
        make_engine=lambda _: Broken("hangs", until),
        capacity=3,
    )
    began = time.perf_counter()
    offered(shadow, document, 50)
    shadow.close(0.2)
    assert time.perf_counter() - began < 5
    counts = shadow.counts
    # One is at the engine for ever, and neither it nor the three that waited will be recorded.
    assert (counts.offered, counts.recorded) == (50, 0)
    assert counts.dropped >= 46
    (losses,) = [record.value["body"] for record in ledger.records()]
    assert losses["losses"]["offered"] == 50  # type: ignore[index, call-overload]  # a record's body


def test_a_request_changed_after_it_was_answered_is_shadowed_as_it_was(until: threading.Event) -> None:
    from remit.host.shadow import _own
    from remit.project.questions import Question, build_request

    document = agent(*SCRIPT)
    request = build_request(document, Question(action="refund", input={"order": 1, "amount": 5}))
    kept = _own(request)
    request.context["input"]["amount"] = 9  # type: ignore[index, call-overload]  # what a careless host does
    assert kept.context["input"] == {"order": 1, "amount": 5}


def test_each_shadow_rule_is_judged_alone_beside_the_enforced_ones(tmp_path: Path) -> None:
    watched = [
        {**STRICT, "id": "over-10", "mode": "shadow"},
        {**STRICT, "id": "over-99", "when": "context.input.amount > 99", "mode": "shadow"},
        {
            "id": "lenient",
            "effect": "permit",
            "on": ["dispatch"],
            "because": "more of the same",
            "mode": "shadow",
        },
    ]
    document = agent(*SCRIPT, rules=watched)
    assert not {"over-10", "over-99", "lenient"} & compile_governance(document).rules.keys()
    assert {
        rule: sorted({"over-10", "over-99", "lenient"} & image.rules.keys())
        for rule, image in compile_shadows(document).items()
    } == {"over-10": ["over-10"], "over-99": ["over-99"], "lenient": ["lenient"]}
    rt = runtime(document, tmp_path)
    result = rt.run("refund order 7", caller=ANN)
    rt.close()
    assert result.status == "completed"
    refund = next(body for body in shadows(rt.store) if body["action"] == "refund")
    assert {item["rule"]: item["verdict"] for item in refund["alone"]} == {
        "over-10": "deny",
        "over-99": "allow",
        "lenient": "allow",
    }


def test_a_plain_cedar_rule_is_watched_by_its_annotation(tmp_path: Path) -> None:
    text = '@id("w") @mode("shadow") forbid(principal, action == Remit::Action::"refund", resource);'
    document = agent(*SCRIPT, rules=[{"cedar": text}])
    assert "w" not in compile_governance(document).rules
    assert list(compile_shadows(document)) == ["w"]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([{"cedar": '@mode("on") forbid(principal, action, resource);'}], "`@mode` is `on`"),
        ([{**STRICT, "mode": "shadow", "when": "context.input.nothing > 1"}], "nothing"),
    ],
)
def test_a_shadow_rule_is_checked_as_any_other(rules: list[Any], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        compile_governance(agent(*SCRIPT, rules=rules))


def test_a_mode_that_there_is_not_is_refused_at_its_place() -> None:
    with pytest.raises(DocumentError, match="mode"):
        agent(*SCRIPT, rules=[{**STRICT, "mode": "off"}])


def test_rules_that_are_all_watched_are_refused() -> None:
    document = agent(*SCRIPT)
    capabilities: Any = {**document.capabilities.value, "dispatch": [], "tools": []}
    governance: Any = {
        **document.governance.value,
        "activation": [{"id": "a", "mode": "shadow"}],
        "rules": [],
    }
    only = revise(
        document,
        operation="amend",
        actor="test",
        at="2026-01-01T00:00:00.000Z",
        decision="",
        governance=governance,
        capabilities=capabilities,
    )
    with pytest.raises(PolicyError, match="all rules of governance are `mode: shadow`"):
        compile_governance(only)


def test_what_a_person_approved_counts_as_approved_for_the_candidate_too(tmp_path: Path) -> None:
    approval = {
        "id": "needs-person",
        "effect": "forbid",
        "on": ["refund"],
        "when": "context.input.amount > 10",
        "because": "a person looks",
        "obligations": [{"approve": {"by": "risk-officer"}}],
    }
    document = agent(*SCRIPT, rules=[approval])
    rt = runtime(document, tmp_path, shadow=with_rules(document, approval))
    waiting = rt.run("refund order 7", caller=ANN)
    assert waiting.status == "awaiting_approval"
    rt.approve(waiting.pending.id, by=RISK, reason="seen")
    assert rt.resume_run(waiting.run).status == "completed"
    rt.close()
    answers = [
        (body["enforced"]["verdict"], body["candidate"]["verdict"])
        for body in shadows(rt.store)
        if body["action"] == "refund"
    ]
    assert answers == [("awaiting_approval", "awaiting_approval"), ("allow", "allow")]
