"""What decides for an agent: compiled policies where they are proven, the reference for good where they differ."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from host_support import ANN, OPERATOR, REFUND, agent, call, refund, runtime, say, tool

from remit.document.parse import serialize_document
from remit.engine.compiled.code import BOOL, Code
from remit.engine.compiled.emit import Emitter
from remit.host import engines
from remit.host import events as seen
from remit.ports import Stop
from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    import pytest

    from remit.document.model import Document
    from remit.observations import Observation

HERE = Path(__file__).parent
AMOUNT = 77_777
_IMAGES = itertools.count(1)
OPERATORS_STOP = {
    "id": "operators-stop",
    "on": ["terminate"],
    "effect": "permit",
    "when": 'principal.roles.contains("operator")',
    "because": "operators stop",
}


def refunding(amount: int) -> Document:
    """Return an agent whose policy image no other test has: engines are shared by image."""
    small = {
        "id": "small",
        "effect": "permit",
        "when": "context.input.amount < 500",
        "because": f"small refunds are fine, says version {next(_IMAGES)}",
    }
    return agent(
        call("refund", order=1, amount=amount),
        say("done"),
        tools=[tool("refund", REFUND, rules=[small])],
        rules=[OPERATORS_STOP],
    )


def compiler_with_a_bug(monkeypatch: pytest.MonkeyPatch, amount: int = AMOUNT) -> None:
    """Let compiled comparisons hold at one value of whatever they compare: no probe looks there."""
    right = Emitter.comparison

    def wrong(self: Emitter, op: str, left: Code, other: Code) -> Code:
        code = right(self, op, left, other)
        if not left.slot:
            return code
        return Code(text=f"({code.text} or {left.text} == {amount})", type=BOOL, safe=code.safe)

    monkeypatch.setattr(Emitter, "comparison", wrong)


def differences(store: Any) -> list[dict[str, Any]]:
    return [
        record.value["body"]
        for record in store.records()
        if record.value["kind"] == "control" and record.value["body"].get("operation") == "engine_diverged"
    ]


def verdicts(store: Any) -> list[tuple[str, str]]:
    return [
        (record.value["body"]["action"], record.value["body"]["verdict"])
        for record in store.records()
        if record.value["kind"] == "decision"
    ]


def test_compiled_policies_decide_unless_the_reference_is_asked_for(tmp_path: Path) -> None:
    document = refunding(10)
    with runtime(document, tmp_path / "a", tools=(refund,)) as opened:
        assert opened.engine.startswith("compiled 1: decides ")
        opened.run("x", caller=ANN)
        engines_named = {
            record.value["body"]["engine"]
            for record in opened.store.records()
            if record.value["kind"] == "decision"
        }
        assert engines_named == {"compiled 1"}
        opened.store.close()
    with runtime(document, tmp_path / "b", tools=(refund,), engine="cedar") as opened:
        assert opened.engine.startswith("cedar ")
        opened.store.close()


def test_a_wrong_compiled_decision_is_denied_recorded_told_and_the_last_one_of_its_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler_with_a_bug(monkeypatch)
    document = refunding(AMOUNT)
    told: list[seen.EngineDiverged] = []
    events: list[seen.RunEvent] = []
    opened = runtime(document, tmp_path, tools=(refund,), on_divergence=told.append)
    image = opened._agent.compiled.image.digest  # which image it is has no other name
    assert opened.engine.startswith("compiled 1: ")
    opened.run("x", caller=ANN, on_event=events.append)

    assert ("refund", "deny") in verdicts(opened.store)
    assert ("refund", "allow") not in verdicts(opened.store)
    assert [event.image for event in told] == [image]
    assert [event for event in events if isinstance(event, seen.EngineDiverged)] == told
    assert (told[0].when, told[0].action, told[0].compiled, told[0].reference) == (
        "service",
        "refund",
        "allowed (`small`)",
        "not_permitted",
    )
    (body,) = differences(opened.store)
    assert (body["scope"], body["by"], body["image"]) == (f"engine:compiled-1:{image}", "remit", image)
    kinds = [
        (record.value["kind"], record.value["body"].get("operation", ""), record.value["body"].get("action"))
        for record in opened.store.records()
    ]
    recorded = kinds.index(("control", "engine_diverged", "refund"))
    assert kinds[recorded + 1] == ("decision", "", "refund"), "the difference stands before the deny"
    assert opened.store.verify().intact
    assert opened.engine.startswith("cedar ")
    opened.store.close()


RESTARTED = """
import sys
from pathlib import Path
from remit import Caller, Runtime
from host_support import refund
with Runtime.open(Path(sys.argv[1]), store=sys.argv[2], tools=(refund,)) as opened:
    print(opened.engine)
    opened.run("x", caller=Caller(id="ann", roles=("clerk",), attributes={"jurisdiction": "EU"}))
    print({r.value["body"]["engine"] for r in opened.store.records(start=int(sys.argv[3]))
           if r.value["kind"] == "decision"})
