"""`remit verify`: is this document what it says it is, and who signed it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from remit.cli.agents import read_file, read_target
from remit.cli.exits import ExitCode, bad_input
from remit.cli.keys import key_name
from remit.cli.options import common, example
from remit.document.identity import field_digests
from remit.document.signing import TrustPolicy, public_key_from_pem, verify_document_signatures
from remit.document.trust import check_trust
from remit.errors import FaultsError
from remit.host.clock import SystemClock
from remit.host.trust import read_trust_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.cli.output import Session
    from remit.document.values import JsonObject

_POLICY_SUFFIXES = (".yaml", ".yml", ".json")


@click.command(
    "verify",
    epilog=example(
        "remit verify desk.agent.json",
        "remit verify desk.agent.json --trust compliance.pub.pem",
        "remit verify desk.agent.json --trust trust.yaml",
    ),
)
@click.argument("document")
@click.option(
    "--trust",
    "trusted",
    multiple=True,
    metavar="[NAME=]KEY.pem|FILE",
    help="A public key to believe, repeatable; or a trust policy (YAML or JSON), which says who signs what.",
)
@click.option(
    "--signed",
    "others",
    multiple=True,
    metavar="DOC",
    help="With a trust policy: another revision whose signatures count for fields that are the same.",
)
@click.option("--not-after", "ends", multiple=True, metavar="NAME=TIME", help="When a trusted key expires.")
@click.option("--not-before", "starts", multiple=True, metavar="NAME=TIME", help="When a trusted key begins.")
@click.option(
    "--threshold", type=click.IntRange(min=1), default=1, show_default=True, help="Signatures needed."
)
@click.option("--require-signature", is_flag=True, help="Refuse a document without a trusted signature.")
@common
def command(
    session: Session,
    *,
    document: str,
    trusted: tuple[str, ...],
    others: tuple[str, ...],
    ends: tuple[str, ...],
    starts: tuple[str, ...],
    threshold: int,
    require_signature: bool,
) -> int:
    """Recompute every digest of DOCUMENT, and check its signatures against your own keys.

    A document that does not verify is refused (exit code 2), naming the field. Nothing of it is run.
    """
    if (require_signature or threshold > 1) and not trusted:
        raise bad_input(
            f"`{'--require-signature' if require_signature else '--threshold'}` needs a key to believe",
            "name your own with `--trust KEY.pem`",
        )
    policies = [name for name in trusted if name.lower().endswith(_POLICY_SUFFIXES)]
    if policies and (len(trusted) > 1 or starts or ends or threshold > 1):
        raise bad_input(
            f"`--trust {policies[0]}` is a trust policy, which says all of this itself",
            "give it alone, or give keys",
        )
    if others and not policies:
        raise bad_input("`--signed` needs a trust policy", "give one with `--trust FILE.yaml`")
    rules = read_trust_file(Path(policies[0])) if policies else None
    trust = None if policies else trust_from(trusted, starts=starts, ends=ends, threshold=threshold)
    target = read_target(document)
    held = target.document
    signers: tuple[str, ...] = ()
    fields: Mapping[str, tuple[str, ...]] = {}
    if rules is not None:
        more = [read_target(name).document for name in others]
        fields = check_trust(held, rules, now=SystemClock().now(), signed=more)
        signers = tuple(sorted({name for names in fields.values() for name in names}))
    elif trusted and trust is not None:
        # Who names a key wants its signature: a document whose signatures were stripped is refused.
        signers = verify_document_signatures(held, trust, now=SystemClock().now())
    value: JsonObject = {
        "verified": True,
        "agent": held.identity.agent,
        "revision": held.identity.revision,
        "fields": dict(field_digests(held)),
        "memory_entries": held.memory.value.get("count", 0),
        "operations": len(held.lineage.operations),
        "signatures": len(held.identity.signatures),
        "trusted_signers": [*signers],
    }
    if rules is not None:
        value["trusted_fields"] = {name: [*names] for name, names in fields.items()}
    if session.json:
        session.emit(value)
        return ExitCode.FINE
    session.say("✓ identity verifies", style="bold green")
    session.say(f"  agent     {held.identity.agent}")
    session.say(f"  revision  {held.identity.revision}")
    for name, digest in field_digests(held).items():
        session.say(f"  {name:<16} {digest}", style="dim")
    session.say(f"  {_signed(len(held.identity.signatures), signers, checked=bool(trusted))}")
    for name, names in fields.items():
        session.say(f"  {name:<16} as the policy says: {', '.join(names)}")
    return ExitCode.FINE


def _signed(count: int, signers: tuple[str, ...], *, checked: bool) -> str:
    if signers:
        return "signed by " + ", ".join(f"`{name}`" for name in signers)
    if not count:
        return "not signed"
    return f"{count} signatures, none checked" if not checked else f"{count} signatures"


def trust_from(
    trusted: tuple[str, ...],
    *,
    starts: tuple[str, ...] = (),
    ends: tuple[str, ...] = (),
    threshold: int = 1,
) -> TrustPolicy:
    """Read the verifier's own keys.

    Args:
        trusted: `[NAME=]KEY.pem` texts.
        starts: `NAME=TIME` texts: when a key begins.
        ends: `NAME=TIME` texts: when a key expires.
        threshold: signatures needed.

    Raises:
        FaultsError: a key cannot be read, or two have one name.
    """
    keys: dict[str, bytes] = {}
    for item in trusted:
        name, mark, file = item.partition("=")
        path = Path(file if mark else item)
        name = name if mark else key_name(path)
        if name in keys:
            raise bad_input(f"two `--trust` keys are called `{name}`", "name them apart with `NAME=KEY.pem`")
        data = read_file(str(path), hint="make keys with `remit keys new NAME`")
        try:
            keys[name] = public_key_from_pem(data)
        except FaultsError as error:
            raise bad_input(f"`{path}` is no key to believe: {error}") from error
    not_before = _times("--not-before", starts, keys)
    not_after = _times("--not-after", ends, keys)
    try:
        return TrustPolicy(keys=keys, not_before=not_before, not_after=not_after, threshold=threshold)
    except ValueError as error:
        raise bad_input(str(error)) from error


def _times(option: str, items: tuple[str, ...], keys: dict[str, bytes]) -> dict[str, str]:
    times: dict[str, str] = {}
    for item in items:
        name, _, time = item.partition("=")
        if name not in keys:
            raise bad_input(f"`{option} {item}` names no trusted key", "write `NAME=TIME` of a `--trust` key")
        times[name] = time
    return times
