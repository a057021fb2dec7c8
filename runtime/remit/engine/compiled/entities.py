"""The entities of a request: checked, gathered into a table, and their ancestors."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from remit.engine.hierarchy import all_ancestors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remit.engine.compiled.values import Table, Uid
    from remit.engine.request import Entity, Request


class EntityKind(NamedTuple):
    """What is known of one entity type.

    Args:
        full: its fully qualified name.
        check: whether attributes are as declared; may raise instead of answering no.
        exact: equal JSON is equal to Cedar; not so for decimals, where `0.0 == -0.0`.
        parents: fully qualified types that may be a direct parent.
    """

    full: str
    check: Callable[[object], bool | None]
    exact: bool
    parents: frozenset[str]


Above = dict["Uid", frozenset["Uid"]]


def is_unicode(text: str) -> bool:
    """Return whether text has a UTF-8 form."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def are_unicode(*texts: str) -> bool:
    """Return whether all texts have a UTF-8 form."""
    return all(map(is_unicode, texts))


def gather(request: Request, table: Table, kinds: Mapping[str, EntityKind], above: Above) -> Above | None:
    """Check all entities and put them into the table.

    Args:
        request: what is asked; principal and resource are of known types, and checked already.
        table: gets the attributes of every entity.
        kinds: by entity type without the namespace.
        above: ancestors of the action.

    Returns:
        The ancestors of everything; nothing where the reference engine must look: a fault, a cycle, the
        same entity given twice with what may be different content.
    """
    principal, resource = request.principal, request.resource
    flat = not (principal.parents or resource.parents)
    table[kinds[principal.ref.type].full, principal.ref.id] = cast("dict[str, object]", principal.attributes)
    for entity in (resource, *request.entities):
        ref = entity.ref
        kind = kinds.get(ref.type)
        name = ref.id
        if kind is None or type(name) is not str or not (name.isascii() or is_unicode(name)):
            return None
        attributes = cast("dict[str, object]", entity.attributes)
        if entity is not resource and not kind.check(attributes):
            return None
        uid = (kind.full, name)
        if uid not in table:
            table[uid] = attributes
        elif not _repeated(request, entity, kind):
            return None
        if entity.parents:
            flat = False
    return above if flat else _ancestors(request, kinds, above)


def _repeated(request: Request, entity: Entity, kind: EntityKind) -> bool:
    """Return whether an entity that was given before is the same again for certain."""
    for first in (request.principal, request.resource, *request.entities):
        if first.ref.type == entity.ref.type and first.ref.id == entity.ref.id:
            if first is entity:
                return True
            alike = first.parents == entity.parents and first.attributes == entity.attributes
            # The text of a float tells -0.0 from 0.0.
            return alike and (kind.exact or repr(first.attributes) == repr(entity.attributes))
    return False


def _ancestors(request: Request, kinds: Mapping[str, EntityKind], above: Above) -> Above | None:
    direct: dict[Uid, set[Uid]] = {}
    for entity in (request.principal, request.resource, *request.entities):
        kind = kinds[entity.ref.type]
        parents = direct.setdefault((kind.full, entity.ref.id), set())
        for parent in entity.parents:
            full = kinds[parent.type].full
            name = parent.id
            if full not in kind.parents or type(name) is not str or not is_unicode(name):
                return None
            parents.add((full, name))
    found = all_ancestors(direct)
    return None if found is None else {**above, **found}
