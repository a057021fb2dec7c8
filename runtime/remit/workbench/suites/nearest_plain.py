"""The nearest difference for plain Cedar policies: a change of context, attributes, groups or entities.

Changes come from the policies alone: constants that they compare with, entities and groups that they name.
A changed attribute or group holds for the one request: the entity is laid over those of the suite.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from cedarpy import pst

from remit.engine.reads import inner_expressions
from remit.workbench.suites.candidates import compared_in, path_of
from remit.workbench.suites.changes import (
    ABSENT,
    MAX_DECISIONS,
    OTHER,
    Absent,
    Change,
    Step,
    search,
    step_to,
    text_of,
    with_member,
)
from remit.workbench.suites.model import CedarQuestion, CedarRef
from remit.workbench.suites.plain import read_reference
from remit.workbench.suites.running import compare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.values import JsonObject, JsonValue
    from remit.workbench.suites.candidates import Compared, Path
    from remit.workbench.suites.cedar_world import CedarWorld
    from remit.workbench.suites.changes import Nearest
    from remit.workbench.suites.model import Case

_FEW = 100
"""Entities up to which a changed request costs next to nothing; with more of them fewer are tried."""

_AT_LEAST = 20
_OF_ENTITY = 0.25
_PARTS = ("principal", "action", "resource")
IN = "in"
"""Stands after a part of the request in the key of a changed membership."""


def nearest_plain(case: Case, world: CedarWorld) -> Nearest:
    """Look for the smallest change of a failing case's request that gives what the case expects.

    Args:
        case: a case of a suite of plain policies.
        world: the policies.
    """
    changed = _Changed(case, world)
    entities = len(world.subject.entities) + len(changed.question.entities)
    bound = max(_AT_LEAST, MAX_DECISIONS * _FEW // max(_FEW, entities))
    return search(tuple(changed.steps()), changed.gives, bound)


class _Changed:
    def __init__(self, case: Case, world: CedarWorld) -> None:
        self._case = case
        self._world = world
        self.question = cast("CedarQuestion", case.question)
        known: dict[CedarRef, JsonObject] = {}
        for item in (*world.subject.entities, *self.question.entities):
            reference = read_reference(item.get("uid"))
            if reference is not None:
                known[reference] = item
        self._known = known

    def gives(self, steps: tuple[Step, ...]) -> bool | None:
        """Decide the changed request; see `search`."""
        question = self.question
        for step in sorted(steps, key=lambda step: len(step.key)):
            question = self._applied(question, step)
        verdict = self._world.decide(question)
        if not compare(self._case.expect, verdict, rules=self._world.rules):
            return True
        if verdict.decision == self._case.expect.decision and not verdict.errors:
            return False
        return None

    def _applied(self, question: CedarQuestion, step: Step) -> CedarQuestion:
        first, rest = step.key[0], step.key[1:]
        if first == "context":
            return replace(question, context=with_member(question.context, rest, step.value))
        if not rest:
            return replace(question, **{first: step.value})  # type: ignore[arg-type]  # a part, by its name
        reference = cast("CedarRef", getattr(question, first))
        others = tuple(item for item in question.entities if read_reference(item.get("uid")) != reference)
        held = next((item for item in question.entities if item not in others), self._known.get(reference))
        entity: JsonObject = held or {"uid": reference.to_json(), "attrs": {}, "parents": []}
        if rest[0] == IN:
            changed: JsonObject = {**entity, "parents": cast("JsonValue", step.value)}
        else:
            attributes = entity.get("attrs")
            own: JsonObject = attributes if isinstance(attributes, dict) else {}
            changed = {**entity, "attrs": with_member(own, rest, step.value)}
        return replace(question, entities=(*others, changed))

    def steps(self) -> Iterator[Step]:
        """Return every change that the policies suggest, each once."""
        seen: set[tuple[Path, str]] = set()
        named = _Named()
        for policy in self._world.tree():
            named.read(policy)
        for step in (*self._values(named), *self._entities(named), *self._groups(named)):
            mark = (step.key, step.change.after)
            if mark not in seen:
                seen.add(mark)
                yield step

    def _values(self, named: _Named) -> Iterator[Step]:
        for compared in named.compared:
            before = self._value_at(compared.path)
            for after in self._afters(compared, before):
                if text_of(after) != text_of(before):
                    yield step_to(compared.path, before, after, more=_more(compared.path))

    def _afters(self, compared: Compared, before: JsonValue | Absent) -> Iterator[object]:
        if compared.tested:
            if before is not ABSENT:
                yield ABSENT
            return
        values: list[JsonValue] = list(compared.values)
        if compared.path_too:
            other = self._value_at(compared.path_too)
            values = [] if isinstance(other, Absent) else [other]
            if isinstance(other, int) and not isinstance(other, bool):
                values += [other - 1, other + 1]
        if compared.values == (True, False) and not isinstance(before, bool):
            return
        for value in values:
            written = _as(before, value)
            if isinstance(before, list) and not isinstance(written, list):
                yield (
                    [item for item in before if item != written] if written in before else [*before, written]
                )
            else:
                yield written

    def _entities(self, named: _Named) -> Iterator[Step]:
        """Yield other entities to ask about: those that policies name in the part's place."""
        for part, references in named.entities.items():
            held = self._part(part)
            for reference in references:
                if reference != held:
                    change = Change(key=part, before=str(held), after=str(reference))
                    yield Step(change=change, key=(part,), value=reference, size=OTHER)
        for path, compared in named.compared_entities:
            before = self._value_at(path)
            whole = self._part(compared) if isinstance(compared, str) else compared
            after: JsonObject = {"__entity": whole.to_json()}
            if not isinstance(before, Absent) and read_reference(before) != whole:
                value: JsonValue = [*before, after] if isinstance(before, list) else after
                yield step_to(path, before, value, more=_more(path))

    def _part(self, name: str) -> CedarRef:
        return cast("CedarRef", getattr(self.question, name))

    def _groups(self, named: _Named) -> Iterator[Step]:
        """Yield memberships that policies ask for: joined where it is not there, left where it is."""
        for part, groups in named.groups.items():
            reference = self._part(part)
            entity = self._known.get(reference, {})
            listed = entity.get("parents")
            parents: list[JsonValue] = listed if isinstance(listed, list) else []
            for group in groups:
                if group == reference:
                    continue
                inside = [item for item in parents if read_reference(item) == group]
                after = (
                    [item for item in parents if item not in inside]
                    if inside
                    else [*parents, group.to_json()]
                )
                words = ("true", "false") if inside else ("false", "true")
                change = Change(key=f"{part} in {group}", before=words[0], after=words[1])
                yield Step(change=change, key=(part, IN), value=after, size=OTHER)

    def _value_at(self, path: Path) -> JsonValue | Absent:
        root, rest = path[0], path[1:]
        value: JsonValue
        if root == "context":
            value = self.question.context
        else:
            value = self._known.get(getattr(self.question, root), {}).get("attrs", {})
        for step in rest:
            if not isinstance(value, dict) or step not in value or "__entity" in value:
                return ABSENT
            value = value[step]
        return value


