"""Flips as cases: what a person keeps of a replay is what the next change is checked against.

Rules
1. A case is written only if it comes to the same under the candidate when it is asked as a case: one that
   says something else than the flip it came from would be worse than none.
2. A case holds what the record's content holds, names of people included; it is then a file like any other,
   which an erasure in the ledger does not reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from remit.document.json_text import parse_json
from remit.document.yaml_text import write_yaml
from remit.engine.cedar import CedarEngine
from remit.errors import GovernanceError
from remit.gate.recorded import request_of
from remit.ledger.encoding import decode_leaf
from remit.project.answers import settle
from remit.project.questions import build_request, question_from

if TYPE_CHECKING:
    from collections.abc import Iterable

    from remit.document.values import JsonObject, JsonValue
    from remit.engine.request import Entity, Request
    from remit.host.candidate import Candidate
    from remit.workbench.replay.changes import Flip
    from remit.workbench.replay.source import LogSource

Expectation = Literal["candidate", "recorded"]
_BY_CALLER = ("activate", "resume", "suspend", "terminate", "amend")
_HEAD = """\
# Requests from the ledger that the candidate decides otherwise, one of each kind.
# Keep those that a person agrees with, and correct the expectation of the others: {what}.
"""
_WHAT: dict[Expectation, str] = {
    "candidate": "what is expected here is what the candidate decides",
    "recorded": "what is expected here is what was decided when it was recorded",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenCases:
    """Cases of a replay.

    Args:
        text: of a case file.
        count: how many cases it holds.
        left_out: flips that cannot be said as a case, with the reason.
    """

    text: bytes
    count: int
    left_out: tuple[str, ...]


def cases_of(
    flips: Iterable[Flip], candidate: Candidate, source: LogSource, *, expect: Expectation
) -> WrittenCases:
    """Write flips as cases.

    Args:
        flips: which ones.
        candidate: under which they flip.
        source: the ledger that holds them.
        expect: whose decision a case expects.
    """
    engine = CedarEngine(candidate.image)
    cases: list[JsonValue] = []
    left_out: list[str] = []
    for flip in flips:
        try:
            question = _question(_request(source, flip.index))
            verdict = settle(
                engine, candidate.image, build_request(candidate.document, question_from(question))
            )
        except GovernanceError as error:
            left_out.append(f"record {flip.index}: {error}")
            continue
        if verdict.decision != flip.after.verdict:
            left_out.append(
                f"record {flip.index}: as a case it comes to {verdict.decision}, not {flip.after.verdict}"
            )
            continue
        expected: JsonObject = (
            {"decision": verdict.decision, "rules": [*verdict.rules]}
            if expect == "candidate"
            else {"decision": flip.before.verdict, "rules": [*flip.before.rules]}
        )
        before = f"{flip.before.verdict} by {', '.join(flip.before.rules) or 'no rule'}"
        name = f"record {flip.index} of {flip.at}: {flip.action}, {flip.change} (was {before})"
        cases.append({"name": name, "request": question, "expect": expected})
    text = _HEAD.format(what=_WHAT[expect]).encode() + write_yaml({"cases": cases})
    return WrittenCases(text=text, count=len(cases), left_out=tuple(left_out))


def _request(source: LogSource, index: int) -> Request:
    _, leaf, _, content = source.rows("decision", index, index + 1)[0]
    body = cast("JsonObject", decode_leaf(leaf)["body"])
    return request_of(body, None if content is None else parse_json(content).value)


def _question(request: Request) -> JsonObject:
    context = request.context
    question: JsonObject = {"action": request.action}
    if request.resource.ref.type in ("Backend", "Block"):
        question["resource"] = request.resource.ref.id
    caller = _caller(request)
    if caller is not None:
        question["caller"] = {"id": caller.ref.id, **caller.attributes}
    own = "caller" if request.action in _BY_CALLER else "agent"
    principal = "caller" if request.principal.ref.type == "Caller" else "agent"
    if principal != own:
        question["principal"] = principal
    for name in ("input", "environment"):
        value = context.get(name)
        if isinstance(value, dict) and value:
            question[name] = value
    for name in ("usage", "lifetime"):
        value = context.get(name)
        members: JsonObject = value if isinstance(value, dict) else {}
        counted: JsonObject = {key: count for key, count in members.items() if count}
        if counted:
            question[name] = counted
    now = context.get("now")
    if isinstance(now, str):
        question["now"] = now
    lifecycle = next(
        (
            entity.attributes.get("lifecycle")
            for entity in (request.principal, request.resource, *request.entities)
            if entity.ref.type == "Agent"
        ),
        None,
    )
    if isinstance(lifecycle, str):
        question["lifecycle"] = lifecycle
    return question


def _caller(request: Request) -> Entity | None:
    named = request.context.get("caller")
    wanted = named.get("id") if isinstance(named, dict) else None
    for entity in (request.principal, *request.entities):
        if entity.ref.type == "Caller" and entity.ref.id == wanted:
            return entity
    return None
