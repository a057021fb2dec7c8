"""Reading a case file: a suite with every case expanded, or every fault in it with its place.

Rules
1. Unknown keys, an empty suite, a name given twice and a case that repeats another are faults.
2. A suite belongs to the project folder that it lies in, or names `agent`, or names `policies`.
3. A member of the suite's own `request` holds for every case that does not say otherwise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from remit.document.carriers import format_of, read_value
from remit.errors import EvaluationError
from remit.project.questions import QUESTION_KEYS, question_from
from remit.project.source import FaultList, Node, Source, kind_of, read_text, real_path
from remit.workbench.suites import matrix
from remit.workbench.suites.conversations import RUN_KEYS, read_conversation, read_run_expectation
from remit.workbench.suites.expectations import read_expectation, read_expectations
from remit.workbench.suites.fixtures import Fixtures, entry_request
from remit.workbench.suites.members import Members, MisfitError, node_at, place_of
from remit.workbench.suites.model import AgentSubject, Case, RunCase, Suite
from remit.workbench.suites.plain import PLAIN_KEYS, PLAIN_SUITE_KEYS, plain_question, read_plain_subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.document.values import JsonObject
    from remit.project.questions import Question
    from remit.workbench.suites.matrix import Combination
    from remit.workbench.suites.model import AnyCase, CedarQuestion, CedarSubject, Expectation, RunExpectation

PROJECT_FILE = "agent.yaml"
MAX_CASES = 100_000
"""Of one suite, all combinations counted."""

_SUITE_KEYS = ("suite", "agent", *PLAIN_SUITE_KEYS, "now", "request", "fixtures", "cases")
_CASE_KEYS = ("name", "request", "matrix", "run", "expect", "skip")
_REQUEST_KEYS = (*QUESTION_KEYS, "entry")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What all cases of a suite share."""

    plain: bool
    now: str
    request: JsonObject
    fixtures: Fixtures
    faults: FaultList

    @property
    def keys(self) -> tuple[str, ...]:
        return PLAIN_KEYS if self.plain else _REQUEST_KEYS


def read_suite(path: Path) -> Suite:
    """Read one case file.

    Args:
        path: a YAML or JSON file.

    Raises:
        DocumentError: anything in it is wrong; lists every fault.
    """
    root, faults = _root(path), FaultList()
    subject: AgentSubject | CedarSubject | None
    cases: tuple[AnyCase, ...] = ()
    name = path.name.partition(".")[0]
    if isinstance(root.value, list):
        # The short form: nothing but the cases.
        subject = _own_project(path, root, faults)
        cases = _cases(root, _ground(None, faults))
    else:
        members = Members(root, faults, what="a case file", known=_SUITE_KEYS, required=("cases",))
        ground = _ground(members, faults)
        subject = read_plain_subject(members, path) if ground.plain else _agent(members, path, faults)
        if members.has("cases"):
            cases = _cases(members.at("cases"), ground)
        name = members.text("suite") or name
    faults.settle()
    assert subject is not None  # INVARIANT (settled): where there is none a fault was kept
    return Suite(name=name, file=root.source.file, place=place_of(root), subject=subject, cases=cases)


def _root(path: Path) -> Node:
    folder = Path() if path.parent == Path() else path.parent
    source = read_text(folder, path.name)
    parsed = read_value(source.text.encode(), format=format_of(path.name), file=source.file)
    whole = Source(file=source.file, relative=path.name, text=source.text, parsed=parsed)
    return Node(source=whole, pointer="", value=parsed.value)


def _ground(members: Members | None, faults: FaultList) -> _Ground:
    if members is None or not members.readable:
        return _Ground(plain=False, now="", request={}, fixtures=Fixtures(None, faults), faults=faults)
    plain = members.has("policies")
    if plain and members.has("now"):
        members.wrong_key("now", "plain Cedar policies see no `now`", "write it into `context` of `request`")
    request: JsonObject = {}
    if members.has("request"):
        keys = PLAIN_KEYS if plain else _REQUEST_KEYS
        request = Members(members.at("request"), faults, what="`request`", known=keys).value
    fixtures = Fixtures(members.at("fixtures") if members.has("fixtures") else None, faults)
    return _Ground(plain=plain, now=members.text("now"), request=request, fixtures=fixtures, faults=faults)


