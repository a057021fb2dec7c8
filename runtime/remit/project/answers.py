"""The engine's answer to one question, and whether an approval would turn it.

What must be fulfilled is found by the gate's own pure function, so that a case, a question and a run agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from remit.document.rules import Approve
from remit.gate import obligations

if TYPE_CHECKING:
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
        redact_arguments, redact_result: members that obligations mask where the request is carried out.
        engine: the engine's own answer to the request as asked.
    """

    decision: str
    kind: str
    rules: tuple[str, ...]
    because: tuple[str, ...]
    errors: tuple[str, ...]
    by: tuple[str, ...]
    engine: Decision
    redact_arguments: tuple[str, ...] = ()
    redact_result: tuple[str, ...] = ()

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
    settlement = obligations.settle(engine, image, request)
    # Where nothing is fulfilled and nothing would help, the settlement is the answer to the request as asked.
    same = not settlement.fulfilled and not request.context.get("fulfilled")
    asked = settlement.decision if same else engine.decide(request)
    if asked.errors or not settlement.decision.allowed:
        return _verdict(image, asked)
    given = request.context.get("fulfilled")
    done = frozenset(str(item) for item in given) if isinstance(given, list) else frozenset[str]()
    waiting = tuple(
        rule
        for rule in settlement.rules
        if rule.id not in done and any(isinstance(duty, Approve) for duty in rule.obligations)
    )
    decision = asked if waiting or asked.allowed else settlement.decision
    verdict = replace(_verdict(image, decision, waiting=waiting), engine=asked)
    if not settlement.rules:
        return verdict
    return replace(
        verdict,
        redact_arguments=settlement.masked_arguments(),
        redact_result=settlement.masked_result(),
    )


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
