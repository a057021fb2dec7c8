"""`remit version`: what runs here."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import click

from remit.cli.exits import ExitCode
from remit.cli.options import common, example
from remit.document.values import SPEC, JsonObject
from remit.host.backends import known_adapters

if TYPE_CHECKING:
    from remit.cli.output import Session

_PARTS = ("cedarpy", "cedar-policy-mcp-schema-generator", "cryptography", "rfc8785")


@click.command("version", epilog=example("remit version --json"))
@common
def command(session: Session) -> int:
    """Print the versions of Remit, of what decides, and of the format."""
    parts: JsonObject = {name: _version(name) for name in _PARTS}
    value: JsonObject = {
        "remit": _version("remit"),
        "spec": SPEC,
        "python": platform.python_version(),
        "parts": parts,
        "backends": [*known_adapters()],
    }
    if session.json:
        session.emit(value)
    session.say(f"remit {value['remit']}, format {SPEC}, Python {value['python']}")
    for name, number in parts.items():
        session.say(f"  {name} {number}")
    session.say(f"  back-ends: {', '.join(known_adapters())}")
    return ExitCode.FINE


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
