"""The base schema and base rules: files that people read, shipped with the package."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

from remit.errors import Fault, PolicyError

SCHEMA_FILE = "base.cedarschema"
POLICY_FILE = "base.cedar"


def base_schema_text() -> str:
    """Return the base schema in Cedar's syntax.

    Raises:
        PolicyError: the installation lacks the file.
    """
    return _read(SCHEMA_FILE)


def base_policy_text() -> str:
    """Return the base rules as Cedar text.

    Raises:
        PolicyError: the installation lacks the file.
    """
    return _read(POLICY_FILE)


@cache
def _read(name: str) -> str:
    shipped = resources.files("remit") / "_policies" / name
    if shipped.is_file():
        return shipped.read_text(encoding="utf-8")
    checkout = Path(__file__).resolve().parents[3] / "policies" / name
    if checkout.is_file():
        return checkout.read_text(encoding="utf-8")
    raise PolicyError(
        Fault(message=f"`{name}` not found: the installation of remit is incomplete", hint="install it again")
    )
