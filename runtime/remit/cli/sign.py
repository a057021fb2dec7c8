"""`remit sign`: put a signature on a document."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from remit.cli.agents import read_file
from remit.cli.exits import ExitCode, bad_input
from remit.cli.keys import key_name
from remit.cli.options import common, example
from remit.document.carriers import format_of
from remit.document.parse import parse_document, serialize_document
from remit.document.signing import sign_document, signer_from_pem
from remit.project.build import write_whole

if TYPE_CHECKING:
    from remit.cli.output import Session


@click.command("sign", epilog=example("remit sign desk.agent.json --key compliance.key.pem"))
@click.argument("document")
@click.option("--key", "key_file", required=True, metavar="FILE", help="Private key, PKCS #8 in PEM.")
@click.option("--name", default="", help="The key's name. Default: from the file's name.")
@click.option("-o", "--output", default=None, metavar="FILE", help="Default: the document itself.")
@common
def command(session: Session, *, document: str, key_file: str, name: str, output: str | None) -> int:
    """Sign exactly this revision of DOCUMENT; its content and its id stay the same."""
    if Path(document).is_dir():
        raise bad_input(f"`{document}` is a project folder", "build it first, then sign the document")
    carrier = format_of(Path(document).name)
    parsed = parse_document(read_file(document), file=document, format=carrier)
    signer = signer_from_pem(name or key_name(Path(key_file)), read_file(key_file))
    signed = sign_document(parsed, signer)
    path = Path(output or document)
    write_whole(path, serialize_document(signed, format=format_of(path.name)))
    if session.json:
        session.emit({"file": path.as_posix(), "key": signer.name, "revision": signed.identity.revision})
    session.say(f"signed {path.as_posix()} with `{signer.name}`: revision {signed.identity.revision}")
    return ExitCode.FINE
