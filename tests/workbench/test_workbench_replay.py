"""Replay: the same requests under other rules, counted so that nothing is left unsaid."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from replay_support import agent_of, changed, ledger_in

from remit.engine.cedar import CedarEngine
from remit.errors import EvaluationError
from remit.gate.recorded import request_of
from remit.gate.verdicts import Answers
from remit.host.candidate import candidate_of
from remit.host.location import location_of
from remit.project.answers import settle
from remit.workbench.replay import replay as module
from remit.workbench.replay.changes import FLIPS, Tally
from remit.workbench.replay.judge import Judge
from remit.workbench.replay.recorded import DAMAGED, ERASED, OTHER_AGENT, UNREADABLE, Reader, Recorded
from remit.workbench.replay.replay import Plan, Replay, choose_agent, replay
from remit.workbench.replay.source import open_source
from remit.workbench.replay.work import RangeWork
from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from remit.document.model import Document


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ledger_in(tmp_path_factory.mktemp("replay") / "store")


def replayed(folder: Path, document: Document, baseline: Document | None = None, **plan: Any) -> Replay:
    agent, size = choose_agent(folder, document)
    processes = plan.pop("processes", 1)
    return replay(
        Plan(store=location_of(folder), agent=agent, size=size, **plan),
        candidate_of(document),
        None if baseline is None else candidate_of(baseline),
        processes=processes,
    )


def rows_of(folder: Path) -> list[Any]:
    source = open_source(folder)
    try:
        return list(source.rows("decision", 0, source.size()))
    finally:
        source.close()


def test_the_rules_that_decided_decide_the_same_again(ledger: Path) -> None:
    found = replayed(ledger, agent_of())
    assert dict(found.tally.changes()) == {"same": 600}
    assert (found.records, found.tally.decisions, found.tally.replayed) == (600, 600, 600)
    assert found.tally.divergences == []


def test_a_candidate_flips_exactly_what_the_reference_engine_and_the_gates_own_settling_say(
    ledger: Path,
) -> None:
    document = agent_of(stricter=True)
    candidate = candidate_of(document)
    engine = CedarEngine(candidate.image)
    agent, _ = choose_agent(ledger, document)
    expected: dict[str, int] = {}
    for _, leaf, _, content in rows_of(ledger):
        value = json.loads(leaf)
        request = candidate.seen(request_of(value["body"], json.loads(content)), agent=agent)
        verdict = settle(engine, candidate.image, request).decision
        before = value["body"]["verdict"]
        if verdict != before:
            expected[f"{before} → {verdict}"] = expected.get(f"{before} → {verdict}", 0) + 1
    counted: dict[str, int] = {}
    for cell, count in replayed(ledger, document).tally.cells.items():
        if cell[1] != cell[4]:
            counted[f"{cell[1]} → {cell[4]}"] = counted.get(f"{cell[1]} → {cell[4]}", 0) + count
    assert len(expected) >= 3
    assert expected == counted


def test_the_quick_reader_gives_what_the_slow_one_does(ledger: Path) -> None:
    candidate = candidate_of(agent_of(stricter=True))
    agent, _ = choose_agent(ledger, candidate.document)
    reader = Reader(candidate, agent)
    for row in rows_of(ledger):
        found = reader.read(row)
        assert isinstance(found, Recorded)
        slow = request_of(json.loads(row[1])["body"], json.loads(row[3]))
        assert candidate.seen(slow, agent=agent) == found.request


def test_answers_are_those_of_the_gates_own_settling(ledger: Path) -> None:
    candidate = candidate_of(agent_of(stricter=True))
    agent, _ = choose_agent(ledger, candidate.document)
    reader, engine = Reader(candidate, agent), CedarEngine(candidate.image)
    answers = Answers(candidate.image, Judge(candidate.image, every=100))
    verdicts: set[str] = set()
    for row in rows_of(ledger):
        found = reader.read(row)
        assert isinstance(found, Recorded)
        answer, verdict = answers.answer(found.request), settle(engine, candidate.image, found.request)
        verdicts.add(answer.verdict)
        rules = verdict.rules if answer.kind != "error" else answer.rules
        assert (verdict.decision, tuple(sorted(rules)), tuple(sorted(answer.roles))) == (
            answer.verdict,
            answer.rules,
            verdict.by,
        )
    assert verdicts == {"allow", "deny", "awaiting_approval"}


@pytest.mark.parametrize("span", [1, 7, 100])
def test_the_result_does_not_depend_on_where_ranges_end(
    ledger: Path, span: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = agent_of(stricter=True)
    whole = replayed(ledger, document)
    monkeypatch.setattr(module, "SPAN", span)
    assert whole.tally.moved
    assert _counts(whole.tally) == _counts(replayed(ledger, document).tally)


def test_the_result_does_not_depend_on_how_many_processes_there_are(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = agent_of(stricter=True)
    alone = replayed(ledger, document)
    monkeypatch.setattr(module, "SPAN", 90)
    monkeypatch.setattr(module, "ALONE", 0)
    done: list[tuple[int, int]] = []
    agent, size = choose_agent(ledger, document)
    spread = replay(
        Plan(store=location_of(ledger), agent=agent, size=size),
        candidate_of(document),
        processes=2,
        progress=lambda now, whole: done.append((now, whole)),
    )
    assert spread.processes == 2
    assert _counts(alone.tally) == _counts(spread.tally)
    assert done[0] == (90, 600)
    assert done[-1] == (600, 600)


def _counts(tally: Tally) -> Any:
    return (
        tally.decisions,
        dict(tally.cells),
        dict(tally.skipped),
        tally.hours,
        dict(tally.callers),
        tally.follows,
        tally.moved,
        {group: [flip.index for flip in flips] for group, flips in tally.flips.items()},
    )


def test_at_least_a_thousand_or_all_are_decided_by_the_reference_engine_too(ledger: Path) -> None:
    assert replayed(ledger, agent_of(stricter=True)).tally.checked >= 600


def test_a_wrong_compiled_decision_is_found_named_and_not_used(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from remit.workbench.replay import judge as verdicts

    document = agent_of()

    class Wrong(verdicts.CompiledEngine):
        def decide(self, request: Any) -> Any:
            found = super().decide(request)
            if request.action == "tool3" and found.allowed:
                return replace(found, verdict="deny", kind="forbidden", reasons=("t3-ceiling",))
            return found

    monkeypatch.setattr(verdicts, "CompiledEngine", Wrong)
    found = replayed(ledger, document)
    assert found.tally.divergences
    assert "tool3" in found.tally.divergences[0]
    assert dict(found.tally.changes()) == {"same": 600}


def test_what_cannot_be_replayed_is_counted_with_its_reason(tmp_path: Path) -> None:
    folder = ledger_in(tmp_path / "store", 60)
    with open_store(folder) as store:
        store.erase_content(3, 4, by="dpo", reason="asked")
    connection = sqlite3.connect(folder / "store.db")
    connection.execute("DROP TRIGGER contents_stay")
    connection.execute("DROP TRIGGER records_stay_1")
    before = connection.execute("SELECT content FROM contents WHERE idx = 9").fetchone()[0]
    connection.execute("UPDATE contents SET content = ? WHERE idx = 9", (before + b" ",))
    connection.execute("UPDATE records SET leaf = ? WHERE idx = 10", (b"{",))
    connection.commit()
    connection.close()
    found = replayed(folder, agent_of())
    assert dict(found.tally.skipped) == {ERASED: 2, DAMAGED: 1, UNREADABLE: 1}
    assert (found.records, found.tally.decisions, found.tally.replayed) == (61, 60, 56)


def test_a_tool_that_the_candidate_does_not_have_is_counted_and_not_guessed_at(ledger: Path) -> None:
    document = agent_of()
    tools = json.loads(json.dumps(document.capabilities.value["tools"]))
    found = replayed(ledger, changed(document, tools=tools[1:]))
    assert list(found.tally.skipped) == ["`tool0` is no action of the candidate"]
    assert found.tally.replayed + found.tally.skipped.total() == 600


def test_a_back_end_that_the_candidate_does_not_have_is_counted(ledger: Path) -> None:
    document = agent_of()
    other: Any = json.loads(json.dumps(document.capabilities.value["backends"]))
    other[0]["name"] = "elsewhere"
    found = replayed(ledger, changed(document, backends=other))
    assert list(found.tally.skipped) == ["the candidate declares no back-end `local`"]


def test_what_the_candidate_declares_about_itself_counts_and_not_what_the_old_document_said(
    ledger: Path,
) -> None:
    document = agent_of()
    rules: Any = [
        *document.governance.value["rules"],  # type: ignore[misc]  # a list in every document
        {"id": "eu", "effect": "forbid", "on": ["dispatch"], "when": 'resource.region != "EU"'},
        {"id": "owner", "effect": "forbid", "on": ["dispatch"], "when": 'principal.owner != "desk"'},
    ]
    attributes: Any = {**document.governance.attributes, "owner": "desk", "department": "x"}
    same = replayed(ledger, changed(document, rules=rules, attributes=attributes))
    assert dict(same.tally.changes()) == {"same": 600}
    backends: Any = json.loads(json.dumps(document.capabilities.value["backends"]))
    backends[0]["region"] = "US"
    moved = changed(document, rules=rules, attributes=attributes, backends=backends)
    assert list(replayed(ledger, moved).tally.flips_by("rule")) == ["eu", "think"]


def test_decisions_of_other_agents_are_left_out_and_counted(ledger: Path) -> None:
    document = agent_of()
    source = open_source(ledger)
    work = RangeWork(
        source, candidate_of(document), None, agent="sha256:other", size=600, examples=1, share=1
    )
    assert dict(work.take(0, 600).tally.skipped) == {OTHER_AGENT: 600}
    work.close()


def test_an_agent_that_is_not_there_is_named_with_those_that_are(ledger: Path) -> None:
    with pytest.raises(EvaluationError, match="holds no agent `abc`: it holds `"):
        choose_agent(ledger, agent_of(), "abc")


def test_two_documents_are_compared_on_the_ledger_as_each_is_compared_with_itself(ledger: Path) -> None:
    old, new = agent_of(), agent_of(stricter=True)
    assert dict(replayed(ledger, new, new).tally.changes()) == {"same": 600}
    assert _cells(replayed(ledger, new)) == _cells(replayed(ledger, new, old))


def _cells(found: Replay) -> dict[Any, int]:
    return {cell: count for cell, count in found.tally.cells.items() if cell[1] != cell[4]}


def test_a_flip_after_a_flip_of_the_same_run_is_marked(ledger: Path) -> None:
    document = agent_of()
    activation: Any = [{"id": "nobody", "when": 'principal.roles.contains("nobody")'}]
    tools: Any = json.loads(json.dumps(document.capabilities.value["tools"]))
    for tool in tools:
        tool["rules"].append({"id": f"{tool['name']}-never", "effect": "forbid"})
    found = replayed(ledger, changed(document, activation=activation, tools=tools))
    flips = list(found.tally.ordered_flips())
    assert all(flip.follows is (flip.action != "activate") for flip in flips)
    assert found.tally.follows == found.tally.flipped() - found.tally.flips_by("action")["activate"].total()


def test_groups_hold_rules_actions_and_attributes_of_callers(ledger: Path) -> None:
    tally = replayed(ledger, agent_of(stricter=True)).tally
    flipped = tally.flipped()
    assert flipped == sum(count.total() for count in tally.flips_by("action").values())
    roles = sum(count for (_, name, _), count in tally.callers.items() if name == "jurisdiction")
    assert flipped == roles
    assert flipped == sum(flips for _, flips in tally.hours.values())
    assert {flip.change for flip in tally.ordered_flips()} <= set(FLIPS)


def test_coverage_counts_what_a_rule_could_have_decided_and_did(ledger: Path) -> None:
    document = agent_of(stricter=True)
    found, agent = replayed(ledger, document), choose_agent(ledger, document)[0]
    candidate = candidate_of(document)
    image = candidate.image
    assert [rule.rule for rule in found.reach] == [rule for rule, info in image.rules.items() if info.pointer]
    asked: Counter[str] = Counter()
    decided: Counter[str] = Counter()
    engine = CedarEngine(image)
    for _, leaf, _, content in rows_of(ledger):
        request = candidate.seen(request_of(json.loads(leaf)["body"], json.loads(content)), agent=agent)
        decided.update(settle(engine, image, request).rules)
        asked.update(
            rule for rule, info in image.rules.items() if not info.actions or request.action in info.actions
        )
    counted = {rule.rule: (rule.asked, rule.decided) for rule in found.reach}
    assert counted == {rule: (asked[rule], decided[rule]) for rule in counted}
    # Some decide and some do not, else nothing was shown.
    assert {bool(rule.decided) for rule in found.reach} == {True, False}


def test_newly_erring_is_told_apart_from_newly_denied(ledger: Path) -> None:
    document = agent_of()
    caller: Any = {
        "type": "object",
        "properties": {
            "jurisdiction": {"type": "string"},
            "level": {"type": "integer"},
            "desk": {"type": "string"},
        },
        "required": ["jurisdiction", "desk"],
    }
    activation: Any = [{"id": "start", "when": 'principal.roles.contains("clerk") && principal.desk == "a"'}]
    found = replayed(ledger, changed(document, caller=caller, activation=activation))
    changes = found.tally.changes()
    assert changes["newly errors"] > 300
    flip = next(flip for flip in found.tally.ordered_flips() if flip.change == "newly errors")
    assert "desk` is missing" in flip.errors[0]
