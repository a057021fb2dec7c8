"""For all tests: no test is judged by the time that it takes; speed is checked in `benchmarks/`."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from postgres_server import drop_schema, server_url
from store_places import KINDS, Database, Folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from store_places import StorePlace

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def postgres_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a store of the test's own on the PostgreSQL server at hand; gone afterwards."""
    server = server_url()
    if server is None:
        pytest.skip("no PostgreSQL server is reachable; name one in REMIT_TEST_POSTGRESQL")
    monkeypatch.setenv("REMIT_STATE", str(tmp_path / "state"))
    schema = f"remit_test_{secrets.token_hex(6)}"
    try:
        yield f"{server}?schema={schema}"
    finally:
        drop_schema(server, schema)


@pytest.fixture(params=KINDS)
def store_place(request: pytest.FixtureRequest, tmp_path: Path) -> StorePlace:
    """A place for a store of the test's own: once a folder, once a database."""
    if request.param == "folder":
        return Folder(path=tmp_path / "store")
    return Database(url=request.getfixturevalue("postgres_url"))