"""


def test_after_a_restart_the_image_still_runs_on_the_reference_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler_with_a_bug(monkeypatch)
    document = refunding(AMOUNT)
    first = runtime(document, tmp_path, tools=(refund,))
    first.run("x", caller=ANN)
    size = first.store.size()
    first.store.close()
    file = tmp_path / "refund.agent.json"
    file.write_bytes(serialize_document(document))

    command = [sys.executable, "-c", RESTARTED, str(file), str(tmp_path / "store"), str(size)]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True, timeout=120)
    engine, used = done.stdout.strip().splitlines()
    assert engine.startswith("cedar ")
    assert "do not run compiled since" in engine
    assert "compiled 1 differed in service on `refund`" in engine
    assert used.startswith("{'cedar "), "the compiler of the new process has no bug, and decides nothing"


def test_another_process_with_the_same_image_leaves_compiled_code_at_its_next_look_at_the_head(
    tmp_path: Path,
) -> None:
    opened = runtime(refunding(10), tmp_path, tools=(refund,))
    image = opened._agent.compiled.image.digest  # as above
    other = open_store(tmp_path / "store")
    scope = engines.scope_of_image(image)
    other.control.stop(Stop(scope=scope, order="kill", by="remit", reason="it differed", at="2026-01-01"))
    other.close()
    result = opened.run("x", caller=ANN)
    assert result.status == "completed", "the order stops no effect"
    assert opened.engine.startswith("cedar ")
    assert opened.engine.endswith("since 2026-01-01, by order of remit: it differed")
    opened.store.close()


def test_a_difference_at_load_is_recorded_and_the_reference_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Emitter, "ORDERS", {**Emitter.ORDERS, "less": "<="})
    told: list[seen.EngineDiverged] = []
    opened = runtime(refunding(499), tmp_path, tools=(refund,), on_divergence=told.append)
    assert [event.when for event in told] == ["load"]
    assert [body["when"] for body in differences(opened.store)] == ["load"]
    assert opened.engine.startswith("cedar ")
    assert opened.run("x", caller=ANN).status == "completed"
    assert opened.store.verify().intact
    opened.store.close()


def test_every_agent_that_shares_the_engine_keeps_the_difference_in_its_own_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler_with_a_bug(monkeypatch)
    document = refunding(AMOUNT)
    first = runtime(document, tmp_path / "a", tools=(refund,))
    second = runtime(document, tmp_path / "b", tools=(refund,))
    first.run("x", caller=ANN)
    third = runtime(document, tmp_path / "c", tools=(refund,))
    for one in (first, second, third):
        assert len(differences(one.store)) == 1
        assert one.engine.startswith("cedar ")
        one.store.close()


def test_a_person_who_may_stop_the_agent_may_say_that_an_image_does_not_run_compiled(tmp_path: Path) -> None:
    opened = runtime(refunding(10), tmp_path, tools=(refund,))
    scope = engines.scope_of_image(opened._agent.compiled.image.digest)  # as above
    assert opened.kill(scope, by=OPERATOR, reason="the audit asks for Cedar alone").allowed
    assert opened.run("x", caller=ANN).status == "completed"
    assert opened.engine.endswith("by order of otto: the audit asks for Cedar alone")
    opened.store.close()


def test_a_difference_is_told_to_telemetry_once_and_without_what_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sink:
        def __init__(self) -> None:
            self.seen: list[Observation] = []

        def observe(self, observation: Observation) -> None:
            self.seen.append(observation)

        def close(self) -> None: ...

    compiler_with_a_bug(monkeypatch)
    sink = Sink()
    opened = runtime(refunding(AMOUNT), tmp_path, tools=(refund,), telemetry=[sink])
    image = opened._agent.compiled.image.digest  # which image it is has no other name
    opened.run("x", caller=ANN)
    opened.run("x", caller=ANN)
    opened.close()
    opened.store.close()
    assert [dict(item.values) for item in sink.seen if item.name == "engine_diverged"] == [
        {"when": "service", "image": image, "action": "refund"}
    ]


def test_a_callback_that_fails_changes_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("no")

    compiler_with_a_bug(monkeypatch)
    opened = runtime(refunding(AMOUNT), tmp_path, tools=(refund,), on_divergence=fail)
    opened.run("x", caller=ANN)
    assert ("refund", "deny") in verdicts(opened.store)
    assert len(differences(opened.store)) == 1
    opened.store.close()
