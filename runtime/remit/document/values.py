"""JSON values as Remit admits them (I-JSON, RFC 7493, made stricter) and their canonical bytes.

A value that went through `remit.document.json_text.parse_json` or `admit_value` satisfies rule R1:
objects with unique string keys, integers within ±(2^53−1), finite floats that are not integral,
strings without lone surrogates, depth at most 64. Where null may stand is the document parser's business.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import TYPE_CHECKING, Any, cast

import orjson
import rfc8785

from remit.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]
JsonObject = dict[str, JsonValue]

MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 64
SPEC = "remit/1"

_SURROGATE = re.compile("[\ud800-\udfff]")
_LAST_OF_BMP = "\uffff"
_SMALLEST, _LARGEST = 1e-4, 1e16
_AS_IT_STANDS = (
    orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
)
_OPTIONS = _AS_IT_STANDS | orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_NESTED = b"{["
_BEYOND_BMP = re.compile(rb"[\xf0-\xf4]").search
# A member's value, and an array's item: what begins like a float whose digits RFC 8785 might write otherwise
# (as an integer, or with an exponent), or, where the form is to be exact, like any float or a null. What has
# neither a member nor an array around it is left to the slow way.
_ODD_FLOAT = rb"-?\d+(?:[eE]|\.(?:0000|(?!\d*[1-9][,}\]])))"
_ODD = re.compile(rb'":' + _ODD_FLOAT).search
_ODD_EXACT = re.compile(rb'":[-\dn](?:\d*[.eE]|u)').search
_ODD_ITEM = re.compile(rb"[,\[]" + _ODD_FLOAT).search
_ODD_ITEM_EXACT = re.compile(rb"[,\[](?:-?\d+[.eE]|n)").search
_encoder = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _chunked() -> Callable[[object, int], Iterable[str]]:
    """Return the standard library's encoder, made once: `JSONEncoder.encode` makes one at each call."""
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        # An interpreter without the encoder in C.
        return lambda value, _: (_encoder.encode(value),)
    text: Any = json.encoder.encode_basestring
    # No markers: nobody looks for a value that holds itself, because `is_plain` refuses what is so deep.
    sort_keys, skip_keys, allow_nan = True, False, False
    made: Callable[[object, int], Iterable[str]] = make(
        None, _encoder.default, text, None, ":", ",", sort_keys, skip_keys, allow_nan
    )
    return made


_chunks = _chunked()


def _encode(value: JsonValue) -> str:
    return "".join(_chunks(value, 0))


def canonical_bytes(value: JsonValue) -> bytes:
    """Return the RFC 8785 form of `value`.

    Raises:
        ValueError: the value lies outside the I-JSON domain (callers pass checked values).
    """
    data = plain_bytes(value)
    if data is not None:
        return data
    # What is not plain goes to the library that is the definition.
    return rfc8785.dumps(cast("dict[str, object]", value))  # type: ignore[arg-type]  # rfc8785's recursive alias


def plain_bytes(value: JsonValue, *, exact: bool = False) -> bytes | None:
    """Return the RFC 8785 form of a plain value; None where it is not plain (see `is_plain`).

    Property tests hold both ways that are taken here to the library that is the definition.

    Args:
        value: any object.
        exact: floats and nulls are not plain either.

    Raises:
        ValueError: a string holds a lone surrogate, or `value` is nested deeper than any value that Remit
            admits.
    """
    try:
        data = orjson.dumps(value, None, _OPTIONS)
        # What was written reads back as what it was: all that was no JSON type but was taken for one differs.
        # A number that is no integer, a null where there must be none, a member name that sorts otherwise in
        # UTF-16, a depth: what only looks like one in a text is decided below, too.
        if (
            data[0] in _NESTED
            and (data.isascii() or not _BEYOND_BMP(data))
            and not (_ODD_EXACT if exact else _ODD)(data)
            and not (b"[" in data.replace(b"[]", b"") and (_ODD_ITEM_EXACT if exact else _ODD_ITEM)(data))
            and data.count(b"[") + data.count(b"{") < MAX_DEPTH
            and orjson.loads(data) == value
        ):
            return data
    except (TypeError, ValueError, RecursionError):
        # Whatever it refuses is looked at below.
        pass
    return _encode(value).encode() if is_plain(value, exact=exact) else None


def unshared(value: JsonValue) -> JsonValue:
    """Return a copy that shares no object or array with `value`."""
    try:
        # Written and read back: where that is equal, it is JSON of the plain types alone.
        copy = cast("JsonValue", orjson.loads(orjson.dumps(value, None, _AS_IT_STANDS)))
        if copy == value:
            return copy
    except (TypeError, ValueError, RecursionError):
        # It is no JSON, or not wholly: that is for others to say.
        pass
    return _walked(value)


