"""Approvals, suspension, kill, crashes and races: what happens between processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from host_support import (
    ANN,
    OPERATOR,
    RISK,
    agent,
    call,
    fields,
    notes_block,
    order_status,
    refund,
    runtime,
    say,
)

from remit import Caller, EvaluationError, Runtime
from remit.document.parse import serialize_document
from remit.document.revision import fork, genesis
from remit.host import events as seen

APPROVAL = {
    "id": "large",
    "effect": "forbid",
    "on": ["refund"],
    "when": "context.input.amount > 500",
    "because": "refunds over 500 need a person",
    "obligations": [{"approve": {"by": "risk-officer"}}],
}
RESUME = {
    "id": "operators-resume",
    "on": ["resume"],
    "when": 'principal.roles.contains("operator")',
    "because": "operators resume",
}
CLERKS = {
    "id": "clerks",
    "on": ["activate"],
    "when": 'principal.roles.contains("clerk")',
    "because": "clerks activate",
}
HERE = Path(__file__).parent


def large_refund(**more: Any) -> Any:
    return agent(call("refund", order=1, amount=900), say("done"), rules=[APPROVAL], **more)


def effects(store: Any) -> Any:
    return [
        r.value["body"]["target"]
        for r in store.records()
        if r.value["kind"] == "intent" and r.value["body"]["effect"] == "call_tool"
    ]


def test_a_run_waits_for_approval_and_goes_on_after_it(tmp_path: Path) -> None:
    rt = runtime(large_refund(), tmp_path)
    waiting = rt.run("x", caller=ANN)
    assert (waiting.status, effects(rt.store)) == ("awaiting_approval", [])
    assert (
        waiting.pending.by,
        waiting.pending.rules,
        waiting.pending.arguments,
    ) == ("risk-officer", ("large",), {"order": 1, "amount": 900})
    assert rt.document.execution_state.lifecycle == "awaiting_approval"
    assert [waiting.pending.id] == [item.id for item in rt.document.execution_state.pending]
    still = rt.resume_run(waiting.run)
    assert ("awaiting_approval", waiting.pending) == (still.status, still.pending)
    assert rt.approve(waiting.pending.id, by=RISK, reason="customer is right").allowed
    done = rt.resume_run(waiting.run)
    assert (done.status, done.text, effects(rt.store)) == ("completed", "done", ["refund"])
    assert (len(done.steps), 1) == (done.steps[-1].step, done.usage["tool_calls"])
    assert waiting.steps == done.steps[: len(waiting.steps)]
    assert (rt.document.execution_state.lifecycle, rt.document.execution_state.pending) == ("ready", ())
    with pytest.raises(EvaluationError, match="cannot go on"):
        rt.resume_run(waiting.run)
    with pytest.raises(EvaluationError, match="no approval"):
        rt.approve(waiting.pending.id, by=RISK, reason="again")
    rt.store.close()


def test_a_refused_approval_goes_to_the_model_as_a_denial(tmp_path: Path) -> None:
    rt = runtime(large_refund(), tmp_path)
    waiting = rt.run("x", caller=ANN)
    assert rt.refuse(waiting.pending.id, by=RISK, reason="no receipt").allowed
    done = rt.resume_run(waiting.run)
    assert (done.status, effects(rt.store)) == ("completed", [])
    assert "approval_refused" in [step.kind for step in done.steps]
    rt.store.close()


@pytest.mark.parametrize(
    "person",
    [
        Caller(id="ann", roles=("risk-officer",), attributes={"jurisdiction": "EU"}),
        Caller(id="bob", roles=("clerk",), attributes={"jurisdiction": "EU"}),
    ],
    ids=["the caller of the run", "somebody without the role"],
)
def test_an_approval_by_the_wrong_person_does_not_count_and_is_recorded(tmp_path: Path, person: Any) -> None:
    rt = runtime(large_refund(), tmp_path)
    waiting = rt.run("x", caller=ANN)
    answer = rt.approve(waiting.pending.id, by=person, reason="please")
    assert (answer.allowed, answer.kind) == (False, "ineligible")
    assert rt.resume_run(waiting.run).status == "awaiting_approval"
    kinds = [r.value["body"]["kind"] for r in rt.store.records() if r.value["kind"] == "decision"]
    assert "ineligible" in kinds
    assert [r for r in rt.store.records() if r.value["kind"] == "approval"] == []
    rt.store.close()


SCRIPT = """
import sys
sys.path.insert(0, {here!r})
from host_support import ANN, OPERATOR, RISK, order_status
from remit import Runtime
from pathlib import Path
import os, time

