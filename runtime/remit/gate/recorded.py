"""A request as the ledger keeps it: names in the record's body, everything that may be erased in its content.

Rules
1. What is written here is enough to ask the same again; `request_of` gives back exactly what was asked.
2. Records that lack a part are not guessed at: `NotKeptError` says which part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.engine.request import NAMESPACE, Entity, EntityRef, Request
from remit.errors import EvaluationError

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue

_PREFIX = f"{NAMESPACE}::"


class NotKeptError(EvaluationError):
    """A record does not hold all that was asked; the message is the missing part in a few words."""


def request_content(request: Request) -> JsonObject:
    """Return the erasable part of a request: context, attributes, and the other entities whole."""
    value: JsonObject = {
        "context": request.context,
        "principal": request.principal.attributes,
        "resource": request.resource.attributes,
        "entities": [_entity_value(entity) for entity in request.entities],
    }
    for name, entity in (("principal", request.principal), ("resource", request.resource)):
        if entity.parents:
            value[f"{name}_parents"] = _refs(entity.parents)
    return value


def data_subject(request: Request) -> str:
    """Return the one data subject whom a request is about; only a memory operation names one."""
    given = request.context.get("input")
    subject = given.get("subject") if request.resource.ref.type == "Block" and isinstance(given, dict) else ""
    return subject if isinstance(subject, str) else ""


def request_of(body: JsonObject, content: JsonValue) -> Request:
    """Rebuild the request of a decision record.

    Args:
        body: of the record.
        content: beside it; None once erased.

    Raises:
        NotKeptError: something of the request is not there.
    """
    if content is None:
        raise NotKeptError("its content was erased")
    if not isinstance(content, dict):
        raise NotKeptError("its content is no request")
    if "unrecordable" in content:
        raise NotKeptError("the request had no form that could be recorded")
    entities = content.get("entities")
    if not isinstance(entities, list):
        raise NotKeptError("it was recorded without the entities of the request")
    return Request(
        principal=_named(body, content, "principal"),
        action=_text(body.get("action")),
        resource=_named(body, content, "resource"),
        context=_object(content.get("context"), "the context"),
        entities=tuple(_entity(item) for item in entities),
    )


def ref_of(text: str) -> EntityRef:
    """Read what `str(EntityRef)` wrote.

    Raises:
        NotKeptError: it is no reference.
    """
    kind, mark, name = text.partition('::"')
    # `partition` is right although an id may hold the mark: a type cannot.
    kind = kind.removeprefix(_PREFIX)
    if not mark or not name.endswith('"') or not text.startswith(_PREFIX):
        raise NotKeptError("it names no principal or resource")
    return EntityRef(type=kind, id=name[:-1])


def _entity_value(entity: Entity) -> JsonObject:
    value: JsonObject = {
        "type": entity.ref.type,
        "id": entity.ref.id,
        "attributes": entity.attributes,
    }
    if entity.parents:
        value["parents"] = _refs(entity.parents)
    return value


def _refs(refs: tuple[EntityRef, ...]) -> list[JsonValue]:
    return [{"type": ref.type, "id": ref.id} for ref in refs]


def _named(body: JsonObject, content: JsonObject, part: str) -> Entity:
    return Entity(
        ref=ref_of(_text(body.get(part))),
        attributes=_object(content.get(part), f"the attributes of the {part}"),
        parents=_parents(content.get(f"{part}_parents")) if f"{part}_parents" in content else (),
    )


def _entity(value: JsonValue) -> Entity:
    item = _object(value, "an entity")
    return Entity(
        ref=_ref(item),
        attributes=_object(item.get("attributes"), "the attributes of an entity"),
        parents=_parents(item["parents"]) if "parents" in item else (),
    )


def _ref(item: JsonObject) -> EntityRef:
    return EntityRef(type=_text(item.get("type")), id=_text(item.get("id")))


def _parents(value: JsonValue) -> tuple[EntityRef, ...]:
    if not isinstance(value, list):
        raise NotKeptError("parents of an entity are not a list")
    return tuple(_ref(_object(item, "a parent")) for item in value)


def _object(value: JsonValue, what: str) -> JsonObject:
    if not isinstance(value, dict):
        raise NotKeptError(f"{what} was not recorded")
    return value


def _text(value: JsonValue) -> str:
    if not isinstance(value, str):
        raise NotKeptError("a name in it is no text")
    return value
