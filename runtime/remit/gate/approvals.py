"""Approvals: what a person gave or refused, and whether it counts for a request.

Rules
1. A grant is bound to the digest of exactly the request; other arguments, another image or another run void
   it.
2. It is used once: the decision record that consumes it names it, and the first such record in the ledger
   wins.
3. The approver must hold the role that the rule names (`role_of_rule`), and must not be the caller or the
   agent
   on whose request they decide (segregation of duties).
4. Name, time, meaning and the digest of what was approved stand together in the grant, and in the decision
   that consumes it. Who signed as the author has not approved.
5. Whatever is unknown does not count.
6. That nobody answered within the rule's time limit is a refusal by `remit:clock`, which needs no role of its
   own and outweighs what people say later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from remit.document.persons import same_person

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue

Meaning = Literal["review", "approval", "responsibility", "authorship"]
"""What a signature means (21 CFR 11.50(a)(3) names these four)."""

CLOCK = "remit:clock"
"""Who answers in the place of people when a time limit lapses: always no. Nobody else may be called so."""

MEANINGS: tuple[Meaning, ...] = get_args(Meaning)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalGrant:
    """A person's answer to a pending approval.

    Args:
        id: the pending approval's id (`PendingApproval.id`).
        run: run that waited.
        request: digest of exactly the request that was shown, `sha256:<hex>`.
        by: id of the person, as the embedder knows callers; `CLOCK` where nobody answered in time.
        role: role in which they acted, vouched for by whoever recorded the answer.
        reason: their words.
        approved: True for yes, False for no.
        meaning: what the act means, one of `MEANINGS`.
        at: RFC 3339 UTC time with milliseconds.
    """

    id: str
    run: str
    request: str
    by: str
    role: str
    reason: str
    approved: bool
    meaning: Meaning
    at: str

    @property
    def lapsed(self) -> bool:
        """Whether it says that nobody answered in time."""
        return self.by == CLOCK and not self.approved

    def refusal(self) -> str:
        """Say why it is a no."""
        return self.reason if self.lapsed else f"`{self.by}` refused: {self.reason or 'no reason is given'}"

    def to_json(self) -> JsonObject:
        """Return the grant as a JSON object with stable keys: the body of an `approval` record."""
        return {
            "id": self.id,
            "run": self.run,
            "request": self.request,
            "by": self.by,
            "role": self.role,
            "reason": self.reason,
            "approved": self.approved,
            "meaning": self.meaning,
            "at": self.at,
        }

    @classmethod
    def from_json(cls, value: JsonObject) -> ApprovalGrant:
        """Read what `to_json` wrote.

        Raises:
            ValueError: a member is missing or of another type.
        """

        def text(name: str) -> str:
            member: JsonValue = value.get(name)
            if not isinstance(member, str):
                raise ValueError(f"approval lacks the text `{name}`")  # noqa: TRY004  # one error type for one promise
            return member

        approved = value.get("approved")
        if not isinstance(approved, bool):
            raise ValueError("approval lacks the boolean `approved`")  # noqa: TRY004  # as above
        meaning = meaning_of(value.get("meaning"))
        if meaning is None:
            raise ValueError("approval lacks a `meaning` that is known")
        return cls(
            id=text("id"),
            run=text("run"),
            request=text("request"),
            by=text("by"),
            role=text("role"),
            reason=text("reason"),
            approved=approved,
            meaning=meaning,
            at=text("at"),
        )


def meaning_of(text: JsonValue) -> Meaning | None:
    """Return the meaning that a text names, or None."""
    for known in MEANINGS:
        if known == text:
            return known
    return None


Standing = Literal["counts", "refused_by_person", "ineligible", "other_request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Whether a grant counts, and why not.

    Args:
        standing: `counts`; `refused_by_person` (an eligible person said no, or nobody
            answered in time); `ineligible`; `other_request`.
        reason: one readable clause; empty where it counts.
    """

    standing: Standing
    reason: str = ""


def judge(
    grant: ApprovalGrant, *, role: str, request: str, run: str, caller: str, principal: str
) -> Judgement:
    """Say whether `grant` counts for a request.

    Args:
        grant: what the person answered.
        role: role that the rule's obligation names.
        request: digest of the request at hand.
        run: the run at hand.
        caller: id of the caller behind the request; empty where unknown.
        principal: id of the request's principal.
    """
    if not request or grant.request != request or grant.run != run:
        return Judgement(standing="other_request", reason="the approval is bound to another request")
    if not grant.id or not grant.by or not role:
        return Judgement(standing="ineligible", reason="the approval does not say who gave it")
    if grant.role != role:
        return Judgement(
            standing="ineligible", reason=f"`{grant.by}` acted as `{grant.role}`, the rule asks for `{role}`"
        )
    if grant.lapsed:
        return Judgement(standing="refused_by_person", reason=grant.reason)
    if not caller:
        return Judgement(
            standing="ineligible", reason="the caller is unknown, so segregation of duties cannot be checked"
        )
    if same_person(grant.by, caller) or same_person(grant.by, principal):
        return Judgement(standing="ineligible", reason=f"`{grant.by}` cannot approve a request of their own")
    if grant.approved and grant.meaning == "authorship":
        return Judgement(
            standing="ineligible", reason=f"`{grant.by}` signed as the author, which approves nothing"
        )
    if grant.approved is not True:
        return Judgement(standing="refused_by_person", reason=grant.reason or f"`{grant.by}` refused")
    return Judgement(standing="counts")
