"""`remit ledger export`: the decision log for other programs, record by record."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from remit import __version__
from remit.cli.agents import existing_store
from remit.cli.exits import ExitCode, bad_input
from remit.cli.options import common, example, store_option
from remit.cli.output_files import force_option, require_new
from remit.cli.progress import stages
from remit.cli.stores import AuditableStore, open_auditable
from remit.ledger.encoding import KINDS
from remit.project.build import whole_file
from remit.workbench.exports.ocsf import ocsf_event
from remit.workbench.exports.opa import opa_event
from remit.workbench.exports.selection import Selection, moment, told
from remit.workbench.exports.writing import compressed, write_array, write_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from remit.cli.output import Session
    from remit.document.values import JsonObject
    from remit.records import Record

FORMATS = ("jsonl", "ocsf", "opa")
DECISIONS_ALONE = frozenset(("ocsf", "opa"))
STEP = 512
"""How many records are read between two reports of how far it is."""


@click.command(
    "export",
    epilog=example(
        "remit ledger export --format ocsf --from 2026-11-01 --to 2026-12-01 -o november.jsonl.gz",
        "remit ledger export --format opa -o decisions.json.gz",
        "remit ledger export --format jsonl --kind approval > approvals.jsonl",
    ),
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    required=True,
    help="jsonl: records as they are; ocsf: API Activity events; opa: a decision log.",
)
@click.option("--from", "since", default="", metavar="TIME", help="From this time on: a day or RFC 3339.")
@click.option("--to", "until", default="", metavar="TIME", help="Before this time.")
@click.option("--agent", default="", metavar="ID", help="Of this agent: its id, or the beginning of it.")
@click.option(
    "--kind", type=click.Choice(KINDS), default=None, help="Of this kind; ocsf and opa hold decisions alone."
)
@click.option(
    "--no-content", "bare", is_flag=True, help="Leave out what may be erased: requests, arguments, results."
)
@click.option(
    "-o", "--output", default=None, metavar="FILE", help="Compressed where it ends in .gz. Default: stdout."
)
@force_option
@store_option
@common
def export(
    session: Session,
    *,
    form: str,
    since: str,
    until: str,
    agent: str,
    kind: str | None,
    bare: bool,
    output: str | None,
    force: bool,
    store: str | None,
) -> int:
    """Write records of the ledger for a SIEM or another program; what was erased is said to be."""
    if form in DECISIONS_ALONE and kind not in (None, "decision"):
        raise bad_input(f"`--kind {kind}`: the format {form} holds decisions alone", "use `--format jsonl`")
    if session.json and output is None:
        raise bad_input("`--json` beside an export to stdout", "name a file with `-o FILE`")
    if output is not None and not Path(output).parent.is_dir():
        raise bad_input(f"`{output}` lies in no folder that exists", "make the folder first")
    if output is not None:
        require_new(Path(output), force=force)
    begin, end = (moment(text) if text else "" for text in (since, until))
    if begin and end and begin >= end:
        raise bad_input(f"`--to {until}` is not after `--from {since}`", "exchange them")
    opened = open_auditable(existing_store(store))
    try:
        # What is recorded meanwhile waits for the next export: else a busy log would never come to an end.
        size = opened.size()
        wanted = Selection(
            since=begin,
            until=end,
            agent=agent,
            kind="decision" if form in DECISIONS_ALONE else kind or "",
            size=size,
        )
        if agent and not any(wanted.is_of(name) for name, _ in opened.agents()):
            raise bad_input(f"the store holds no agent `{agent}`", "`remit ledger show` names its agents")
        make = _maker(form, opened, content=not bare)
        with stages() as begin_stage:
            values = (
                make(record)
                for record in wanted.of(_watched(opened.records(), size, begin_stage("exporting")))
            )
            count = _written(values, output, array=form == "opa")
    finally:
        opened.close()
    if session.json:
        session.emit({"format": form, "output": output or "", "records": count, "read": size})
    elif output is not None:
        session.say(f"exported {count} of {size} records to {Path(output).as_posix()}")
    return ExitCode.FINE


def _maker(form: str, opened: AuditableStore, *, content: bool) -> Callable[[Record], JsonObject]:
    if form == "ocsf":
        return lambda record: ocsf_event(
            told(record, content=content), version=__version__, log=opened.origin
        )
    if form == "opa":
        return lambda record: opa_event(told(record, content=content), version=__version__)
    return lambda record: record_value(record, content=content)


def record_value(record: Record, *, content: bool = True) -> JsonObject:
    """Return a record as a JSON object with stable keys.

    Args:
        record: the record.
        content: whether what lies beside its leaf is wanted.
    """
    value: JsonObject = {"index": record.index, "digest": record.digest, "record": record.value}
    if content and record.content is not None:
        value["content"] = record.content
    return value


def _watched(
    records: Iterator[Record], size: int, report: Callable[[int, int], None] | None
) -> Iterator[Record]:
    for number, record in enumerate(records):
        if report is not None and number % STEP == 0:
            report(min(number, size), size)
        yield record


def _written(values: Iterator[JsonObject], output: str | None, *, array: bool) -> int:
    write: Callable[[Iterator[JsonObject], BinaryIO], int] = write_array if array else write_lines
    if output is None:
        stream = sys.stdout.buffer
        count = write(values, stream)
        stream.flush()
        return count
    with whole_file(Path(output)) as file, compressed(file, gzipped=output.endswith(".gz")) as packed:
        return write(values, packed)
