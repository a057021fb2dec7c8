"""One program: all that is generated for an action, a type of principal and a type of resource.

A program checks a request, loads what its policies read into variables, and tests the policies whose scope
can match: those of everybody, and those that name the id of the principal or the resource.

INVARIANT (slicing): a policy is left out only where a constraint of its scope is false for the request, and
a scope cannot err; so decision, reasons and errors are those of the whole set.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from cedarpy import pst

from remit.engine.compiled.chunks import REPORTS, Block, Condition, calls, chunks, lines_of, write_function
from remit.engine.compiled.code import Constants
from remit.engine.compiled.emit import ACTION_TYPE, Emitter
from remit.engine.compiled.ingress_code import IngressWriter
from remit.engine.compiled.recipes import Later, Lookup, Recipe
from remit.engine.compiled.slots import (
    ABOVE,
    CONTEXT,
    PRINCIPAL,
    RESOURCE,
    TABLE,
    Slot,
    SlotNames,
    Slots,
    needed_entities,
)
from remit.engine.ingress import WHOLE, read_tree
from remit.engine.reads import Path
from remit.engine.request import NAMESPACE
from remit.engine.schema import EntityType, RecordType, Type

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from remit.engine.compiled.index import Index
    from remit.engine.compiled.outcomes import Failed, Outcomes
    from remit.engine.request import Decision, Request
    from remit.engine.schema import ActionType, SchemaTypes

MAX_INLINE = 16
"""Attributes of an entity whose checks stand in the program itself."""

MAX_LINES = 48
"""Statements about policies of one scope that stand there; more become functions of their own."""

_SHARED = re.compile(rf"\b(?:{PRINCIPAL}|{RESOURCE}|{TABLE}|{ABOVE})\b")

PREFIX = f"{NAMESPACE}::"


Program = Callable[["Request"], "Decision | Failed | None"]
"""From a request to an answer; `None` or an exception where the reference engine must look."""


class Written(NamedTuple):
    """The tests of policies that many programs share, as they were written for one.

    Args:
        lines: the statements.
        wanted: paths of the variables that they name.
        constants: that they name; numbered from none.
        slots: all that was asked about variables while they were written: where it is answered alike, the
            same would be written.
    """

    lines: tuple[str, ...]
    wanted: tuple[Path, ...]
    constants: Constants
    slots: Mapping[Path, Slot | None]


class Parts(NamedTuple):
    """What all programs of an engine share.

    `tested` holds what was written for policies on no single action, by their numbers.
    """

    types: SchemaTypes
    reads: Mapping[str, frozenset[Path]]
    names: SlotNames
    outcomes: Outcomes
    emitter: type[Emitter]
    arranger: type[Index]
    lock: AbstractContextManager[bool]
    tested: defaultdict[tuple[int, ...], list[Written]]


class Numbered(NamedTuple):
    """A policy and its number in the image."""

    rule: int
    policy: pst.Template


_Ids = tuple["str | None", "str | None"]
"""Ids of principal and resource that a scope names."""


class ProgramWriter:
    """Writes one program.

    Args:
        parts: shared.
        action: what is asked.
        principal: fully qualified entity type.
        resource: likewise.
    """

    def __init__(self, parts: Parts, action: ActionType, principal: str, resource: str) -> None:
        self._parts = parts
        self._action = action
        self._kinds = (principal, resource)
        entities = parts.types.entities
        self._records: Mapping[str, RecordType] = {
            "principal": entities[principal],
            "resource": entities[resource],
            "context": action.context,
        }
        paths = parts.reads[action.name]
        self._reads = {root: read_tree(paths, root) for root in self._records}
        needed = [needed_entities(self._records[root], reads, (root,)) for root, reads in self._reads.items()]
        self._needed = frozenset[Path]().union(*needed)
        roots: Mapping[str, Type] = {
            "principal": EntityType(principal),
            "resource": EntityType(resource),
            "context": action.context,
        }
        self._slots = Slots(entities, roots, self._needed, parts.names)

    def write(self, policies: Iterable[Numbered]) -> Recipe:
        """Return the recipe of the function from a request to an answer, a `Program`.

        Args:
            policies: those whose action fits.
        """
        everybody: defaultdict[pst.ActionConstraint, list[Numbered]] = defaultdict(list)
        named: defaultdict[_Ids, list[Numbered]] = defaultdict(list)
        for numbered in policies:
            policy = numbered.policy
            if _fits(policy.principal, self._kinds[0]) and _fits(policy.resource, self._kinds[1]):
                ids = (_named_id(policy.principal), _named_id(policy.resource))
                if ids == (None, None):
                    # Apart by action: what stands in all programs is the same source in all of them.
                    everybody[policy.action].append(numbered)
                else:
                    named[ids].append(numbered)
        ingress = IngressWriter(self._parts.names.of)
        self._entity_checks(ingress)
        for identity in ("pi", "ri"):
            ingress.text(identity)
        ingress.record(
            CONTEXT,
            self._action.context,
            self._reads["context"],
            ("context",),
            whole=self._reads["context"].whole,
        )
        loaded = set(ingress.filled)
        tests: list[str] = []
        wanted: dict[Path, None] = {}
        constants = Constants()
        # First what other programs test, too: it is written once, so long as no constants are there before.
        for constraint in sorted(everybody, key=lambda one: (_of_one_action(one), -len(everybody[one]))):
            policy_list = everybody[constraint]
            if _of_one_action(constraint) or constants.values:
                tests += self._tests(policy_list, wanted, constants)
            else:
                tests += self._shared_tests(policy_list, wanted, constants)
        tests += self._dispatch(
            named, sorted(self._parts.names.of(path) for path in loaded), constants, loaded
        )
        checks = ingress.finish()
        loads = [*self._needed_lines(loaded), *self._slots.loads(wanted, loaded)]
        body = [
            "principal = request.principal",
            "resource = request.resource",
            "pa = principal.attributes",
            "ra = resource.attributes",
            "pi = principal.ref.id",
            "ri = resource.ref.id",
            f"{CONTEXT} = request.context",
            *checks,
            *self._entity_lines(used=any(_SHARED.search(line) for line in (*loads, *tests))),
            *loads,
            *_answered(tests),
        ]
        own = {"ACTION": {(ACTION_TYPE, self._action.name): _groups(self._action)}}
        source = write_function("program", ("request",), body)
        return Recipe(source, constants.values | own)

    def _entity_checks(self, ingress: IngressWriter) -> None:
        """Write the checks of the attributes of principal and resource, as `EntityKind.check` makes them."""
        for root, variable in (("principal", "pa"), ("resource", "ra")):
            declared = self._records[root]
            if len(declared.attributes) <= MAX_INLINE:
                ingress.record(variable, declared, WHOLE, (root,), whole=True)
            else:
                kind = self._kinds[root == "resource"].removeprefix(PREFIX)
                ingress.lines.append(f"if not KINDS[{kind!r}].check({variable}): return None")

    def _entity_lines(self, *, used: bool) -> list[str]:
        """Return the statements that check the entities; two that are in no group need no search.

        Args:
            used: what follows names one of the two, the table of entities, or who is in which group.
        """
        groups = "request.entities or principal.parents or resource.parents"
        if self._kinds[0] == self._kinds[1]:
            groups += " or pi == ri"
        uids = [f"{PRINCIPAL} = ({self._kinds[0]!r}, pi)", f"{RESOURCE} = ({self._kinds[1]!r}, ri)"]
        alone = [f"{TABLE} = {{{PRINCIPAL}: pa, {RESOURCE}: ra}}", f"{ABOVE} = ACTION"]
        return [
            *(line for line in uids if used),
            f"if {groups}:",
            f"    {TABLE} = {{}}",
            f"    {ABOVE} = gather(request, {TABLE}, KINDS, ACTION)",
            f"    if {ABOVE} is None: return None",
            *(("else:", *(f"    {line}" for line in alone)) if used else ()),
        ]

    def _needed_lines(self, loaded: set[Path]) -> list[str]:
        needed = sorted(path for path in self._needed if self._slots.get(path) is not None)
        names = [self._parts.names.of(path) for path in needed]
        return [
            *self._slots.loads(needed, loaded),
            *(f"if {name} is not M and {name} not in {TABLE}: return None" for name in names),
        ]

    def _dispatch(
        self,
        named: Mapping[_Ids, list[Numbered]],
        filled: Sequence[str],
        constants: Constants,
        loaded: set[Path],
    ) -> list[str]:
        """Return the statements that test the policies that name ids; these are compiled when first met."""
        parameters = (TABLE, ABOVE, PRINCIPAL, RESOURCE, "pa", "ra", CONTEXT, *filled)
        arguments = ", ".join((*REPORTS, *parameters))
        lines: list[str] = []
        keys = {
            "both": f"({PRINCIPAL}[1], {RESOURCE}[1])",
            "principal": f"{PRINCIPAL}[1]",
            "resource": f"{RESOURCE}[1]",
        }
        tables: defaultdict[str, dict[object, Later]] = defaultdict(dict)
        for (principal, resource), policies in named.items():
            bucket = Later(partial(self._later, policies, parameters, frozenset(loaded)))
            if principal is None:
                tables["resource"][resource] = bucket
            elif resource is None:
                tables["principal"][principal] = bucket
            else:
                tables["both"][principal, resource] = bucket
        for which, table in tables.items():
            lines += [
                f"named = {constants.add_object(Lookup(table))}.get({keys[which]})",
                f"if named is not None: named({arguments})",
            ]
        return lines

    def _later(
        self, policies: Sequence[Numbered], parameters: Sequence[str], loaded: frozenset[Path]
    ) -> list[Recipe]:
        with self._parts.lock:
            wanted: dict[Path, None] = {}
            constants = Constants()
            emitter = self._parts.emitter(self._slots, self._action.name, constants)
            blocks = self._blocks(policies, wanted, emitter)
            loads = self._slots.loads(wanted, set(loaded))
            return [
                Recipe(
                    write_function("bucket", (*REPORTS, *parameters), [*loads, *lines_of(some)]),
                    constants.values,
                )
                for some in chunks(blocks)
            ]

    def _shared_tests(
        self, policies: Sequence[Numbered], wanted: dict[Path, None], constants: Constants
    ) -> Sequence[str]:
        """Return the statements that test policies, as another program has them if it would be the same."""
        variants = self._parts.tested[tuple(numbered.rule for numbered in policies)]
        for known in variants:
            if all(self._slots.get(path) == slot for path, slot in known.slots.items()):
                constants.become(known.constants)
                wanted |= dict.fromkeys(known.wanted)
                return known.lines
        self._slots.asked.clear()
        emitter = self._parts.emitter(self._slots, self._action.name, constants)
        mine: dict[Path, None] = {}
        lines = self._written(self._blocks(policies, mine, emitter), constants)
        wanted |= mine
        if not emitter.acted:
            slots = {path: self._slots.get(path) for path in sorted(self._slots.asked)}
            variants.append(Written(lines, tuple(mine), constants.copy(), slots))
        return lines

    def _tests(
        self, policies: Sequence[Numbered], wanted: dict[Path, None], constants: Constants
    ) -> Sequence[str]:
        """Return the statements that test policies."""
        emitter = self._parts.emitter(self._slots, self._action.name, constants)
        return self._written(self._blocks(policies, wanted, emitter), constants)

    @staticmethod
    def _written(blocks: Sequence[Block], constants: Constants) -> tuple[str, ...]:
        """Return the statements of blocks; where these are many, they call functions."""
        lines = lines_of(blocks)
        return tuple(lines if len(lines) <= MAX_LINES else calls("chunk", blocks, constants, constants))

    def _blocks(
        self, policies: Sequence[Numbered], wanted: dict[Path, None], emitter: Emitter
    ) -> list[Block]:
        conditions = [self._condition(emitter, numbered, wanted) for numbered in policies]
        index = self._parts.arranger(emitter.constants, self._parts.outcomes, self._parts.lock)
        return index.arranged(conditions)

    def _condition(self, emitter: Emitter, numbered: Numbered, wanted: dict[Path, None]) -> Condition:
        emitter.used.clear()
        emitter.shared.clear()
        policy = numbered.policy
        scopes = (emitter.scope(policy.principal, "principal"), emitter.scope(policy.resource, "resource"))
        codes = [code for code in scopes if code is not None]
        facts: frozenset[Path] = frozenset()
        for clause in policy.clauses:
            code = emitter.clause(clause, facts)
            facts |= code.facts
            codes.extend(code.conjuncts or (code,))
        slots = [self._slots.get(path) for path in emitter.used]
        wanted |= dict.fromkeys(sorted(path for path in emitter.used if len(path) > 1))
        return Condition(
            rule=numbered.rule,
            forbid=policy.effect == "forbid",
            codes=tuple(codes),
            variables=frozenset({slot.name for slot in slots if slot is not None} | emitter.shared),
        )


def _answered(tests: Sequence[str]) -> list[str]:
    """Return the statements that test all policies and answer; what no test reports is not asked about."""
    used = {report for report in REPORTS if any(re.search(rf"\b{report}\b", line) for line in tests)}
    lines = [f"{report} = []" for report in REPORTS if report in used or (report == "F" and "E" in used)]
    lines += tests
    if "E" in used:
        lines.append("if E: return Failed(F, E)")
    for report, known, make in (("F", "FORBIDDEN", "forbid"), ("P", "PERMITTED", "permit")):
        if report in used:
            lines += [
                f"if {report}:",
                f"    hit = tuple({report})",
                f"    known = {known}.get(hit)",
                f"    return known if known is not None else {make}(hit)",
            ]
    return [*lines, "return NOTHING"]


def _of_one_action(constraint: pst.ActionConstraint) -> bool:
    return isinstance(constraint, pst.ActionEq)


def action_fits(constraint: pst.ActionConstraint, action: ActionType) -> bool:
    """Return whether a scope admits an action."""
    match constraint:
        case pst.ActionEq(entity):
            return str(entity.type) == ACTION_TYPE and entity.id == action.name
        case pst.ActionIn(entities):
            return any(str(e.type) == ACTION_TYPE and e.id in action.ancestors for e in entities)
        case _:
            return True


def _fits(constraint: pst.PrincipalOrResourceConstraint, kind: str) -> bool:
    match constraint:
        case pst.ScopeEq(pst.EntityUid(type=named)):
            return str(named) == kind
        case pst.ScopeIs(named) | pst.ScopeIsIn(entity_type=named):
            return str(named) == kind
        case _:
            return True


def _named_id(constraint: pst.PrincipalOrResourceConstraint) -> str | None:
    match constraint:
        case pst.ScopeEq(pst.EntityUid(id=name)):
            return name
        case _:
            return None


def _groups(action: ActionType) -> frozenset[tuple[str, str]]:
    return frozenset((ACTION_TYPE, group) for group in action.ancestors - {action.name})
