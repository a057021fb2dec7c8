"""The reference engine: Cedar itself, through cedarpy, made to fail closed.

Rules
1. The policy id is the rule id: reasons and errors name what the author wrote.
2. Any policy that errors makes the answer a deny of kind `error`; Cedar alone would skip it, and a forbid
   that is
   skipped beside a broad permit allows.
3. Whatever cannot be asked (unknown action or entity type, a missing attribute, a readable argument that
   Cedar cannot
   represent, an empty image) is a deny of kind `error` that says so. `decide` never raises.
4. Only what the action's policies can read crosses into Cedar, in a schema that requires exactly that
   (`remit.engine.ingress`); only policies whose scope can match are asked (`remit.engine.slices`).
5. Pure: no clock, no randomness, no input or output. What is cached depends on the image alone.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cedarpy

from remit.engine.ingress import Reads, Walk, projected, read_tree
from remit.engine.policy_index import PolicyIndex
from remit.engine.request import NAMESPACE, Decision, Kind, PolicyFailure, Request
from remit.engine.schema import ActionType, action_schema, resolve_schema
from remit.engine.slices import PolicySlices, Slice
from remit.errors import Fault, PolicyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.engine.image import PolicyImage

_POLICY_ERROR = re.compile(r"error while evaluating policy `(?P<policy>.*?)`: (?P<why>.*)", re.DOTALL)
_NOTHING = Reads()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """One action, ready to be asked about."""

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
        self._slices = PolicySlices(image.policies)
        self._types = resolve_schema(image.schema)
        if index is None:
            index = PolicyIndex.of(image)
        else:
            index.check(image)
        self._reads = index.reads(self._types.actions)
        self._prepared: dict[str, _Prepared] = {}
        for name in self._types.actions:
            self._prepare(name)

    @property
    def name(self) -> str:
        """Name and version of the engine."""
        return self._name

    def decide(self, request: Request) -> Decision:
        """Answer one request; every doubt is a deny with a reason, never an exception."""
        try:
            return self._decide(request)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001  # a panic of the Rust extension derives from BaseException; any failure is a deny
            return self._error(f"the request cannot be evaluated: {type(error).__name__}: {_plain(error)}")

    def _decide(self, request: Request) -> Decision:
        if not len(self._slices):
            return self._error("the policy image holds no policies, so nothing is permitted")
        prepared = self._prepared.get(request.action)
        if prepared is None:
            return self._error(f"the action `{request.action}` is not in the schema")
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
        chosen = self._slices.cut(action, principal, resource)
        answer = cedarpy.is_authorized(  # pyright: ignore[reportUnknownMemberType]  # cedarpy's `dict` lacks its types
            {
                "principal": {"type": principal[0], "id": principal[1]},
                "action": {"type": f"{NAMESPACE}::Action", "id": request.action},
                "resource": {"type": resource[0], "id": resource[1]},
                "context": json.dumps(context),
            },
            chosen.handle,
            json.dumps(entities),
            prepared.schema,
        )
        return self._answer(answer, chosen)

    def _answer(self, answer: cedarpy.AuthzResult, chosen: Slice) -> Decision:
        messages = answer.diagnostics.errors
        reasons = tuple(sorted(chosen.rules[policy] for policy in answer.diagnostics.reasons))
        if answer.decision is cedarpy.Decision.NoDecision:
            return self._error(*(_cause(message) for message in messages or ["the engine gave no decision"]))
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

    def _prepare(self, name: str) -> None:
        action = self._types.actions[name]
        paths = self._reads.get(name)
        if paths is None:
            raise PolicyError(Fault(message=f"what policies can read of `{name}` is unknown"))
        context = read_tree(paths, "context")
        schema = action_schema(self._types, action, projected(action.context, context))
        try:
            handle = cedarpy.Schema.from_json_str(json.dumps(schema))
        except ValueError as error:
            raise PolicyError(Fault(message=f"cedar schema of action `{name}`: {error}")) from error
        self._prepared[name] = _Prepared(
            action=action,
            principal=read_tree(paths, "principal"),
            resource=read_tree(paths, "resource"),
            context=context,
            schema=handle,
        )


def _failure(message: str, rules: Mapping[str, str]) -> PolicyFailure:
    match = _POLICY_ERROR.fullmatch(message)
    if match is not None and match["policy"] in rules:
        return PolicyFailure(rule=rules[match["policy"]], message=_text(match["why"]))
    # An id with a backtick in it: find the one that the message starts with.
    for policy, rule in rules.items():
        start = f"error while evaluating policy `{policy}`: "
        if message.startswith(start):
            return PolicyFailure(rule=rule, message=_text(message[len(start) :]))
    return PolicyFailure(rule="", message=_text(message))


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
