"""Carriers of a JSON value: JSON text, YAML and CBOR.

The value, and so every identity, is the same in each.
CBOR (RFC 8949): text keys that occur once, no tags, no byte strings, no undefined or other simple values;
written in the deterministic form of section 4.2.1.
"""

from __future__ import annotations

import json
from io import BytesIO
from typing import Literal, NoReturn

from remit.document.json_text import MAX_BYTES, parse_json, printable
from remit.document.places import Parsed
from remit.document.values import MAX_DEPTH, JsonValue, admit_value
from remit.document.yaml_text import parse_yaml, write_yaml
from remit.errors import DocumentError, Fault

Format = Literal["json", "yaml", "cbor"]

_SUFFIXES: dict[str, Format] = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".cbor": "cbor"}
_BUILT_IN_TAGS = (
    *range(6),
    25,
    28,
    29,
    30,
    35,
    36,
    37,
    100,
    256,
    258,
    260,
    261,
    1004,
    43000,
    55799,
)
"""Tags that the CBOR library would decode by itself; 28 and 29 could make a value contain itself."""


def format_of(filename: str) -> Format:
    """Return the carrier that a file name's suffix names.

    Raises:
        DocumentError: the suffix is none of `.json`, `.yaml`, `.yml`, `.cbor`.
    """
    for suffix, carrier in _SUFFIXES.items():
        if filename.lower().endswith(suffix):
            return carrier
    raise DocumentError(
        Fault(
            message=f"`{printable(filename)}` has no suffix that names a format",
            file=filename,
            hint="use `.json`, `.yaml` or `.cbor`",
        )
    )


def read_value(data: bytes, *, format: Format, file: str = "") -> Parsed:  # noqa: A002  # the name of the seam
    """Read one JSON value from a carrier.

    Args:
        data: the bytes as received.
        format: the carrier.
        file: name of the input for faults.

    Raises:
        DocumentError: the bytes are not such a value; every fault that could be found is listed.
    """
    if format == "json":
        return parse_json(data, file=file)
    if format == "yaml":
        return parse_yaml(data, file=file)
    return _parse_cbor(data, file)


def write_value(value: JsonValue, *, format: Format) -> bytes:  # noqa: A002  # the name of the seam
    """Write a JSON value of rule R1 to a carrier, ending text with a newline."""
    if format == "json":
        return (json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode()
    if format == "yaml":
        return write_yaml(value)
    import cbor2

    return cbor2.dumps(value, canonical=True)


class _TagError(ValueError):
    """A CBOR tag was met."""


def _refuse_tag(*_: object) -> NoReturn:
    raise _TagError("tags are not read")


def _decoded(data: bytes) -> object:
    """Decode one CBOR item that fills `data`; raises what cbor2 raises."""
    import cbor2

    stream = BytesIO(data)
    decoder = cbor2.CBORDecoder(
        stream,
        tag_hook=_refuse_tag,
        semantic_decoders=dict.fromkeys(_BUILT_IN_TAGS, _refuse_tag),
        max_depth=MAX_DEPTH + 1,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )
    item: object = decoder.decode()
    if stream.tell() != len(data):
        raise ValueError(f"{len(data) - stream.tell()} bytes follow the value")
    return item


def _parse_cbor(data: bytes, file: str) -> Parsed:
    import cbor2

    if len(data) > MAX_BYTES:
        raise DocumentError(
            Fault(message=f"the input has {len(data)} bytes, more than the {MAX_BYTES} allowed", file=file)
        )
    try:
        raw = _decoded(data)
    except (
        cbor2.CBORDecodeError,
        ValueError,
        TypeError,
        OverflowError,
        RecursionError,
        MemoryError,
    ) as error:
        cause = error.__cause__ or error
        raise DocumentError(
            Fault(message=f"this is no acceptable CBOR: {printable(str(cause))}", file=file)
        ) from None
    value, wrong = admit_value(raw)
    if wrong:
        raise DocumentError(
            *(
                Fault(
                    message=f"{what} in `{printable(pointer)}`" if pointer else what,
                    file=file,
                    pointer=pointer,
                )
                for pointer, what in wrong
            )
        )
    return Parsed(value, file=file)
