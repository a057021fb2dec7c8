"""What is asked of the gate and what it answers: `Ask` in; `Granted`, `Denial` or `AwaitingApproval` out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from remit.document.values import JsonObject, canonical_bytes
from remit.messages import Turn
from remit.ports import Invocation, Stop
from remit.value import Value

if TYPE_CHECKING:
    from remit.document.model import PendingApproval
    from remit.engine.request import Decision, PolicyFailure, Request
    from remit.gate.approvals import ApprovalGrant
    from remit.permit import Effect, Permit
    from remit.records import Receipt

Content = Invocation | Turn | str
"""What would be done: a tool invocation, an inference turn, or a digest (`sha256:<hex>`) of anything else."""

DenialKind = Literal[
    "forbidden",
    "not_permitted",
    "error",
    "invalid_arguments",
    "approval_refused",
    "stopped",
    "unavailable",
]
"""Why the gate denied.

forbidden, not_permitted, error: the engine's answer. invalid_arguments: the arguments break the tool's JSON
Schema.
approval_refused: a person said no, or nobody answered in time. stopped: a kill or suspend order stands.
unavailable: the ledger, the control state, the clock or the engine failed; nothing happened.
"""


class Ask(Value, frozen=True, kw_only=True):
    """One question to the gate.

    Args:
        request: what the engine decides; its context's `fulfilled` is set by the gate, whatever the caller
            put there.
        revision: the agent's revision under which it is asked, `sha256:<hex>`.
        step: number of the step within the run; with run and agent it names the idempotency key.
        content: exactly what would be done; empty text where there is nothing beyond the request.
        effect: `dispatch` or `call_tool` where an adapter will act under a permit; None where the host acts
            itself
            (activation, memory, `continue`).
        target: the back-end's or tool's name; empty without an effect.
        parameters: the tool's JSON Schema; its arguments are validated before anything else. None skips that.
        approvals: answers of people that are known for this run.
        basis: digest of what stands behind the target (the tool's or back-end's declaration), `sha256:<hex>`,
            so that an approval does not outlive it; empty where nothing does.
        scopes: stop scopes to check besides `all`, the agent's, the run's, and the tool's or back-end's.
    """

    request: Request
    revision: str
    step: int
    content: Content = ""
    effect: Effect | None = None
    target: str = ""
    parameters: JsonObject | None = None
    approvals: tuple[ApprovalGrant, ...] = ()
    scopes: tuple[str, ...] = ()
    basis: str = ""


class Granted(Value, frozen=True, kw_only=True):
    """Leave to act; the decision (and the intent, where there is an effect) is durable.

    Args:
        permit: what the adapter redeems; None where the ask had no effect.
        content: exactly what may be done: the ask's content after redaction of arguments.
        decision: the engine's final answer.
        request: digest of the request.
        receipt: of the decision record.
        intent: of the intent record; None where the ask had no effect.
        key: idempotency key of the intent; empty where the ask had no effect.
        redacted_arguments: names of arguments that were masked.
        redact_result: names of result members that must be masked before the model sees them (`redact`).
        approvals: ids of the approvals that this consumed.
        step: the ask's step.
        target: the ask's target.
    """

    permit: Permit | None
    content: Content
    decision: Decision
    request: str
    receipt: Receipt
    intent: Receipt | None
    key: str
    redacted_arguments: tuple[str, ...]
    redact_result: tuple[str, ...]
    approvals: tuple[str, ...]
    step: int
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """No. Nothing happened, and nothing may.

    Args:
        kind: why, as one word.
        action: what was asked.
        rules: ids of the rules that denied, sorted.
        because: the rules' own reasons, in the same order, empty ones left out.
        errors: rules that errored and inputs that cannot be evaluated.
        message: one readable sentence for people, lower case, no full stop.
        request: digest of the request; empty where it has none.
        decision: the engine's answer; None where it was never asked.
        stop: the order that stands, for kind `stopped`.
        receipt: of the decision record; None where it could not be written.
    """

    kind: DenialKind
    action: str
    rules: tuple[str, ...]
    because: tuple[str, ...]
    errors: tuple[PolicyFailure, ...]
    message: str
    request: str
    decision: Decision | None = None
    stop: Stop | None = None
    receipt: Receipt | None = None

    @property
    def recorded(self) -> bool:
        """Whether the denial is in the ledger."""
        return self.receipt is not None

    def to_result(self) -> JsonObject:
        """Return the denial as a structured tool result for the model.

        It carries rule ids, their `because` and a hint, and nothing of the policies' text, of other rules
        or of values:
        an error text may quote a policy or an attribute, so the model only learns that the request cannot
        be evaluated.
        """
        return {
            "denied": True,
            "kind": self.kind,
            "rule": ", ".join(self.rules),
            "because": "; ".join(self.because),
            "hint": self._hint(),
        }

    def _hint(self) -> str:
        if self.kind == "invalid_arguments":
            return self.message
        own = [e.message for e in self.errors if not e.rule and e.message.startswith("`context.input")]
        if self.kind == "error" and own:
            # The model's own arguments and their declared types, which it was shown with the tool: nothing
            # new to it.
            return "; ".join(own)
        return _HINTS[self.kind]


_HINTS: dict[DenialKind, str] = {
    "forbidden": "do not repeat this call unchanged; go on without it or say why you cannot",
    "not_permitted": "no rule permits this call; go on without it or say why you cannot",
    "error": "this request cannot be evaluated, so it is denied; do not repeat it unchanged",
    "invalid_arguments": "correct the arguments",
    "approval_refused": "people did not agree to this request; do not repeat it",
    "stopped": "the agent is being stopped",
    "unavailable": "governance is unavailable, so nothing may happen now",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitingApproval:
    """Not yet: people must approve exactly this request.

    Args:
        pending: one for each role that must approve; ids are fresh, the request digest is the same in all.
        action: what was asked.
        rules: ids of all rules whose approval waits, sorted.
        request: digest of the request.
        because: the rules' own reasons.
        receipt: of the decision record (verdict `awaiting_approval`).
    """

    pending: tuple[PendingApproval, ...]
    action: str
    rules: tuple[str, ...]
    request: str
    because: tuple[str, ...]
    receipt: Receipt


Answer = Granted | Denial | AwaitingApproval


def digest_of(content: Content) -> str:
    """Return the digest that a permit for `content` is bound to."""
    if isinstance(content, str):
        return content
    return content.digest()


class Bound(Value, frozen=True):
    """An invocation's digests, over arguments that were encoded once.

    INVARIANT (one form): the members stand in the order of RFC 8785, so that each digest is that of the whole
    value; tests/gate compares them.

    Args:
        tool: RFC 8785 form of the tool's name.
        key: of the idempotency key.
        arguments: of the arguments.
    """

    tool: bytes
    key: bytes
    arguments: bytes

    @classmethod
    def of(cls, invocation: Invocation) -> Bound:
        """Encode an invocation.

        Raises:
            ValueError: it has no canonical form.
        """
        return cls(
            _text(invocation.tool).encode(),
            _text(invocation.key).encode(),
            canonical_bytes(invocation.arguments),
        )

    def digest(self) -> str:
        """What a permit is bound to, equal to `Invocation.digest`."""
        return _sha256(b'{"arguments":%b,"key":%b,"tool":%b}' % (self.arguments, self.key, self.tool))

    def proposal(self) -> str:
        """What a person would approve: without the key, which names the attempt and not what is done."""
        return _sha256(b'{"arguments":%b,"tool":%b}' % (self.arguments, self.tool))


def request_digest(
    request: Request, *, content: Content | Bound, image: str, agent: str, basis: str = ""
) -> str:
    """Digest of exactly what a person would approve, `sha256:<hex>`.

    The idempotency key is left out of an invocation: it names the attempt, not what is done.

    Args:
        request: who, what, upon what, and on whose behalf; the rest of the context is left out, its clock
            and counters move on while people think.
        content: what would be done, before redaction.
        image: digest of the policy image: another image voids an approval.
        agent: agent id.
        basis: digest of what stands behind the target; empty where nothing does.

    Raises:
        ValueError: the content has no canonical form (a lone surrogate, NaN, an integer beyond 2^53 - 1).
    """
    if isinstance(content, Invocation):
        content = Bound.of(content)
    bound = content.proposal() if isinstance(content, Bound) else digest_of(content)
    principal, resource = request.principal.ref, request.resource.ref
    # INVARIANT (one form): members in the order of RFC 8785, as in `Bound`.
    text = (
        f'{{"action":{_text(request.action)},"agent":{_text(agent)},"basis":{_text(basis)},'
        f'"caller":{canonical_bytes(request.context.get("caller")).decode()},'
        f'"content":{_text(bound)},"image":{_text(image)},'
        f'"principal":{{"id":{_text(principal.id)},"type":{_text(principal.type)}}},'
        f'"resource":{{"id":{_text(resource.id)},"type":{_text(resource.type)}}}}}'
    )
    return _sha256(text.encode())


def _text(value: str) -> str:
    return _string(value) if type(value) is str else canonical_bytes(value).decode()


def _sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


_string = json.encoder.encode_basestring
