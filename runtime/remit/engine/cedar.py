"""The reference engine: Cedar itself, through cedarpy, made to fail closed.

Rules
1. The policy id is the rule id: reasons and errors name what the author wrote.
2. Any policy that errors makes the answer a deny of kind `error`; Cedar alone would skip it, and a forbid
   that is
   skipped beside a broad permit allows.
3. Whatever cannot be asked (unknown action or entity type, a missing attribute, a readable argument that
   Cedar cannot
   represent, an empty image) is a deny of kind `error` that says so. `decide` never raises.
4. Only what policies can read crosses into Cedar, and only policies that can apply are asked
   (`remit.engine.pools`).
5. There are two ways. The short one (`remit.engine.door`) answers what is plainly as the schema declares,
   where no policy errs. The long one answers everything else: it walks the request (`remit.engine.ingress`),
   words what is wrong, and has Cedar check what crosses against a schema that requires exactly that.
6. Pure: no clock, no randomness, no input or output. What is cached depends on the image alone.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import cedarpy

from remit.engine.binding import EntityTexts
from remit.engine.door import Door, Shared, opens
from remit.engine.entity_kinds import PREFIX, EntityKind
from remit.engine.ingress import Reads, Walk, projected, read_tree
from remit.engine.policy_index import EntityScope, IndexedPolicy, PolicyIndex
from remit.engine.pools import Pools
from remit.engine.request import NAMESPACE, Decision, Kind, PolicyFailure, Request
from remit.engine.schema import ActionType, action_schema, resolve_schema, whole_schema
from remit.engine.slices import Slice, Slices
from remit.errors import Fault, PolicyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from remit.document.values import JsonObject
    from remit.engine.door import Found
    from remit.engine.image import PolicyImage
    from remit.engine.policy_index import Uid

MAX_DECISIONS = 20_000
"""Decisions without errors that are kept as values; beyond that they are made anew."""

_POLICY_ERROR = re.compile(r"error while evaluating policy `(?P<policy>.*?)`: (?P<why>.*)", re.DOTALL)
_QUOTING = (
    (
        re.compile(r"(error while evaluating `\w+` extension function): .*", re.DOTALL),
        r"\1: its argument is malformed or beyond its range",
    ),
    (re.compile(r"(integer overflow while attempting to \w+) the values? .*", re.DOTALL), r"\1"),
    (re.compile(r'::"(?:[^"\\]|\\.)*"', re.DOTALL), '::"…"'),
)
_NOTHING = Reads()


class _Scope(NamedTuple):
    """What a slice of the long way is cut for; ids only where a policy names them."""

    action: str
    principal: tuple[str, str | None]
    resource: tuple[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """One action, ready to be asked about the long way."""

    action: ActionType
    principal: Reads
    resource: Reads
    context: Reads
    schema: cedarpy.Schema


class CedarEngine:
    """Decide requests under one policy image.

    Args:
        image: what `remit.policy` compiled.
        index: of the image's policies, where it is at hand; whoever gives it must trust it as the image.

    Raises:
        PolicyError: policies or schema do not load, or the index belongs to other policies; an empty image
            loads and denies everything.
    """

    def __init__(self, image: PolicyImage, *, index: PolicyIndex | None = None) -> None:
        self._image = image.digest
        self._name = f"cedar {importlib.metadata.version('cedarpy')}"
        if index is None:
            index = PolicyIndex.of(image)
        else:
            index.check(image)
        self._policies = index.policies
        self._named = _named_ids(index.policies)
        self._types = resolve_schema(image.schema)
        # Loaded once to be refused now and not at the first request; what the long way asks with is smaller.
        _loaded(whole_schema(self._types))
        self._reads = index.reads(self._types.actions)
        self._slices = Slices(image.policies, index.policies)
        self._prepared: dict[str, _Prepared] = {}
        self._opens = opens(self._types)
        self._doors: dict[tuple[str, str, str], Door] = {}
        self._shared = Shared(
            types=self._types,
            kinds={
                full.removeprefix(PREFIX): EntityKind(full, self._types)
                for full in self._types.entities
                if full.startswith(PREFIX)
            },
            policies=index.policies,
            slices=self._slices,
            pools=Pools(index.policies),
            entities=EntityTexts(),
        )
        self._decisions: dict[tuple[Kind, tuple[str, ...]], Decision] = {}

    @property
    def name(self) -> str:
        """Name and version of the engine."""
        return self._name

    def decide(self, request: Request) -> Decision:
        """Answer one request; every doubt is a deny with a reason, never an exception."""
        try:
            found = self._short(request)
            if type(found) is tuple:
                return self._decisions.get(found) or self._decided(*found)
            decision = self._long(request)
            doubt = found is not None and decision.kind != "error"
            return self._error("a policy erred, and did not when asked again") if doubt else decision
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001  # a panic of the Rust extension derives from BaseException; any failure is a deny
            return self._error(f"the request cannot be evaluated: {type(error).__name__}: {_plain(error)}")

    def _short(self, request: Request) -> Found | Literal["errs"] | None:
        """Return what the short way finds, if the request can take it."""
        try:
            action, principal, resource = (
                request.action,
                request.principal.ref.type,
                request.resource.ref.type,
            )
            door = self._doors.get((action, principal, resource)) or self._door(action, principal, resource)
            return None if door is None else door.decide(request)
        except Exception:  # noqa: BLE001  # a request that is not as declared: the long way words it
            return None

    def _door(self, action: str, principal: str, resource: str) -> Door | None:
        declared = self._types.actions.get(action)
        kinds = self._shared.kinds
        if (
            not self._policies
            or not self._opens
            or declared is None
            or f"{PREFIX}{principal}" not in declared.principals
            or f"{PREFIX}{resource}" not in declared.resources
        ):
            return None
        door = Door(self._shared, declared, self._reads[action], kinds[principal], kinds[resource])
        return self._doors.setdefault((action, principal, resource), door)

    def _long(self, request: Request) -> Decision:
        if not self._policies:
            return self._error("the policy image holds no policies, so nothing is permitted")
        if request.action not in self._types.actions:
            return self._error(f"the action `{request.action}` is not in the schema")
        prepared = self._prepare(request.action)
        action = prepared.action
        principal = (f"{NAMESPACE}::{request.principal.ref.type}", request.principal.ref.id)
        resource = (f"{NAMESPACE}::{request.resource.ref.type}", request.resource.ref.id)
        walk = Walk(self._types.entities)
        walk.entity(request.principal, "principal", prepared.principal)
        walk.entity(request.resource, "resource", prepared.resource)
        for entity in request.entities:
            walk.entity(entity, str(entity.ref), _NOTHING)
        context = walk.context(request.context, action.context, prepared.context)
        entities = walk.table()
        faults = list(walk.faults)
        if principal[0] not in action.principals and not faults:
            faults.append(f"a principal of type `{request.principal.ref.type}` cannot `{request.action}`")
        if resource[0] not in action.resources and not faults:
            faults.append(f"`{request.action}` cannot be asked upon a `{request.resource.ref.type}`")
        if faults:
            return self._error(*faults)
        chosen = self._cut(action, principal, resource)
        answer = cedarpy.is_authorized(  # pyright: ignore[reportUnknownMemberType]  # cedarpy's `dict` lacks its types
            {
                "principal": {"type": principal[0], "id": principal[1]},
                "action": {"type": f"{NAMESPACE}::Action", "id": request.action},
                "resource": {"type": resource[0], "id": resource[1]},
                "context": json.dumps(context),
            },
            chosen.policies.handle,
            json.dumps(entities),
            prepared.schema,
        )
        return self._answer(answer, chosen)

    def _answer(self, answer: cedarpy.AuthzResult, chosen: Slice) -> Decision:
        messages = answer.diagnostics.errors
        reasons = chosen.named(answer.diagnostics.reasons)
        if answer.decision is cedarpy.Decision.NoDecision:
            return self._error(
                *(_told(_cause(message)) for message in messages or ["the engine gave no decision"])
            )
        if messages:
            failures = {_failure(message, chosen.rules) for message in messages}
            # Permits that matched do not determine a deny; forbids that applied do.
            denied_by = reasons if answer.decision is cedarpy.Decision.Deny else ()
            return self._decision(
                "error", denied_by, tuple(sorted(failures, key=lambda f: (f.rule, f.message)))
            )
        if answer.decision is cedarpy.Decision.Allow:
            return self._decision("allowed", reasons, ())
        return self._decision("forbidden" if reasons else "not_permitted", reasons, ())

    def _error(self, *messages: str) -> Decision:
        return self._decision("error", (), tuple(PolicyFailure(rule="", message=_text(m)) for m in messages))

    def _decision(self, kind: Kind, reasons: tuple[str, ...], errors: tuple[PolicyFailure, ...]) -> Decision:
        return Decision(
            verdict="allow" if kind == "allowed" else "deny",
            kind=kind,
            reasons=reasons,
            errors=errors,
            engine=self._name,
            image=self._image,
        )

    def _decided(self, kind: Kind, reasons: tuple[str, ...]) -> Decision:
        decision = self._decision(kind, reasons, ())
        if len(self._decisions) >= MAX_DECISIONS:
            self._decisions.clear()
        return self._decisions.setdefault((kind, reasons), decision)

    def _cut(self, action: ActionType, principal: Uid, resource: Uid) -> Slice:
        """Return the policies whose scope can match."""
        scope = _Scope(action.name, self._naming(principal), self._naming(resource))
        known = self._slices.get(scope)
        if known is not None:
            return known
        rows = [
            row
            for row, policy in enumerate(self._policies)
            if policy.action.admits(action.name, action.ancestors)
            and _admits(policy.principal, principal)
            and _admits(policy.resource, resource)
        ]
        return self._slices.cut(scope, rows)

    def _naming(self, uid: Uid) -> tuple[str, str | None]:
        return uid if uid in self._named else (uid[0], None)

    def _prepare(self, name: str) -> _Prepared:
        known = self._prepared.get(name)
        if known is not None:
            return known
        action, paths = self._types.actions[name], self._reads[name]
        context = read_tree(paths, "context")
        schema = action_schema(self._types, action, projected(action.context, context))
        prepared = _Prepared(
            action=action,
            principal=read_tree(paths, "principal"),
            resource=read_tree(paths, "resource"),
            context=context,
            schema=_loaded(schema, f" of action `{name}`"),
        )
        return self._prepared.setdefault(name, prepared)


def _loaded(schema: JsonObject, what: str = "") -> cedarpy.Schema:
    try:
        return cedarpy.Schema.from_json_str(json.dumps(schema))
    except ValueError as error:
        raise PolicyError(Fault(message=f"cedar schema{what}: {error}")) from error


def _named_ids(policies: Iterable[IndexedPolicy]) -> frozenset[Uid]:
    """Return the entities that a scope names with `==`: the only ids that a slice depends on."""
    scopes = [scope for policy in policies for scope in (policy.principal, policy.resource)]
    return frozenset((s.type, s.id) for s in scopes if s.type is not None and s.id is not None)


def _admits(scope: EntityScope, uid: Uid) -> bool:
    return scope.type in {None, uid[0]} and scope.id in {None, uid[1]}


def _failure(message: str, rules: Mapping[str, str]) -> PolicyFailure:
    match = _POLICY_ERROR.fullmatch(message)
    if match is not None and match["policy"] in rules:
        return PolicyFailure(rule=rules[match["policy"]], message=_text(_told(match["why"])))
    # An id with a backtick in it: find the one that the message starts with.
    for policy, rule in rules.items():
        start = f"error while evaluating policy `{policy}`: "
        if message.startswith(start):
            return PolicyFailure(rule=rule, message=_text(_told(message[len(start) :])))
    return PolicyFailure(rule="", message=_text(_told(message)))


def _told(why: str) -> str:
    """Return Cedar's reason without the values that it quotes: its record is never erased."""
    for pattern, without in _QUOTING:
        why = pattern.sub(without, why)
    return why


def _cause(message: str) -> str:
    """Return what follows the dump of the entities in cedarpy's message, and drop its lead-in."""
    _, found, cause = message.rpartition("}]: ")
    return cause if found else message.removeprefix("failed to build request: ")


def _plain(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # an exception whose text cannot be had is still a deny
        return "no text"


_SHOWN = 500


def _text(message: str) -> str:
    """Return a message that can be recorded: valid UTF-8, of bounded length."""
    shown = message.encode("utf-8", "backslashreplace").decode()
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
