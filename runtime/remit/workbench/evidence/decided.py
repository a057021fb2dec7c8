"""One recorded decision, asked again in two ways: of stock Cedar by the bundle's files, and of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.gate.recorded import NotKeptError
from remit.workbench.evidence.questions import not_asked
from remit.workbench.evidence.redecide import holds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.document.values import JsonObject, JsonValue
    from remit.engine.request import Decision
    from remit.workbench.evidence.questions import Asker

_ALLOWED = ("allowed", "awaiting_approval", "approval_refused")


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What came of it: a problem, a reason why it was not asked, or neither: decided as recorded."""

    problem: str = ""
    undecided: str = ""


def decision_problem(
    asker: Asker | None, body: JsonObject, content: JsonValue, found: Mapping[str, JsonValue]
) -> Again:
    """Ask a recorded decision again.

    Args:
        asker: asks under the image that the record cites; None where that is not in the bundle.
        body: of the record.
        content: what it commits to; None once erased.
        found: the decision's files in the bundle, by name without suffix.
    """
    why = not_asked(body, content)
    by_engine_alone = why.startswith("denied because the request itself")
    if why and not by_engine_alone:
        return Again(undecided=why) if not found else Again(problem=f"has files of a question: {why}")
    if asker is None:
        return Again(undecided="its policies are not in the bundle")
    try:
        fulfilled = _fulfilled(asker, body, found)
        decision = asker.engine.decide(asker.request(body, content, fulfilled))
    except NotKeptError as error:
        return Again(undecided=str(error))
    if not _as_recorded(body, decision):
        return Again(
            problem=f"is decided otherwise: {decision.kind} by {', '.join(decision.reasons) or 'no rule'}"
        )
    if by_engine_alone:
        return Again()
    question = asker.question(body, content, fulfilled=fulfilled)
    if isinstance(question, str):
        return Again() if not found else Again(problem=f"has files of a question: {question}")
    expected: JsonObject = {
        "image": body["image"],
        "verdict": body["verdict"],
        "kind": body["kind"],
        "reasons": body["reasons"],
        "errors": body["errors"],
        "fulfilled": [*question.fulfilled],
        "schema": question.checked,
    }
    if found != {"request": question.request, "entities": question.entities, "expected": expected}:
        return Again(problem="the files of its question are not what the record says was asked and answered")
    answer = asker.ask(question)
    if answer is None or not holds(body, answer):
        return Again(problem="stock Cedar decides otherwise than was recorded")
    return Again()


def _fulfilled(asker: Asker, body: JsonObject, found: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """Return what counted as fulfilled; where people refused, what the bundle says, which must then allow."""
    if body.get("kind") != "approval_refused":
        return asker.fulfilled(body, None)
    expected = found.get("expected")
    listed = expected.get("fulfilled") if isinstance(expected, dict) else None
    return tuple(str(rule) for rule in listed) if isinstance(listed, list) else ()


def _as_recorded(body: JsonObject, decision: Decision) -> bool:
    reasons = [*decision.reasons]
    errors = [{"rule": failure.rule, "message": failure.message} for failure in decision.errors]
    if body["kind"] in _ALLOWED:
        return decision.allowed and body["reasons"] == reasons and body["errors"] == []
    return (decision.kind, reasons, errors) == (body["kind"], body["reasons"], body["errors"])
