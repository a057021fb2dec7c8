"""Amendments that people must approve: what waits, who may answer, and that it happens once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from host_support import ANN, OPERATOR, RISK, agent, notes_block, runtime, say

from remit import Caller, EvaluationError
from remit.ports import Batch

if TYPE_CHECKING:
    from pathlib import Path

AMENDERS: dict[str, Any] = {
    "id": "operators-amend",
    "effect": "permit",
    "on": ["amend"],
    "when": 'context.caller.roles.contains("operator")',
    "because": "operators amend",
}
FOUR_EYES: dict[str, Any] = {
    "id": "four-eyes",
    "effect": "forbid",
    "on": ["amend"],
    "because": "a change needs the risk office",
    "obligations": [{"approve": {"by": "risk-officer"}}],
}
BOTH = Caller(id="otto", roles=("operator", "risk-officer"), attributes={"jurisdiction": "EU"})


def desk(folder: Path, **more: Any) -> Any:
    return runtime(agent(say("hello"), rules=[AMENDERS, FOUR_EYES], **more), folder)


def proposed(rt: Any, text: str = "Be brief.", *, by: Caller = OPERATOR) -> Any:
    changed = {**rt.document.capabilities.value, "instructions": text}
    return rt.amend(by=by, reason="shorter answers", capabilities=changed)


def approval_of(answer: Any) -> str:
    return str(answer.value["pending"][0]["id"])


def test_an_amendment_waits_durably_and_is_carried_out_once_after_another_person_approved(
    tmp_path: Path,
) -> None:
    rt = desk(tmp_path)
    before = rt.document.identity.revision
    answer = proposed(rt)
    run = answer.value["run"]
    assert (answer.allowed, answer.kind, answer.rules) == (False, "awaiting_approval", ("four-eyes",))
    assert rt.document.execution_state.lifecycle == "awaiting_approval"
    assert rt.document.capabilities.instructions == "You refund orders."
    assert rt.store.load_run(run).status == "awaiting_approval"
    assert rt.resume_run(run).status == "awaiting_approval"
    rt.store.close()

    again = desk_again(tmp_path, before)
    assert again.approve(approval_of(answer), by=RISK, reason="read it", meaning="responsibility").allowed
    done = again.resume_run(run)
    assert (done.status, again.document.capabilities.instructions) == ("completed", "Be brief.")
    assert again.document.execution_state.lifecycle == "ready"
    assert again.document.execution_state.pending == ()
    assert again.store.load_run(run).value["proposal"] == {}
    with pytest.raises(EvaluationError, match="cannot go on: it is completed"):
        again.resume_run(run)
    operations = [item.operation for item in again.document.lineage.operations]
    assert operations == ["create", "await_approval", "resume", "amend"]
    again.store.close()


def desk_again(folder: Path, revision: str) -> Any:
    from remit import Runtime
    from remit_adapters.sqlite_store import open_store

    store = open_store(folder / "store")
    ((name, _),) = store.agents()
    document = store.load(name)
    assert document is not None
    assert document.identity.revision != revision
    return Runtime.open(document, store=store)


def test_name_time_meaning_and_the_digest_of_what_was_approved_are_in_the_decision_that_uses_it(
    tmp_path: Path,
) -> None:
    rt = desk(tmp_path)
    answer = proposed(rt)
    run = answer.value["run"]
    rt.approve(approval_of(answer), by=RISK, reason="read it", meaning="responsibility")
    rt.resume_run(run)
    records = list(rt.store.records(run=run))
    (approval,) = [r.value["body"] for r in records if r.value["kind"] == "approval"]
    (used,) = [
        r.value["body"] for r in records if r.value["kind"] == "decision" and "approvals" in r.value["body"]
    ]
    (grant,) = used["approvals"]
    assert {name: approval[name] for name in grant} == grant
    assert (grant["by"], grant["meaning"], grant["request"]) == ("rita", "responsibility", used["request"])
    assert grant["at"]
    # The proposal itself is on record, under the digest that was shown.
    (waiting,) = [
        r for r in records if r.value["kind"] == "run" and r.value["body"]["status"] == "awaiting_approval"
    ]
    shown = answer.value["pending"][0]["arguments"]
    assert waiting.value["body"]["proposal"] == shown["proposal"]
    assert waiting.content["capabilities"]["instructions"] == "Be brief."
    rt.store.close()


def test_an_author_cannot_approve_their_own_amendment_whatever_roles_they_hold(tmp_path: Path) -> None:
    rt = desk(tmp_path)
    answer = proposed(rt, by=BOTH)
    for author in (BOTH, replace(BOTH, id=" OTTO ")):
        denied = rt.approve(approval_of(answer), by=author, reason="mine")
        assert (denied.allowed, denied.kind) == (False, "ineligible")
    assert rt.resume_run(answer.value["run"]).status == "awaiting_approval"
    assert rt.document.capabilities.instructions == "You refund orders."
    rt.store.close()


def test_who_signs_as_the_author_approves_nothing(tmp_path: Path) -> None:
    rt = desk(tmp_path)
    answer = proposed(rt)
    denied = rt.approve(approval_of(answer), by=RISK, reason="wrote it", meaning="authorship")
    assert (denied.allowed, denied.because) == (False, "who signs as the author approves nothing")
    assert rt.resume_run(answer.value["run"]).status == "awaiting_approval"
    rt.store.close()


def test_a_refused_amendment_is_denied_and_nothing_waits_any_more(tmp_path: Path) -> None:
    rt = desk(tmp_path)
    answer = proposed(rt)
    assert rt.refuse(approval_of(answer), by=RISK, reason="too short").allowed
    done = rt.resume_run(answer.value["run"])
    assert (done.status, rt.document.execution_state.pending) == ("denied", ())
    assert rt.document.execution_state.lifecycle == "ready"
    assert rt.document.capabilities.instructions == "You refund orders."
    rt.store.close()


def test_a_changed_proposal_voids_its_approval(tmp_path: Path) -> None:
    rt = desk(tmp_path)
    answer = proposed(rt)
    run = answer.value["run"]
    assert rt.approve(approval_of(answer), by=RISK, reason="read it").allowed
    state = rt.store.load_run(run)
    proposal = state.value["proposal"]
    other = {**proposal, "capabilities": {**proposal["capabilities"], "instructions": "Pay everybody."}}
    rt.store.submit(
        Batch(records=(), run_state=replace(state, value={**state.value, "proposal": other}))
    ).result()
    done = rt.resume_run(run)
    assert (done.status, rt.document.capabilities.instructions) == ("awaiting_approval", "You refund orders.")
    assert done.pending is not None
    assert done.pending.id != approval_of(answer)
    rt.store.close()


def test_an_amendment_in_between_voids_an_approval(tmp_path: Path) -> None:
    rt = desk(tmp_path)
    first, second = proposed(rt, "First."), proposed(rt, "Second.")
    assert len(rt.document.execution_state.pending) == 2
    for answer in (first, second):
        assert rt.approve(approval_of(answer), by=RISK, reason="read it").allowed
    assert rt.resume_run(second.value["run"]).status == "completed"
    # Rita saw how it differs from what was there, which is not there any more.
    assert rt.resume_run(first.value["run"]).status == "awaiting_approval"
    assert rt.document.capabilities.instructions == "Second."
    rt.store.close()


def test_a_refused_amendment_ends_also_where_another_one_came_in_between(tmp_path: Path) -> None:
    rt = desk(tmp_path)
    first, second = proposed(rt, "First."), proposed(rt, "Second.")
    assert rt.approve(approval_of(second), by=RISK, reason="read it").allowed
    assert rt.refuse(approval_of(first), by=RISK, reason="too short").allowed
    assert rt.resume_run(second.value["run"]).status == "completed"
    done = rt.resume_run(first.value["run"])
    assert (done.status, done.reason) == ("denied", "`rita` refused: too short")
    assert (done.steps[-1].verdict, done.steps[-1].kind) == ("deny", "approval_refused")
    assert rt.document.execution_state.pending == ()
    assert rt.document.capabilities.instructions == "Second."
    assert rt.store.verify().intact
    rt.store.close()


def test_a_head_that_moves_for_another_reason_leaves_an_approval_standing(tmp_path: Path) -> None:
    rt = desk(tmp_path, blocks=[notes_block()])
    answer = proposed(rt)
    assert rt.approve(approval_of(answer), by=RISK, reason="read it").allowed
    assert rt.remember("notes", "rain", by=ANN, key="weather").allowed
    assert rt.resume_run(answer.value["run"]).status == "completed"
    assert len(rt.document.memory.tree) == 1
    rt.store.close()


def test_of_many_who_resume_an_approved_amendment_one_carries_it_out(tmp_path: Path) -> None:
    rt = desk(tmp_path)
    answer = proposed(rt)
    run = answer.value["run"]
    assert rt.approve(approval_of(answer), by=RISK, reason="read it").allowed

    def resume(_: int) -> str:
        try:
            return str(rt.resume_run(run).status)
        except EvaluationError:
            return "too late"

    with ThreadPoolExecutor(4) as pool:
        found = sorted(pool.map(resume, range(4)))
    assert found == ["completed", "too late", "too late", "too late"]
    amended = [op for op in rt.document.lineage.operations if op.operation == "amend"]
    assert len(amended) == 1
    rt.store.close()


def test_an_amendment_of_an_agent_that_was_suspended_meanwhile_is_denied(tmp_path: Path) -> None:
    stoppers = {"id": "stop", "effect": "permit", "on": ["suspend"], "because": "operators stop"}
    rt = runtime(agent(say("hello"), rules=[AMENDERS, FOUR_EYES, stoppers]), tmp_path)
    answer = proposed(rt)
    assert rt.approve(approval_of(answer), by=RISK, reason="read it").allowed
    assert rt.suspend(by=OPERATOR, reason="incident").allowed
    done = rt.resume_run(answer.value["run"])
    assert (done.status, rt.document.capabilities.instructions) == ("denied", "You refund orders.")
    rt.store.close()


@pytest.mark.parametrize("name", ["otto\ufe0f", "o\u034ftto", "otto\u3164", "ot\u2800to", "otto\U000e0101"])
def test_a_name_with_characters_that_nobody_sees_approves_no_amendment_of_ones_own(
    name: str, tmp_path: Path
) -> None:
    rt = desk(tmp_path)
    answer = proposed(rt)
    refused = rt.approve(approval_of(answer), by=replace(BOTH, id=name), reason="read it")
    assert (refused.allowed, refused.kind) == (False, "ineligible")
    assert rt.resume_run(answer.value["run"]).status == "awaiting_approval"
    rt.store.close()


def test_a_proposal_that_is_no_document_never_waits(tmp_path: Path) -> None:
    from remit import DocumentError

    rt = desk(tmp_path)
    with pytest.raises(DocumentError):
        rt.amend(by=OPERATOR, reason="x", capabilities={"tools": []})
    assert rt.document.execution_state.pending == ()
    rt.store.close()