def _walked(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {name: _walked(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_walked(item) for item in value]
    return value


def plain_text(text: str) -> bytes:
    """Return the RFC 8785 form of a string.

    Raises:
        ValueError: it holds a lone surrogate.
    """
    return _encode(text).encode()


class Canonical(Value, frozen=True):
    """The RFC 8785 form of a value, made once so that it need not be made again.

    INVARIANT (canonical): `data` came from `canonical_bytes`; only this module's functions make one.
    """

    data: bytes


def canonical(value: JsonValue) -> Canonical:
    """Fix the RFC 8785 form of `value`; later changes of `value` do not reach it.

    Raises:
        ValueError: as `canonical_bytes`.
    """
    return Canonical(canonical_bytes(value))


def canonical_with_first(name: str, data: bytes, others: JsonObject) -> Canonical:
    """Fix the RFC 8785 form of an object one member of which has been written already.

    Args:
        name: of that member; plain ASCII, and before all others in the order of RFC 8785.
        data: its canonical bytes.
        others: the other members, at least one.

    Raises:
        ValueError: as `canonical_bytes`, or the name does not come first.
    """
    rest = canonical_bytes(others)
    if not (name.isalpha() and name.isascii() and all(name < other for other in others) and others):
        raise ValueError(f"`{name}` does not come first")
    return Canonical(b'{"%b":%b,%b' % (name.encode(), data, rest[1:]))


def is_plain(root: object, *, exact: bool = False) -> bool:  # noqa: C901, PLR0912  # one branch a JSON type; a call for each would cost more than the encoding
    """Whether the C encoder is known to write `root` as RFC 8785 does.

    That is: exact JSON types, safe integers; floats that are not integral and lie within ±[1e-4, 1e16), where
    `repr` writes the shortest digits without an exponent, as ECMAScript does; and member names within the
    Basic Multilingual Plane, where the order of code points is that of UTF-16.

    Args:
        root: any object.
        exact: refuse floats and nulls too.

    Raises:
        ValueError: `root` is nested deeper than any value that Remit admits.
    """
    # `Any`, because a `cast` is a call, and here it would be most of the calls.
    level: list[Iterable[Any]] = [(root,)]
    depth = 0
    while level:
        if depth > MAX_DEPTH + 1:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
        below: list[Iterable[Any]] = []
        for group in level:
            for value in group:
                kind: object = type(value)  # pyright: ignore[reportUnknownVariableType]  # of anything at all
                if kind is str or kind is bool:
                    continue
                if kind is int:
                    if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
                        return False
                elif kind is dict:
                    for key in value:
                        if type(key) is not str or not (key.isascii() or max(key) <= _LAST_OF_BMP):
                            return False
                    below.append(value.values())
                elif kind is list:
                    below.append(value)
                elif exact:
                    return False
                elif kind is float:
                    size = abs(value)
                    if not _SMALLEST <= size < _LARGEST or size.is_integer():
                        return False
                elif value is not None:
                    return False
        level = below
        depth += 1
    return True


def tagged_sha256(name: str, data: bytes) -> bytes:
    """SHA-256 over `remit/1/<name>`, a zero byte and `data`: no digest is taken for one of another kind."""
    return hashlib.sha256(f"{SPEC}/{name}".encode() + b"\x00" + data).digest()


def digest_text(raw: bytes) -> str:
    """Write 32 digest bytes as `sha256:<hex>`."""
    return "sha256:" + raw.hex()


def pointer_to(parent: str, token: str | int) -> str:
    """Return the RFC 6901 pointer of a member or element of `parent`."""
    if isinstance(token, int):
        return f"{parent}/{token}"
    return f"{parent}/{token.replace('~', '~0').replace('/', '~1')}"


def admit_number(number: float) -> tuple[int | float | None, str]:
    """Normalise a number by rule R1.

    Returns:
        The number (integral floats as int) and an empty text, or None and what is wrong.
    """
    if isinstance(number, float):
        if not math.isfinite(number):
            return None, "is not a finite number"
        if not number.is_integer():
            return number, ""
        number = int(number)
    if not -MAX_SAFE_INTEGER <= number <= MAX_SAFE_INTEGER:
        return None, "lies beyond ±(2^53-1), where integers are no longer exact"
    return number, ""


def has_surrogate(text: str) -> bool:
    """Whether `text` holds a lone surrogate, which no UTF-8 can carry."""
    return not text.isascii() and _SURROGATE.search(text) is not None


def well_formed(text: str) -> str:
    """Return `text` with every lone surrogate replaced by U+FFFD, for words that must not be refused."""
    return _SURROGATE.sub("\ufffd", text) if has_surrogate(text) else text


def admit_value(value: object) -> tuple[JsonValue, tuple[tuple[str, str], ...]]:
    """Copy a Python value into the domain of rule R1.

    Args:
        value: what a carrier other than JSON text gave.

    Returns:
        The admitted copy (integral floats as ints), and `(pointer, what is wrong)` of everything outside the
        domain; the copy is only meaningful when there is nothing wrong.
    """
    wrong: list[tuple[str, str]] = []
    return _admit(value, "", 1, wrong), tuple(wrong)


def _admit(value: object, pointer: str, depth: int, wrong: list[tuple[str, str]]) -> JsonValue:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if has_surrogate(value):
            wrong.append((pointer, "the string holds a lone surrogate"))
        return str(value)
    if isinstance(value, (int, float)):
        number, reason = admit_number(value)
        if number is None:
            wrong.append((pointer, f"the number {reason}"))
            return 0
        return number
    if isinstance(value, (dict, list)) and depth > MAX_DEPTH:
        wrong.append((pointer, f"nested deeper than {MAX_DEPTH} levels"))
        return None
    if isinstance(value, dict):
        return _admit_members(cast("dict[object, object]", value), pointer, depth, wrong)
    if isinstance(value, list):
        elements = enumerate(cast("list[object]", value))
        return [_admit(element, pointer_to(pointer, index), depth + 1, wrong) for index, element in elements]
    wrong.append((pointer, f"a value of type `{type(value).__name__}` is no JSON value"))
    return None


def _admit_members(
    members: dict[object, object], pointer: str, depth: int, wrong: list[tuple[str, str]]
) -> JsonObject:
    admitted: JsonObject = {}
    for key, member in members.items():
        if not isinstance(key, str):
            wrong.append((pointer, f"a member name is not a string but of type `{type(key).__name__}`"))
        elif has_surrogate(key):
            wrong.append((pointer, "a member name holds a lone surrogate"))
        else:
            admitted[key] = _admit(member, pointer_to(pointer, key), depth + 1, wrong)
    return admitted
