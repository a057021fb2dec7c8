"""The content of a decision as pieces, of which some repeat from record to record.

Content is a canonical object whose members stand in the order of their names: `arguments`, `context`,
`entities`, `principal`, `resource`. What was asked differs in each record; who asked, and of what, does not.
So the last three members are read once for each of their forms.

INVARIANT (pieces are the whole): a cut is believed only where the text before it, and each piece, is an
object by itself with just the members expected. The members of objects that follow each other are then the
members of the content, whatever its strings hold; where a piece is no such object, the content is read whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from pydantic_core import from_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from remit.document.values import JsonValue
    from remit.engine.request import Entity

MAX_FORMS: Final = 50_000
"""Forms of a piece that are kept; where there are more, reading begins anew."""

_ENTITIES: Final = b',"entities":['
_PRINCIPAL: Final = b',"principal":{'
_RESOURCE: Final = b',"resource":{'
_HEAD: Final = ({"arguments", "context"}, {"context"})

_T = TypeVar("_T")


class Pieces:
    """Reads contents, and keeps what their last members were read as.

    Args:
        entity: makes the principal or resource from its name in the record and its attributes.
        others: makes the other entities from their list; None where only the content as a whole tells.
    """

    def __init__(
        self,
        entity: Callable[[str, Any], Entity],
        others: Callable[[Any], tuple[Entity, ...] | None],
    ) -> None:
        self._entity = entity
        self._make_others = others
        self._named: dict[tuple[str, bytes], Entity] = {}
        self._others: dict[bytes, tuple[Entity, ...]] = {}

    def read(
        self, content: bytes, principal: str, resource: str
    ) -> tuple[dict[str, Any], Entity, Entity, tuple[Entity, ...]] | None:
        """Return context, principal, resource and the other entities; None where it must be read whole.

        Args:
            content: JSON of the content.
            principal: its name in the record.
            resource: its name in the record.

        Raises:
            NotKeptError: a piece is not what a request needs.
        """
        third = content.rfind(_RESOURCE)
        second = content.rfind(_PRINCIPAL, 0, third)
        first = content.rfind(_ENTITIES, 0, second)
        if first < 0 or second < 0 or third < 0:
            return None
        try:
            head: dict[str, Any] = from_json(content[:first] + b"}", cache_strings="keys")
            context: dict[str, Any] = head["context"]
            if head.keys() not in _HEAD or type(cast("object", context)) is not dict:
                return None
            key = content[first:second]
            others = self._others.get(key)
            if others is None:
                others = self._make_others(_member("entities", key + b"}"))
                if others is None:
                    return None
                _keep(self._others, key, others)
            named = self._named
            who = (principal, content[second:third])
            asking = named.get(who)
            if asking is None:
                asking = self._entity(principal, _member("principal", who[1] + b"}"))
                _keep(named, who, asking)
            what = (resource, content[third:])
            asked = named.get(what)
            if asked is None:
                asked = self._entity(resource, _member("resource", what[1]))
                _keep(named, what, asked)
        except (ValueError, KeyError):
            return None
        return context, asking, asked, others


def _keep(forms: dict[_T, Any], key: _T, made: object) -> None:
    if len(forms) >= MAX_FORMS:
        forms.clear()
    forms[key] = made


def _member(name: str, piece: bytes) -> JsonValue:
    """Return the value of the one member of a piece.

    Raises:
        ValueError: it is no object with that member alone.
    """
    found: dict[str, JsonValue] = from_json(b"{" + piece[1:])
    if found.keys() != {name}:
        raise ValueError(name)
    return found[name]
