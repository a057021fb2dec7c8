"""A pack tried on its fixtures: compiled with its defaults and at the edges of its parameters, cases decided.

A pack passes when every fixture builds, uses it and keeps its cases, when every rule of it decides in a case
and is passed by in another, and when no admissible value of a parameter makes a rule that does not compile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from remit.document.revision import revise
from remit.document.values import MAX_SAFE_INTEGER
from remit.engine.cedar import CedarEngine
from remit.errors import FaultsError
from remit.policy.compile import compile_governance
from remit.policy.packs.expansion import expand
from remit.policy.packs.parameters import ParameterFaultError, admit
from remit.project.build import Built, build_project
from remit.project.lint import Finding
from remit.project.origins import OriginMap
from remit.project.packs.folder import FIXTURE, PAGE, PackFolder
from remit.project.packs.use import UsedPack, pin_value, place_rules
from remit.workbench.suites.agent_world import AgentWorld
from remit.workbench.suites.folder import bound_suites
from remit.workbench.suites.model import Case
from remit.workbench.suites.running import run_suite

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.engine.image import PolicyImage
    from remit.policy.packs.parameters import Parameter
    from remit.project.questions import Question
    from remit.workbench.suites.results import CaseResult

_DECIMAL_EDGE = 922_337_203_685_477
_TRIED_AT = "2026-01-01T00:00:00.000Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class FixtureTrial:
    """One fixture tried.

    Args:
        name: of its folder.
        results: what became of its cases.
        decided: ids, as in the pack, of rules that decided a case.
        passed_by: ids of rules that could have applied to an allowed request and did not.
    """

    name: str
    results: tuple[CaseResult, ...]
    decided: frozenset[str]
    passed_by: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One value at the edge of a parameter.

    Args:
        fixture: name of the fixture.
        parameter: its name.
        value: what was tried; None where the parameter was left out.
        problem: what went wrong; empty where the rules compile.
    """

    fixture: str
    parameter: str
    value: JsonValue
    problem: str

    def to_json(self) -> JsonObject:
        """Return the edge as a JSON object with stable keys."""
        return {
            "fixture": self.fixture,
            "parameter": self.parameter,
            "value": self.value,
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PackTrial:
    """What trying a pack showed.

    Args:
        fixtures: one for each fixture that builds.
        edges: every edge that was tried.
        findings: what is wrong.
    """

    fixtures: tuple[FixtureTrial, ...]
    edges: tuple[Edge, ...]
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        failed = any(not result.passed for item in self.fixtures for result in item.results)
        return not failed and not any(item.level == "problem" for item in self.findings)


def try_pack(found: PackFolder) -> PackTrial:
    """Try a pack on every fixture.

    Raises:
        DocumentError: a fixture does not build, or a case cannot be read.
        PolicyError: a fixture's rules do not compile.
    """
    fixtures: list[FixtureTrial] = []
    edges: list[Edge] = []
    findings: list[Finding] = []
    for folder in found.fixtures():
        built = build_project(folder)
        uses = tuple(used for used in built.packs if used.use.found.pack.digest == found.pack.digest)
        if not uses:
            findings.append(_problem("unused", f"the fixture `{folder.name}` does not use the pack"))
            continue
        image = compile_governance(built.document, origins=built.origins)
        fixtures.append(_try_fixture(folder, built, image, uses))
        edges.extend(edge for used in uses for edge in _edges(folder.name, built, used))
    findings += _findings(found, fixtures, edges)
    return PackTrial(fixtures=tuple(fixtures), edges=tuple(edges), findings=tuple(findings))


def _problem(check: str, message: str, origin: str = "") -> Finding:
    return Finding(level="problem", check=check, message=message, origin=origin)


def _findings(
    found: PackFolder, fixtures: Sequence[FixtureTrial], edges: Sequence[Edge]
) -> Iterator[Finding]:
    if not (found.folder / PAGE).is_file():
        yield _problem("no-page", f"the pack has no `{PAGE}`: say what it is for, and what it does not show")
    if not found.fixtures():
        yield _problem("no-fixture", f"the pack has no `{FIXTURE}/`: nothing shows that its rules hold")
        return
    for rule in found.pack.rules:
        node = found.nodes[rule.id]
        line, column = node.source.place(node.pointer)
        origin = f"{node.source.file}:{line}:{column}"
        if not any(rule.id in item.decided for item in fixtures):
            yield _problem("never-decides", f"no case is decided by the rule `{rule.id}`", origin)
        elif not any(rule.id in item.passed_by for item in fixtures):
            message = f"no case is allowed where the rule `{rule.id}` could have applied"
            yield _problem("always-decides", message, origin)
        if rule.value.get("effect") == "permit":
            message = f"the rule `{rule.id}` permits: whoever takes the pack gives something away"
            yield Finding(level="advice", check="permits", message=message, origin=origin)
    for edge in edges:
        if edge.problem:
            shown = "absent" if edge.value is None else repr(edge.value)
            message = f"with `{edge.parameter}` {shown} the rules do not compile: {edge.problem}"
            yield _problem("edge", message)


def _try_fixture(folder: Path, built: Built, image: PolicyImage, uses: Sequence[UsedPack]) -> FixtureTrial:
    engine = CedarEngine(image)
    world = AgentWorld(document=built.document, image=image, folder=folder, origins=built.origins)
    results = tuple(result for suite in bound_suites(world) for result in run_suite(suite, engine=engine))
    names = {str(rule.value["id"]): rule.source.id for used in uses for rule in used.expansion.rules}
    decided: set[str] = set()
    passed_by: set[str] = set()
    for result in results:
        verdict = result.verdict
        if verdict is None or not isinstance(result.case, Case):
            continue
        decided |= {names[rule] for rule in verdict.rules if rule in names}
        if verdict.decision == "allow":
            action = cast("Question", result.case.question).action
            passed_by |= {
                name
                for rule, name in names.items()
                if rule not in verdict.rules
                and (not image.rules[rule].actions or action in image.rules[rule].actions)
            }
    return FixtureTrial(
        name=folder.name, results=results, decided=frozenset(decided), passed_by=frozenset(passed_by)
    )


def _edges(fixture: str, built: Built, used: UsedPack) -> Iterator[Edge]:
    pack, given = used.use.found.pack, used.use.given
    for parameter in pack.parameters:
        values = edge_values(parameter, used.expansion.values.get(parameter.name))
        tried = [(value, {**given, parameter.name: value}) for value in values]
        if parameter.optional and parameter.name in given:
            rest = {name: value for name, value in given.items() if name != parameter.name}
            tried.append((None, rest))
        for value, changed in tried:
            problem = ""
            try:
                compile_governance(with_parameters(built.document, used, changed))
            except FaultsError as error:
                problem = str(error.faults[0])
            yield Edge(fixture=fixture, parameter=parameter.name, value=value, problem=problem)


def edge_values(parameter: Parameter, held: JsonValue) -> tuple[JsonValue, ...]:
    """Return admissible values at the edges of a parameter, without the one that is held.

    Args:
        parameter: the parameter.
        held: the fixture's value; None where it has none.
    """
    schema = parameter.schema
    found: list[JsonValue] = []
    if parameter.type.many:
        items = cast("JsonObject", schema["items"])
        listed = held if isinstance(held, list) else []
        found = [[value] for value in (*_scalar_edges(items), *listed)]
        if isinstance(items.get("enum"), list):
            found.append(items["enum"])
    else:
        found = list(_scalar_edges(schema))
    kept: list[JsonValue] = []
    for value in found:
        try:
            admit(schema, value)
        except ParameterFaultError:
            continue
        if value != held and value not in kept:
            kept.append(value)
    return tuple(kept)


def _scalar_edges(schema: JsonObject) -> tuple[JsonValue, ...]:
    enum = schema.get("enum")
    if isinstance(enum, list):
        return tuple(enum)
    kind = schema.get("type")
    if kind == "boolean":
        return (True, False)
    if kind not in ("integer", "number"):
        return ()
    far = MAX_SAFE_INTEGER if kind == "integer" else _DECIMAL_EDGE
    step = 1 if kind == "integer" else 0.0001
    low = schema.get("minimum", _stepped(schema.get("exclusiveMinimum"), step, -far))
    high = schema.get("maximum", _stepped(schema.get("exclusiveMaximum"), -step, far))
    return (low, high)


def _stepped(bound: JsonValue, step: float, default: int) -> JsonValue:
    return bound + step if isinstance(bound, (int, float)) else default


def with_parameters(document: Document, used: UsedPack, given: JsonObject) -> Document:
    """Return the document with a pack's rules filled in anew.

    Raises:
        DocumentError: the filled-in rules are no rules.
    """
    use = used.use
    expansion = expand(use.found.pack, alias=use.alias, given=given)
    governance, capabilities = dict(document.governance.value), dict(document.capabilities.value)
    mine = f"{use.alias}."
    for holder in (governance, capabilities):
        for place, rules in holder.items():
            if isinstance(rules, list) and place not in ("packs", "tools", "backends"):
                holder[place] = [rule for rule in rules if not _is_of(rule, mine)]
    place_rules(use, expansion, governance, capabilities, OriginMap())
    pins = cast("list[JsonValue]", governance.get("packs", []))
    governance["packs"] = [
        pin_value(use.found, use.alias, expansion) if _alias(pin) == use.alias else pin for pin in pins
    ]
    return revise(
        document,
        operation="amend",
        actor='Remit::Caller::"trial"',
        at=_TRIED_AT,
        decision="",
        governance=governance,
        capabilities=capabilities,
    )


def _is_of(rule: JsonValue, prefix: str) -> bool:
    return isinstance(rule, dict) and str(rule.get("id", "")).startswith(prefix)


def _alias(pin: JsonValue) -> JsonValue:
    return pin.get("as", pin.get("name")) if isinstance(pin, dict) else None
