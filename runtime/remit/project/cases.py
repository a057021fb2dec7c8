"""Cases: requests with the decision that their authors expect, from `cases/*.yaml`, decided one by one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from remit.errors import DocumentError, EvaluationError, Fault
from remit.project.answers import Verdict, settle
from remit.project.questions import QUESTION_KEYS, Question, build_request, question_from
from remit.project.source import FaultList, Node, check_keys, files_in, kind_of, listing, nearest, read_yaml

if TYPE_CHECKING:
    from remit.document.model import Document
    from remit.document.values import JsonObject
    from remit.engine.image import PolicyImage
    from remit.engine.port import Engine

DECISIONS = ("allow", "deny", "awaiting_approval")
KINDS = ("allowed", "forbidden", "not_permitted", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case.

    Args:
        name: what it promises.
        question: what is asked.
        decision: allow, deny or awaiting_approval.
        rules: exactly the determining rules; None where the case does not say.
        kind: why; empty where the case does not say.
        place: where it was written, as a fault without a message would show it.
    """

    name: str
    question: Question
    decision: str
    rules: tuple[str, ...] | None
    kind: str
    place: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """What became of a case.

    Args:
        case: the case.
        verdict: what the engine said; None where the request could not be made.
        problems: what differs from the expectation; empty where the case holds.
    """

    case: Case
    verdict: Verdict | None
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the expectation held."""
        return not self.problems

    def to_json(self) -> JsonObject:
        """Return the result as a JSON object with stable keys."""
        return {
            "name": self.case.name,
            "file": self.case.place.file,
            "line": self.case.place.line,
            "passed": self.passed,
            "problems": list(self.problems),
            "verdict": None if self.verdict is None else self.verdict.to_json(),
        }


def read_cases(folder: str | Path) -> tuple[Case, ...]:
    """Read all cases of a project folder, in the order of their files.

    Raises:
        DocumentError: a file or a case is wrong; lists every fault.
    """
    root, faults, cases = Path(folder), FaultList(), list[Case]()
    for relative in files_in(root, "cases", ".yaml", ".yml"):
        try:
            top = read_yaml(root, relative)
        except DocumentError as error:
            faults.extend(error)
            continue
        if isinstance(top.value, dict):
            check_keys(top, known=("cases",), required=("cases",), what="a case file", faults=faults)
            if "cases" not in top.value:
                continue
            top = top.member("cases")
        if not isinstance(top.value, list):
            faults.add(top.fault(f"the cases are {kind_of(top.value)}, not a list", "begin each with `- `"))
            continue
        for node in top.items():
            case = _read_case(node, faults=faults)
            if case is not None:
                cases.append(case)
    faults.settle()
    return tuple(cases)


def _read_case(node: Node, *, faults: FaultList) -> Case | None:
    keys = ("name", "request", "expect")
    if not check_keys(node, known=keys, required=keys, what="a case", faults=faults):
        return None
    members = node.object() or {}
    if not set(keys) <= members.keys():
        return None
    request, expect = node.member("request"), node.member("expect")
    readable = check_keys(
        request, known=QUESTION_KEYS, required=("action",), what="a case's request", faults=faults
    )
    readable &= check_keys(
        expect,
        known=("decision", "rules", "kind"),
        required=("decision",),
        what="a case's expectation",
        faults=faults,
    )
    if not readable:
        return None
    try:
        question = question_from(request.object() or {})
    except EvaluationError as error:
        faults.add(request.fault(str(error)))
        return None
    wanted = expect.object() or {}
    decision, kind, rules = wanted.get("decision"), wanted.get("kind", ""), wanted.get("rules")
    for key, value, known in (("decision", decision, DECISIONS), ("kind", kind, ("", *KINDS))):
        if value not in known and key in wanted:
            hint = nearest(str(value), known) or f"it is one of {listing(name for name in known if name)}"
            faults.add(expect.member(key).fault(f"`{key}` is `{value}`", hint))
    if "rules" in wanted and not (isinstance(rules, list) and all(isinstance(item, str) for item in rules)):
        faults.add(expect.member("rules").fault("`rules` is not a list of rule ids"))
        return None
    return Case(
        name=str(members["name"]),
        question=question,
        decision=str(decision),
        rules=None if rules is None else tuple(cast("list[str]", rules)),
        kind=str(kind),
        place=node.fault(""),
    )


def run_case(case: Case, *, document: Document, engine: Engine, image: PolicyImage) -> CaseResult:
    """Decide one case and compare.

    Args:
        case: the case.
        document: the built agent.
        engine: prepared from `image`.
        image: the agent's compiled governance.
    """
    try:
        request = build_request(document, case.question)
    except EvaluationError as error:
        return CaseResult(case=case, verdict=None, problems=(str(error),))
    verdict = settle(engine, image, request)
    problems: list[str] = []
    if verdict.decision != case.decision:
        reason = "; ".join((*verdict.rules, *verdict.because, *verdict.errors)) or verdict.kind
        problems.append(f"expected {case.decision}, got {verdict.decision} ({reason})")
    if case.rules is not None and tuple(sorted(case.rules)) != tuple(sorted(verdict.rules)):
        wanted, got = listing(sorted(case.rules)) or "no rule", listing(verdict.rules) or "no rule"
        problems.append(f"expected {wanted} to decide, got {got}")
    if case.kind and case.kind != verdict.kind:
        problems.append(f"expected kind {case.kind}, got {verdict.kind}")
    return CaseResult(case=case, verdict=verdict, problems=tuple(problems))
