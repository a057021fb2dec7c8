"""The quick reader of plain YAML: what it reads it reads exactly as the full reader does, value and places."""

from __future__ import annotations

import random
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remit.document.yaml_quick import quick_yaml
from remit.document.yaml_text import _Composer, write_yaml

REPO = Path(__file__).resolve().parents[2]
FILES = tuple(path.read_text() for path in sorted((REPO / "examples").rglob("*.yaml")))
PIECES = (
    *" \n:-#,[]{}\"'&*!|>%@`?~\t\\x0.1eé+()/_a=\r",
    *("\n  ", "\n- ", ": ", "- ", " #", "\n\n", "---", "...", "true", "null", ": {", ", ", "? ", "x: y\n"),
)


def places(node: Any) -> Any:
    """The offsets of a value and of everything in it."""
    members = None if node.members is None else {key: places(below) for key, below in node.members.items()}
    elements = None if node.elements is None else [places(below) for below in node.elements]
    return node.offset, node.key_offset, members, elements


def typed(value: Any) -> Any:
    """A value with its types and the order of its members, so that 1, 1.0 and true differ."""
    if isinstance(value, dict):
        return [(key, typed(member)) for key, member in value.items()]
    return [typed(item) for item in value] if isinstance(value, list) else (type(value), value)


def read_alike(text: str) -> bool:
    """Compare both readers; return whether the quick one read the text at all."""
    found = quick_yaml(text)
    if found is None:
        return False
    full = _Composer(text, "")
    value = full.read()
    assert full.faults == [], text
    assert typed(found[0]) == typed(value), text
    assert places(found[1]) == places(full.node), text
    return True


def test_the_files_of_the_examples_are_read_quickly_and_alike() -> None:
    assert all(read_alike(text) for text in FILES)


def mutated(text: str, chance: random.Random) -> str:
    lines = text.split("\n")
    first = chance.randrange(len(lines))
    text = "\n".join(lines[first : first + chance.randrange(1, 7)])
    text = textwrap.dedent(text) if chance.random() < 0.7 else text
    for _ in range(chance.randrange(4)):
        at, which = chance.randrange(len(text) + 1), chance.random()
        if which < 0.5:
            text = text[:at] + chance.choice(PIECES) + text[at:]
        elif which < 0.8:
            text = text[:at] + text[at + chance.randrange(1, 4) :]
        else:
            other = chance.randrange(len(text) + 1)
            text = text[:at] + text[other : other + chance.randrange(1, 12)] + text[at:]
    return text


@pytest.mark.parametrize("seed", range(4))
def test_a_mutated_file_is_read_alike_or_left_to_the_full_reader(seed: int) -> None:
    chance = random.Random(seed)
    assert sum(read_alike(mutated(chance.choice(FILES), chance)) for _ in range(700)) > 100


_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**53) + 1, 2**53 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abz_-.0:", max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(value=_VALUES)
def test_what_the_writer_writes_is_read_alike_or_left_to_the_full_reader(value: Any) -> None:
    read_alike(write_yaml(value).decode())


@settings(max_examples=300, deadline=None)
@given(text=st.text("ab: -[]{},'\"#\n 01.e?!&*|>%@`\\", max_size=30))
def test_any_text_is_read_alike_or_left_to_the_full_reader(text: str) -> None:
    read_alike(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb: [x, 'y', \"z\"]\n", {"a": 1, "b": ["x", "y", "z"]}),
        ("- a: no\n  b: 12:30\n- c\n", [{"a": "no", "b": "12:30"}, "c"]),
        ("a:\n- tool:x\n# remark\n- {b: 0.5, c: {}}\n", {"a": ["tool:x", {"b": 0.5, "c": {}}]}),
        ("{a: true, b: [null]}", {"a": True, "b": [None]}),
    ],
)
def test_the_plain_part_of_yaml_is_read_without_the_full_reader(text: str, value: Any) -> None:
    found = quick_yaml(text)
    assert found is not None
    assert typed(found[0]) == typed(value)


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "a: &x 1", "a: *x", "a: !t 1", "a: |\n  x\n", "a: 1 # remark", "a: 1\na: 2", "a:\n", "a: b: c",
        "a: 1\n  b: 2", "a: x\n  y", "---\na: 1", "a: 12345678901234567890", "a: 'it''s'", 'a: "\\n"', "true: 1",
        "a: 1\n b: 2", "- a\n  - b", "a: {b: 1,c: 2}", "a: [1,]", "\ta: 1", "a: 1\r\n", "a: \u2028x", "? a",
        "a: 1e999", "[" * 40 + "]" * 40,
    ],
)  # fmt: skip
def test_whatever_is_unusual_is_left_to_the_full_reader(text: str) -> None:
    assert quick_yaml(text) is None
