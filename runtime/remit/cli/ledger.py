"""`remit ledger`: show and verify the record of decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from remit.cli.agents import existing_store, read_text
from remit.cli.exits import ExitCode
from remit.cli.ledger_export import export, record_value
from remit.cli.ledger_prove import HELD_HINT, checkpoint, key_text, prove
from remit.cli.ledger_prune import prune_records, verify_archive
from remit.cli.ledger_reports import report_value, show_report
from remit.cli.ledger_timestamp import timestamp
from remit.cli.ledger_witness import witness, witness_options
from remit.cli.options import common, example, store_option
from remit.cli.output import Session, one_line, shortened
from remit.cli.stores import AuditableStore, open_auditable
from remit.ledger.encoding import KINDS

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.records import Record


@click.group(
    "ledger",
    epilog=example(
        "remit ledger verify --store refund-desk/.remit",
        "remit ledger show --kind decision",
        "remit ledger export --format ocsf -o decisions.jsonl.gz",
    ),
)
def command() -> None:
    """Show, verify, prove, export and prune the append-only record."""


command.add_command(export)
command.add_command(prove)
command.add_command(checkpoint)
command.add_command(witness)
command.add_command(timestamp)
command.add_command(prune_records)
command.add_command(verify_archive)


@command.command("verify", epilog=example("remit ledger verify --checkpoint held.note --key log.pub"))
@click.option(
    "--checkpoint", "held", multiple=True, metavar="FILE", help="A checkpoint kept elsewhere; repeatable."
)
@click.option(
    "--key", "keys", multiple=True, metavar="FILE|KEY", help="A verifier key from elsewhere; repeatable."
)
@witness_options
@store_option
@common
def verify(
    session: Session,
    *,
    held: tuple[str, ...],
    keys: tuple[str, ...],
    witnesses: tuple[str, ...],
    quorum: int | None,
    store: str | None,
) -> int:
    """Find every edited, dropped, reordered or inserted record."""
    notes = [read_text(name, hint=HELD_HINT) for name in held]
    texts = [key_text(name) for name in keys]
    opened = open_auditable(existing_store(store))
    try:
        report = opened.verify(
            keys=texts, held=notes, witnesses=[key_text(name) for name in witnesses], quorum=quorum
        )
    finally:
        opened.close()
    if session.json:
        session.emit(report_value(report, own_key=not texts))
    else:
        show_report(session, report, own_key=not texts, held=bool(notes))
    return ExitCode.FINE if report.intact else ExitCode.FINDINGS


@command.command(
    "show", epilog=example("remit ledger show --run RUN-ID", "remit ledger show --kind decision --json")
)
@click.option("--agent", default="", help="Records of this agent: its id, or the beginning of it.")
@click.option("--run", default="", help="Records of this run.")
@click.option("--kind", type=click.Choice(KINDS), default=None, help="Records of this kind.")
@click.option("--action", default="", help="Records about this action.")
@click.option("--start", type=click.IntRange(min=0), default=0, help="First index.")
@click.option("--limit", type=click.IntRange(min=1), default=None, help="At most so many.")
@store_option
@common
def show(
    session: Session,
    *,
    agent: str,
    run: str,
    kind: str | None,
    action: str,
    start: int,
    limit: int | None,
    store: str | None,
) -> int:
    """Show records in log order, one a line; with --json whole."""
    opened = open_auditable(existing_store(store))
    try:
        found = _select(opened, agent=agent, run=run, kind=kind, action=action, start=start, limit=limit)
    finally:
        opened.close()
    if session.json:
        session.emit([record_value(record) for record in found])
        return ExitCode.FINE
    for record in found:
        session.parts(
            (f"{record.index:>5}  ", "dim"),
            (f"{_of(record, 'at')}  ", "dim"),
            (f"{_of(record, 'kind'):<9}", "bold"),
            (one_line(_summary(record)), ""),
        )
    session.say(f"{len(found)} records", style="bold")
    return ExitCode.FINE


def _select(
    opened: AuditableStore,
    *,
    agent: str,
    run: str,
    kind: str | None,
    action: str,
    start: int,
    limit: int | None,
) -> list[Record]:
    found: list[Record] = []
    wanted = agent.removeprefix("sha256:")
    for record in opened.records(run=run, start=start):
        if limit is not None and len(found) >= limit:
            break
        if not _of(record, "agent").removeprefix("sha256:").startswith(wanted):
            continue
        if kind is not None and _of(record, "kind") != kind:
            continue
        if action and _body(record).get("action") != action:
            continue
        found.append(record)
    return found


def _of(record: Record, name: str) -> str:
    return str(record.value.get(name, ""))


def _body(record: Record) -> JsonObject:
    body = record.value.get("body")
    return body if isinstance(body, dict) else {}


_SUMMARY = (
    "verdict",
    "status",
    "step",
    "object",
    "id",
    "tag",
    "backend",
    "action",
    "operation",
    "resource",
    "target",
    "order",
    "scope",
    "by",
    "reason",
)


def _summary(record: Record) -> str:
    body = _body(record)
    words = [
        _word(body[name])
        for name in _SUMMARY
        # A number is the step within the run, which the order of the lines shows.
        if name in body and body[name] not in ("", None) and not isinstance(body[name], int)
    ]
    words += _asked(record)
    rules = body.get("rules") or body.get("reasons")
    if isinstance(rules, list) and rules:
        words.append(f"[{', '.join(str(rule) for rule in rules)}]")
    run = _of(record, "run")
    return "  ".join([*words, run] if run else words)


def _asked(record: Record) -> list[str]:
    """Return on whose behalf a decision was asked for, and what tells questions about back-ends apart."""
    content = record.content if isinstance(record.content, dict) else {}
    context = content.get("context")
    members = context if isinstance(context, dict) else {}
    words: list[str] = []
    caller, given = members.get("caller"), members.get("input")
    if isinstance(caller, dict):
        words.append(f"for {caller.get('id')}")
    if isinstance(given, dict) and _body(record).get("action") == "dispatch":
        builtins, before = given.get("builtins"), given.get("switched_from")
        if isinstance(builtins, list) and builtins:
            words.append(f"built-ins {', '.join(str(name) for name in builtins)}")
        if before:
            words.append(f"switched from {before}")
    return words


def _word(value: JsonValue) -> str:
    if isinstance(value, dict) and "id" in value:
        return str(value["id"])
    return shortened(str(value))
