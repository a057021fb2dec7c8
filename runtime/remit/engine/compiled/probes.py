"""Requests made from an image's own schema and rules, to compare the two engines at load.

Deterministic: the same image gives the same probes. For every policy: it applies, at the edge of each of its
comparisons; each comparison in turn goes the other way; what it reads is left out; chance picks among the
constants of the policy. For every action: what the ingress walk refuses.
An image with more policies than can be probed has one of each shape probed first, then a second of each, …:
policies that are the same but for their constants become the same code but for its constants.
"""

from __future__ import annotations

import math
import random
import re
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from cedarpy import pst

from remit.engine.compiled.goals import ABSENT, Absent, Goal, GoalSetter, stepped
from remit.engine.compiled.program import Numbered, action_fits
from remit.engine.reads import inner_expressions, policy_paths
from remit.engine.request import NAMESPACE, Entity, EntityRef, Request
from remit.engine.schema import EntityType, Primitive, RecordType, SetType, Type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from remit.document.values import JsonObject, JsonValue
    from remit.engine.reads import Path
    from remit.engine.schema import ActionType, SchemaTypes

MAX_PROBES = 1_600
"""For one image."""

MAX_EVALUATIONS = 200_000
"""Policies whose action fits, over all probes but the first ones: what the reference's time follows."""

MIN_PROBES = 100
"""As many are made whatever they cost."""

MAX_OF_POLICY = 64
_MIN_OF_POLICY = 6
_MAX_PATH = 5
_GIVEN = 0.9
_BESIDE = 0.3
_COIN = 0.5
_NAMED = 0.8
"""Shares: parents beside the wanted, a fair coin, entities given, constants that the policy names."""

_ROUNDS = 6
_ABSENT = 3
_LEFT_TO_CHANCE = 8
_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"|\b\d+\b')

_PREFIX = f"{NAMESPACE}::"
_LIMITS: tuple[JsonValue, ...] = (0, 1, -1, 2**63 - 1, -(2**63))
_PLAIN: dict[str, tuple[JsonValue, ...]] = {
    "Long": _LIMITS,
    "String": ("", "x", "é"),
    "Bool": (True, False),
    "decimal": (0, 1, -0.5, 922337203685477),
    "datetime": (
        "2026-01-01T00:00:00.000Z",
        "1969-12-31T23:59:59.999Z",
        "2026-01-01T00:00:00+01:00",
        "2026-01-01",
    ),
    "duration": ("0ms", "1h", "-1ms", "9223372036854775807ms"),
    "ipaddr": ("127.0.0.1", "10.0.0.0/8", "::1", "224.0.0.1", "ff02::1"),
}
_WRONG: tuple[JsonValue, ...] = (
    None,
    True,
    1,
    1.23456,
    2**63,
    "\ud800",
    "",
    "x",
    [],
    {},
    [None],
    {"type": "x", "id": "x"},
)


class _Pool(NamedTuple):
    """Values that a policy names."""

    values: dict[str, list[JsonValue]]
    uids: list[tuple[str, str]]


