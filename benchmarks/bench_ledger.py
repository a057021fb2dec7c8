"""How fast the ledger on SQLite commits and verifies: `make bench`, or pytest with -s on this file."""

from __future__ import annotations

import time
from concurrent.futures import wait

import pytest

from remit.ports import Batch
from remit.records import Draft
from remit_adapters.sqlite_store import open_store

AT = "2026-01-01T00:00:00.000Z"


def draft(number):
    """About 0.6 kB, as a decision is."""
    body = {
        "n": number,
        "reasons": ["refund-cap", "eu-only"],
        "request": "sha256:" + "ab" * 32,
        "text": "x" * 300,
    }
    return Draft(kind="decision", agent="sha256:" + "a" * 64, run="run", at=AT, body=body)


def report(what, count, began):
    spent_s = time.perf_counter() - began
    print(f"{what}: {count / spent_s:,.0f} records/s (n = {count}, {spent_s:.2f} s)")


@pytest.mark.parametrize(("records", "batches"), [(1, 400), (10, 200), (100, 60)])
def test_append_waiting_for_every_commit(tmp_path, records, batches):
    with open_store(tmp_path / "store") as store:
        began = time.perf_counter()
        for number in range(batches):
            store.submit(Batch(records=tuple(draft(number) for _ in range(records)))).result()
        report(f"{records} per commit", records * batches, began)


def test_group_commit_and_verification(tmp_path):
    count = 20_000
    with open_store(tmp_path / "store") as store:
        began = time.perf_counter()
        wait([store.submit(Batch(records=(draft(number),))) for number in range(count)])
        report("group commit, one record a batch", count, began)
        began = time.perf_counter()
        assert store.verify().intact
        report("verify", count, began)


def test_order_check(tmp_path):
    count = 20_000
    with open_store(tmp_path / "store") as store:
        began = time.perf_counter()
        for _ in range(count):
            store.control.in_force(["all", "run:r"])
        spent_s = time.perf_counter() - began
        print(f"in_force: {spent_s / count * 1e6:.1f} us (n = {count})")