@dataclass(slots=True)
class _Named:
    """What policies name."""

    compared: list[Compared] = field(default_factory=list["Compared"])
    compared_entities: list[tuple[Path, CedarRef | str]] = field(
        default_factory=list["tuple[Path, CedarRef | str]"]
    )
    entities: dict[str, list[CedarRef]] = field(default_factory=lambda: {part: [] for part in _PARTS})
    groups: dict[str, list[CedarRef]] = field(default_factory=lambda: {part: [] for part in _PARTS})

    def read(self, policy: pst.Template) -> None:
        for part in _PARTS:
            self._scope(part, getattr(policy, part))
        for clause in policy.clauses:
            self.compared.extend(compared_in(clause.expr))
            stack = [clause.expr]
            while stack:
                node = stack.pop()
                if isinstance(node, pst.BinaryOp):
                    self._pair(node)
                stack.extend(reversed(tuple(inner_expressions(node))))

    def _scope(self, part: str, scope: object) -> None:
        match scope:
            case pst.ScopeEq(pst.EntityUid() as entity) | pst.ActionEq(entity):
                self.entities[part].append(_reference(entity))
            case pst.ScopeIn(pst.EntityUid() as entity) | pst.ScopeIsIn(_, pst.EntityUid() as entity):
                self.groups[part].append(_reference(entity))
            case pst.ActionIn(several):
                self.entities[part].extend(_reference(entity) for entity in several)
            case _:
                pass

    def _pair(self, node: pst.BinaryOp) -> None:
        for one, other in ((node.left, node.right), (node.right, node.left)):
            references = tuple(_references(other))
            if isinstance(one, pst.Var) and one.name in _PARTS:
                if node.op == "in" and one is node.left:
                    self.groups[one.name].extend(references)
                elif node.op in ("eq", "not_eq"):
                    self.entities[one.name].extend(references)
                continue
            path = path_of(one)
            if path is None or node.op not in ("eq", "not_eq", "contains"):
                continue
            self.compared_entities.extend((path, reference) for reference in references)
            if isinstance(other, pst.Var) and other.name in _PARTS:
                self.compared_entities.append((path, other.name))


def _references(expr: pst.Expr) -> Iterator[CedarRef]:
    for item in expr.elements if isinstance(expr, pst.Set) else (expr,):
        if isinstance(item, pst.EntityLit):
            yield _reference(item.value)


def _reference(entity: pst.EntityUid) -> CedarRef:
    return CedarRef(type=str(entity.type), id=entity.id)


def _more(path: Path) -> float:
    """An entity belongs to all requests, and the context to this one: changing it is less."""
    return 0.0 if path[0] == "context" else _OF_ENTITY


def _as(before: JsonValue | Absent, value: JsonValue) -> JsonValue:
    """Write a constant as what it replaces is written: Cedar's JSON marks decimals, times and addresses."""
    if isinstance(before, dict):
        marked = before.get("__extn")
        if isinstance(marked, dict):
            text = f"{value:.4f}" if isinstance(value, float) else value
            return {"__extn": {**marked, "arg": text if isinstance(text, str) else json.dumps(text)}}
    return value