def refund(order: int, amount: int, iban: str = "none") -> str:
    Path({folder!r}, "effects").open("a").write(f"{{order}} {{amount}}\\n")
    {inside}
    return "refunded"

with Runtime.open({document!r}, store={store!r}, tools=(order_status, refund)) as rt:
    {body}
"""


def python(tmp_path: Path, document: Any, body: Any, inside: Any = "pass") -> Any:
    file = tmp_path / "a.agent.json"
    if not file.exists():
        file.write_bytes(serialize_document(document))
    text = textwrap.dedent(SCRIPT).format(
        here=str(HERE),
        folder=str(tmp_path),
        document=str(file),
        store=str(tmp_path / "store"),
        body=body,
        inside=inside,
    )
    return subprocess.Popen(
        [sys.executable, "-c", text],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


def finished(process: Any) -> str:
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err
    return out.strip()


def test_an_approval_is_given_and_the_run_goes_on_in_other_processes(tmp_path: Path) -> None:
    document = large_refund()
    out = finished(
        python(tmp_path, document, 'r = rt.run("x", caller=ANN); print(r.run, r.pending.id, r.status)')
    )
    run, approval, status = out.split()
    assert status == "awaiting_approval"
    assert (
        finished(
            python(tmp_path, document, f'print(rt.approve({approval!r}, by=RISK, reason="fine").allowed)')
        )
        == "True"
    )
    assert finished(python(tmp_path, document, f"print(rt.resume_run({run!r}).status)")) == "completed"
    assert (tmp_path / "effects").read_text().splitlines() == ["1 900"]


def test_an_effect_without_outcome_is_reported_as_unknown_at_the_next_start_and_not_repeated(
    tmp_path: Path,
) -> None:
    document = agent(call("refund", order=1, amount=2), say("done"))
    crashed = python(tmp_path, document, 'rt.run("x", caller=ANN)', inside="os._exit(9)")
    crashed.communicate(timeout=60)
    assert crashed.returncode == 9
    rt = runtime(document, tmp_path)
    assert [(item.action, item.target) for item in rt.unknown()] == [("refund", "refund")]
    assert len(rt.store.unfinished()) == 1
    sent = []
    result = rt.run("only talk", caller=Caller(id="nobody"), on_event=sent.append)
    assert result.status == "denied"
    assert [e.target for e in sent if isinstance(e, seen.UnknownReported)] == ["refund"]
    assert rt.store.unfinished() == ()
    assert (tmp_path / "effects").read_text().splitlines() == ["1 2"]
    again = []
    rt.run("x", caller=Caller(id="nobody"), on_event=again.append)
    assert [e for e in again if isinstance(e, seen.UnknownReported)] == []
    assert len(rt.unknown()) == 1
    assert {"failed", "denied"} == {state.status for state in rt.store.runs(agent=document.identity.agent)}
    rt.store.close()


def test_an_effect_in_flight_in_a_living_process_is_not_called_unknown(tmp_path: Path) -> None:
    document = agent(call("refund", order=1, amount=2), say("done"))
    other = python(tmp_path, document, 'print(rt.run("x", caller=ANN).status)', inside="time.sleep(4)")
    deadline = time.monotonic() + 30
    while not (tmp_path / "effects").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    rt = runtime(document, tmp_path)
    assert rt.unknown() == ()
    sent = []
    rt.run("x", caller=Caller(id="nobody"), on_event=sent.append)
    assert [e for e in sent if isinstance(e, seen.UnknownReported)] == []
    assert finished(other) == "completed"
    rt.store.close()


def test_an_order_does_not_fail_over_the_words_of_its_reason(tmp_path: Path) -> None:
    rt = runtime(agent(say("hello")), tmp_path)
    assert rt.kill(by=OPERATOR, reason="gef\udce4hrlich").allowed
    assert rt.run("x", caller=ANN).status == "terminated"
    rt.store.close()


def test_a_kill_from_another_process_ends_the_run_while_its_tool_hangs(tmp_path: Path) -> None:
    document = agent(call("refund", order=1, amount=2), say("done"))
    other = python(
        tmp_path,
        document,
        'r = rt.run("x", caller=ANN); print(r.status, "|", r.reason)',
        inside="time.sleep(50)",
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "effects").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    rt = runtime(document, tmp_path)
    assert rt.kill("tool:order_status", by=OPERATOR, reason="another tool").value == []
    kill = rt.kill(by=OPERATOR, reason="it misbehaves")
    assert kill.allowed
    (under_way,) = kill.value
    assert (under_way["agent"], under_way["effect"]) == (document.identity.agent, "call_tool")
    assert under_way["target"] == "refund"
    assert under_way["intent"] in {record.digest for record in rt.store.records(run=under_way["run"])}
    out = finished(other)
    assert out.startswith("terminated | ")
    assert "it misbehaves" in out
    denied = rt.run("x", caller=ANN)
    assert (denied.status, denied.steps[-1].kind) == ("terminated", "stopped")
    assert rt.store.unfinished() == ()
    rt.store.close()


@pytest.mark.parametrize("moved", [False, True])
def test_a_kill_of_a_lineage_stops_every_fork_and_nobody_else(tmp_path: Path, moved: bool) -> None:
    parent = runtime(agent(say("hello"), blocks=[notes_block()]), tmp_path)
    if moved:
        assert parent.remember("notes", "later", by=ANN).allowed
    child = Runtime.open(
        fork(parent.document, nonce="c" * 32), store=parent.store, tools=(order_status, refund)
    )
    grandchild = Runtime.open(
        fork(child.document, nonce="d" * 32), store=parent.store, tools=(order_status, refund)
    )
    stranger = Runtime.open(agent(say("hello")), store=parent.store, tools=(order_status, refund))
    family = (parent, child, grandchild)
    kill = parent.kill(f"agent:{parent.document.identity.agent}", by=OPERATOR, reason="one")
    assert kill.allowed
    assert [one.run("x", caller=ANN).status for one in family] == ["terminated", "completed", "completed"]
    kill = child.kill(f"lineage:{child.document.identity.agent}", by=OPERATOR, reason="two")
    assert kill.allowed
    assert [one.run("x", caller=ANN).status for one in family] == ["terminated"] * 3
    assert stranger.run("x", caller=ANN).status == "completed"
    parent.store.close()


def test_a_fork_whose_parent_is_elsewhere_is_reached_by_the_revision_that_it_names(tmp_path: Path) -> None:
    parent = agent(say("hello"))
    child = runtime(fork(parent, nonce="c" * 32), tmp_path)
    assert child.kill(f"lineage:{parent.identity.revision}", by=OPERATOR, reason="all of them").allowed
    assert child.run("x", caller=ANN).status == "terminated"
    child.store.close()


def test_a_kill_of_a_tenant_stops_its_agents_alone(tmp_path: Path) -> None:
    def of(tenant: str) -> Runtime:
        members = fields(say("hello"))
        members["governance"]["attributes"]["tenant"] = tenant
        document = genesis(members, nonce=os.urandom(16).hex())
        return Runtime.open(document, store=first.store, tools=(order_status, refund))

    first = runtime(agent(say("hello")), tmp_path)
    acme, other = of("acme"), of("other")
    assert acme.kill("tenant:acme", by=OPERATOR, reason="their contract ended").allowed
    stopped = [one.run("x", caller=ANN).status for one in (first, acme, other)]
    assert stopped == ["completed", "terminated", "completed"]
    first.store.close()


def test_only_who_may_terminate_can_kill(tmp_path: Path) -> None:
    rt = runtime(agent(say("hello")), tmp_path)
    answer = rt.kill(by=ANN, reason="why not")
    assert (answer.allowed, answer.kind) == (False, "not_permitted")
    assert rt.run("x", caller=ANN).status == "completed"
    rt.store.close()


def test_a_suspended_agent_does_nothing_until_it_is_resumed(tmp_path: Path) -> None:
    rt = runtime(agent(say("hello"), activation=[CLERKS, RESUME]), tmp_path)
    assert rt.suspend(by=OPERATOR, reason="look into it").allowed
    assert rt.document.execution_state.lifecycle == "suspended"
    assert rt.run("x", caller=ANN).status == "suspended"
    assert not rt.resume(by=ANN, reason="please").allowed
    assert rt.run("x", caller=ANN).status == "suspended"
    assert rt.resume(by=OPERATOR, reason="fine").allowed
    assert (rt.run("x", caller=ANN).status, rt.document.execution_state.lifecycle) == ("completed", "ready")
    rt.store.close()


def test_a_run_that_is_suspended_between_two_steps_goes_on_later(tmp_path: Path) -> None:
    rts = []

    def refund(order: int, amount: int, iban: str = "none") -> str:
        rts[0].suspend(by=OPERATOR, reason="stop")
        return "refunded"

    document = agent(call("refund", order=1, amount=2), say("done"), activation=[CLERKS, RESUME])
    rt = runtime(document, tmp_path, tools=(order_status, refund))
    rts.append(runtime(document, tmp_path, tools=(order_status, refund)))
    stopped = rt.run("x", caller=ANN)
    assert stopped.status == "suspended"
    assert rt.resume_run(stopped.run).status == "suspended"
    assert rt.resume(by=OPERATOR, reason="go").allowed
    done = rt.resume_run(stopped.run)
    assert (done.status, done.text, done.usage["tool_calls"]) == ("completed", "done", 1)
    assert effects(rt.store) == ["refund"]
    for each in (rt, *rts):
        each.store.close()


def test_nothing_is_allowed_on_a_terminated_agent(tmp_path: Path) -> None:
    rt = runtime(agent(say("hello")), tmp_path)
    assert not rt.terminate(by=ANN, reason="no").allowed
    assert rt.terminate(by=OPERATOR, reason="end of service").allowed
    assert rt.document.execution_state.lifecycle == "terminated"
    assert rt.run("x", caller=ANN).status == "terminated"
    assert not rt.resume(by=OPERATOR, reason="no").allowed
    rt.store.close()


def test_a_draft_is_not_activated(tmp_path: Path) -> None:
    rt = runtime(agent(say("hello"), lifecycle="draft"), tmp_path)
    assert (rt.run("x", caller=ANN).status, rt.document.execution_state.lifecycle) == ("denied", "draft")
    rt.store.close()


def test_memory_operations_of_callers_are_decided_and_a_lost_race_loses_nothing(tmp_path: Path) -> None:
    document = agent(say("x"), blocks=[notes_block()])
    one, two = runtime(document, tmp_path), runtime(document, tmp_path)
    answers = []

    def write(rt: Any, name: Any) -> None:
        for number in range(5):
            answer = rt.remember("notes", f"{name} {number}", by=ANN, key=f"{name}{number}")
            answers.append(answer.allowed)

    threads = [threading.Thread(target=write, args=(rt, name)) for rt, name in ((one, "a"), (two, "b"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 10
    recalled = one.recall("notes", by=ANN).value
    assert {f"{name}{number}" for name in "ab" for number in range(5)} == {item["key"] for item in recalled}
    assert one.store.verify().findings == ()
    one.store.close()
    two.store.close()


def test_an_entry_is_revised_exported_and_erased_and_identities_still_verify(tmp_path: Path) -> None:
    rt = runtime(agent(say("x"), blocks=[notes_block(subject=True)]), tmp_path)
    assert (
        "data subject" in rt.remember("notes", "likes tea", by=ANN).because
        or not rt.remember("notes", "likes tea", by=ANN).allowed
    )
    assert not rt.remember("notes", "x", by=ANN, subject="p1", key="typed").allowed
    entry = rt.remember("notes", "likes tea", by=ANN, subject="p1").value
    assert rt.revise("notes", entry, "likes coffee", by=ANN).allowed
    (exported,) = rt.export("notes", by=ANN, subject="p1").value
    assert (exported["value"], exported["subject"], exported["operation"]) == ("likes coffee", "p1", "revise")
    assert [entry] == rt.erase("notes", by=ANN, subject="p1").value
    assert rt.recall("notes", by=ANN).value == []
    assert b"likes" not in serialize_document(rt.document)
    assert rt.remember("cellar", "x", by=ANN).kind == "invalid_arguments"
    rt.store.close()


def test_what_no_rule_permits_on_memory_returns_nothing(tmp_path: Path) -> None:
    rt = runtime(agent(say("x"), blocks=[notes_block(rules=[])]), tmp_path)
    for answer in (rt.remember("notes", "x", by=ANN), rt.recall("notes", by=ANN), rt.export("notes", by=ANN)):
        assert (answer.allowed, answer.kind, answer.value) == (False, "not_permitted", None)
    rt.store.close()


def test_an_amendment_is_judged_by_the_rules_in_force(tmp_path: Path) -> None:
    rule = {
        "id": "owners-amend",
        "effect": "permit",
        "on": ["amend"],
        "when": 'principal is Remit::Caller && principal.roles.contains("operator")',
        "because": "operators amend",
    }
    rt = runtime(agent(say("hello"), rules=[rule]), tmp_path)
    changed = {**rt.document.capabilities.value, "instructions": "Be brief."}
    assert not rt.amend(by=ANN, reason="x", capabilities=changed).allowed
    answer = rt.amend(by=OPERATOR, reason="x", capabilities=changed)
    assert (answer.allowed, rt.document.capabilities.instructions) == (True, "Be brief.")
    assert answer.revision == rt.document.identity.revision
    rt.store.close()