class Probes:
    """Makes the probes of one image.

    Args:
        types: the schema.
        policies: of the image.
        texts: of these, one each.
        weights: how many of them can apply, by action.
        seed: the image's digest.
    """

    def __init__(
        self,
        types: SchemaTypes,
        policies: Sequence[Numbered],
        texts: Iterable[str],
        weights: Mapping[str, int],
        seed: str,
    ) -> None:
        self._weights = weights
        self._types = types
        self._policies = tuple(_by_shape(policies, texts))
        self._chance = random.Random(seed)  # noqa: S311  # probes, not secrets
        self._goal = Goal()
        self._pool = _Pool({}, [])
        self._entities: dict[tuple[str, str], Entity] = {}

    def requests(self) -> Iterator[Request]:
        """Yield at most `MAX_PROBES` requests, and fewer where each takes long to decide."""
        askable = [
            action for action in self._types.actions.values() if action.principals and action.resources
        ]
        if not askable or not self._policies:
            return
        left = MAX_EVALUATIONS
        for number, request in enumerate(self._all(askable)):
            left -= self._weights[request.action]
            if left < 0 and number >= MIN_PROBES:
                return
            yield request

    def _all(self, askable: Sequence[ActionType]) -> Iterator[Request]:
        budget = MAX_PROBES
        share = max(1, budget // 8 // len(askable))
        for action in askable[: budget // 8]:
            refused = list(self._refused(action))
            self._chance.shuffle(refused)
            yield from refused[:share]
        budget -= budget // 8
        share = max(_MIN_OF_POLICY, min(MAX_OF_POLICY, budget // len(self._policies)))
        for numbered in self._policies[: max(1, budget // share)]:
            fitting = [action for action in askable if action_fits(numbered.policy.action, action)]
            if fitting:
                yield from self._of_policy(numbered.policy, fitting, share)

    def _of_policy(
        self, policy: pst.Template, actions: Sequence[ActionType], share: int
    ) -> Iterator[Request]:
        self._pool = _pool(policy)
        paths = sorted(policy_paths(policy))
        self._chance.shuffle(paths)
        absent = [(path,) for path in paths[:_ABSENT]]
        counter = GoalSetter(self._chance)
        counter.policy(policy)
        plan: list[tuple[int, tuple[Path, ...]]] = [(-1, ())] * _ROUNDS
        plan += [(flipped, ()) for flipped in range(counter.met)]
        plan += [(-1, paths) for paths in absent]
        plan += [(self._chance.randrange(counter.met + 1), ()) for _ in range(share - len(plan))]
        for number, (flipped, missing) in enumerate(plan[:share]):
            setter = GoalSetter(self._chance, flipped)
            if number % _LEFT_TO_CHANCE:
                setter.policy(policy)
            setter.goal.values |= dict.fromkeys(missing, ABSENT)
            yield self._request(self._chance.choice(actions), policy, setter.goal)

    def _request(self, action: ActionType, policy: pst.Template | None, goal: Goal) -> Request:
        self._goal = goal
        self._entities = {}
        uids = [
            self._root("principal", action.principals, policy.principal if policy else pst.ScopeAny()),
            self._root("resource", action.resources, policy.resource if policy else pst.ScopeAny()),
        ]
        context = self._record(action.context, ("context",))
        principal, resource = (self._entities[uid] for uid in uids)
        others = tuple(entity for uid, entity in self._entities.items() if uid not in uids)
        return Request(
            principal=principal, action=action.name, resource=resource, context=context, entities=others
        )

    def _root(
        self, root: str, allowed: frozenset[str], constraint: pst.PrincipalOrResourceConstraint
    ) -> tuple[str, str]:
        kinds = sorted(allowed)
        match constraint:
            case pst.ScopeIs(named) | pst.ScopeIsIn(entity_type=named) if str(named) in allowed:
                kinds = [str(named)]
            case _:
                pass
        kind, name = self._goal.uids.get((root,), ("", ""))
        uid = (kind, name) if kind in allowed else (self._chance.choice(kinds), self._id(kinds[0]))
        self._give(uid, (root,))
        return uid

    def _give(self, uid: tuple[str, str], path: Path) -> None:
        """Make an entity; what was made first stays."""
        if uid in self._entities or not uid[0].startswith(_PREFIX):
            return
        ref = EntityRef(type=uid[0].removeprefix(_PREFIX), id=uid[1])
        self._entities[uid] = Entity(ref=ref)
        wanted = self._goal.parents.get(path)
        parents = [wanted] if wanted is not None and wanted[0] in self._types.parents[uid[0]] else []
        # Some parents beside the wanted.
        beside = [kind for kind in self._types.parents[uid[0]] if self._chance.random() < _BESIDE]
        parents += [(kind, self._id(kind)) for kind in beside]
        refs = tuple(EntityRef(type=kind.removeprefix(_PREFIX), id=name) for kind, name in parents)
        attributes = self._record(self._types.entities[uid[0]], path)
        self._entities[uid] = Entity(ref=ref, attributes=attributes, parents=refs)

    def _id(self, kind: str) -> str:
        named = [name for known, name in self._pool.uids if known == kind]
        return self._chance.choice((*named, "x", "y"))

    def _record(self, declared: RecordType, path: Path) -> JsonObject:
        record: JsonObject = {}
        for name, member in declared.attributes.items():
            here = (*path, name)
            wanted = self._goal.values.get(here)
            below = any(key[: len(here)] == here for key in self._goal.values)
            if isinstance(wanted, Absent) or not (member.required or below or self._chance.random() < _COIN):
                continue
            record[name] = self._value(member.type, here) if wanted is None else wanted
        return record

    def _value(self, kind: Type, path: Path) -> JsonValue:
        match kind:
            case RecordType():
                return self._record(kind, path)
            case SetType(element):
                return [self._value(element, ()) for _ in range(self._chance.randrange(3))]
            case EntityType(name):
                wanted = self._goal.uids.get(path)
                uid = wanted if wanted is not None and wanted[0] == name else (name, self._id(name))
                # One of ten is not given; beyond two hops none is.
                if 0 < len(path) <= _MAX_PATH and self._chance.random() < _GIVEN:
                    self._give(uid, path)
                return {"type": name.removeprefix(_PREFIX), "id": uid[1]}
            case Primitive(name):
                named = self._pool.values.get(name, [])
                mostly = named and self._chance.random() < _NAMED
                return self._chance.choice(named if mostly else _PLAIN[name])

    def _refused(self, action: ActionType) -> Iterator[Request]:
        """Yield what the ingress walk must see: the members of context and principal spoiled in turn."""
        self._pool = _Pool({}, [])
        plain = self._request(action, None, Goal())
        yield plain
        yield replace(plain, entities=(*plain.entities, plain.principal))
        yield replace(plain, entities=())
        for spoiled in self._spoiled(plain.context, 2):
            yield replace(plain, context=spoiled)
        for spoiled in self._spoiled(plain.principal.attributes, 0):
            yield replace(plain, principal=replace(plain.principal, attributes=spoiled))

    def _spoiled(self, record: JsonObject, depth: int) -> Iterator[JsonObject]:
        yield {**record, "undeclared": 1}
        for name, value in list(record.items())[:12]:
            yield {**record, name: self._chance.choice(_WRONG)}
            yield {key: member for key, member in record.items() if key != name}
            if isinstance(value, dict) and depth:
                for inner in self._spoiled(value, depth - 1):
                    yield {**record, name: inner}


def _by_shape(policies: Sequence[Numbered], texts: Iterable[str]) -> Iterator[Numbered]:
    """Yield all policies, the first of each shape before the second of any."""
    shapes: defaultdict[str, list[Numbered]] = defaultdict(list)
    for numbered, text in zip(policies, texts, strict=True):
        shapes[_LITERAL.sub("", text)].append(numbered)
    for rank in range(max(map(len, shapes.values()), default=0)):
        for alike in shapes.values():
            if rank < len(alike):
                # Of many that are alike, the last and the middle ones as soon as the first ones.
                yield alike[_spread(rank, len(alike))]


def _spread(rank: int, count: int) -> int:
    """Return a different place for every rank, far from those of the ranks before it."""
    step = max(1, int(count * 0.618))
    while math.gcd(step, count) != 1:
        step += 1
    return rank * step % count


def _pool(policy: pst.Template) -> _Pool:
    """Return the constants of a policy with their neighbours."""
    pool = _Pool({}, [])
    for constraint in (policy.principal, policy.resource):
        match constraint:
            case (
                pst.ScopeEq(pst.EntityUid() as uid)
                | pst.ScopeIn(pst.EntityUid() as uid)
                | pst.ScopeIsIn(_, pst.EntityUid() as uid)
            ):
                pool.uids.append((str(uid.type), uid.id))
            case _:
                pass
    ahead: list[pst.Expr] = [clause.expr for clause in policy.clauses]
    while ahead:
        expr = ahead.pop()
        ahead.extend(inner_expressions(expr))
        if isinstance(expr, pst.EntityLit):
            pool.uids.append((str(expr.value.type), expr.value.id))
        kind = _literal_type(expr)
        if kind:
            for step in (0, 1, -1):
                pool.values.setdefault(kind, []).extend(stepped(expr, step))
    return pool


def _literal_type(expr: pst.Expr) -> str:
    match expr:
        case pst.LongLit():
            return "Long"
        case pst.StringLit():
            return "String"
        case pst.UnaryOp("ip"):
            return "ipaddr"
        case pst.UnaryOp("decimal" | "datetime" | "duration" as kind):
            return kind
        case _:
            return ""
