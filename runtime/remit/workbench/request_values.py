"""What stands in a request at a path of a policy: in its context, or in an entity on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.engine.compiled.goals import ABSENT, Absent
from remit.engine.request import NAMESPACE
from remit.engine.schema import EntityType, RecordType

if TYPE_CHECKING:
    from remit.document.values import JsonValue
    from remit.engine.reads import Path
    from remit.engine.request import Entity, Request
    from remit.engine.schema import SchemaTypes, Type

_PREFIX = f"{NAMESPACE}::"


def value_at(request: Request, path: Path, types: SchemaTypes) -> JsonValue | Absent:
    """Return the value that a path leads to, or `ABSENT`.

    Args:
        request: whose action the schema knows.
        path: as in `remit.engine.reads`.
        types: the schema, which says where a path passes from one entity to another.
    """
    given = {(e.ref.type, e.ref.id): e for e in (request.principal, request.resource, *request.entities)}
    roots: dict[str, tuple[JsonValue, Type]] = {
        "principal": _reference(request.principal),
        "resource": _reference(request.resource),
        "context": (request.context, types.actions[request.action].context),
    }
    if not path or path[0] not in roots:
        return ABSENT
    value, declared = roots[path[0]]
    for name in path[1:]:
        if isinstance(declared, EntityType):
            kind, local = declared.name, declared.name.removeprefix(_PREFIX)
            entity = given.get((local, str(value.get("id")) if isinstance(value, dict) else ""))
            if entity is None or kind not in types.entities:
                return ABSENT
            value, declared = entity.attributes, types.entities[kind]
        if not isinstance(declared, RecordType) or name not in declared.attributes:
            return ABSENT
        if not isinstance(value, dict) or name not in value:
            return ABSENT
        value, declared = value[name], declared.attributes[name].type
    return value


def _reference(entity: Entity) -> tuple[JsonValue, Type]:
    return {"type": entity.ref.type, "id": entity.ref.id}, EntityType(f"{_PREFIX}{entity.ref.type}")
