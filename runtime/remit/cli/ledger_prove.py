"""`remit ledger prove` and `remit ledger checkpoint`: what leaves the store for others to check."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from remit.cli.agents import existing_store, read_text
from remit.cli.exits import ExitCode, bad_input
from remit.cli.options import common, example, store_option
from remit.cli.stores import open_auditable
from remit.document.merkle import leaf_hash
from remit.ledger.checkpoint import parse_checkpoint, parse_verifier_key, verify_checkpoint
from remit.ledger.encoding import leaf_digest
from remit.ledger.proofs import prove_consistency, prove_inclusion
from remit.project.build import write_whole

if TYPE_CHECKING:
    from remit.cli.output import Session
    from remit.cli.stores import AuditableStore
    from remit.document.values import JsonObject
    from remit.ledger.checkpoint import Checkpoint
    from remit.ledger.report import RawRecord

HELD_HINT: Final = "save one with `remit ledger checkpoint -o FILE`"
CONSISTENCY_SUFFIX: Final = ".consistency"
_DIGEST: Final = re.compile(r"(?:sha256:)?[0-9a-f]{8,64}", re.ASCII)


def key_text(name: str) -> str:
    """Return a verifier key text that was given as such or as a file.

    Raises:
        DocumentError: it can only be meant as a file, and that cannot be read.
    """
    if "+" in name and not Path(name).exists():
        return name
    return read_text(name, hint="give the file `log.pub` of the log, or the text in it").strip()


@click.command(
    "prove",
    epilog=example(
        "remit ledger prove 12 -o record-12.tlog-proof",
        "remit ledger prove --checkpoint held.note -o extends.proof",
    ),
)
@click.argument("record", required=False, metavar="[INDEX|DECISION]")
@click.option(
    "--checkpoint", "older", default=None, metavar="FILE", help="An older checkpoint that this log extends."
)
@click.option("-o", "--output", default=None, metavar="FILE", help="Default: standard output.")
@store_option
@common
def prove(
    session: Session, *, record: str | None, older: str | None, output: str | None, store: str | None
) -> int:
    """Prove that a record is in the log, or that the log extends an older checkpoint.

    A record is named by its index or by the digest that other records and permits cite it by.
    Of a record, the proof is a `c2sp.org/tlog-proof@v1` file. Of an older checkpoint, it is the body of an
    `add-checkpoint` request (`c2sp.org/tlog-witness`). With both, the second goes into FILE.consistency.
    """
    if record is None and older is None:
        raise bad_input("nothing is to be proved", "name a record, or an older checkpoint by `--checkpoint`")
    if record is not None and older is not None and output is None and not session.json:
        raise bad_input("two proofs do not go into one output", "name a file with `-o FILE`")
    opened = open_auditable(existing_store(store))
    try:
        note = opened.checkpoint()
        # Before anything is proved by it: an unsigned checkpoint proves nothing to anybody.
        keys = [parse_verifier_key(key) for key in opened.verifier_keys()]
        newest = verify_checkpoint(note, keys, origin=opened.origin)
        value: JsonObject = {"checkpoint": note, "size": newest.size}
        written: list[tuple[str, str]] = []
        if record is not None:
            row = _row(opened, record, newest)
            proof = str(prove_inclusion(row.index, leaf_hash(row.leaf), note, opened.tree_nodes))
            value["index"] = row.index
            value["digest"] = leaf_digest(row.leaf)
            value["leaf"] = base64.b64encode(row.leaf).decode()
            value["proof"] = proof
            written.append((output or "", proof))
        if older is not None:
            old = parse_checkpoint(read_text(older, hint=HELD_HINT)).checkpoint
            consistency = str(prove_consistency(old, note, opened.tree_nodes))
            value["old_size"] = old.size
            value["consistency"] = consistency
            suffix = CONSISTENCY_SUFFIX if record is not None and output else ""
            written.append(((output or "") + suffix, consistency))
    finally:
        opened.close()
    for name, text in written:
        if name:
            write_whole(Path(name), text.encode())
            session.say(f"wrote {name}")
        elif not session.json:
            click.echo(text, nl=False)
    if session.json:
        session.emit(value)
    return ExitCode.FINE


def _row(opened: AuditableStore, record: str, newest: Checkpoint) -> RawRecord:
    if record.isascii() and record.isdigit() and len(record) <= 18:  # noqa: PLR2004  # what a log's index can have; a digest has more
        index = int(record)
        row = next(iter(opened.raw(start=index, stop=index + 1)), None)
        if row is None:
            raise bad_input(f"the log holds no record {index}", f"it holds {newest.size}, from 0")
        return row
    if _DIGEST.fullmatch(record) is None:
        raise bad_input(f"`{record}` is no record", "give its index, or eight digits or more of its digest")
    wanted = "sha256:" + record.removeprefix("sha256:")
    found = [row for row in opened.raw() if leaf_digest(row.leaf).startswith(wanted)]
    if len(found) != 1:
        how = "several records have" if found else "no record has"
        raise bad_input(f"{how} the digest `{record}`", "`remit ledger show --json` lists digests")
    return found[0]


@click.command("checkpoint", epilog=example("remit ledger checkpoint -o held.note"))
@click.option(
    "-o",
    "--output",
    default=None,
    metavar="FILE",
    help="Write it whole or not at all. Default: standard output.",
)
@store_option
@common
def checkpoint(session: Session, *, output: str | None, store: str | None) -> int:
    """Print the newest signed checkpoint; keep it elsewhere."""
    opened = open_auditable(existing_store(store))
    try:
        note, key = opened.checkpoint(), opened.verifier_key
    finally:
        opened.close()
    if output is not None:
        write_whole(Path(output), note.encode())
        session.say(f"wrote {output}")
    if session.json:
        session.emit({"checkpoint": note, "verifier_key": key})
    elif output is None:
        click.echo(note, nl=False)
    return ExitCode.FINE
