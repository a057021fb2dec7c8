"""`remit keys`: make signing keys."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remit.cli.exits import ExitCode, bad_input
from remit.cli.options import common, example
from remit.document.signing import Ed25519Signer, public_key_pem
from remit.project.build import write_whole

if TYPE_CHECKING:
    from remit.cli.output import Session

PRIVATE_SUFFIX = ".key.pem"
PUBLIC_SUFFIX = ".pub.pem"


@click.group("keys", epilog=example("remit keys new compliance"))
def command() -> None:
    """Make Ed25519 keys for signing documents."""


@command.command("new", epilog=example("remit keys new compliance --folder ~/keys"))
@click.argument("name")
@click.option("--folder", default=".", metavar="DIR", show_default=True, help="Where the two files go.")
@common
def new(session: Session, *, name: str, folder: str) -> int:
    """Make a key pair: NAME.key.pem (keep it secret) and NAME.pub.pem (give it to verifiers)."""
    if not name or Path(name).name != name:
        raise bad_input(f"`{name}` is no key name", "use a name without `/`")
    private, public = Path(folder, name + PRIVATE_SUFFIX), Path(folder, name + PUBLIC_SUFFIX)
    for path in (private, public):
        if path.exists():
            raise bad_input(f"`{path.as_posix()}` exists", "a key is never overwritten; name another one")
    signer = Ed25519Signer(name, secrets.token_bytes(32))
    write_whole(private, signer.private_pem(), mode=0o600)
    write_whole(public, public_key_pem(signer.public_key))
    if session.json:
        session.emit({"name": name, "private": private.as_posix(), "public": public.as_posix()})
    session.say(f"made {private.as_posix()} (keep it secret) and {public.as_posix()} (give it to verifiers)")
    return ExitCode.FINE


def key_name(path: Path) -> str:
    """Return the key name that a key file's own name stands for."""
    name = path.name
    for suffix in (PRIVATE_SUFFIX, PUBLIC_SUFFIX, ".pem"):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return path.stem
