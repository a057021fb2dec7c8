"""A shadow summary for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.workbench.replay.changes import FLIPS
from remit.workbench.replay.view import examples_table, flip_parts
from remit.workbench.report.model import Paragraph, Report, Section, Table, number

if TYPE_CHECKING:
    from remit.document.values import JsonObject
    from remit.workbench.report.model import Part
    from remit.workbench.shadow.summary import ShadowSummary, Watched


def shadow_sentence(found: ShadowSummary) -> str:
    """Return what shadows came to in one sentence."""
    if not found.shadowed:
        return "no decision was shadowed"
    if not found.flips:
        return f"{number(found.shadowed)} decisions were shadowed, and none would have been another"
    return (
        f"{number(found.shadowed)} decisions were shadowed, and {number(found.flips)} would have been others"
    )


def to_json(found: ShadowSummary) -> JsonObject:
    """Return a summary as a JSON object with stable keys."""
    return {
        "records": found.records,
        "decisions": found.decisions,
        "shadowed": found.shadowed,
        "without_shadow": max(found.decisions - found.shadowed, 0),
        "failed": dict(found.failed),
        "losses": dict(found.losses),
        "candidates": [_watched_json(item) for item in found.candidates.values()],
        "rules": [_watched_json(item) for item in found.rules.values()],
        "flips": found.flips,
    }


def _watched_json(item: Watched) -> JsonObject:
    tally = item.tally
    changes = tally.changes()
    return {
        "name": item.name,
        "revision": item.revision,
        "decisions": tally.decisions,
        "compared": tally.replayed,
        "not_compared": dict(tally.skipped),
        "flips": tally.flipped(),
        "changes": {name: changes[name] for name in ("same", "other rules", *FLIPS)},
        "flips_by_rule": {name: dict(counts) for name, counts in tally.flips_by("rule").items()},
        "flips_by_action": {name: dict(counts) for name, counts in tally.flips_by("action").items()},
        "examples": [flip.to_json() for flip in tally.ordered_flips()],
    }


def shadow_report(found: ShadowSummary, *, ledger: str) -> Report:
    """Make the report of shadows.

    Args:
        found: what they came to.
        ledger: how the user called the ledger.
    """
    watched = (
        *((f"Candidate {item.name[:19]}", item) for item in found.candidates.values()),
        *((f"Rule {item.name}", item) for item in found.rules.values()),
    )
    return Report(
        title="Shadow report",
        verdict=shadow_sentence(found),
        tone="neutral" if found.flips or not found.shadowed else "good",
        facts=(("Ledger", ledger),),
        sections=(
            Section(title="What was shadowed", parts=_denominator(found)),
            *(Section(title=title, parts=tuple(_watched(item))) for title, item in watched),
        ),
    )


def missing_rows(found: ShadowSummary) -> tuple[tuple[str, str], ...]:
    """Return what is not there, by name: decisions without a shadow, failures, losses."""
    return (
        ("without a shadow", number(max(found.decisions - found.shadowed, 0))),
        *((f"failed: {text}", number(count)) for text, count in sorted(found.failed.items())),
        *((f"lost: {name}", number(count)) for name, count in sorted(found.losses.items()) if count),
    )


def _denominator(found: ShadowSummary) -> tuple[Part, ...]:
    rows = (
        ("records in the ledger", number(found.records)),
        ("decisions that rules took", number(found.decisions)),
        ("shadowed", number(found.shadowed)),
        *missing_rows(found),
    )
    return (Table(head=("", "count"), rows=rows, numbers=frozenset({1})),)


def _watched(item: Watched) -> list[Part]:
    tally = item.tally
    told = f"{number(tally.flipped())} of {number(tally.replayed)} answers would have been others."
    parts: list[Part] = [Paragraph(text=told), *flip_parts(tally)]
    parts.extend(
        Paragraph(text=f"Not compared: {number(count)}, {reason}.") for reason, count in tally.skipped.items()
    )
    if tally.flips:
        parts.append(examples_table(tally))
    return parts
