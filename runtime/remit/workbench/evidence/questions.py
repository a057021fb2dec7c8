"""A recorded decision as the files that stock Cedar takes: request, entities, and what was answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.engine.cedar import CedarEngine
from remit.engine.ingress import Walk, read_tree
from remit.engine.policy_index import PolicyIndex
from remit.engine.request import NAMESPACE, Request
from remit.engine.schema import resolve_schema
from remit.gate.obligations import settle
from remit.gate.recorded import NotKeptError, request_of
from remit.workbench.evidence.redecide import BY_RULES, ask, load_image
from remit.workbench.suites.cedar_export import agent_question
from remit.workbench.suites.model import CedarQuestion, CedarRef

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.engine.image import PolicyImage
    from remit.workbench.evidence.redecide import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A decision that Cedar can be asked about.

    Args:
        request: principal, action, resource and context, as `cedar authorize --request-json` takes them.
        entities: as `cedar authorize --entities` takes them.
        fulfilled: rules whose obligations counted as fulfilled.
        checked: whether Cedar can hold the request against the schema; not where an argument that no policy
            can read has no form in Cedar, and was left out.
    """

    request: JsonObject
    entities: list[JsonValue]
    fulfilled: tuple[str, ...]
    checked: bool


class Asker:
    """Makes questions of one image's decisions.

    Args:
        image: policies and schema; provenance is not needed, except for requests that people refused.
    """

    def __init__(self, image: PolicyImage) -> None:
        self.image = image
        self.engine = CedarEngine(image)
        self._cedar = load_image(image.policies, image.schema)
        self._types = resolve_schema(image.schema)
        self._reads = PolicyIndex.of(image).reads(self._types.actions)

    def request(self, body: JsonObject, content: JsonValue, fulfilled: tuple[str, ...]) -> Request:
        """Return the request of a record, with these obligations fulfilled.

        Raises:
            NotKeptError: the record does not hold it.
        """
        plain = request_of(body, content)
        return Request(
            principal=plain.principal,
            action=plain.action,
            resource=plain.resource,
            context={**plain.context, "fulfilled": [*fulfilled]},
            entities=plain.entities,
        )

    def fulfilled(self, body: JsonObject, content: JsonValue) -> tuple[str, ...]:
        """Return the rules whose obligations counted as fulfilled in a decision.

        Raises:
            NotKeptError: the record does not hold its request.
        """
        if body.get("kind") == "approval_refused":
            # The record names the rules that people were asked for; which others counted is found again.
            return settle(self.engine, self.image, request_of(body, content)).fulfilled
        obligations = body.get("obligations")
        items = obligations if isinstance(obligations, list) else []
        return tuple(
            str(item["rule"]) for item in items if isinstance(item, dict) and item.get("fulfilled") is True
        )

    def question(
        self, body: JsonObject, content: JsonValue, *, fulfilled: tuple[str, ...] | None = None
    ) -> Question | str:
        """Return what Cedar is to be asked, or why it cannot be.

        Args:
            body: of the record.
            content: of the record.
            fulfilled: rules whose obligations counted as fulfilled; found where it is left out.
        """
        why = not_asked(body, content)
        if why:
            return why
        try:
            fulfilled = self.fulfilled(body, content) if fulfilled is None else fulfilled
            request = self.request(body, content, fulfilled)
        except NotKeptError as error:
            return str(error)
        except KeyError:
            return "the rules that people were asked for are not known without the image's provenance"
        asked, checked = agent_question(request, self.image), True
        if isinstance(asked, str):
            asked, checked = self._readable(request), False
        if isinstance(asked, str):
            return f"Cedar cannot be asked: {asked}"
        whole: JsonObject = {
            "principal": str(asked.principal),
            "action": str(asked.action),
            "resource": str(asked.resource),
            "context": asked.context,
        }
        entities: list[JsonValue] = [*asked.entities]
        question = Question(request=whole, entities=entities, fulfilled=fulfilled, checked=checked)
        if self.ask(question) is None:
            return "Cedar gives no decision on the request as it is written"
        return question

    def ask(self, question: Question) -> Answer | None:
        """Put a question to stock Cedar; None where that gives no decision."""
        return ask(self._cedar, question.request, question.entities, checked=question.checked)

    def _readable(self, request: Request) -> CedarQuestion | str:
        """Return what policies can read of a request, as the engine gives it to Cedar."""
        action = self._types.actions.get(request.action)
        if action is None:
            return f"the action `{request.action}` is not in the schema"
        paths = self._reads[request.action]
        walk = Walk(self._types.entities)
        walk.entity(request.principal, "principal", read_tree(paths, "principal"))
        walk.entity(request.resource, "resource", read_tree(paths, "resource"))
        for entity in request.entities:
            walk.entity(entity, str(entity.ref), read_tree((), "principal"))
        context = walk.context(request.context, action.context, read_tree(paths, "context"))
        entities = walk.table()
        if walk.faults:
            return "; ".join(walk.faults)
        return CedarQuestion(
            principal=_ref(request, "principal"),
            action=CedarRef(type=f"{NAMESPACE}::Action", id=request.action),
            resource=_ref(request, "resource"),
            context=context,
            entities=tuple(entities),
        )


def not_asked(body: JsonObject, content: JsonValue) -> str:
    """Say why a decision was made, or is recorded, without anything that rules can be asked again about."""
    kind, errors = body.get("kind"), body.get("errors")
    if kind not in BY_RULES:
        return f"decided before rules were asked: {str(kind).replace('_', ' ')}"
    if kind == "error":
        items = errors if isinstance(errors, list) else []
        rules = [item.get("rule") for item in items if isinstance(item, dict)]
        if not rules:
            return "decided before rules were asked: error"
        if not all(rules):
            return "denied because the request itself had no answer; the record says why"
    return "its content was erased" if content is None else ""


def _ref(request: Request, part: str) -> CedarRef:
    ref = request.principal.ref if part == "principal" else request.resource.ref
    return CedarRef(type=f"{NAMESPACE}::{ref.type}", id=ref.id)
