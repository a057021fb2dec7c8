"""An image with one policy changed, decided without compiling or loading it anew.

Rules
1. A decision is the trace's (`remit.engine.trace`): kind, reasons and erring rules as the reference engine's.
2. What policies can read follows from the changed policies, as it would for the image itself.
3. Only the policies that admit the action are walked.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from remit.engine.compiled.program import action_fits
from remit.engine.image import PolicyImage, image_digest
from remit.engine.reads import joined_paths, policy_actions, policy_paths
from remit.engine.request import Decision, PolicyFailure
from remit.engine.trace.intake import Asked
from remit.engine.trace.source import policy_text
from remit.engine.trace.tracer import TracedPolicy, outcome_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.engine.image import RuleInfo
    from remit.engine.reads import Path
    from remit.engine.request import Request
    from remit.engine.trace.tracer import PolicyTrace, Tracer
    from remit.workbench.mutants import Mutant

NAME = "trace 1"


class Original:
    """What all variants of one image share.

    Args:
        image: as it is.
        tracer: of the same image.
        members: see `remit.engine.reads.action_members`.
    """

    def __init__(self, image: PolicyImage, tracer: Tracer, members: Mapping[str, frozenset[str]]) -> None:
        self.image = image
        self.tracer = tracer
        self.members = members
        self._paths: dict[str, frozenset[Path]] = {}
        self._texts = {rule: info.text for rule, info in image.rules.items()}

    def paths(self, policy: TracedPolicy) -> frozenset[Path]:
        """Return what one policy of the image can read."""
        found = self._paths.get(policy.rule)
        if found is None:
            found = self._paths[policy.rule] = policy_paths(policy.policy)
        return found

    def image_with(self, mutant: Mutant) -> PolicyImage:
        """Return the image with one policy changed, as compiling it would give it."""
        rules: dict[str, RuleInfo] = {}
        for rule, info in self.image.rules.items():
            if rule != mutant.rule:
                rules[rule] = info
            elif mutant.policy is not None:
                rules[rule] = self._info(info, mutant)
        text = "\n\n".join(info.text for info in rules.values()) + "\n"
        return PolicyImage(
            policies=text,
            schema=self.image.schema,
            schema_text=self.image.schema_text,
            rules=rules,
            digest=image_digest(text, self.image.schema),
        )

    def _info(self, info: RuleInfo, mutant: Mutant) -> RuleInfo:
        assert mutant.policy is not None
        actions = policy_actions(mutant.policy, self.members)
        return replace(
            info,
            effect=mutant.policy.effect,
            actions=() if actions == frozenset(self.members) else tuple(sorted(actions)),
            text=policy_text(mutant.policy),
        )


class VariantEngine:
    """Decide requests under an image with one policy changed.

    Args:
        original: the image as it is.
        mutant: what was changed.
    """

    def __init__(self, original: Original, mutant: Mutant) -> None:
        self._original = original
        self._mutant = mutant
        self.changed = None if mutant.policy is None else TracedPolicy(mutant.rule, mutant.policy)
        self.changed_paths: frozenset[Path] = (
            frozenset() if mutant.policy is None else policy_paths(mutant.policy)
        )
        self._fitting: dict[str, tuple[TracedPolicy, ...]] = {}
        self._reads: dict[str, frozenset[Path]] = {}

    @property
    def name(self) -> str:
        """Name and version of the engine."""
        return NAME

    @cached_property
    def image(self) -> PolicyImage:
        """The image that this engine decides under."""
        return self._original.image_with(self._mutant)

    def fits(self, action: str) -> bool:
        """Return whether the changed policy admits an action."""
        declared = self._original.tracer.intake.types.actions[action]
        return self.changed is not None and action_fits(self.changed.policy.action, declared)

    def ask(self, request: Request) -> Asked | tuple[str, ...]:
        """Return a request as values, or why it cannot be asked."""
        intake = self._original.tracer.intake
        if request.action not in intake.types.actions:
            return (f"the action `{request.action}` is not in the schema",)
        return intake.take(request, self.reads(request.action))

    def reads(self, action: str) -> frozenset[Path]:
        """Return what the policies can read of an action."""
        found = self._reads.get(action)
        if found is None:
            parts = [
                self.changed_paths if policy is self.changed else self._original.paths(policy)
                for policy in self._policies(action)
            ]
            found = self._reads[action] = joined_paths(parts)
        return found

    def decide(self, request: Request) -> Decision:
        """Answer one request; every doubt is a deny with a reason."""
        if self.changed is None and len(self._original.tracer.policies) == 1:
            return self._error("the policy image holds no policies, so nothing is permitted")
        asked = self.ask(request)
        if not isinstance(asked, Asked):
            return self._error(*asked)
        trace = outcome_of(policy.trace(asked) for policy in self._policies(request.action))
        return Decision(
            verdict="allow" if trace.kind == "allowed" else "deny",
            kind=trace.kind,
            reasons=trace.reasons,
            errors=tuple(
                PolicyFailure(rule=policy.rule, message=policy.error)
                for policy in sorted(trace.policies, key=_rule)
                if policy.rule in trace.erring
            ),
            engine=NAME,
            image=self.image.digest,
        )

    def _policies(self, action: str) -> tuple[TracedPolicy, ...]:
        found = self._fitting.get(action)
        if found is None:
            rest = [one for one in self._original.tracer.fitting(action) if one.rule != self._mutant.rule]
            if self.changed is not None and self.fits(action):
                rest.append(self.changed)
            found = self._fitting[action] = tuple(rest)
        return found

    def _error(self, *messages: str) -> Decision:
        return Decision(
            verdict="deny",
            kind="error",
            reasons=(),
            errors=tuple(PolicyFailure(rule="", message=message) for message in messages),
            engine=NAME,
            image=self.image.digest,
        )


def _rule(policy: PolicyTrace) -> str:
    return policy.rule
