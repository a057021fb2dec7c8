"""Appends until it is killed and says on stdout what was acknowledged."""

from __future__ import annotations

import sys
from pathlib import Path

from remit.ports import Batch
from remit.records import Draft
from remit_adapters.sqlite_store import open_store

with open_store(Path(sys.argv[1])) as store:
    number = 0
    while True:
        drafts = tuple(
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
        futures = [store.submit(Batch(records=drafts[:1])), store.submit(Batch(records=drafts[1:]))]
        for future in futures:
            for receipt in future.result():
                sys.stdout.write(f"{receipt.index} {receipt.digest}\n")
                sys.stdout.flush()
        number += 3
