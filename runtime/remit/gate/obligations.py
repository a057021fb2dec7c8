"""Obligations: which rules must be fulfilled for a request, and what fulfilling them takes.

A forbid with obligations forbids until `context.fulfilled` holds its id; a permit with obligations permits,
and what it
asks for must be fulfilled where it is among the reasons (docs/architecture.md, "Obligations in Cedar").
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from remit.document.rules import Approve, Redact
from remit.engine.request import Request
from remit.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from remit.document.values import JsonObject, JsonValue
    from remit.engine.image import PolicyImage, RuleInfo
    from remit.engine.port import Engine
    from remit.engine.request import Decision
    from remit.ports import Invocation

REDACTED = "[redacted]"
"""What stands in the place of a masked value."""


class Settlement(Value, frozen=True, kw_only=True):
    """What a request comes to.

    Args:
        decision: the engine's final answer; a deny is final.
        fulfilled: rule ids that were asserted as fulfilled, sorted: the smallest set that allows.
        rules: every rule whose obligations must be fulfilled, sorted by id; empty on a deny.
    """

    decision: Decision
    fulfilled: tuple[str, ...]
    rules: tuple[RuleInfo, ...]

    def approvals(self) -> dict[str, tuple[RuleInfo, ...]]:
        """Return the rules that wait for a person, by the role that must approve."""
        wanted: dict[str, tuple[RuleInfo, ...]] = {}
        for rule in self.rules:
            for role in sorted({o.by for o in rule.obligations if isinstance(o, Approve)}):
                wanted[role] = (*wanted.get(role, ()), rule)
        return wanted

    def within_ms(self, role: str) -> int:
        """Return how long an approval by `role` may wait, by the strictest of the rules; 0 for ever."""
        limits = (
            duty.within_ms
            for rule in self.rules
            for duty in rule.obligations
            if isinstance(duty, Approve) and duty.by == role and duty.within_ms
        )
        return min(limits, default=0)

    def masked_arguments(self) -> tuple[str, ...]:
        """Return the names of arguments that must be masked, sorted."""
        return self._masked("arguments")

    def masked_result(self) -> tuple[str, ...]:
        """Return the names of result members that must be masked, sorted."""
        return self._masked("result")

    def _masked(self, part: str) -> tuple[str, ...]:
        if not self.rules:
            return ()
        redactions = (o for rule in self.rules for o in rule.obligations if isinstance(o, Redact))
        names = (name for r in redactions for name in (r.arguments if part == "arguments" else r.result))
        return tuple(sorted(set(names)))


def settle(engine: Engine, image: PolicyImage, request: Request) -> Settlement:
    """Decide `request`, and find the smallest set of obligations that turns a deny into an allow.

    First with nothing fulfilled; on a deny without errors once more with every obligation-bearing forbid
    that applies
    to the action; if that allows, rules are dropped one at a time, in id order, while the answer stays allow.
    """
    plain = engine.decide(_with_fulfilled(request, ()))
    if plain.allowed:
        return Settlement(decision=plain, fulfilled=(), rules=_permits(image, plain))
    if plain.errors:
        return Settlement(decision=plain, fulfilled=(), rules=())
    bearing = tuple(
        sorted(
            rule.id
            for rule in image.rules.values()
            if rule.effect == "forbid"
            and rule.obligations
            and (not rule.actions or request.action in rule.actions)
        )
    )
    if not bearing:
        return Settlement(decision=plain, fulfilled=(), rules=())
    best = engine.decide(_with_fulfilled(request, bearing))
    if not best.allowed:
        # Nothing that can be fulfilled would help: the plain answer names the rules, obligations included.
        return Settlement(decision=plain, fulfilled=(), rules=())
    needed = bearing
    for rule in bearing:
        fewer = tuple(other for other in needed if other != rule)
        trial = engine.decide(_with_fulfilled(request, fewer))
        if trial.allowed:
            needed, best = fewer, trial
    forbids = tuple(image.rules[rule] for rule in needed)
    rules = {rule.id: rule for rule in (*forbids, *_permits(image, best))}
    return Settlement(decision=best, fulfilled=needed, rules=tuple(rules[name] for name in sorted(rules)))


def mask(value: JsonValue, names: Iterable[str]) -> JsonValue:
    """Return `value` with the named members masked at every depth; a value without members is masked whole.

    Why: a rule that hides a member must not be got around by a tool that answers with text, or one level
    deeper.
    """
    masked = frozenset(names)
    if not masked:
        return value
    if isinstance(value, dict):
        return _mask_members(value, masked)
    if isinstance(value, list):
        return [mask(item, masked) for item in value]
    return value if value is None else REDACTED


def _mask_members(value: JsonValue, masked: frozenset[str]) -> JsonValue:
    if isinstance(value, dict):
        return {
            name: REDACTED if name in masked else _mask_members(member, masked)
            for name, member in value.items()
        }
    if isinstance(value, list):
        return [_mask_members(item, masked) for item in value]
    return value


def mask_error(value: JsonValue, names: Iterable[str]) -> JsonValue:
    """Return what a failed tool answered, masked whole where any member of its results would be.

    An error is a sentence, and a sentence may quote what the rule hides.
    """
    return {"error": REDACTED} if tuple(names) else value


def mask_arguments(invocation: Invocation, names: Iterable[str]) -> Invocation:
    """Return an invocation with the named arguments masked at every depth."""
    arguments = _mask_members(invocation.arguments, frozenset(names))
    return replace(invocation, arguments=cast("JsonObject", arguments))


def _with_fulfilled(request: Request, rules: tuple[str, ...]) -> Request:
    fulfilled: list[JsonValue] = list(rules)
    # A constructor, not `replace`, which takes longer than a quick engine.
    return Request(
        principal=request.principal,
        action=request.action,
        resource=request.resource,
        context={**request.context, "fulfilled": fulfilled},
        entities=request.entities,
    )


def _permits(image: PolicyImage, decision: Decision) -> tuple[RuleInfo, ...]:
    """Return the reasons of an allow that carry obligations; one unknown to the image is a KeyError."""
    reasons = (image.rules[reason] for reason in decision.reasons)
    return tuple(rule for rule in reasons if rule.obligations)