def _agent(members: Members, path: Path, faults: FaultList) -> AgentSubject | None:
    for key in PLAIN_SUITE_KEYS:
        if members.has(key):
            members.wrong_key(
                key, f"`{key}` belongs to a suite of plain policies", "name the `policies`, too"
            )
    if not members.has("agent"):
        return _own_project(path, members.node, faults)
    named = members.text("agent")
    target = path.parent / named
    if named and not target.exists():
        members.wrong(
            "agent", f"`{named}` does not exist", "name a project folder or a document file, from this file"
        )
        return None
    return AgentSubject(path=target)


def _own_project(path: Path, root: Node, faults: FaultList) -> AgentSubject | None:
    folder = project_of(path)
    if folder is not None:
        return AgentSubject(path=folder)
    hint = "put it into a project folder, or write `agent: PATH` or `policies: [FILE]` at its top"
    faults.add(
        root.fault(f"nothing says what the cases are decided under: no `{PROJECT_FILE}` lies above", hint)
    )
    return None


def project_of(path: Path) -> Path | None:
    """Return the project folder that a file lies in, as a path that begins like the file's, or None."""
    for folder in path.parents:
        if (folder / PROJECT_FILE).is_file():
            return folder
    # A relative path ends before its own folder's parents do.
    return next((folder for folder in real_path(path).parents if (folder / PROJECT_FILE).is_file()), None)


def _cases(node: Node, ground: _Ground) -> tuple[AnyCase, ...]:
    faults = ground.faults
    if not isinstance(node.value, list):
        faults.add(node.fault(f"the cases are {kind_of(node.value)}, not a list", "begin each with `- `"))
        return ()
    if not node.value:
        faults.add(
            node.fault("the suite has no case, so it can never fail", "add one that begins with `- name: …`")
        )
        return ()
    cases = [case for item in node.items() for case in _expanded(item, ground)]
    if len(cases) > MAX_CASES:
        faults.add(node.fault(f"the suite has {len(cases)} cases, more than {MAX_CASES}", "split the file"))
    _refuse_twins(cases, faults)
    return tuple(cases)


def _expanded(node: Node, ground: _Ground) -> list[AnyCase]:
    """Read one case and return what its matrix makes of it."""
    faults = ground.faults
    members = Members(node, faults, what="a case", known=_CASE_KEYS, required=("name", "expect"))
    if not members.readable:
        return []
    name, skip = members.text("name"), members.text("skip")
    if members.has("run") == members.has("request"):
        if members.has("run"):
            members.wrong_key("run", "a case holds either `request` or `run`", "make two cases of it")
            return []
        if not ground.request:
            members.wrong_all(
                "a case lacks `request`", "add `request: {action: …}`, or `run:` for a whole run"
            )
            return []
    if members.has("run") and ground.plain:
        members.wrong_key("run", "plain Cedar policies have no runs", "name an `agent` instead of `policies`")
        return []
    part = "run" if members.has("run") else "request"
    keys = RUN_KEYS if part == "run" else ground.keys
    combinations: tuple[Combination, ...] = ({},)
    if members.has("matrix"):
        combinations = matrix.read_matrix(members.at("matrix"), known=keys, faults=faults)
    if not members.has("expect") or not name or not combinations:
        return []
    if part == "run":
        return _run_cases(members, name, skip, combinations, ground)
    return _request_cases(members, name, skip, combinations, ground)


def _request_cases(
    members: Members, name: str, skip: str, combinations: Sequence[Combination], ground: _Ground
) -> list[AnyCase]:
    faults, node = ground.faults, members.node
    written = dict(ground.request)
    if members.has("request"):
        node = members.at("request")
        request = Members(node, faults, what="a case's request", known=ground.keys)
        if not request.readable:
            return []
        written |= request.value

    def read(at: Node, more: Sequence[str]) -> Expectation | None:
        return read_expectation(at, plain=ground.plain, faults=faults, more=more)

    expected = read_expectations(members.at("expect"), combinations, read, faults=faults)
    found: list[AnyCase] = []
    for combination, expect in zip(combinations, expected, strict=True):
        filled = _filled(node, written, combination, ground)
        question = None if filled is None else _question(node, filled, ground)
        if filled is None or question is None or expect is None:
            # One fault of a case is enough; its other combinations would repeat it.
            break
        found.append(
            Case(
                name=name + matrix.suffix(combination),
                place=place_of(members.node),
                request=filled,
                question=question,
                expect=expect,
                written=node,
                combination=combination,
                skip=skip,
            )
        )
    return found


