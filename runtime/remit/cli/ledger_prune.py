"""`remit ledger prune` and `verify-archive`: the oldest records go, and what went still verifies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from remit.cli.agents import existing_store, read_text
from remit.cli.exits import ExitCode, bad_input
from remit.cli.instants import instant_from, judged_now, now_option
from remit.cli.ledger_prove import HELD_HINT, key_text
from remit.cli.ledger_reports import report_value, show_report
from remit.cli.options import caller_from, common, example, person_options, store_option
from remit.cli.retention import config_option, rules_from
from remit.cli.stores import open_auditable
from remit.host.pruning import index_at, prune
from remit.ledger.archive import read_archive
from remit.ledger.checkpoint import parse_checkpoint

if TYPE_CHECKING:
    from remit.cli.output import Session
    from remit.ledger.archive import Segment


@click.command(
    "prune",
    epilog=example(
        'remit ledger prune --before 2026-01-01 --as otto:records --reason "end of term"',
        "remit ledger prune --to 12000 --as otto:records --reason ... --archive 2025.jsonl",
    ),
)
@click.option("--before", "time", default=None, metavar="TIME", help="Prune what is older.")
@click.option("--to", "index", type=click.IntRange(min=1), default=None, help="Prune what lies before INDEX.")
@click.option("--reason", required=True, help="Why.")
@click.option(
    "--archive", default=None, metavar="FILE", help="Keep what goes in a new file that verifies on its own."
)
@now_option
@config_option
@person_options
@store_option
@common
def prune_records(
    session: Session,
    *,
    time: str | None,
    index: int | None,
    reason: str,
    archive: str | None,
    instant: str | None,
    unsafe_future: bool,
    config: str | None,
    person: str | None,
    roles: tuple[str, ...],
    attributes: tuple[str, ...],
    store: str | None,
) -> int:
    """Drop the oldest records, up to a signed checkpoint; the rest, and every later proof, still verifies.

    Refused below the floor of six months and the classes of `retention.yaml`, under a legal hold, and where a
    run or an effect is still open.
    """
    if (time is None) == (index is None):
        raise bad_input("say how far to prune", "give either `--before TIME` or `--to INDEX`")
    if not reason.strip():
        raise bad_input("the reason is empty", "say why with `--reason`")
    now = judged_now(session, instant, changes=True, unsafe_future=unsafe_future)
    place = existing_store(store)
    rules = rules_from(session, config, place)
    by = caller_from(person, roles, attributes).id
    opened = open_auditable(place, read_only=False)
    try:
        wanted = index or index_at(opened, instant_from(time or "", option="--before"))
        done = prune(
            opened,
            rules,
            wanted=wanted,
            now=now,
            by=by,
            reason=reason,
            archive=None if archive is None else Path(archive),
        )
    finally:
        opened.close()
    if session.json:
        session.emit(done.to_json())
    else:
        session.parts(
            ("pruned", "bold green"), (f": records {done.first} to {done.before - 1}, on the record", "")
        )
        if archive is not None:
            session.say(f"  archive  {archive}  {done.archive}")
        session.say(f"  the log is complete from record {done.before}")
    return ExitCode.FINE


@click.command("verify-archive", epilog=example("remit ledger verify-archive 2025.jsonl --key log.pub"))
@click.argument("archive")
@click.option(
    "--checkpoint", "held", multiple=True, metavar="FILE", help="A checkpoint kept elsewhere; repeatable."
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="FILE|KEY",
    help="A verifier key from elsewhere; repeatable. Default: the archive's own, which proves little.",
)
@common
def verify_archive(session: Session, *, archive: str, held: tuple[str, ...], keys: tuple[str, ...]) -> int:
    """Verify a pruned part of a log from its ARCHIVE alone; needs no store."""
    texts = [key_text(name) for name in keys]
    segment = read_archive(Path(archive))
    notes = [read_text(name, hint=HELD_HINT) for name in held]
    for name, note in zip(held, notes, strict=True):
        _require_within(segment, note, name=name, archive=archive)
    report = segment.verify(keys=texts, held=notes)
    if session.json:
        session.emit(report_value(report, own_key=not texts))
    else:
        show_report(session, report, own_key=not texts, held=bool(notes), what="archive")
    return ExitCode.FINE if report.intact else ExitCode.FINDINGS


def _require_within(segment: Segment, note: str, *, name: str, archive: str) -> None:
    """Refuse a checkpoint that says nothing about an archive: that is no damage of it.

    Raises:
        LedgerError: it is no checkpoint.
        FaultsError: it signs more than the archive holds, or less than what the archive begins with.
    """
    size, first = parse_checkpoint(note).checkpoint.size, segment.start.index
    before = first + len(segment.records)
    if size > before:
        raise bad_input(
            f"`{name}` signs {size} records, and `{archive}` ends before record {before}",
            "check it on the ledger itself, or on the archive of a later part",
        )
    if size < first:
        raise bad_input(
            f"`{name}` signs {size} records, and `{archive}` begins with record {first}",
            "check it on the archive of an earlier part",
        )
