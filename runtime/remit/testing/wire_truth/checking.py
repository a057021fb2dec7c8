"""Checking a value against a rewritten schema, with faults that name the place and the way out.

It is the Draft 2020-12 validator of `jsonschema` with these keywords of our own
    $ref            resolved in the description, one component at a time
    anyOf, oneOf    one fitting branch is enough; else the faults of the nearest branch are told
    closed          members that are not listed are refused
    required, type, enum, const, additionalProperties   as in the standard, in our words
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import jsonschema
from jsonschema import validators

from remit.document.values import pointer_to
from remit.testing.wire_truth.schemas import Schemas, is_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from remit.document.values import JsonObject, JsonValue

_MAX_SHOWN = 60
_MAX_NAMES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """What is wrong, and where.

    Args:
        pointer: RFC 6901 pointer into the value.
        message: what is wrong.
    """

    pointer: str
    message: str


class _Validator(Protocol):
    """What a keyword may ask of the validator that runs it."""

    def descend(
        self, instance: JsonValue, schema: JsonValue, path: str | None = None
    ) -> Iterator[jsonschema.ValidationError]:
        """Yield what is wrong with a part of the value."""
        ...


class Checker:
    """Checks values against schemas of one description.

    Args:
        schemas: the description's components.
    """

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        # `jsonschema` ships no types; what crosses here is checked below.
        extend = cast("Callable[..., Any]", validators.extend)  # pyright: ignore[reportUnknownMemberType]  # see above
        self._validator = cast(
            "Callable[[JsonValue], Any]",
            extend(
                jsonschema.Draft202012Validator,
                {
                    "$ref": self._reference,
                    "anyOf": self._union,
                    "oneOf": self._union,
                    "closed": _closed,
                    "required": _required,
                    "type": _type,
                    "enum": _enum,
                    "const": _const,
                    "additionalProperties": _additional,
                },
            ),
        )

    def check(self, value: JsonValue, schema: JsonValue) -> tuple[Flaw, ...]:
        """Return everything that is wrong with a value, in the order of the value.

        Args:
            value: what was sent.
            schema: rewritten by the same `Schemas`.
        """
        if not isinstance(schema, dict):
            return () if schema in (True, None) else (Flaw(pointer="", message="nothing may stand here"),)
        found = cast("Iterator[jsonschema.ValidationError]", self._validator(schema).iter_errors(value))
        flaws = {Flaw(pointer=_pointer(error), message=str(error.message)) for error in found}
        return tuple(sorted(flaws, key=lambda flaw: (flaw.pointer, flaw.message)))

    def _reference(
        self, validator: _Validator, reference: str, instance: JsonValue, schema: JsonObject
    ) -> Iterator[jsonschema.ValidationError]:
        del schema
        yield from validator.descend(instance, self._schemas.resolve(reference))

    def _union(
        self, validator: _Validator, branches: list[JsonValue], instance: JsonValue, schema: JsonObject
    ) -> Iterator[jsonschema.ValidationError]:
        del schema
        tried: list[list[jsonschema.ValidationError]] = []
        for branch in branches:
            if not self._schemas.outline(branch).fits(instance):
                continue
            errors: list[jsonschema.ValidationError] = list(validator.descend(instance, branch))
            if not errors:
                return
            tried.append(errors)
        if tried:
            yield from min(tried, key=_distance)
        else:
            yield jsonschema.ValidationError(self._misfit(branches, instance))

    def _misfit(self, branches: list[JsonValue], instance: JsonValue) -> str:
        kinds: list[str] = []
        for branch in branches:
            kinds += sorted(self._schemas.outline(branch).kinds or ())
        if kinds and not any(is_kind(instance, kind) for kind in kinds):
            return f"{_shown(instance)} is not of type {' or '.join(dict.fromkeys(kinds))}"
        members = instance if isinstance(instance, dict) else {}
        tags = [f"{tag} `{members[tag]}`" for tag in ("type", "object", "role") if tag in members]
        said = f"an object with {' and '.join(tags)}" if tags else _shown(instance)
        return f"{said} is none of what is described here"


def _distance(errors: list[jsonschema.ValidationError]) -> tuple[int, int]:
    """How far a branch is from fitting: faults of the object itself weigh more than those within."""
    return sum(1 for error in errors if len(error.absolute_path) <= 1), len(errors)


def _closed(
    validator: _Validator, names: list[str], instance: JsonValue, schema: JsonObject
) -> Iterator[jsonschema.ValidationError]:
    del validator, schema
    if isinstance(instance, dict):
        yield from _unknown(set(instance) - set(names), names)


def _additional(
    validator: _Validator, more: JsonValue, instance: JsonValue, schema: JsonObject
) -> Iterator[jsonschema.ValidationError]:
    properties = schema.get("properties")
    names = [*properties] if isinstance(properties, dict) else []
    if not isinstance(instance, dict):
        return
    extra = set(instance) - set(names)
    if more is False:
        yield from _unknown(extra, names)
    elif isinstance(more, dict):
        for name in sorted(extra):
            yield from validator.descend(instance[name], more, path=name)


def _unknown(extra: set[str], names: Iterable[str]) -> Iterator[jsonschema.ValidationError]:
    listed = _listed(sorted(names))
    for name in sorted(extra):
        yield jsonschema.ValidationError(
            f"`{name}` is not described here; known members are {listed}", path=[name]
        )


def _required(
    validator: _Validator, names: list[str], instance: JsonValue, schema: JsonObject
) -> Iterator[jsonschema.ValidationError]:
    del validator, schema
    if isinstance(instance, dict):
        for name in names:
            if name not in instance:
                yield jsonschema.ValidationError(f"`{name}` is missing")


def _type(
    validator: _Validator, kinds: str | list[str], instance: JsonValue, schema: JsonObject
) -> Iterator[jsonschema.ValidationError]:
    del validator, schema
    wanted = [kinds] if isinstance(kinds, str) else kinds
    if not any(is_kind(instance, kind) for kind in wanted):
        yield jsonschema.ValidationError(f"{_shown(instance)} is not of type {' or '.join(wanted)}")


def _enum(
    validator: _Validator, values: list[JsonValue], instance: JsonValue, schema: JsonObject
) -> Iterator[jsonschema.ValidationError]:
    del validator, schema
    if not any(
        instance == value and isinstance(instance, bool) == isinstance(value, bool) for value in values
    ):
        listed = _listed([str(value) for value in values])
        yield jsonschema.ValidationError(f"{_shown(instance)} is not one of {listed}")


def _const(
    validator: _Validator, value: JsonValue, instance: JsonValue, schema: JsonObject
) -> Iterator[jsonschema.ValidationError]:
    yield from _enum(validator, [value], instance, schema)


def _pointer(error: jsonschema.ValidationError) -> str:
    pointer = ""
    for token in cast("Iterable[str | int]", error.absolute_path):
        pointer = pointer_to(pointer, token)
    return pointer


def _shown(value: JsonValue) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + '…'}`"


def _listed(names: list[str]) -> str:
    shown = [f"`{name}`" for name in names[:_MAX_NAMES]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
