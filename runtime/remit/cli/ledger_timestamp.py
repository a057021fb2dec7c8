"""`remit ledger timestamp`: an authority says when a checkpoint existed (RFC 3161); no network."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click

from remit.cli.agents import existing_store, read_file
from remit.cli.exits import ExitCode, bad_input
from remit.cli.ledger_prove import HELD_HINT
from remit.cli.options import common, example, store_option
from remit.cli.output import one_line
from remit.cli.stores import open_auditable
from remit.host.timestamps import open_timestamping
from remit.ledger.checkpoint import parse_checkpoint, parse_verifier_key, verify_checkpoint
from remit.ports import NoTimestamp
from remit.project.build import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from remit.cli.output import Session
    from remit.document.values import JsonObject
    from remit.ledger.checkpoint import Checkpoint

    F = TypeVar("F", bound=Callable[..., object])

ALGORITHMS: Final = ("sha256", "sha512")
NOTE_SUFFIX: Final = ".note"
RESPONSE_HINT: Final = "send the file of `remit ledger timestamp request` to an authority"


def authority_option(*, required: bool) -> Callable[[F], F]:
    """Return the option `--authority`."""
    return click.option(
        "--authority",
        "authorities",
        multiple=True,
        required=required,
        metavar="FILE",
        help="Certificate of a time-stamping authority that you trust, PEM or DER; repeatable.",
    )


def read_authorities(names: Sequence[str]) -> tuple[bytes, ...]:
    """Read the files of `--authority`."""
    return tuple(read_file(name, hint="name the certificate of the authority's root") for name in names)


@click.group(
    "timestamp",
    epilog=example(
        "remit ledger timestamp request -o held.tsq",
        "remit ledger timestamp verify held.note held.tsr --authority tsa-root.pem",
    ),
)
def timestamp() -> None:
    """Have an outside authority sign when a checkpoint existed (RFC 3161), and check what it signed."""


@timestamp.command(
    "request",
    epilog=example(
        "remit ledger timestamp request -o held.tsq", "remit ledger timestamp request cosigned.note"
    ),
)
@click.argument("checkpoint", required=False)
@click.option(
    "-o", "--output", default="request.tsq", show_default=True, metavar="FILE", help="The request, DER."
)
@click.option(
    "--hash", "algorithm", type=click.Choice(ALGORITHMS), default="sha256", show_default=True, help="Digest."
)
@store_option
@common
def request(
    session: Session, *, checkpoint: str | None, output: str, algorithm: str, store: str | None
) -> int:
    """Write a request to time-stamp CHECKPOINT, or the newest one, whose note is then written beside it.

    The authority learns a digest and nothing else. Send the request with any program, and keep the note: a
    response is about its bytes.
    """
    asked = open_timestamping()
    path = Path(output)
    if not path.name or path.suffix == NOTE_SUFFIX:
        raise bad_input(
            f"`{output}` cannot be a request", f"name a file that does not end in `{NOTE_SUFFIX}`"
        )
    if checkpoint is not None:
        kept, note = Path(checkpoint), read_file(checkpoint, hint=HELD_HINT)
        signed = _checkpoint(note, checkpoint)
    else:
        kept = path.with_suffix(NOTE_SUFFIX)
        note, signed = _newest(store)
        _keep(kept, note)
    write_whole(path, asked.request(note, algorithm=algorithm))
    digest = f"{algorithm}:{hashlib.new(algorithm, note).hexdigest()}"
    if session.json:
        session.emit(
            {
                "request": path.as_posix(),
                "checkpoint": kept.as_posix(),
                "origin": signed.origin,
                "size": signed.size,
                "digest": digest,
            }
        )
    session.say(f"wrote {path.as_posix()}: asks when {kept.as_posix()} existed, {signed.size} records")
    return ExitCode.FINE


def _newest(store: str | None) -> tuple[bytes, Checkpoint]:
    opened = open_auditable(existing_store(store))
    try:
        note = opened.checkpoint()
        # An unsigned checkpoint is not worth a time.
        keys = [parse_verifier_key(key) for key in opened.verifier_keys()]
        return note.encode(), verify_checkpoint(note, keys, origin=opened.origin)
    finally:
        opened.close()


def _keep(path: Path, note: bytes) -> None:
    """Write the note, unless another one is there: an earlier response is about those bytes."""
    if path.exists() and read_file(str(path)) != note:
        raise bad_input(
            f"`{path.as_posix()}` is another checkpoint",
            "a response to an earlier request needs it; name another file with `-o`",
        )
    write_whole(path, note)


def _checkpoint(note: bytes, name: str) -> Checkpoint:
    try:
        text = note.decode()
    except UnicodeDecodeError as error:
        raise bad_input(f"`{name}` is not UTF-8 text") from error
    return parse_checkpoint(text).checkpoint


@timestamp.command(
    "verify",
    epilog=example("remit ledger timestamp verify held.note held.tsr --authority tsa-root.pem --json"),
)
@click.argument("checkpoint")
@click.argument("response")
@authority_option(required=True)
@common
def verify(session: Session, *, checkpoint: str, response: str, authorities: tuple[str, ...]) -> int:
    """Check RESPONSE offline: that an authority signed when CHECKPOINT existed.

    Whether the log's key signed the checkpoint is not asked here: `remit ledger verify --checkpoint` does.
    """
    asked = open_timestamping()
    note = read_file(checkpoint, hint=HELD_HINT)
    signed = _checkpoint(note, checkpoint)
    answer = read_file(response, hint=RESPONSE_HINT)
    found = asked.verify(answer, note, authorities=read_authorities(authorities))
    if isinstance(found, NoTimestamp) and not found.readable:
        raise bad_input(f"`{response}`: {found.message}")
    value: JsonObject = {"holds": False, "origin": signed.origin, "size": signed.size}
    if isinstance(found, NoTimestamp):
        if session.json:
            session.emit({**value, "message": found.message})
        else:
            session.say(f"✗ timestamp does not hold: {one_line(found.message)}", style="bold red")
        return ExitCode.FINDINGS
    if session.json:
        session.emit(
            {
                **value,
                "holds": True,
                "at": found.at,
                "accuracy_us": found.accuracy_us,
                "authority": found.authority,
                "policy": found.policy,
                "serial": f"0x{found.serial:x}",
            }
        )
        return ExitCode.FINE
    session.parts(("✓ timestamp holds", "bold green"), (f": {signed.size} records existed at {found.at}", ""))
    session.say(f"  origin    {signed.origin}")
    session.say(f"  authority {one_line(found.authority)}")
    session.say(f"  policy    {found.policy}, serial 0x{found.serial:x}")
    return ExitCode.FINE
