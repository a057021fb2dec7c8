"""Text that no encoding holds, made fit to be recorded."""

from __future__ import annotations


def mended(text: str) -> str:
    """Return `text` with lone surrogates replaced: what is recorded must have one encoding."""
    return text if encodes(text) else text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def encodes(text: str) -> bool:
    """Whether `text` can be encoded: it holds no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
