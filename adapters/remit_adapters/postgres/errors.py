"""One clear message for everything that PostgreSQL can refuse."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg

from remit.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Generator

_MEANINGS: Final = (
    ("53100", "the server's disk is full: free some space and try again"),
    ("53300", "the server has no connection left: close some, or raise `max_connections`"),
    ("53", "the server is out of resources: try again later"),
    ("55P03", "another host holds the log for too long: try again, or look for a host that hangs"),
    ("57014", "the server took too long: try again"),
    ("57", "the server is shutting down or starting up: try again"),
    ("28", "the server refuses the user: check name, password and `pg_hba.conf`"),
    ("3D000", "there is no such database: create it first"),
    ("3F000", "there is no such schema"),
    ("42501", "the user lacks a right: open the store once as its owner, or grant `remit_writer`"),
    ("25006", "the server takes no writes: it is a standby, or the transaction is read-only"),
    ("40", "the transaction was undone because of another one: try again"),
    ("22", "a value cannot be stored (PostgreSQL keeps no NUL in text)"),
)
FATAL: Final = ("08", "53", "55P03", "57", "58", "XX", "40", "25006", "42501", "25P")
"""Beginnings of codes of what would meet every batch of a group, or ended its transaction."""


def refusal(error: psycopg.Error) -> str:
    """Say what PostgreSQL's error means and what to do."""
    code = error.sqlstate or ""
    for beginning, meaning in _MEANINGS:
        if code.startswith(beginning):
            return meaning
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    if not code and isinstance(error, psycopg.OperationalError):
        # A server that refuses says so before there is a code.
        told = first.rpartition("FATAL:")[2].strip() if "FATAL:" in first else ""
        if told:
            return f"the server refuses: {told}; check database, user and `sslmode` in the address"
        return f"the server cannot be reached: {first}; check host and port, and whether it runs"
    return f"{first} ({code})" if code else first


@contextmanager
def refusals_named(shown: str, doing: str) -> Generator[None]:
    """Turn whatever PostgreSQL or the file system refuses into one `LedgerError`.

    Args:
        shown: the store, for messages.
        doing: what was being done, such as `append`.
    """
    try:
        yield
    except psycopg.Error as error:
        raise LedgerError(f"cannot {doing}: `{shown}`: {refusal(error)}") from error
    except UnicodeError as error:
        raise LedgerError(f"cannot {doing}: `{shown}`: a text in it is no Unicode") from error
    except OSError as error:
        raise LedgerError(f"cannot {doing}: {(error.strerror or str(error)).lower()}") from error
