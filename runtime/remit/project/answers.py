"""The engine's answer to one question, and whether an approval would turn it.

The same order as the gate's (architecture, "Obligations in Cedar"): decide with nothing fulfilled; on a
forbid without errors decide again with every obligation fulfilled; find the smallest subset that suffices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from remit.document.rules import Approve

if TYPE_CHECKING:
    from collections.abc import Iterable

    from remit.document.values import JsonObject
    from remit.engine.image import PolicyImage, RuleInfo
    from remit.engine.port import Engine
    from remit.engine.request import Decision, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a request comes to.

    Args:
        decision: allow, deny or awaiting_approval.
        kind: the engine's kind for the request as asked.
        rules: determining rule ids; for awaiting_approval those that wait.
        because: their reasons.
        errors: what could not be evaluated, as `rule: message`.
        by: roles that must approve.
        engine: the engine's own answer to the request as asked.
    """

    decision: str
    kind: str
    rules: tuple[str, ...]
    because: tuple[str, ...]
    errors: tuple[str, ...]
    by: tuple[str, ...]
    engine: Decision

    def to_json(self) -> JsonObject:
        """Return the verdict as a JSON object with stable keys."""
        return {
            "decision": self.decision,
            "kind": self.kind,
            "rules": list(self.rules),
            "because": list(self.because),
            "errors": list(self.errors),
            "by": list(self.by),
            "engine": self.engine.engine,
            "image": self.engine.image,
        }


def settle(engine: Engine, image: PolicyImage, request: Request) -> Verdict:
    """Decide one request and say whether people or redactions would turn a deny.

    Args:
        engine: decides.
        image: provenance of its rules.
        request: what is asked.
    """
    first = engine.decide(request)
    if first.allowed:
        return _verdict(image, first, waiting=_approved_by(image, first.reasons))
    if first.errors or first.kind != "forbidden":
        return _verdict(image, first)
    duties = sorted(info.id for info in image.rules.values() if info.effect == "forbid" and info.obligations)
    fulfilled = set(_fulfilled(request))
    if not engine.decide(_with(request, {*fulfilled, *duties})).allowed:
        return _verdict(image, first)
    needed = set(duties)
    for rule in duties:
        if engine.decide(_with(request, fulfilled | (needed - {rule}))).allowed:
            needed.discard(rule)
    after = engine.decide(_with(request, fulfilled | needed))
    waiting = _approved_by(image, (*sorted(needed), *after.reasons))
    return _verdict(image, first if waiting else after, waiting=waiting)


def _fulfilled(request: Request) -> tuple[str, ...]:
    given = request.context.get("fulfilled")
    return tuple(str(item) for item in given) if isinstance(given, list) else ()


def _with(request: Request, fulfilled: Iterable[str]) -> Request:
    return replace(request, context={**request.context, "fulfilled": [*sorted(fulfilled)]})


def _approved_by(image: PolicyImage, rules: Iterable[str]) -> tuple[RuleInfo, ...]:
    found = (image.rules[rule] for rule in rules if rule in image.rules)
    return tuple(info for info in found if any(isinstance(duty, Approve) for duty in info.obligations))


def _verdict(image: PolicyImage, decision: Decision, *, waiting: tuple[RuleInfo, ...] = ()) -> Verdict:
    rules = tuple(sorted({info.id for info in waiting})) if waiting else decision.reasons
    roles = {duty.by for info in waiting for duty in info.obligations if isinstance(duty, Approve)}
    because = tuple(image.rules[rule].because for rule in rules if rule in image.rules)
    return Verdict(
        decision="awaiting_approval" if waiting else decision.verdict,
        kind=decision.kind,
        rules=rules,
        because=tuple(text for text in because if text),
        errors=tuple(
            f"{error.rule}: {error.message}" if error.rule else error.message for error in decision.errors
        ),
        by=tuple(sorted(roles)),
        engine=decision,
    )
