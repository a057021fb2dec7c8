"""`remit packs sign` and `verify`: whose a pack is, and whether a document keeps to what it pins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from remit.cli.agents import read_file, read_target
from remit.cli.exits import ExitCode
from remit.cli.keys import key_name
from remit.cli.options import common, example
from remit.cli.output import short
from remit.cli.pack_reports import named
from remit.cli.verify import trust_from
from remit.document.signing import signer_from_pem
from remit.host.clock import SystemClock
from remit.project.build import AGENT_FILE, write_whole
from remit.project.packs.comparison import PackReport, pack_reports
from remit.project.packs.folder import is_pack, read_pack
from remit.project.packs.signatures import held_signatures, sign_pack, verify_pack
from remit.project.packs.sources import named_pack

if TYPE_CHECKING:
    from remit.cli.output import Session
    from remit.document.signing import TrustPolicy


@click.command("sign", epilog=example("remit packs sign our-pack --key compliance.key.pem"))
@click.argument("folder")
@click.option("--key", "key_file", required=True, metavar="FILE", help="Private key, PKCS #8 in PEM.")
@click.option("--name", default="", help="The key's name. Default: from the file's name.")
@common
def sign(session: Session, *, folder: str, key_file: str, name: str) -> int:
    """Sign the pack in FOLDER as it is: its rules, its page and its fixtures with their cases."""
    found = read_pack(Path(folder))
    signer = signer_from_pem(name or key_name(Path(key_file)), read_file(key_file))
    relative, data = sign_pack(found, signer)
    path = found.folder / relative
    path.parent.mkdir(exist_ok=True)
    write_whole(path, data)
    if session.json:
        session.emit({"file": path.as_posix(), "key": signer.name, "digest": found.pack.digest})
    session.say(
        f"signed {found.pack.name} {found.pack.version} with `{signer.name}`: digest {found.pack.digest}"
    )
    return ExitCode.FINE


@click.command(
    "verify",
    epilog=example(
        "remit packs verify our-pack --trust compliance.pub.pem",
        "remit packs verify desk.agent.json",
        "remit packs verify desk.agent.json --pack ../our-pack --trust compliance.pub.pem",
    ),
)
@click.argument("target")
@click.option(
    "--pack", "folders", multiple=True, metavar="FOLDER", help="Where a pinned pack may lie; repeatable."
)
@click.option(
    "--trust", "trusted", multiple=True, metavar="[NAME=]KEY.pem", help="A public key to believe; repeatable."
)
@click.option(
    "--threshold", type=click.IntRange(min=1), default=1, show_default=True, help="Signatures needed."
)
@common
def verify(
    session: Session, *, target: str, folders: tuple[str, ...], trusted: tuple[str, ...], threshold: int
) -> int:
    """Hold TARGET, a pack or an agent, against what it claims.

    A pack: its signatures against your own keys.
    A document or project folder: every pack that it pins is expanded again, and a rule of it that was edited,
    left out or added is found; with keys, each of these packs must be signed.
    """
    trust = trust_from(trusted, threshold=threshold) if trusted else None
    path = Path(target)
    if path.is_file() or (path / AGENT_FILE).is_file():
        return _verify_agent(session, target, folders, trust)
    return _verify_pack(session, target, trust)


def _verify_pack(session: Session, target: str, trust: TrustPolicy | None) -> int:
    found = read_pack(Path(target)) if is_pack(Path(target)) else named_pack(target)
    signers = () if trust is None else verify_pack(found, trust, now=SystemClock().now())
    count = len(held_signatures(found))
    if session.json:
        session.emit(
            {
                "name": found.pack.name,
                "version": found.pack.version,
                "digest": found.pack.digest,
                "evidence": found.evidence(),
                "signatures": count,
                "trusted_signers": [*signers],
            }
        )
        return ExitCode.FINE
    session.say(f"✓ {found.pack.name} {found.pack.version} reads", style="bold green")
    session.say(f"  digest    {found.pack.digest}")
    session.say(f"  evidence  {found.evidence()}")
    words = ", ".join(f"`{name}`" for name in signers)
    session.say(f"  signed by {words}" if signers else f"  {count} signatures, none checked")
    return ExitCode.FINE


def _verify_agent(session: Session, label: str, folders: tuple[str, ...], trust: TrustPolicy | None) -> int:
    target = read_target(label)
    image = target.compile()
    places = [*(Path(folder) for folder in folders), *(used.use.found.folder for used in target.packs)]
    reports = pack_reports(target.document, image, folders=places)
    signers = [_signers(report, trust) for report in reports]
    intact = not any(report.differences for report in reports)
    if session.json:
        session.emit(
            {
                "agent": target.document.identity.agent,
                "intact": intact,
                "packs": [
                    {**report.to_json(), "trusted_signers": [*names]}
                    for report, names in zip(reports, signers, strict=True)
                ],
            }
        )
    else:
        for report, names in zip(reports, signers, strict=True):
            _show(session, report, names)
        session.say(f"{len(reports)} packs pinned", style="bold")
    return ExitCode.FINE if intact else ExitCode.FINDINGS


def _signers(report: PackReport, trust: TrustPolicy | None) -> tuple[str, ...]:
    if trust is None or report.found is None:
        return ()
    return verify_pack(report.found, trust, now=SystemClock().now())


def _show(session: Session, report: PackReport, signers: tuple[str, ...]) -> None:
    mark, style = ("✗", "red") if report.differences else ("✓", "green")
    signed = f", signed by {', '.join(signers)}" if signers else ""
    session.parts(
        (f"{mark} ", style),
        (f"{named(report)} ({short(report.pin.digest)}): {len(report.rules)} rules{signed}", ""),
    )
    for item in report.differences:
        session.say(f"    {item.message}" + (f" (at `{item.pointer}`)" if item.pointer else ""), style="red")
