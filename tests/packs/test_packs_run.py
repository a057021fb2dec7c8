"""A pack's rules decide in a real run: a person is asked, a budget ends it, and the ledger names the rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packs_world import AGENT, PERMIT, pin, write

from remit import Caller, Runtime
from remit.project.build import build_project

if TYPE_CHECKING:
    from pathlib import Path

    from remit.document.values import JsonValue

ANA = Caller(id="ana", roles=("clerk",))
BOSS = Caller(id="bo", roles=("boss",))
USES = """\
packs:
  - name: human-approval
    version: 1.0.0
    with: {tools: [pay], approver: boss}
  - name: budgets
    version: 1.0.0
    with: {run_tool_calls: 1}
"""
BACKEND = """\
  - name: local
    adapter: scripted
    provider: local
    region: EU
    model: transcript
    config:
      script:
        - call: {name: pay, arguments: {amount: 900, note: a, rate: 1}}
        - call: {name: look, arguments: {}}
        - say: Done.
"""


def _runtime(folder: Path, calls: list[str]) -> Runtime:
    backend = "  - {name: local, adapter: scripted, provider: local, region: EU, model: transcript, config: {script: []}}\n"
    assert AGENT.endswith(backend)
    text = AGENT.removesuffix(backend) + BACKEND
    project = write(folder / "desk", {"agent.yaml": text + USES, "rules/permit.cedar": PERMIT})
    pin(project)

    def pay(amount: int, note: str, rate: float) -> JsonValue:
        calls.append(f"pay {amount} {note} {rate}")
        return {"paid": amount}

    def look() -> JsonValue:
        calls.append("look")
        return {}

    document = build_project(project).document
    return Runtime.open(document, store=folder / "store", tools=[pay, look])


def test_a_run_waits_for_a_person_and_keeps_its_budget(tmp_path: Path) -> None:
    calls: list[str] = []
    with _runtime(tmp_path, calls) as runtime:
        waits = runtime.run("pay", caller=ANA)
        assert (waits.status, calls) == ("awaiting_approval", [])
        (pending,) = runtime.document.execution_state.pending
        assert (pending.rules, pending.by) == (("human-approval.amount",), "boss")
        assert runtime.approve(pending.id, by=BOSS, reason="fine").allowed
        done = runtime.resume_run(waits.run)
        assert (done.status, calls) == ("completed", ["pay 900 a 1"])
        refused = [step for step in done.steps if step.verdict == "deny"]
        assert [(step.action, step.rules) for step in refused] == [("look", ("budgets.tool-calls",))]
