"""A process of its own that writes about one subject, erases them, or dies between an erasure and its key.

    store_seals_child.py FOLDER crash|write|erase AGENT [ROUNDS]

Prints the ids of entries that it was told are written, or erased.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from remit.errors import HeadMovedError
from remit.ports import Batch
from remit.testing.store_contract import contract_erasure, contract_note
from remit_adapters._sqlite_subjects import SubjectFile
from remit_adapters.sqlite_store import SqliteStore, open_store

if TYPE_CHECKING:
    from remit.document.model import Document

ERASING_S = 10.0
SUBJECT = "MARKER-SUBJECT-42"


def head(store: SqliteStore, agent: str) -> Document:
    found = store.load(agent)
    assert found is not None
    return found


def write(store: SqliteStore, agent: str) -> list[str]:
    advance = contract_note(head(store, agent), secrets.token_hex(16), "said", subject=SUBJECT)
    store.submit(Batch(records=(), advance=advance)).result(60)
    return [entry.id for entry in advance.put]


def erase(store: SqliteStore, agent: str) -> list[str]:
    document = head(store, agent)
    entries = [entry for entry in document.memory.tree if entry.payload is not None]
    if entries:
        store.submit(Batch(records=(), advance=contract_erasure(document, *entries))).result(60)
    return [entry.id for entry in entries]


def main() -> None:
    folder, what, agent = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    with open_store(folder) as store:
        if what == "crash":
            SubjectFile.destroy = lambda *_: os._exit(9)  # type: ignore[method-assign]
            erase(store, agent)
        until = time.monotonic() + ERASING_S
        for n in range(int(sys.argv[4])):
            done: list[str] = []
            # An eraser that comes when all is over has nothing more to wait for.
            while not done and (what == "write" or not n or time.monotonic() < until):
                # Another process moved the head; or, of an eraser, nothing is there yet.
                with contextlib.suppress(HeadMovedError):
                    done = (write if what == "write" else erase)(store, agent)
            sys.stdout.write(" ".join([*done, "\n"]))


if __name__ == "__main__":
    main()
