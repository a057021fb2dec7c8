"""Collecting faults while a value is read into typed views.

`FaultLog` gathers every fault with its place and sees that its message names the field.
`Members` reads one object of the format, member by member, and in the end reports what it did not know.
Readers go on after a fault with a harmless default; the log refuses the whole.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.document.values import JsonObject, JsonValue, pointer_to
from remit.errors import DocumentError, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from remit.document.places import Parsed

EXTENSION_PREFIX = "x-"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
RULE_ID = re.compile(r"(?:[a-z][a-z0-9-]{0,39}\.)?[A-Za-z_][A-Za-z0-9_-]{0,63}")
PACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/@+-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
HEX_32 = re.compile(r"[0-9a-f]{32}")
HEX_64 = re.compile(r"[0-9a-f]{64}")
TIME = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
)
SHAPES: dict[re.Pattern[str], str] = {
    NAME: "a name: an ASCII letter or `_`, then up to 63 letters, digits, `_`, `-`",
    RULE_ID: "a rule id: a name (an ASCII letter or `_`, then up to 63 letters, digits, `_`, `-`), "
    "or `<pack>.<name>` of a pinned pack",
    PACK_NAME: "a pack's name: a lower-case letter, then up to 39 lower-case letters, digits, `-`",
    KEY: "a key: up to 128 ASCII letters, digits and `_.:/@+-`, not starting with a sign",
    DIGEST: "a digest: `sha256:` and 64 lower-case hexadecimal digits",
    HEX_32: "32 lower-case hexadecimal digits",
    HEX_64: "64 lower-case hexadecimal digits",
    TIME: "a time: `YYYY-MM-DDThh:mm:ss.sssZ`",
}
_MISSING = object()


def kind_of(value: JsonValue) -> str:
    """Name a JSON value's type for people."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"


