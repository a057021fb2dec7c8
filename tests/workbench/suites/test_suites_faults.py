"""A case file that cannot be judged is refused whole, each fault with its place, its cause and a way forward."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
from suites_world import HEAD, write_agent

from remit.errors import DocumentError, FaultsError
from remit.workbench.suites.finding import read_suites
from remit.workbench.suites.plan import prepare

if TYPE_CHECKING:
    from pathlib import Path

    from remit.errors import Fault


class Bad(NamedTuple):
    """A file, and what the only fault in it must say."""

    text: str
    line: int
    column: int
    cause: str
    forward: str


def one(request: str = "action: activate", expect: str = "decision: allow", more: str = "") -> str:
    """A file of one case, whose request stands in line 5 and whose expectation in line 6."""
    return f"{HEAD}cases:\n  - name: it\n    request: {{{request}}}\n    expect: {{{expect}}}\n" + (
        f"    {more}\n" if more else ""
    )


BAD: dict[str, Bad] = {
    "empty file": Bad("", 1, 1, "holds no value", "write one"),
    "no YAML": Bad("cases: [\n", 2, 1, "no YAML", "check brackets"),
    "a text": Bad("cases\n", 1, 1, "a case file is a text, not a mapping", "`cases`"),
    "empty suite": Bad("cases: []\n", 1, 8, "can never fail", "- name"),
    "empty list": Bad("[]\n", 1, 1, "can never fail", "- name"),
    "no cases": Bad("suite: x\n", 1, 1, "lacks `cases`", "add `cases:`"),
    "unknown key of a suite": Bad(f"{HEAD}case: []\ncases: []\n".replace("cases: []\n", ""), 3, 1, "unknown key `case`", "did you mean `cases`"),
    "unknown key of a case": Bad(one(more="matirx: {}"), 7, 5, "unknown key `matirx`", "did you mean `matrix`"),
    "unknown key of a request": Bad(one("acton: activate"), 5, 15, "unknown key `acton`", "did you mean `action`"),
    "unknown key of an expectation": Bad(one(expect="decision: allow, rule: [start]"), 6, 31, "unknown key `rule`", "did you mean `rules`"),
    "no expectation": Bad(f"{HEAD}cases:\n  - {{name: it, request: {{action: activate}}}}\n", 4, 5, "lacks `expect`", "add `expect:`"),
    "no decision": Bad(one(expect="rules: [start]"), 6, 13, "lacks `decision`", "add `decision:`"),
    "no request": Bad("cases:\n  - {name: it, expect: {decision: allow}}\n", 2, 5, "lacks `request`", "add `request"),
    "no action": Bad(one("input: {}"), 5, 14, "lacks `action`", "add `action:`"),
    "a decision that is none": Bad(one(expect="decision: allowed"), 6, 24, "`decision` is `allowed`", "did you mean `allow`"),
    "a kind that is none": Bad(one(expect="decision: deny, kind: forbid"), 6, 36, "`kind` is `forbid`", "did you mean `forbidden`"),
    "a kind that contradicts": Bad(one(expect="decision: allow, kind: forbidden"), 6, 37, "contradicts `decision: allow`", "`allowed`"),
    "includes nothing": Bad(one(expect="decision: allow, rules: {includes: []}"), 6, 49, "can never fail", "name at least one rule"),
    "an allow by nobody": Bad(one(expect="decision: allow, rules: []"), 6, 38, "without any rule cannot hold", "name the rules"),
    "not permitted by a rule": Bad(one(expect="decision: deny, kind: not_permitted, rules: [pay-cap]"), 6, 58, "no rule decided", "rules: []"),
    "an error that allows": Bad(one(expect="decision: allow, errors: [start]"), 6, 39, "an error always denies", "decision: deny"),
    "an error without errors": Bad(one(expect="decision: deny, kind: error"), 6, 36, "`kind: error` without `errors`", "errors: [rule]"),
    "obligations that say nothing": Bad(one(expect="decision: allow, obligations: {}"), 6, 44, "can never fail", "approve"),
    "approval of an allow": Bad(one(expect="decision: allow, obligations: {approve: officer}"), 6, 44, "nobody must approve", "awaiting_approval"),
    "a rule that does not exist": Bad(one(expect="decision: allow, rules: [strat]"), 6, 38, "no rule is called `strat`", "did you mean `start`"),
    "a rule of another action": Bad(one(expect="decision: deny, rules: [pay-cap]"), 6, 37, "never decides `activate`", "applies to `pay`"),
    "a permit that denies": Bad(one(expect="decision: deny, rules: [start]"), 6, 37, "is a permit", "correct the decision"),
    "a rule that nobody approves": Bad(one("action: pay, input: {amount: 1, to: b}", "decision: awaiting_approval, rules: [pay-ceiling]"), 6, 50, "nobody's approval", "`approve`"),
    "a role that nobody asks for": Bad(one("action: pay, input: {amount: 900, to: b}", "decision: awaiting_approval, obligations: {approve: oficer}"), 6, 66, "no rule asks for the approval of `oficer`", "did you mean `officer`"),
    "an action that does not exist": Bad(one("action: payy"), 5, 23, "no action or tool is called `payy`", "did you mean `pay`"),
    "an input that does not exist": Bad(one("action: pay, input: {amout: 1, to: b}"), 5, 43, "`pay` has no input `amout`", "did you mean `amount`"),
    "an input of the base vocabulary": Bad(one("action: remember, resource: notes, input: {byts: 1}"), 5, 64, "has no input `byts`", "did you mean `bytes`"),
    "a counter that does not exist": Bad(one("action: continue, usage: {tool_cals: 1}"), 5, 40, "`tool_cals` is not a usage counter", "did you mean `tool_calls`"),
    "a counter below zero": Bad(one("action: continue, usage: {tool_calls: -1}"), 5, 40, "no whole number from 0", "tool_calls: 5"),
    "an attribute that does not exist": Bad(one("action: activate, agent: {jurisdicton: EU}"), 5, 40, "the agent has no attribute `jurisdicton`", "did you mean `jurisdiction`"),
    "a block that does not exist": Bad(one("action: recall, resource: visit"), 5, 41, "no memory block is called `visit`", "did you mean `visits`"),
    "a time that is none": Bad(one('action: activate, now: "yesterday"'), 5, 38, "`now` is `yesterday`", "2026"),
    "a fulfilled rule that does not exist": Bad(one("action: pay, input: {amount: 1, to: b}, fulfilled: [pay-cup]"), 5, 66, "no rule is called `pay-cup`", "did you mean `pay-cap`"),
    "a fixture that does not exist": Bad(one("action: activate, caller: anna"), 5, 41, "no caller is called `anna`", "has none"),
    "a fixture that is no mapping": Bad("fixtures: {callers: {ana: 3}}\n" + one(), 1, 27, "the fixture `ana` is a number", "{name: value}"),
    "fixtures in a circle": Bad("fixtures: {callers: {a: [a]}}\n" + one(), 1, 25, "without end", "write one of them out"),
    "an entry without a block": Bad(one("action: remember, entry: {value: x}"), 5, 40, "the entry lacks `block`", "name the memory block"),
    "an empty matrix": Bad(one(more="matrix: {}"), 7, 13, "`matrix` is empty", "input.amount"),
    "a matrix over nothing": Bad(one(more="matrix: {inptu.amount: [1]}"), 7, 28, "a request has no `inptu`", "did you mean `input`"),
    "a matrix without values": Bad(one(more="matrix: {caller: []}"), 7, 22, "an empty list", "at least one value"),
    "a matrix that repeats a value": Bad(one(more="matrix: {lifecycle: [ready, ready]}"), 7, 25, "holds a value twice", "keep it once"),
    "a matrix beyond bounds": Bad(one(more=f"matrix: {{usage.turns: {[*range(40)]}, usage.tokens: {[*range(40)]}}}"), 7, 13, "1600 combinations", "at most 1000"),
    "a when without a matrix": Bad(f"{HEAD}cases:\n  - name: it\n    request: {{action: activate}}\n    expect: [{{when: {{caller: ana}}, decision: allow}}]\n", 6, 30, "which the matrix does not vary", "there is no matrix"),
    "an expectation that nothing comes to": Bad(one(expect="decision: allow").replace("{decision: allow}", "[{decision: allow}, {decision: deny}]"), 6, 33, "no combination comes to this", "remove it"),
    "a combination that expects nothing": Bad(f"{HEAD}cases:\n  - name: it\n    request: {{action: activate}}\n    matrix: {{caller.jurisdiction: [EU, US]}}\n    expect: [{{when: {{caller.jurisdiction: EU}}, decision: allow}}]\n", 7, 13, "no entry of `expect` fits [caller.jurisdiction=US]", "without `when`"),
    "a name given twice": Bad(one() + "  - {name: it, request: {action: continue}, expect: {decision: allow}}\n", 7, 5, "occurs twice, first in line 4", "another name"),
    "a request asked twice": Bad(one() + "  - {name: again, request: {action: activate}, expect: {decision: allow}}\n", 7, 5, "asks and expects the same as `it` in line 4", "keep one"),
    "request and run": Bad(one(more="run: {input: x, says: [{say: y}]}"), 7, 5, "either `request` or `run`", "two cases"),
    "a run that says nothing": Bad(f"{HEAD}cases:\n  - {{name: it, run: {{input: x, says: []}}, expect: {{status: completed}}}}\n", 4, 38, "a list of steps", "- say:"),
    "a run with a step that is none": Bad(f"{HEAD}cases:\n  - {{name: it, run: {{input: x, says: [{{shout: y}}]}}, expect: {{status: completed}}}}\n", 4, 47, "`shout` is none of", "write one of them"),
    "a run with a tool that does not exist": Bad(f"{HEAD}cases:\n  - {{name: it, run: {{input: x, says: [{{say: y}}], tools: {{pai: {{returns: 1}}}}}}, expect: {{status: completed}}}}\n", 4, 5, "no tool is called `pai`", "did you mean `pay`"),
    "a run with an unreadable answer": Bad(f"{HEAD}cases:\n  - {{name: it, run: {{input: x, says: [{{say: y}}], tools: {{pay: {{return: 1}}}}}}, expect: {{status: completed}}}}\n", 4, 57, "recorded answers of `pay`", "returns"),
    "an empty trace": Bad(f"{HEAD}cases:\n  - {{name: it, run: {{input: x, says: [{{say: y}}]}}, expect: {{status: completed, trace: []}}}}\n", 4, 86, "can never fail", "action: …"),
    "a status that is none": Bad(f"{HEAD}cases:\n  - {{name: it, run: {{input: x, says: [{{say: y}}]}}, expect: {{status: complete}}}}\n", 4, 68, "`status` is `complete`", "did you mean `completed`"),
    "an agent that does not exist": Bad("agent: elsewhere\ncases:\n  - {name: it, request: {action: activate}, expect: {decision: allow}}\n", 1, 8, "`elsewhere` does not exist", "name a project folder"),
    "plain keys without policies": Bad("schema: a.cedarschema\n" + one(), 1, 1, "belongs to a suite of plain policies", "name the `policies`"),
    "policies that are no file": Bad("policies: [nothing.cedar]\ncases:\n  - {name: it, request: {principal: 'U::\"a\"', action: 'A::\"b\"', resource: 'R::\"c\"'}, expect: {decision: deny}}\n", 1, 11, "is not a file", "name a Cedar file"),
}  # fmt: skip


def faults_of(folder: Path, text: str) -> tuple[Fault, ...]:
    """Read and prepare one case file and return what is wrong with it."""
    write_agent(folder, desk=text)
    with pytest.raises(FaultsError) as caught:
        prepare(read_suites([folder / "cases" / "desk.yaml"]))
    return caught.value.faults


@pytest.mark.parametrize("name", [*BAD])
def test_a_mistake_is_told_with_its_place_its_cause_and_a_way_forward(name: str, tmp_path: Path) -> None:
    bad = BAD[name]
    faults = faults_of(tmp_path, bad.text)
    assert len(faults) == 1, [str(fault) for fault in faults]
    (fault,) = faults
    assert fault.file.endswith("cases/desk.yaml")
    assert (fault.line, fault.column) == (bad.line, bad.column), str(fault)
    assert bad.cause in fault.message
    assert bad.forward in fault.hint, str(fault)
    assert fault.message[0] in "`123456789" or fault.message[0].islower()
    assert not fault.message.endswith(".")


def test_every_fault_of_all_files_is_told_at_once(tmp_path: Path) -> None:
    write_agent(tmp_path, a=one(expect="decision: alow"), b=one("acton: x"))
    with pytest.raises(DocumentError) as caught:
        read_suites([tmp_path])
    assert [fault.file.rpartition("/")[2] for fault in caught.value.faults] == ["a.yaml", "b.yaml"]


def test_finding_no_case_file_is_a_fault(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DocumentError) as caught:
            read_suites([path])
        assert caught.value.faults[0].hint


def test_a_case_file_outside_of_any_project_must_say_what_it_is_about(tmp_path: Path) -> None:
    path = tmp_path / "lonely.cases.yaml"
    path.write_text("cases:\n  - {name: it, request: {action: activate}, expect: {decision: allow}}\n")
    with pytest.raises(DocumentError, match="nothing says what the cases are decided under") as caught:
        read_suites([path])
    assert "agent: PATH" in caught.value.faults[0].hint
