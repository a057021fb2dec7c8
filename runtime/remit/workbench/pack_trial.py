"""A pack tried on its fixtures: compiled at the defaults and the edges of its parameters, cases decided.

A pack passes when every fixture builds, uses it and keeps its cases, when every rule of it decides in a case
and is passed by in another, and when no admissible value of a parameter makes a rule that does not compile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from remit.document.values import MAX_SAFE_INTEGER
from remit.engine.cedar import CedarEngine
from remit.errors import FaultsError
from remit.policy.compile import compile_governance
from remit.policy.packs.expansion import expand
from remit.policy.packs.parameters import ParameterFaultError, admit
from remit.project.build import Built, build_project
from remit.project.lint import Finding
from remit.project.packs.fitting import put_rules
from remit.project.packs.folder import FIXTURE, PAGE, PackFolder
from remit.project.packs.requires import unmet
from remit.workbench.suites.agent_world import AgentWorld
from remit.workbench.suites.folder import bound_suites
from remit.workbench.suites.model import Case
from remit.workbench.suites.running import run_suite

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from remit.document.values import JsonObject, JsonValue
    from remit.engine.image import PolicyImage
    from remit.policy.packs.parameters import Parameter
    from remit.project.packs.use import UsedPack
    from remit.project.questions import Question
    from remit.workbench.suites.results import CaseResult

ALL_DEFAULTS = "*"
"""Stands for all parameters at once, where an edge is about their defaults."""

_DECIMAL_EDGE = 922_337_203_685_477


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
        parameter: its name; `*` for all that need not be given, left out at once.
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
            named = "every parameter at its default" if edge.parameter == ALL_DEFAULTS else ""
            with_what = named or f"`{edge.parameter}` {shown}"
            message = f"with {with_what} the rules do not compile: {edge.problem}"
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
            tried.append((None, _without(given, parameter.name)))
        for value, changed in tried:
            problem = _problem_with(built, used, changed)
            yield Edge(fixture=fixture, parameter=parameter.name, value=value, problem=problem)
    yield from _defaults(fixture, built, used)


def _defaults(fixture: str, built: Built, used: UsedPack) -> Iterator[Edge]:
    """Try each default that the fixture does not use, and all of them at once.

    An agent that cannot use the pack in that way at all, for want of a tool or an argument, shows nothing.
    """
    pack, given = used.use.found.pack, used.use.given
    tried: list[tuple[str, JsonValue, JsonObject]] = [
        (item.name, item.default, _without(given, item.name))
        for item in pack.parameters
        if item.name in given and item.default is not None and given[item.name] != item.default
    ]
    needed: JsonObject = {item.name: given[item.name] for item in pack.parameters if item.required}
    if len(needed) < len(given):
        tried.append((ALL_DEFAULTS, None, needed))
    for name, value, changed in tried:
        expansion = expand(pack, alias=used.use.alias, given=changed)
        lacks = unmet(
            pack,
            expansion.values,
            governance=built.document.governance.value,
            tools=built.document.capabilities.value.get("tools"),
            blocks=built.document.memory.value.get("blocks"),
        )
        if expansion.rules and not lacks:
            problem = _problem_with(built, used, changed)
            yield Edge(fixture=fixture, parameter=name, value=value, problem=problem)


def _without(given: JsonObject, left_out: str) -> JsonObject:
    return {name: value for name, value in given.items() if name != left_out}


def _problem_with(built: Built, used: UsedPack, given: JsonObject) -> str:
    """Return what keeps a pack from compiling with some values; empty where it compiles."""
    use = used.use
    expansion = expand(use.found.pack, alias=use.alias, given=given)
    try:
        document, _ = put_rules(built.document, use.found, alias=use.alias, expansion=expansion)
        compile_governance(document)
    except FaultsError as error:
        return str(error.faults[0])
    return ""


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
