"""Appends until it is killed and says on stdout what was acknowledged.

With `callers`, four threads commit by themselves or in each other's company; else one submits pairs of batches.
"""

from __future__ import annotations

import sys
import threading
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from remit.ports import Batch
from remit.records import Draft
from remit_adapters.sqlite_store import SqliteStore, open_store

if TYPE_CHECKING:
    from remit.records import Receipt

SAYING = threading.Lock()


def drafts(number: int) -> tuple[Draft, ...]:
    return tuple(
        Draft(
            kind="decision",
            agent="a",
            run="r",
            at="2026-01-01T00:00:00.000Z",
            body={"n": number + n},
            content="x",
        )
        for n in range(3)
    )


def say(receipts: tuple[Receipt, ...]) -> None:
    with SAYING:
        for receipt in receipts:
            sys.stdout.write(f"{receipt.index} {receipt.digest}\n")
            sys.stdout.flush()


def submit(store: SqliteStore) -> None:
    for number in count(0, 3):
        made = drafts(number)
        futures = [store.submit(Batch(records=made[:1])), store.submit(Batch(records=made[1:]))]
        for future in futures:
            say(future.result())


def commit(store: SqliteStore) -> None:
    for number in count(0, 3):
        say(store.commit(Batch(records=drafts(number)), timeout_s=30))


with open_store(Path(sys.argv[1])) as opened:
    if sys.argv[2:] == ["callers"]:
        for _ in range(3):
            threading.Thread(target=commit, args=(opened,), daemon=True).start()
        commit(opened)
    else:
        submit(opened)
