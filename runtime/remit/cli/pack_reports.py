"""How verbs speak of the packs that a document pins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.cli.output import short
from remit.project.lint import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from remit.cli.output import Session
    from remit.project.packs.comparison import PackReport
    from remit.project.packs.use import UsedPack


def named(report: PackReport) -> str:
    """Return a pack's name and version, and what its rules are called after where that is another word."""
    pin = report.pin
    alias = "" if pin.alias == pin.name else f" as {pin.alias}"
    return f"{pin.name} {pin.version}{alias}"


def show_packs(session: Session, reports: Sequence[PackReport]) -> None:
    """Write which rules come from which pack."""
    for report in reports:
        session.parts(
            ("pack ", "bold"),
            (f"{named(report)} ({short(report.pin.digest)})", ""),
            (f": {', '.join(report.rules) or 'no rule'}", "dim"),
        )


def pack_findings(reports: Sequence[PackReport], used: Sequence[UsedPack]) -> Iterator[Finding]:
    """Yield a finding for every difference, and for evidence that changed since it was pinned.

    A pack that is not at hand is advice: the document runs without it.
    """
    for report in reports:
        for item in report.differences:
            yield Finding(
                level="advice" if item.kind == "unknown" else "problem",
                check=f"pack-{item.kind}",
                message=item.message,
                origin=item.pointer,
            )
    for one in used:
        found = one.use.found
        if one.evidence and one.evidence != found.evidence():
            message = f"the page or the cases of the pack `{found.pack.name}` changed since it was pinned"
            yield Finding(level="advice", check="pack-evidence", message=message, origin=found.label)
