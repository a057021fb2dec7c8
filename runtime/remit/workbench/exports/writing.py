"""Exports as bytes: one record at a time, in whatever shape the format has."""

from __future__ import annotations

import gzip
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from remit.document.values import JsonObject


def write_lines(values: Iterable[JsonObject], stream: BinaryIO) -> int:
    """Write one JSON object a line; return how many."""
    count = 0
    for value in values:
        stream.write(_text(value) + b"\n")
        count += 1
    return count


def write_array(values: Iterable[JsonObject], stream: BinaryIO) -> int:
    """Write one JSON array, an element a line; return how many."""
    count = 0
    for value in values:
        stream.write((b",\n" if count else b"[\n") + _text(value))
        count += 1
    stream.write(b"\n]\n" if count else b"[]\n")
    return count


@contextmanager
def compressed(stream: BinaryIO, *, gzipped: bool) -> Generator[BinaryIO]:
    """Yield what to write to, compressed where that is wanted; the same input gives the same bytes."""
    if not gzipped:
        yield stream
        return
    with gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as packed:
        yield cast("BinaryIO", packed)


def _text(value: JsonObject) -> bytes:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), sort_keys=True).encode()
