"""The metadata of a GGUF file, read without loading the model.

Only strings are returned; arrays and numbers are stepped over.
Every length is checked against the file's size before it is used, because the file may be anything.

Sources: GGUF specification, version 3 (ggml repository, docs/gguf.md).
"""

from __future__ import annotations

import mmap
import struct
from typing import TYPE_CHECKING

from remit.errors import AdapterError

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
_WIDTH = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_MAX_PAIRS = 1 << 16
_MAX_STRING_BYTES = 1 << 22
_MAX_NESTING = 4
TEMPLATE_KEY = "tokenizer.chat_template"


def chat_template(path: Path) -> str:
    """Return the chat template that a GGUF file carries, or an empty text.

    Raises:
        AdapterError: the file cannot be read or is not a well-formed GGUF file.
    """
    try:
        with path.open("rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as view:
            return _Reader(view).find(TEMPLATE_KEY)
    except (OSError, struct.error, ValueError) as error:
        raise AdapterError(f"`{path}` is not a readable GGUF file: {error}") from error


class _Reader:
    def __init__(self, view: mmap.mmap) -> None:
        self._view = view
        self._at = 0

    def find(self, key: str) -> str:
        if self._take(4) != _MAGIC:
            raise ValueError("it does not begin with `GGUF`")
        version = self._number("<I")
        if version not in _VERSIONS:
            raise ValueError(f"version `{version}` is not known")
        self._number("<Q")
        pairs = self._number("<Q")
        if pairs > _MAX_PAIRS:
            raise ValueError(f"{pairs} metadata entries are too many")
        for _ in range(pairs):
            name = self._string()
            kind = self._number("<I")
            if name == key and kind == _STRING:
                return self._string()
            self._skip(kind, nesting=0)
        return ""

    def _take(self, size: int) -> bytes:
        if size > len(self._view) - self._at:
            raise ValueError("the file ends within its metadata")
        self._at += size
        return self._view[self._at - size : self._at]

    def _number(self, form: str) -> int:
        return int(struct.unpack(form, self._take(struct.calcsize(form)))[0])

    def _string(self) -> str:
        size = self._number("<Q")
        if size > _MAX_STRING_BYTES:
            raise ValueError(f"a text of {size} bytes is too long")
        return self._take(size).decode("utf-8", errors="replace")

    def _skip(self, kind: int, *, nesting: int) -> None:
        if kind == _STRING:
            self._string()
        elif kind == _ARRAY:
            inner, count = self._number("<I"), self._number("<Q")
            if nesting >= _MAX_NESTING or count > len(self._view):
                raise ValueError("an array is too long or too deep")
            if inner in _WIDTH:
                self._take_over(_WIDTH[inner] * count)
            else:
                for _ in range(count):
                    self._skip(inner, nesting=nesting + 1)
        elif kind in _WIDTH:
            self._take_over(_WIDTH[kind])
        else:
            raise ValueError(f"value type `{kind}` is not known")

    def _take_over(self, size: int) -> None:
        if size > len(self._view) - self._at:
            raise ValueError("the file ends within its metadata")
        self._at += size
