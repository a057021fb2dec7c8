"""`remit ledger witness`: another host cosigns a log's checkpoint, if it extends what it cosigned before."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click

from remit.cli.agents import read_file, read_text
from remit.cli.exits import ExitCode, bad_input
from remit.cli.keys import key_name
from remit.cli.ledger_prove import key_text
from remit.cli.options import common, example
from remit.document.json_text import parse_json
from remit.document.merkle import HASH_BYTES
from remit.document.signing import signer_from_pem
from remit.errors import LedgerError
from remit.host.file_lock import held_alone
from remit.ledger.checkpoint import COSIGNATURE, parse_verifier_key, verifier_key
from remit.ledger.witness import Refused, Seen, answer_request
from remit.project.build import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from remit.cli.output import Session
    from remit.document.values import JsonObject, JsonValue

    F = TypeVar("F", bound=Callable[..., object])

LOCK_SUFFIX: Final = ".lock"


def witness_options(function: F) -> F:
    """Add `--witness` and `--quorum`."""
    function = click.option(
        "--quorum",
        type=click.IntRange(min=1),
        default=None,
        metavar="K",
        help="How many of the witnesses must have cosigned. Default: all.",
    )(function)
    return click.option(
        "--witness",
        "witnesses",
        multiple=True,
        metavar="FILE|KEY",
        help="Verifier key of a witness that must have cosigned a `--checkpoint`; repeatable.",
    )(function)


@click.command(
    "witness",
    epilog=example(
        "remit ledger witness --key tower.key.pem > tower.pub",
        "remit ledger witness held.note --log log.pub --key tower.key.pem --memory tower.json --first",
        "remit ledger witness extends.proof --log log.pub --key tower.key.pem --memory tower.json",
    ),
)
@click.argument("request", required=False)
@click.option(
    "--log", "log", default=None, metavar="FILE|KEY", help="The log's verifier key (its `log.pub`)."
)
@click.option("--origin", default="", help="The log's name, where it is not the name of its key.")
@click.option("--key", "key_file", required=True, metavar="FILE", help="Private key, PKCS #8 in PEM.")
@click.option("--name", default="", help="The witness's name. Default: from the key's file name.")
@click.option(
    "--memory",
    default=None,
    metavar="FILE",
    help="Where the witness remembers what it cosigned; only its own.",
)
@click.option("--first", is_flag=True, help="It has never cosigned this log: begin to remember it.")
@click.option("-o", "--output", default=None, metavar="FILE", help="Default: standard output.")
@common
def witness(
    session: Session,
    *,
    request: str | None,
    log: str | None,
    origin: str,
    key_file: str,
    name: str,
    memory: str | None,
    first: bool,
    output: str | None,
) -> int:
    """Cosign a checkpoint on another host; without REQUEST, print the witness's verifier key.

    REQUEST is what `remit ledger prove --checkpoint` writes, or with `--first` a checkpoint alone.
    Without `--first` a log that the memory does not know is refused: who forgot would cosign a fork.
    A log that is smaller than the one cosigned before, or does not extend it, is refused with exit code 1.
    """
    signer = signer_from_pem(name or key_name(Path(key_file)), read_file(key_file, hint="`remit keys new`"))
    own = str(verifier_key(signer, type=COSIGNATURE))
    if request is None:
        session.say(own)
        if session.json:
            session.emit({"verifier_key": own})
        return ExitCode.FINE
    if log is None or memory is None:
        raise bad_input(
            "a witness needs `--log` and `--memory`", "it must know the log's key and what it cosigned before"
        )
    key = parse_verifier_key(key_text(log))
    remembered = Path(memory)
    watched = origin or key.name
    busy = LedgerError(f"another process uses the witness's memory `{memory}`: try again")
    with held_alone(remembered.with_name(remembered.name + LOCK_SUFFIX), otherwise=busy):
        known = _recalled(remembered)
        _require_first(remembered, known.get(watched), watched, first=first)
        answer = answer_request(
            read_text(request, hint="make one with `remit ledger prove --checkpoint HELD -o FILE`"),
            origin=watched,
            keys=[key],
            signer=signer,
            at_s=int(time.time()),
            seen=known.get(watched),
            remember=lambda seen: _remember(remembered, {**known, watched: seen}),
        )
    if isinstance(answer, Refused):
        if session.json:
            session.emit(
                {"cosigned": False, "reason": answer.reason, "message": answer.message, "size": answer.size}
            )
        else:
            session.complain(f"refused: {answer.message}")
        return ExitCode.FINDINGS
    if output is not None:
        write_whole(Path(output), answer.note.encode())
        session.say(f"cosigned {answer.checkpoint.size} records of {watched}: wrote {output}")
    if session.json:
        session.emit(
            {"cosigned": True, "size": answer.checkpoint.size, "checkpoint": answer.note, "verifier_key": own}
        )
    elif output is None:
        click.echo(answer.note, nl=False)
    return ExitCode.FINE


def _require_first(path: Path, seen: Seen | None, origin: str, *, first: bool) -> None:
    """Refuse to begin a memory unasked, and to begin one anew.

    INVARIANT (never anew unasked): a memory that was lost looks like one that never was.

    Raises:
        FaultsError: it is the first time and nobody said so, or the other way round.
    """
    if first and seen is not None:
        raise bad_input(
            f"`{path}` remembers {seen.size} records of `{origin}`: it is not the first time",
            "leave `--first` out",
        )
    if not first and seen is None:
        what = "remembers nothing of" if path.exists() else "is not there, so nothing is known of"
        raise bad_input(
            f"the witness's memory `{path}` {what} `{origin}`",
            "restore it from a copy; only for a log that was never cosigned, say `--first`",
        )


def _recalled(path: Path) -> dict[str, Seen]:
    """Read what was cosigned by origin; a memory that cannot be read is no memory of nothing.

    Raises:
        LedgerError: it is not what this verb wrote.
    """
    if not path.exists():
        return {}
    value = parse_json(path.read_bytes(), file=path.as_posix()).value
    if not isinstance(value, dict):
        raise _spoilt(path)
    return {origin: _seen(item, path) for origin, item in value.items()}


def _seen(value: JsonValue, path: Path) -> Seen:
    size, root = (value.get("size"), value.get("root")) if isinstance(value, dict) else (None, None)
    if type(size) is not int or size < 0 or not isinstance(root, str):
        raise _spoilt(path)
    try:
        digest = bytes.fromhex(root)
    except ValueError:
        raise _spoilt(path) from None
    if len(digest) != HASH_BYTES:
        raise _spoilt(path)
    return Seen(size=size, root=digest)


def _spoilt(path: Path) -> LedgerError:
    return LedgerError(
        f"`{path.as_posix()}` is not a witness's memory: restore it from a copy; a witness that forgot would "
        "cosign a fork"
    )


def _remember(path: Path, known: dict[str, Seen]) -> None:
    value: JsonObject = {
        origin: {"size": seen.size, "root": seen.root.hex()} for origin, seen in sorted(known.items())
    }
    write_whole(path, json.dumps(value, indent=2).encode() + b"\n")
