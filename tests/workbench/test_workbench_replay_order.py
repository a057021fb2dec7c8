"""Counters that rules read are those that the candidate would have left, in the order of the log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from replay_support import agent_of, changed, ledger_in

from remit.engine.request import Entity, EntityRef, Request
from remit.gate.usage import COUNTER_LIMIT
from remit.host.candidate import candidate_of
from remit.host.location import location_of
from remit.workbench.replay import replay as module
from remit.workbench.replay.counters import Drift, counter_rules
from remit.workbench.replay.replay import Plan, choose_agent, replay
from remit.workbench.replay.source import open_source

if TYPE_CHECKING:
    from remit.document.model import Document


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ledger_in(tmp_path_factory.mktemp("order") / "store", 400)


def request_on(action: str, kind: str = "Tool") -> Request:
    return Request(
        principal=Entity(ref=EntityRef(type="Agent", id="a")),
        action=action,
        resource=Entity(ref=EntityRef(type=kind, id=action)),
        context={},
    )


def drifted(*steps: tuple[str, str, str, str]) -> tuple[int, int, int, int]:
    """Action, verdict before, verdict after, digest; returns turns, tool calls, denials, mutations."""
    drift = Drift()
    for action, before, after, digest in steps:
        kind = {"dispatch": "Backend", "remember": "Block", "continue": "Agent"}.get(action, "Tool")
        drift.note(request_on(action, kind), digest, before, after)
    return drift.turns, drift.tool_calls, drift.denials, drift.mutations


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([("pay", "allow", "deny", "1")], (0, -1, 1, 0)),
        ([("pay", "deny", "allow", "1")], (0, 1, -1, 0)),
        ([("pay", "allow", "awaiting_approval", "1")], (0, -1, 0, 0)),
        ([("pay", "deny", "awaiting_approval", "1")], (0, 0, -1, 0)),
        ([("dispatch", "allow", "deny", "1")], (-1, 0, 1, 0)),
        ([("remember", "allow", "deny", "1")], (0, 0, 1, -1)),
        ([("continue", "allow", "deny", "1")], (0, 0, 0, 0)),
        ([("pay", "allow", "allow", "1")], (0, 0, 0, 0)),
        # Allowed at once, so the recorded repetition after the approval does not count again.
        ([("pay", "awaiting_approval", "allow", "1"), ("pay", "allow", "allow", "1")], (0, 0, 0, 0)),
        ([("pay", "awaiting_approval", "allow", "1"), ("pay", "allow", "allow", "2")], (0, 1, 0, 0)),
    ],
)
def test_a_flip_moves_the_counters_that_decisions_determine(steps: Any, expected: Any) -> None:
    assert expected == drifted(*steps)


def test_counters_stay_within_their_bounds_and_measured_ones_stay() -> None:
    drift = Drift(tool_calls=-5, turns=1, denials=1)
    moved = drift.applied({"tool_calls": 2, "turns": COUNTER_LIMIT, "tokens": 7, "denials": 0})
    assert moved == {"tool_calls": 0, "turns": COUNTER_LIMIT, "tokens": 7, "denials": 1}


def rules_of(document: Document, *rules: dict[str, Any]) -> Document:
    own: Any = document.governance.value["rules"]
    return changed(document, rules=[*own, *rules])


def test_rules_that_read_counters_are_named_with_what_they_read() -> None:
    document = rules_of(
        agent_of(),
        {"id": "life", "effect": "forbid", "on": ["dispatch"], "when": "context.lifetime.turns > 9000"},
        {"id": "both", "effect": "forbid", "on": ["dispatch"], "when": "context.lifetime == context.usage"},
    )
    found = {rule: sorted(reads) for rule, reads in counter_rules(candidate_of(document).image).items()}
    assert found == {"life": ["lifetime"], "both": ["lifetime", "usage"], "budget": ["usage"]}


def run(folder: Path, document: Document, **given: Any) -> Any:
    agent, size = choose_agent(folder, document)
    return replay(Plan(store=location_of(folder), agent=agent, size=size), candidate_of(document), **given)


def expected_of(folder: Path, *, limit: int, over: str) -> dict[str, int]:
    """Count, without the code under test, what a cap on tool calls comes to if denied calls do not count."""
    source = open_source(folder)
    made: dict[str, int] = {}
    counts = {"allow to deny": 0, "same": 0}
    for _, leaf, _, content in source.rows("decision", 0, source.size()):
        value, kept = json.loads(leaf), json.loads(content or b"{}")
        body = value["body"]
        if not body["action"].startswith("tool"):
            counts["same"] += 1
            continue
        key = value["run"] if over == "usage" else ""
        recorded = kept["context"][over]["tool_calls"]
        lost = made.get(key, 0)
        if body["verdict"] == "allow" and recorded - lost >= limit:
            made[key] = lost + 1
            counts["allow to deny"] += 1
        else:
            counts["same"] += 1
    source.close()
    return counts


@pytest.mark.parametrize("over", ["usage", "lifetime"])
def test_a_cap_on_calls_counts_only_calls_that_the_candidate_allows(
    ledger: Path, over: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cap = {"id": "cap", "effect": "forbid", "on": ["call_tool"], "when": f"context.{over}.tool_calls >= 3"}
    document = rules_of(agent_of(), cap)
    expected = expected_of(ledger, limit=3, over=over)
    assert expected["allow to deny"] > 5
    whole = run(ledger, document, processes=2)
    changes = whole.tally.changes()
    assert changes["allow to deny"] == expected["allow to deny"]
    monkeypatch.setattr(module, "SPAN", 13)
    monkeypatch.setattr(module, "ALONE", 0)
    again = run(ledger, document, processes=2)
    assert again.processes == (1 if over == "lifetime" else 2)
    assert dict(whole.tally.cells) == dict(again.tally.cells)
    assert whole.tally.moved == again.tally.moved > 0


_SCRIPT = """
    import multiprocessing, os, signal, sys
    sys.path[:0] = sys.argv[3:]
    from pathlib import Path
    from replay_support import agent_of
    from remit.host.candidate import candidate_of
    from remit.host.location import location_of
    from remit.workbench.replay import replay as module
    from remit.workbench.replay.replay import Plan, choose_agent, replay
    module.SPAN, module.ALONE = 10, 0
    document = agent_of()

    def told(done, whole):
        if sys.argv[2] == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        else:
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGKILL)

    if __name__ == "__main__":
        folder = Path(sys.argv[1])
        agent, size = choose_agent(folder, document)
        try:
            replay(Plan(store=location_of(folder), agent=agent, size=size), candidate_of(document), processes=2, progress=told)
        except BaseException as error:
            print(type(error).__name__, error)
        print("children", len(multiprocessing.active_children()))
"""


@pytest.mark.parametrize(
    ("what", "said"),
    [("interrupt", "KeyboardInterrupt"), ("kill", "LedgerError a process of the replay died")],
)
def test_an_interrupt_or_a_process_that_dies_leaves_nothing_behind(
    ledger: Path, tmp_path: Path, what: str, said: str
) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(_SCRIPT), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script), str(ledger), what, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    assert said in done.stdout, done.stdout + done.stderr
    assert "children 0" in done.stdout
    assert "Traceback" not in done.stderr
    assert done.returncode == 0
