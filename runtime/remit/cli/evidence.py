"""`remit evidence`: export an agent's records with their proofs, and check such a bundle offline."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remit.cli.agents import existing_store, find_agent, read_file, read_text
from remit.cli.exits import ExitCode, bad_input
from remit.cli.ledger_prove import HELD_HINT, key_text
from remit.cli.ledger_timestamp import RESPONSE_HINT, authority_option, read_authorities
from remit.cli.ledger_witness import witness_options
from remit.cli.options import common, example, store_option
from remit.cli.output import one_line, short
from remit.cli.output_files import force_option, require_new
from remit.cli.progress import stages
from remit.cli.stores import open_auditable
from remit.document.carriers import format_of
from remit.document.parse import parse_document
from remit.host.timestamps import open_timestamping
from remit.workbench.evidence.check import check_evidence
from remit.workbench.evidence.collect import Wanted, export_evidence
from remit.workbench.evidence.timestamps import Authorities

if TYPE_CHECKING:
    from remit.cli.output import Session
    from remit.document.model import Document
    from remit.workbench.evidence.model import Manifest
    from remit.workbench.evidence.report import EvidenceReport


@click.group(
    "evidence",
    epilog=example(
        "remit evidence export --agent 85cc --from 2026-01-01 --to 2026-04-01 -o q1.zip",
        "remit evidence verify q1.zip --key log.pub --checkpoint held.note",
    ),
)
def command() -> None:
    """Hand an auditor what happened, with the proofs, and check what was handed over."""


@command.command(
    "export", epilog=example("remit evidence export --agent 85cc --from 2026-01-01 --to 2026-04-01 -o q1.zip")
)
@click.option("--agent", default="", metavar="ID", help="Whose records: an agent id, or its beginning.")
@click.option("--from", "since", default="", metavar="TIME", help="First moment. Default: the beginning.")
@click.option("--to", "until", default="", metavar="TIME", help="First moment after it. Default: the end.")
@click.option("-o", "--output", default="evidence.zip", show_default=True, metavar="FILE", help="The bundle.")
@click.option(
    "--document", "documents", multiple=True, metavar="FILE", help="An earlier revision; repeatable."
)
@click.option(
    "--checkpoint",
    "held",
    multiple=True,
    metavar="FILE",
    help="A checkpoint kept elsewhere, cosigned or not: a proof from it goes along; repeatable.",
)
@click.option(
    "--timestamp",
    "timestamps",
    multiple=True,
    metavar="FILE",
    help="An authority's response about a `--checkpoint` (`remit ledger timestamp`); repeatable.",
)
@click.option(
    "--disclose-others",
    "disclose",
    is_flag=True,
    help="Also the leaves of other agents' records between, so that completeness can be counted.",
)
@force_option
@store_option
@common
def export(
    session: Session,
    *,
    agent: str,
    since: str,
    until: str,
    output: str,
    documents: tuple[str, ...],
    held: tuple[str, ...],
    timestamps: tuple[str, ...],
    disclose: bool,
    force: bool,
    store: str | None,
) -> int:
    """Write one archive from which every record and decision of some time can be checked offline.

    TIME is a date or an RFC 3339 time; a date is its midnight in UTC. Payloads of memory entries stay behind.
    """
    path = Path(output)
    if not output or path.is_dir() or not path.parent.is_dir():
        raise bad_input(f"`{output}` cannot be a bundle", "name a file in a folder that exists")
    require_new(path, force=force)
    start, end = _moment(since, "--from"), _moment(until, "--to")
    if start and end and start >= end:
        raise bad_input(f"`--from {since}` is not before `--to {until}`", "the end is excluded")
    opened = open_auditable(existing_store(store))
    try:
        wanted = Wanted(
            agent=find_agent(opened, agent).identity.agent,
            since=start,
            until=end,
            disclose=disclose,
            documents=tuple(_document(name) for name in documents),
            held=tuple(read_text(name, hint=HELD_HINT) for name in held),
            timestamps=tuple(read_file(name, hint=RESPONSE_HINT) for name in timestamps),
        )
        with stages() as stage:
            manifest = export_evidence(opened, wanted, path, stage=stage)
    finally:
        opened.close()
    if session.json:
        session.emit({"file": path.as_posix(), **manifest.to_json()})
    _show_export(session, manifest, path)
    return ExitCode.FINE


def _moment(text: str, option: str) -> str:
    """Read a date or a time as RFC 3339 UTC with milliseconds, as records hold it; empty stays empty."""
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise bad_input(
            f"`{option} {text}` is no time", "write such as `2026-01-31` or `2026-01-31T12:00:00Z`"
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _document(name: str) -> Document:
    return parse_document(read_file(name), file=name, format=format_of(Path(name).name))


def _show_export(session: Session, manifest: Manifest, path: Path) -> None:
    total = sum(manifest.counts.values())
    session.say(f"wrote {path.as_posix()}: {total} records of agent {short(manifest.agent)}", style="bold")
    for kind, count in sorted(manifest.counts.items()):
        session.say(f"  {kind:<9} {count}")
    missing = [digest for digest, there in sorted(manifest.images.items()) if not there]
    for digest in missing:
        session.say(
            f"  policies are missing: image {digest}; name its document with `--document`", style="yellow"
        )
    if manifest.undecided:
        session.say(f"  {len(manifest.undecided)} decisions cannot be decided again; README.md says why")


@command.command(
    "verify", epilog=example("remit evidence verify q1.zip --key log.pub --checkpoint held.note --json")
)
@click.argument("bundle")
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="FILE|KEY",
    help="The log's verifier key, from elsewhere; repeatable.",
)
@click.option(
    "--checkpoint", "held", multiple=True, metavar="FILE", help="A checkpoint kept elsewhere; repeatable."
)
@witness_options
@authority_option(required=False)
@common
def verify(
    session: Session,
    *,
    bundle: str,
    keys: tuple[str, ...],
    held: tuple[str, ...],
    witnesses: tuple[str, ...],
    quorum: int | None,
    authorities: tuple[str, ...],
) -> int:
    """Check BUNDLE, an archive or the folder it was unpacked into, and decide its decisions again.

    Without `--key`, the bundle can only be shown to agree with itself.
    """
    believed: Authorities | None = None
    if authorities:
        believed = Authorities(timestamping=open_timestamping(), certificates=read_authorities(authorities))
    with stages() as stage:
        report = check_evidence(
            Path(bundle),
            keys=[key_text(name) for name in keys],
            held=[read_text(name, hint=HELD_HINT) for name in held],
            witnesses=[key_text(name) for name in witnesses],
            quorum=quorum,
            authorities=believed,
            stage=stage,
        )
    if session.json:
        session.emit(report.to_json())
    else:
        _show(session, report)
    return ExitCode.FINE if report.holds else ExitCode.FINDINGS


def _show(session: Session, report: EvidenceReport) -> None:
    if report.holds:
        session.parts(("✓ evidence holds", "bold green"), (f": {report.records} records", ""))
    else:
        session.say(f"✗ evidence does not hold: {len(report.findings)} findings", style="bold red")
        for finding in report.findings:
            session.say(f"  {finding}", style="red")
    session.say(f"  agent  {report.agent}")
    session.say(f"  origin {report.origin}, {report.size} records signed")
    session.say(
        f"  decisions decided again as recorded: {report.decided} of {report.counts.get('decision', 0)}"
    )
    for time in report.times:
        session.say(f"  {time.checkpoint} existed at {time.at}, says {one_line(time.authority)}")
    if report.complete is not None:
        session.say(f"  {report.complete}")
    for remark in report.remarks:
        session.say(f"  {remark}", style="yellow")
