"""Reports: one file, nothing fetched, nothing from outside that becomes markup, and numbers beside each bar."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remit.workbench.replay.timeline import over_time
from remit.workbench.report import (
    Bars,
    Columns,
    Listing,
    Paragraph,
    Report,
    Section,
    Table,
    to_html,
    to_markdown,
)
from remit.workbench.report.plots import COLUMNS, gathered

EVIL = "<script>alert(1)</script>\"'&`|\n# x\x1b[31m\u202e"


def report(text: str = EVIL, *more: Any) -> Report:
    return Report(
        title=text,
        verdict=text,
        tone="bad",
        facts=((text, text),),
        sections=(
            Section(
                title=text,
                parts=(
                    Paragraph(text=text),
                    Table(head=(text, "n"), rows=((text, "1"),), numbers=frozenset({1}), caption=text),
                    Bars(caption=text, series=(text, "b"), rows=((text, (1, 2)), ("x", (0, 0.5)))),
                    Columns(caption=text, series=(text,), rows=((text, (3,)), ("y", (0,)))),
                    Listing(caption=text, text=f"+{text}\n-{text}\n{text}", kind="diff"),
                    *more,
                ),
            ),
        ),
    )


class _Tags(HTMLParser):
    VOID = ("meta", "rect")

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "action")]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(page: str) -> _Tags:
    reader = _Tags()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_text_from_outside_never_becomes_markup_in_a_page() -> None:
    found = parsed(to_html(report()))
    assert "script" not in found.seen
    assert found.addresses == []
    assert "<script>alert(1)</script>" in found.text
    assert "\x1b" not in found.text
    assert "\u202e" not in found.text


@given(st.text(max_size=30))
def test_every_text_gives_a_well_formed_page_that_can_be_written(text: str) -> None:
    page = to_html(report(text))
    assert page.encode()
    assert {"script", "img", "iframe", "link", "a"} & parsed(page).seen == set()


def test_a_page_fetches_nothing_and_forbids_itself_to() -> None:
    page = to_html(report("x"))
    assert "default-src 'none'" in page.replace("&#x27;", "'")
    assert re.findall(r"https?://|url\(|@import|src=", page) == []


def test_every_bar_and_column_has_its_number_in_text() -> None:
    bars = Bars(caption="by rule", series=("before", "after"), rows=(("r1", (1234, 7)),))
    columns = Columns(caption="over time", series=("flips",), rows=(("d1", (5,)), ("d2", (0,))))
    text = parsed(to_html(report("x", bars, columns))).text
    assert "1,234" in text
    assert "flips: 5 in all, at most 5 at d1" in text


def test_series_are_told_apart_without_colour() -> None:
    page = to_html(report("x"))
    styles = re.findall(r"\.s\d\{background:([^}]*)\}", page)
    assert len(styles) == 4
    # At most one is a plain colour: the others have a pattern of their own.
    assert sum("gradient" not in style for style in styles) == 1


def test_coverage_is_drawn_against_the_whole() -> None:
    bars = Bars(caption="coverage", series=("covered",), rows=(("r", (50,)),), whole=100, unit="%")
    assert 'style="width:41.00%"' in to_html(report("x", bars))


def test_nothing_is_left_out_of_bars_where_it_says_nothing_and_shown_where_it_does() -> None:
    rows = (("r", (0, 5)),)
    for zeros, bars, cells in ((True, 2, "| r | 0 | 5 |"), (False, 1, "| r |  | 5 |")):
        plot = Bars(caption="c", series=("a", "b"), rows=rows, zeros=zeros)
        alone = replace(report("x"), sections=(Section(title="s", parts=(plot,)),))
        assert to_html(alone).count('<div class="bar">') == bars
        assert cells in to_markdown(alone)


@pytest.mark.parametrize("count", [1, COLUMNS, COLUMNS + 1, 1000])
def test_spans_are_added_up_and_none_is_lost(count: int) -> None:
    rows = [(str(n), (n, 1)) for n in range(count)]
    found = gathered(rows)
    assert len(found) <= COLUMNS
    assert sum(values[0] for _, values in found) == sum(range(count))
    assert sum(values[1] for _, values in found) == count


def test_time_without_decisions_takes_its_room_in_a_plot_and_no_row_in_a_table() -> None:
    plot = over_time({"2026-02-28T23": [3, 1], "2026-03-01T02": [5, 0]})
    assert plot.rows == (
        ("2026-02-28 23:00", (3, 1)),
        ("2026-03-01 00:00", (0, 0)),
        ("2026-03-01 01:00", (0, 0)),
        ("2026-03-01 02:00", (5, 0)),
    )
    text = to_markdown(replace(report("x"), sections=(Section(title="s", parts=(plot,)),)))
    assert re.findall(r"(?m)^\| 2026-(.*)", text) == ["02-28 23:00 | 3 | 1 |", "03-01 02:00 | 5 | 0 |"]


def test_a_long_time_is_shown_by_day_and_a_clock_that_was_far_off_loses_nothing() -> None:
    plot = over_time({"2026-01-01T00": [1, 0], "2026-01-01T05": [1, 1], "2026-03-01T02": [5, 0]})
    assert plot.caption == "Decisions and flips by day (UTC)"
    assert (plot.rows[0], plot.rows[-1], len(plot.rows)) == (
        ("2026-01-01", (2, 1)),
        ("2026-03-01", (5, 0)),
        60,
    )
    far = over_time({"0001-01-01T00": [1, 0], "9999-12-31T23": [2, 2]})
    assert far.rows == (("0001-01-01", (1, 0)), ("9999-12-31", (2, 2)))
    assert over_time({}).rows == ()
    odd = over_time({"2026-01-01T00": [1, 0], "no time": [2, 2]})
    assert odd.rows == (("2026-01-01 00:00", (1, 0)), ("no time:00", (2, 2)))


def test_a_column_that_adds_up_spans_says_how_many() -> None:
    rows = tuple((f"d{number:03}", (number,)) for number in range(2 * COLUMNS))
    page = to_html(report("x", Columns(caption="c", series=("flips",), rows=rows)))
    assert "flips: 10,296 in all, at most 285 in 2 spans from d142 on" in page


def test_text_from_outside_never_leaves_its_cell_in_markdown() -> None:
    whole = to_markdown(report())
    lines = re.sub(r"(?ms)^```diff$.*?^```$", "", whole).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) in (3, 4) for line in table)
    assert "<script>" not in "\n".join(lines)
    assert not any(line.startswith("# x") for line in lines)


def test_a_listing_with_backticks_stays_in_its_fence() -> None:
    text = to_markdown(report("x", Listing(caption="c", text="````\nb", kind="text")))
    assert "`````\n````\nb\n`````" in text


def test_empty_parts_say_so() -> None:
    empty = (
        Table(head=("a",), rows=(), empty="no rows here"),
        Bars(caption="c", series=("a",), rows=(), empty="no bars here"),
        Columns(caption="c", series=("a",), rows=(), empty="no columns here"),
    )
    for written in (to_html(report("x", *empty)), to_markdown(report("x", *empty))):
        assert all(word in written for word in ("no rows here", "no bars here", "no columns here"))