def _filled(node: Node, written: JsonObject, combination: Combination, ground: _Ground) -> JsonObject | None:
    try:
        filled = ground.fixtures.fill(matrix.with_members(written, combination))
        filled = matrix.with_paths(filled, combination)
        return filled if ground.plain else entry_request(filled)
    except MisfitError as error:
        ground.faults.add(error.fault(node))
        return None


def _question(node: Node, filled: JsonObject, ground: _Ground) -> Question | CedarQuestion | None:
    if ground.plain:
        return plain_question(node, filled, ground.faults)
    if "action" not in filled and any(key not in ground.keys for key in node.object() or {}):
        return None  # the misspelled key was told of
    if not filled.get("action"):
        ground.faults.add(
            node.fault(
                "a case's request lacks `action`", "add `action:`, a tool's name or such as `activate`"
            )
        )
        return None
    try:
        return question_from({"now": ground.now, **filled} if ground.now else filled)
    except EvaluationError as error:
        message, _, hint = str(error).partition("; ")
        key = next((key for key in filled if message.startswith(f"`{key}`")), "")
        ground.faults.add(
            node_at(node, key).fault(message, hint or _HINTS.get(key, "write such as `{name: value}`"))
        )
        return None


_HINTS = {
    "action": "put it in quotes",
    "resource": "put it in quotes",
    "now": "write it in quotes, such as `2026-03-02T12:00:00Z`",
    "usage": "write such as `{tool_calls: 5}`",
    "lifetime": "write such as `{tool_calls: 5}`",
    "fulfilled": "write such as `[rule-id]`",
}


def _run_cases(
    members: Members, name: str, skip: str, combinations: Sequence[Combination], ground: _Ground
) -> list[AnyCase]:
    faults = ground.faults
    run = Members(members.at("run"), faults, what="`run`", known=RUN_KEYS, required=("input", "says"))
    if not run.readable:
        return []

    def read(at: Node, more: Sequence[str]) -> RunExpectation | None:
        return read_run_expectation(at, faults=faults, more=more)

    expected = read_expectations(members.at("expect"), combinations, read, faults=faults)
    shared: JsonObject = {
        key: ground.request[key] for key in ("caller", "environment", "now") if key in ground.request
    }
    found: list[AnyCase] = []
    for combination, expect in zip(combinations, expected, strict=True):
        try:
            whole = matrix.with_members({**shared, **run.value}, combination)
            # What the caller says is a text, and never the name of a fixture.
            said = {"input": whole.pop("input", "")}
            whole = {**matrix.with_paths(ground.fixtures.fill(whole), combination), **said}
        except MisfitError as error:
            faults.add(error.fault(run.node))
            break
        conversation = read_conversation(run.node, whole, now=ground.now, faults=faults)
        if conversation is None or expect is None:
            break
        found.append(
            RunCase(
                name=name + matrix.suffix(combination),
                place=place_of(members.node),
                conversation=conversation,
                expect=expect,
                combination=combination,
                skip=skip,
            )
        )
    return found


def _refuse_twins(cases: Sequence[AnyCase], faults: FaultList) -> None:
    """Keep a fault for a name given twice, and for a case that asks and expects what another does."""
    names: dict[str, AnyCase] = {}
    asked: dict[str, AnyCase] = {}
    for case in cases:
        first = names.setdefault(case.name, case)
        if first is not case and first.place != case.place:
            line = first.place.line
            faults.add(
                case.place.fault(
                    f"the case `{case.name}` occurs twice, first in line {line}", "give it another name"
                )
            )
            continue
        if not isinstance(case, Case) or case.skip:
            continue
        twin = asked.setdefault(meaning(case.question, case.expect), case)
        if twin is not case:
            where = f"line {twin.place.line}"
            faults.add(
                case.place.fault(
                    f"`{case.name}` asks and expects the same as `{twin.name}` in {where}",
                    "keep one of the two",
                )
            )


def meaning(question: Question | CedarQuestion, expect: Expectation) -> str:
    """Return a text that two cases have in common exactly if they ask and expect the same."""
    asked = [getattr(question, item.name) for item in fields(question)]
    expected = [getattr(expect, item.name) for item in fields(expect) if item.name != "written"]
    return json.dumps([asked, expected], sort_keys=True, default=str)
