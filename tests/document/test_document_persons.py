"""Two people are two only where a reader could tell their names apart."""

from __future__ import annotations

import unicodedata

import pytest

from remit.document.persons import same_person

INVISIBLE = (
    *(0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2065, 0x2800, 0x3164, 0xFEFF, 0xFFA0),
    *range(0x180B, 0x1810),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0xFFF0, 0xFFF9),
    *range(0x1BCA0, 0x1BCA4),
    *range(0x1D173, 0x1D17B),
    *range(0xE0000, 0xE1000),
)
"""Unicode's Default_Ignorable_Code_Point, and the blank of Braille."""


def test_no_character_that_nobody_sees_makes_another_person_of_a_name() -> None:
    told_apart = [
        hex(code)
        for code in INVISIBLE
        for other in (f"otto{chr(code)}", f"o{chr(code)}tto", f"{chr(code)}otto")
        if not same_person("otto", other)
    ]
    assert told_apart == []


def test_no_space_and_no_mark_makes_another_person_of_a_name() -> None:
    spaces = [chr(code) for code in range(0x3001) if chr(code).isspace()]
    marks = [chr(code) for code in range(0x10000) if unicodedata.category(chr(code)) == "Mn"]
    assert [ascii(text) for text in (*spaces, *marks) if not same_person("otto", f"ot{text}to")] == []


@pytest.mark.parametrize(
    "other",
    [
        "\u00f6tto",
        "o\u0308tto",
        "o\u034f\u0308tto",
        "o\u0305\u0308tto",
        "\u00d6TTO",
        "\uff4f\u0308tto",
        "o tto",
    ],
)
def test_a_name_with_a_mark_is_one_persons_however_the_mark_is_written(other: str) -> None:
    assert same_person("\u00f6tto", other)


@pytest.mark.parametrize(
    ("one", "other"), [("otto", "ott"), ("ana", "anna"), ("\u5c71", "\u5ddd"), ("a1", "a2")]
)
def test_names_that_a_reader_can_tell_apart_are_two_peoples(one: str, other: str) -> None:
    assert not same_person(one, other)
