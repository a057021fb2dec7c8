"""Time limits and instants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remit.document.instants import MAX_LIMIT_MS, instant_after, is_reached, limit_ms, limit_text

WRONG_LIMITS = (
    ("", "not a duration"),
    ("2", "not a duration"),
    ("2 h", "not a duration"),
    ("h", "not a duration"),
    ("1h1d", "not a duration"),
    ("-2h", "not a duration"),
    ("1.5h", "not a duration"),
    ("\u0662h", "not a duration"),
    ("2h\n", "not a duration"),
    ("9" * 200 + "h", "not a duration"),
    ("0h", "not between"),
    ("0d0ms", "not between"),
    ("366d1ms", "not between"),
    ("99999999999999999999d", "not between"),
)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("2h", 7_200_000), ("1d12h", 129_600_000), ("90m", 5_400_000), ("1ms", 1), ("366d", MAX_LIMIT_MS)],
)
def test_a_time_limit_is_read_as_cedar_reads_a_duration(text: str, milliseconds: int) -> None:
    assert limit_ms(text) == milliseconds


@pytest.mark.parametrize(("text", "why"), WRONG_LIMITS)
def test_what_is_no_time_limit_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        limit_ms(text)


@given(st.integers(min_value=1, max_value=MAX_LIMIT_MS))
def test_the_text_of_a_time_limit_reads_as_that_limit(value: int) -> None:
    assert limit_ms(limit_text(value)) == value


def test_an_instant_is_reached_at_the_very_millisecond() -> None:
    until = instant_after("2026-02-28T23:30:00.000Z", limit_ms("1h"))
    assert until == "2026-03-01T00:30:00.000Z"
    assert not is_reached(until, "2026-03-01T00:29:59.999Z")
    assert is_reached(until, until)
    # The same instant in another zone, and with another number of decimals.
    assert is_reached(until, "2026-03-01T01:30:00+01:00")
    assert not is_reached("", "9999-12-31T23:59:59.999Z")


@pytest.mark.parametrize("now", ["", "soon", "2026-02-30T00:00:00.000Z", "2026-01-01T00:00:00"])
def test_a_time_that_is_none_reaches_nothing_and_limits_nothing(now: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        is_reached("2026-01-01T00:00:00.000Z", now)
    with pytest.raises(ValueError, match=r"."):
        instant_after(now, 1)


def test_no_time_limit_ends_after_the_last_year() -> None:
    with pytest.raises(ValueError, match="too late"):
        instant_after("9999-12-31T00:00:00.000Z", MAX_LIMIT_MS)
