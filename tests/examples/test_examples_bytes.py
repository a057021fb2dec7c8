"""No byte of a built document can change its meaning unseen: `remit verify` refuses and names the field."""

from __future__ import annotations

import json

import pytest
from examples_support import REPO, build

from remit.document.json_text import parse_json
from remit.document.parse import parse_document, serialize_document
from remit.errors import DocumentError

SHARDS = 8
MASKS = (0x01, 0x20)


def _top_level(value: object, original: dict[str, object]) -> set[str]:
    """The top-level members in which two documents differ."""
    if not isinstance(value, dict):
        return set(original)
    names = value.keys() | original.keys()
    return {
        name
        for name in names
        if value.get(name) != original.get(name) or (name in value) != (name in original)
    }


def _strict(data: bytes) -> object:
    try:
        return parse_json(data).value
    except DocumentError:
        return None


@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_flipped_byte_that_changes_the_meaning_is_refused_and_named(shard: int) -> None:
    data = serialize_document(build(REPO / "examples" / "refund-desk"))
    original = json.loads(data)
    assert parse_document(data).identity.revision == original["identity"]["revision"]
    accepted: list[str] = []
    unnamed: list[str] = []
    for offset in range(shard, len(data), SHARDS):
        changed = bytearray(data)
        changed[offset] ^= MASKS[offset // SHARDS % len(MASKS)]
        flipped = bytes(changed)
        value = _strict(flipped)
        place = f"byte {offset}: {data[max(0, offset - 20) : offset + 20]!r}"
        try:
            parse_document(flipped, file="desk.agent.json")
        except DocumentError as error:
            if value is None:
                if not any(fault.line or "UTF-8" in fault.message for fault in error.faults):
                    unnamed.append(f"{place}: {error}")
                continue
            fields = _top_level(value, original)
            if not any(_names(fault, field) for fault in error.faults for field in fields):
                unnamed.append(f"{place}: {error}")
        else:
            if value != original:
                accepted.append(place)
    assert (accepted[:5], unnamed[:5]) == ([], [])


def _names(fault: object, field: str) -> bool:
    pointer = getattr(fault, "pointer", "")
    return pointer == f"/{field}" or pointer.startswith(f"/{field}/") or f"`{field}`" in str(fault)


def test_a_document_cut_short_at_any_length_is_refused() -> None:
    data = serialize_document(build(REPO / "examples" / "refund-desk")).rstrip()
    accepted: list[int] = []
    for length in range(0, len(data), 97):
        try:
            parse_document(data[:length])
        except DocumentError:
            continue
        accepted.append(length)
    assert accepted == []