def nearest(word: str, known: Sequence[str]) -> str:
    """Return a hint that names the closest known word, or an empty text."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`" if close else ""


class FaultLog:
    """Every fault of one input, in the order found."""

    def __init__(self, parsed: Parsed | None = None) -> None:
        self._parsed = parsed
        self.faults: list[Fault] = []

    def add(self, pointer: str, message: str, *, hint: str = "", at_name: bool = False) -> None:
        """Note a fault of the value (or of the member name) at a JSON pointer."""
        line, column, file = 0, 0, ""
        if self._parsed is not None:
            find = self._parsed.place_of_name if at_name else self._parsed.place
            line, column = find(pointer)
            file = self._parsed.file
        field = pointer.split("/", 2)[1] if pointer else ""
        # Whoever reads one fault of many must see which field it lies in.
        if field and f"`{field}`" not in message and f"`/{field}" not in message:
            message = f"{message} in `{printable(field)}`"
        self.faults.append(
            Fault(message=message, file=file, line=line, column=column, pointer=pointer, hint=hint)
        )

    def refuse(self) -> None:
        """Raise `DocumentError` with all faults in input order, if there is any."""
        if self.faults:
            raise DocumentError(*sorted(self.faults, key=lambda fault: (fault.line, fault.column)))


class Members:
    """Reads one object of the format.

    Args:
        value: the JSON value that should be an object.
        pointer: its JSON pointer.
        log: where faults go.
        extensions: whether members that start with `x-` are allowed here.
    """

    def __init__(self, value: JsonValue, pointer: str, log: FaultLog, *, extensions: bool = True) -> None:
        self.pointer = pointer
        self.log = log
        self._extensions = extensions
        self._known: list[str] = []
        self.is_object = isinstance(value, dict)
        self.value: JsonObject = value if isinstance(value, dict) else {}
        if not self.is_object:
            log.add(pointer, f"{self._self()} must be an object, not {kind_of(value)}")

    def _self(self) -> str:
        return f"`{printable(self.pointer)}`" if self.pointer else "the document"

    def _where(self) -> str:
        return f" in `{printable(self.pointer)}`" if self.pointer else ""

    def at(self, name: str) -> str:
        """Return the pointer of a member."""
        return pointer_to(self.pointer, name)

    def wrong(self, name: str, message: str, hint: str = "") -> None:
        """Note a fault of a member's value."""
        self.log.add(self.at(name), f"`{name}` {message}{self._where()}", hint=hint)

    def has(self, name: str) -> bool:
        """Whether the member is there; makes its name known."""
        self._known.append(name)
        return name in self.value

    def _take(self, name: str, *, required: bool) -> object:
        if self.has(name):
            return self.value[name]
        if required and self.is_object:
            self.log.add(self.pointer, f"`{name}` is missing{self._where()}", hint="add it")
        return _MISSING

    def any(self, name: str) -> JsonValue:
        """Return a required member of any type."""
        found = self._take(name, required=True)
        return None if found is _MISSING else self.value[name]

    def text(
        self,
        name: str,
        *,
        required: bool = True,
        shape: re.Pattern[str] | None = None,
        choices: Sequence[str] = (),
        empty: bool = False,
    ) -> str:
        """Return a string member; empty where it is absent or wrong.

        Args:
            name: the member.
            required: whether it must be there.
            shape: pattern that the whole string must match.
            choices: the only strings allowed.
            empty: whether the empty string is allowed.
        """
        found = self._take(name, required=required)
        if found is _MISSING:
            return ""
        value = self.value[name]
        if not isinstance(value, str):
            plain = isinstance(value, bool | int | float)
            self.wrong(
                name, f"must be a string, not {kind_of(value)}", hint="put it in quotes" if plain else ""
            )
            return ""
        if choices and value not in choices:
            self.wrong(
                name, f"is `{printable(value)}`, not one of {_listed(choices)}", nearest(value, choices)
            )
            return ""
        if shape is not None and shape.fullmatch(value) is None:
            self.wrong(name, f"is `{printable(value)}`, not {SHAPES.get(shape, 'of its form')}")
            return ""
        if not value and not empty:
            self.wrong(name, "must not be empty")
        return value

    def integer(self, name: str, *, default: int, required: bool = False, minimum: int = 0) -> int:
        """Return an integer member of at least `minimum`, or the default."""
        found = self._take(name, required=required)
        if found is _MISSING:
            return default
        value = self.value[name]
        if isinstance(value, bool) or not isinstance(value, int):
            self.wrong(name, f"must be an integer, not {_shown(value)}")
            return default
        if value < minimum:
            self.wrong(name, f"is {value}, less than {minimum}")
            return default
        return value

    def seconds(self, name: str, *, default: float) -> float:
        """Return a positive number member, or the default."""
        found = self._take(name, required=False)
        if found is _MISSING:
            return default
        value = self.value[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.wrong(name, f"must be a number of seconds, not {kind_of(value)}")
            return default
        if value <= 0:
            self.wrong(name, f"is {value}, not more than 0")
            return default
        return float(value)

    def boolean(self, name: str) -> bool:
        """Return an optional boolean member, False where it is absent."""
        found = self._take(name, required=False)
        if found is _MISSING:
            return False
        value = self.value[name]
        if not isinstance(value, bool):
            self.wrong(name, f"must be true or false, not {_shown(value)}")
            return False
        return value

    def object(self, name: str, *, required: bool = True, nulls: bool = False) -> JsonObject:
        """Return an object member of free content (without null unless `nulls`)."""
        found = self._take(name, required=required)
        if found is _MISSING:
            return {}
        value = self.value[name]
        if not isinstance(value, dict):
            self.wrong(name, f"must be an object, not {kind_of(value)}")
            return {}
        if not nulls:
            refuse_nulls(value, self.at(name), self.log)
        return value

    def array(self, name: str, *, required: bool = True) -> list[JsonValue]:
        """Return an array member."""
        found = self._take(name, required=required)
        if found is _MISSING:
            return []
        value = self.value[name]
        if not isinstance(value, list):
            self.wrong(name, f"must be an array, not {kind_of(value)}", "write it as a list")
            return []
        return value

    def items(self, name: str, *, required: bool = True) -> Iterator[tuple[str, JsonValue]]:
        """Yield `(pointer, value)` of an array member's elements."""
        pointer = self.at(name)
        for index, value in enumerate(self.array(name, required=required)):
            yield pointer_to(pointer, index), value

    def texts(
        self, name: str, *, required: bool = False, shape: re.Pattern[str] | None = None
    ) -> tuple[str, ...]:
        """Return an array of distinct, non-empty strings."""
        texts: list[str] = []
        for pointer, value in self.items(name, required=required):
            if not isinstance(value, str) or not value:
                shown = "an empty one" if value == "" else kind_of(value)
                self.log.add(pointer, f"`{printable(pointer)}` must be a non-empty string, not {shown}")
            elif shape is not None and shape.fullmatch(value) is None:
                self.log.add(
                    pointer,
                    f"`{printable(pointer)}` is `{printable(value)}`, not {SHAPES.get(shape, 'of its form')}",
                )
            elif value in texts:
                self.log.add(pointer, f"`{printable(value)}` occurs twice in `{printable(self.at(name))}`")
            else:
                texts.append(value)
        return tuple(texts)

    def close(self) -> None:
        """Report every member that nobody asked for; check `x-` members for null."""
        for name, value in self.value.items():
            if name in self._known:
                continue
            if name.startswith(EXTENSION_PREFIX) and self._extensions:
                refuse_nulls(value, self.at(name), self.log)
                continue
            hint = nearest(name, self._known)
            if name.startswith(EXTENSION_PREFIX):
                hint = "no digest would cover an `x-` member here; put it elsewhere"
            self.log.add(
                self.at(name), f"unknown member `{printable(name)}`{self._where()}", hint=hint, at_name=True
            )


def refuse_nulls(value: JsonValue, pointer: str, log: FaultLog) -> None:
    """Note every null inside a free value."""
    if value is None:
        log.add(pointer, f"null may not stand at `{printable(pointer)}`", hint="leave the member out")
    elif isinstance(value, dict):
        for name, member in value.items():
            refuse_nulls(member, pointer_to(pointer, name), log)
    elif isinstance(value, list):
        for index, element in enumerate(value):
            refuse_nulls(element, pointer_to(pointer, index), log)


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _shown(value: JsonValue) -> str:
    return f"{value}" if isinstance(value, float) else kind_of(value)
