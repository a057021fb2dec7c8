"""A verification of a log, or of a part of one, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.cli.output import Session
    from remit.document.values import JsonObject, JsonValue
    from remit.ledger.report import LogReport


def report_value(report: LogReport, *, own_key: bool) -> JsonObject:
    """Return a verification as a JSON object with stable keys; `own_key` as in `show_report`."""
    findings: list[JsonValue] = [
        {"index": item.index, "last": item.last, "problem": item.problem, "hint": item.hint}
        for item in report.findings
    ]
    return {
        "intact": report.intact,
        "origin": report.origin,
        "size": report.size,
        "signed_size": report.signed_size,
        "root": f"sha256:{report.root.hex()}",
        "checkpoints": report.checkpoints,
        "findings": findings,
        "witnessed_size": report.witnessed_size,
        "complete_from": report.complete_from,
        "erased": [*report.erased],
        "unfinished": [*report.unfinished],
        "key": "own" if own_key else "given",
    }


def show_report(
    session: Session, report: LogReport, *, own_key: bool, held: bool = False, what: str = "ledger"
) -> None:
    """Write a verification for people.

    Args:
        session: where to.
        report: what was found.
        own_key: whether no key but the log's own was used.
        held: whether it was held against checkpoints that were kept elsewhere.
        what: what was verified.
    """
    if report.intact:
        session.parts(
            (f"✓ {what} intact", "bold green"),
            (f": {report.size} records, {report.signed_size} signed, {report.checkpoints} checkpoints", ""),
        )
    else:
        session.say(f"✗ {what} damaged: {len(report.findings)} findings", style="bold red")
        for finding in report.findings:
            session.say(f"  {finding}", style="red")
    session.say(f"  origin {report.origin}")
    session.say(f"  root   sha256:{report.root.hex()}")
    if own_key:
        shown = (
            "only what your checkpoints sign is shown not to be rewritten"
            if held
            else "that does not show that nobody rewrote it"
        )
        session.note(
            f"checked with the {what}'s own key alone, and {shown}: bring a key from elsewhere with `--key`",
            indent=2,
            style="yellow",
        )
    if report.witnessed_size:
        session.say(f"  witnessed up to size {report.witnessed_size}")
    if report.complete_from:
        session.say(
            f"  complete from record {report.complete_from}: what lies before was pruned on the record, "
            "and its signed subtree hashes stand for it"
        )
    if report.erased:
        session.say(f"  content erased on record: {_numbers(report.erased)}")
    if report.unfinished:
        session.say(f"  effects without a recorded outcome: {_numbers(report.unfinished)}", style="yellow")


def _numbers(indices: Sequence[int]) -> str:
    listed = ", ".join(str(index) for index in indices[:20])
    return listed if len(indices) <= 20 else f"{listed} and {len(indices) - 20} more"  # noqa: PLR2004  # the same twenty as one line above
