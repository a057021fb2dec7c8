"""What was found, for people: tables between two markers of a page."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from peers.catalogue import BASE_LINE, PEERS

if TYPE_CHECKING:
    from pathlib import Path

    from peers.findings import Findings, Measured

BEGIN = "<!-- bench-peers begins -->"
END = "<!-- bench-peers ends -->"


def check_page(page: Path) -> None:
    """Check, before anything is measured, that the result has a place.

    Raises:
        ValueError: there is no such page, or it lacks a marker.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"the page `{page}` cannot be read: {error.strerror}") from error
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"the page `{page}` needs one line `{BEGIN}` and after it one line `{END}`")


def write_page(page: Path, text: str) -> None:
    """Put the text between the markers; the page is replaced whole or not at all."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    write_whole(page, f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)  # noqa: PTH105  # one call, as in `os.replace`'s promise of an atomic rename


def markdown(findings: Findings, picture: str) -> str:
    """Write the tables."""
    parts = [
        f"Made by `{findings.command}` on {findings.machine}.",
        f"CPU time of single decisions, interleaved; at most {findings.rounds} turns a peer and size.",
        f"A ratio is a median divided by that of {_title(BASE_LINE)} in the same run; less is faster.",
        "In brackets are the quartiles of that ratio over the turns.",
        "",
        *_ratios(findings),
        "",
        f"![median CPU time of a decision by number of rules]({picture})",
        "",
        "Microseconds of CPU, seconds to load, and megabytes of the whole process:",
        "",
        *_details(findings),
        "",
        "`form` is the part of p50 that only makes the peer's own request out of plain values.",
        "`compared` is the number of requests that the peer first decided as the workload says.",
        "",
    ]
    if findings.left_out:
        parts += ["Left out:", "", *_left_out(findings), ""]
    parts += [
        "What each gives and checks beside the decision.",
        "Beside a broad permit stands a forbid that reads an argument.",
        "The last two columns say what the peer does when that argument is missing, or of another type:",
        "",
        *_notes(findings),
        "",
    ]
    return "\n".join(parts)


def _ratios(findings: Findings) -> list[str]:
    lines = [
        "| rules | " + " | ".join(f"{size:,}" for size in findings.sizes) + " |",
        "|---" * (len(findings.sizes) + 1) + "|",
    ]
    for entry in PEERS:
        cells: list[str] = []
        for size in findings.sizes:
            found, base = findings.at(entry.name, size), findings.at(BASE_LINE, size)
            if found is None or base is None:
                cells.append("–")
            elif found is base:
                cells.append("1")
            else:
                low, high = found.samples.spread(base.samples)
                cells.append(f"{_figure(found.samples.ratio(base.samples))} ({_figure(low)}–{_figure(high)})")
        if any(cell != "–" for cell in cells):
            lines.append(f"| {entry.title} | " + " | ".join(cells) + " |")
    return lines


def _details(findings: Findings) -> list[str]:
    lines = [
        "| rules | peer | p50 µs | p99 µs | form µs | n | compared | load s | MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for size in findings.sizes:
        ranked = sorted((m for m in findings.measured if m.size == size), key=lambda m: m.samples.p50_us())
        lines += [_detail(found) for found in ranked]
    return lines


def _detail(found: Measured) -> str:
    samples = found.samples
    cells = (
        f"{found.size:,}",
        found.entry.title,
        _figure(samples.p50_us()),
        _figure(samples.p99_us()),
        _figure(samples.form_us()),
        f"{len(samples.times_ns):,}",
        f"{found.compared:,}",
        f"{found.load_s:.2f}",
        f"{found.resident_mb:.0f}",
    )
    return "| " + " | ".join(cells) + " |"


def _left_out(findings: Findings) -> list[str]:
    lines = ["| rules | peer | why |", "|---|---|---|"]
    for left in findings.left_out:
        reason = left.reason.replace("|", "\\|")
        lines.append(f"| {left.size:,} | {left.entry.title} | {reason} |")
    return lines


def _notes(findings: Findings) -> list[str]:
    lines = [
        "| peer | versions | what it gives and checks | missing | another type |",
        "|---|---|---|---|---|",
    ]
    for entry in PEERS:
        if entry.name in findings.versions:
            said = findings.spoilt.get(entry.name, {})
            cells = (
                entry.title,
                findings.versions[entry.name] or "–",
                entry.note,
                said.get("missing", "–"),
                said.get("of another type", "–"),
            )
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def _title(name: str) -> str:
    return next(entry.title for entry in PEERS if entry.name == name)


def _figure(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2g}"
