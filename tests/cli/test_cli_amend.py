"""`remit amend`: a change of the rules that waits for a second person, as one types it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli_desk import RULES, write_project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ANA = ("--as", "ana", "--attr", "jurisdiction=EU")
RITA = ("--as", "rita:compliance", "--attr", "jurisdiction=EU", "--reason", "read it")
OLGA = ("--as", "olga:author", "--attr", "jurisdiction=EU", "--reason", "smaller payments")
STORE = ("--store", "desk/.remit")

AMENDING = """\
  - {id: authors, place: mutation, effect: permit, on: [amend], when: 'context.caller.roles.contains("author")', because: authors amend}
  - id: four-eyes
    place: mutation
    effect: forbid
    on: [amend]
    when: context.input.fields.containsAny(["governance", "capabilities"])
    because: a change of the rules needs compliance
    obligations: [{approve: {by: compliance}}]
"""
GUARDED = RULES + AMENDING
SMALLER = GUARDED.replace("context.input.amount > 500\n", "context.input.amount > 50\n")


def _proposed(remit: Any, project: Callable[..., Path]) -> Any:
    project(rules=GUARDED)
    assert remit("run", "desk", "hello", *ANA).code == 0
    project(rules=SMALLER)
    return remit("amend", "desk", "--from", "desk", *OLGA, "--json")


def test_a_change_of_the_rules_waits_until_another_person_approved_it(
    remit: Any, project: Callable[..., Path]
) -> None:
    waiting = _proposed(remit, project)
    assert (waiting.code, waiting.json["kind"]) == (4, "awaiting_approval"), waiting.stderr
    approval, run = waiting.json["value"]["pending"][0]["id"], waiting.json["value"]["run"]
    assert remit("resume", run, *STORE).code == 4
    own = remit("approve", approval, "--as", "olga:compliance", *OLGA[2:], *STORE)
    assert (own.code, "of their own" in own.stdout) == (3, True)
    done = remit("approve", approval, *RITA, "--meaning", "review", "--continue", *STORE, "--json")
    assert (done.code, done.json["result"]["status"]) == (0, "completed")
    assert remit("amend", "desk", "--from", "desk", *OLGA).code == 2
    assert remit("ledger", "verify", *STORE).code == 0


def test_a_refused_change_is_dropped(remit: Any, project: Callable[..., Path]) -> None:
    run = _proposed(remit, project).json["value"]["run"]
    assert remit("refuse", run, *RITA, "--continue", *STORE).code == 3
    assert remit("resume", run, *STORE).code == 2


def test_people_are_shown_how_to_review_and_approve_a_change(
    remit: Any, project: Callable[..., Path]
) -> None:
    _proposed(remit, project)
    shown = remit("amend", "desk", "--from", "desk", *OLGA)
    assert shown.code == 4
    assert "amend capabilities\n" in shown.stdout
    assert "remit ledger show --run operation-" in shown.stdout
    assert "--as NAME:compliance" in shown.stdout


def test_whoever_may_not_amend_is_denied(remit: Any, project: Callable[..., Path]) -> None:
    _proposed(remit, project)
    denied = remit("amend", "desk", "--from", "desk", "--as", "bob", *OLGA[2:])
    assert (denied.code, "awaiting" in denied.stdout) == (3, False)


def test_an_amendment_changes_no_memory_block(remit: Any, project: Callable[..., Path]) -> None:
    folder = project(rules=GUARDED)
    assert remit("run", "desk", "hello", *ANA).code == 0
    text = (folder / "agent.yaml").read_text().replace("description: Visits.", "description: All visits.")
    (folder / "agent.yaml").write_text(text)
    refused = remit("amend", "desk", "--from", "desk", *OLGA)
    assert (refused.code, "other memory blocks" in refused.stderr) == (2, True)


def test_a_folder_of_another_agent_is_not_taken_for_the_only_one_of_a_store(
    remit: Any, project: Callable[..., Path], tmp_path: Path
) -> None:
    project(rules=GUARDED)
    assert remit("run", "desk", "hello", *ANA).code == 0
    write_project(tmp_path / "other", rules=SMALLER)
    refused = remit("amend", "other", "--from", "other", *OLGA, *STORE)
    assert (refused.code, "the store holds no agent of `other`; it holds `" in refused.stderr) == (2, True)
    assert "name the agent to amend by its id" in refused.stderr
