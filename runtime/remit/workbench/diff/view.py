"""A diff for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from remit.workbench.replay.view import remarks, sections, sentence, side_text, to_json
from remit.workbench.report.model import Listing, Paragraph, Report, Section, Table, number

if TYPE_CHECKING:
    from remit.document.values import JsonObject
    from remit.workbench.diff.cases import CaseDiff
    from remit.workbench.diff.declarations import Declared
    from remit.workbench.diff.rules import RuleChange
    from remit.workbench.replay.replay import Replay
    from remit.workbench.report.model import Part

_LONG = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """Two documents compared.

    Args:
        old: image digest, or that of the pack.
        new: likewise.
        rules: rules that differ.
        declarations: everything else that differs, the Cedar schema apart.
        schema: how the Cedar schema differs.
        cases: known cases under both.
        ledger: recorded decisions under both; None where no ledger was named.
        of: what was compared.
        notes: what a reader must know besides, one sentence each.
    """

    old: str
    new: str
    rules: tuple[RuleChange, ...]
    declarations: tuple[Declared, ...]
    schema: tuple[Declared, ...]
    cases: CaseDiff
    ledger: Replay | None
    of: Literal["image", "pack"] = "image"
    notes: tuple[str, ...] = ()

    @property
    def flips(self) -> int:
        """How many known cases and recorded decisions flip."""
        return len(self.cases.flips) + (self.ledger.tally.flipped() if self.ledger else 0)

    def to_json(self) -> JsonObject:
        """Return the diff as a JSON object with stable keys."""
        return {
            "of": self.of,
            "old": self.old,
            "new": self.new,
            "rules": [change.to_json() for change in self.rules],
            "declarations": [change.to_json() for change in self.declarations],
            "schema": [change.to_json() for change in self.schema],
            "cases": {
                "count": self.cases.count,
                "other_rules": self.cases.other_rules,
                "flips": [flip.to_json() for flip in self.cases.flips],
            },
            "ledger": None if self.ledger is None else to_json(self.ledger),
            "flips": self.flips,
            "notes": [*self.notes],
        }


def diff_sentence(found: Diff) -> str:
    """Return what a diff came to in one sentence."""
    counted = [
        (len(found.rules), "rule differs", "rules differ"),
        (len(found.declarations), "declaration differs", "declarations differ"),
    ]
    parts = [f"{number(count)} {one if count == 1 else many}" for count, one, many in counted]
    parts.append(f"{number(len(found.cases.flips))} of {number(found.cases.count)} known cases flip")
    if found.ledger is not None:
        parts.append(sentence(found.ledger))
    return "; ".join(parts)


def diff_report(found: Diff, *, old: str, new: str) -> Report:
    """Make the report of a diff.

    Args:
        found: what it came to.
        old: how the user called the old document.
        new: how they called the new one.
    """
    parts = [
        Section(title="Rules", parts=_rules(found)),
        Section(title="Declarations", parts=(_declared(found.declarations, "Besides the rules"),)),
    ]
    # A pack has no schema of its own: its rules are read under that of whoever uses it.
    if found.of == "image":
        parts.append(Section(title="Schema", parts=(_declared(found.schema, "Cedar schema"),)))
    parts.append(Section(title="Known cases", parts=_cases(found)))
    if found.ledger is not None:
        parts.extend(
            Section(title=f"Ledger: {section.title.lower()}", parts=section.parts)
            for section in sections(found.ledger)
        )
    return Report(
        title=f"{old} → {new}",
        verdict=diff_sentence(found),
        tone="neutral" if found.flips else "good",
        facts=((f"Old {found.of}", found.old), (f"New {found.of}", found.new)),
        sections=tuple(parts),
    )


def _rules(found: Diff) -> tuple[Part, ...]:
    if not found.rules:
        return (Paragraph(text="No rule differs."),)
    return tuple(
        Listing(caption=rule_caption(change), text=change.lines, kind="diff") for change in found.rules
    )


def rule_caption(change: RuleChange) -> str:
    """Return what happened to a rule and where it stands, on one line."""
    side = change.new or change.old
    where = f" ({side.origin})" if side is not None and side.origin else ""
    told = " in what it compiles to alone" if _words_alike(change) else ""
    return f"{change.kind}: {change.id}{told}{where}"


def _words_alike(change: RuleChange) -> bool:
    old, new = change.old, change.new
    return old is not None and new is not None and (old.text, old.place) == (new.text, new.place)


def _declared(changes: tuple[Declared, ...], caption: str) -> Table:
    return Table(
        head=("part", "name", "member", "old", "new"),
        rows=tuple(
            (change.part, change.name, change.pointer, cut(change.old), cut(change.new)) for change in changes
        ),
        caption=caption,
        empty="nothing differs",
    )


def cut(text: str) -> str:
    """Return a text at most as long as a reader takes in at once."""
    return text if len(text) <= _LONG else text[:_LONG] + "…"


def _cases(found: Diff) -> tuple[Part, ...]:
    return (
        *(Paragraph(text=text) for text in found.notes),
        Table(
            head=("case", "change", "old", "new", "place"),
            rows=tuple(
                (
                    flip.name,
                    flip.change or "one of the two cannot be asked",
                    side_text(flip.old),
                    side_text(flip.new),
                    flip.place,
                )
                for flip in found.cases.flips
            ),
            caption=f"Of {number(found.cases.count)} known cases, {number(found.cases.other_rules)} are "
            "decided alike by other rules",
            empty="no case flips",
        ),
    )


def diff_remarks(found: Diff) -> tuple[str, ...]:
    """Return what a reader of the counts must know, one sentence each."""
    return (*found.notes, *(() if found.ledger is None else remarks(found.ledger)))
