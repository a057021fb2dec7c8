"""The operations of a description: found by method and path, with what they take and give."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.document.values import JsonValue

_PARAMETER = re.compile(r"\{[^}]+\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A described query parameter or header.

    Args:
        name: as described; headers in lower case.
        required: whether it must be there.
        schema: rewritten; for an array, of one value.
    """

    name: str
    required: bool
    schema: JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """What an operation's stream carries.

    Args:
        plain: schema of every event's data, where events have no kinds.
        by_type: schema of the data by its member `type`, which is also the event's name.
        by_name: schema of the data by the event's name.
        texts: data that are no JSON, by the event's name.
    """

    plain: JsonValue = None
    by_type: Mapping[str, JsonValue] = field(default_factory=dict[str, "JsonValue"])
    by_name: Mapping[str, JsonValue] = field(default_factory=dict[str, "JsonValue"])
    texts: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One described operation.

    Args:
        name: the vendor's name for it.
        method: in capitals.
        path: as described, with parameters in braces, without query.
        beta: whether it is described only for the query `beta=true`.
        query: its query parameters.
        headers: its required headers, with the wanted value; any where empty.
        bodies: schema of the request's body by media type; None where anything goes.
        body_required: whether there must be one.
        answers: schema of the answer by status (`200`, `4XX`, `default`); None where there is no JSON body.
        events: what its stream carries, where it can stream.
        many: whether a body may also be an array of answers.
    """

    name: str
    method: str
    path: str
    beta: bool = False
    query: tuple[Parameter, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    bodies: Mapping[str, JsonValue] = field(default_factory=dict[str, "JsonValue"])
    body_required: bool = False
    answers: Mapping[str, JsonValue] = field(default_factory=dict[str, "JsonValue"])
    events: Events | None = None
    many: bool = False

    @property
    def media(self) -> bool:
        """Whether it takes an upload, whose body is not described."""
        return "*/*" in self.bodies


class Operations:
    """Finds operations; of several patterns that fit, the one with the fewest parameters wins."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        ordered = sorted(operations, key=lambda known: (len(_PARAMETER.findall(known.path)), known.path))
        self._known = tuple((_pattern(operation.path), operation) for operation in ordered)

    def find(self, method: str, path: str, *, beta: bool) -> Operation | None:
        """Return the operation of a method and a path without query.

        Args:
            method: in capitals.
            path: as the description begins it.
            beta: whether the query asks for the beta form, which is preferred then and hidden otherwise.
        """
        fitting = [
            operation
            for pattern, operation in self._known
            if operation.method == method and pattern.fullmatch(path)
        ]
        for wanted in (True, False) if beta else (False,):
            for operation in fitting:
                if operation.beta == wanted:
                    return operation
        return None


def _pattern(path: str) -> re.Pattern[str]:
    literals = [re.escape(literal) for literal in _PARAMETER.split(path)]
    return re.compile("[^/]+".join(literals))
