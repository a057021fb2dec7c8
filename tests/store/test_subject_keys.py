"""The keys of data subjects: the published contract, over the file, the tables and the fake."""

from __future__ import annotations

import itertools
import sqlite3
import stat
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from postgres_server import drop_schema
from remit.errors import LedgerError
from remit.ports import KeyOwner
from remit.testing.subject_keys import MemorySubjectKeys, SubjectKeysContract
from remit_adapters._sqlite_subjects import SubjectFile
from remit_adapters.postgres.connect import connect
from remit_adapters.postgres.keys import TableKeys
from remit_adapters.postgres.place import place_of
from remit_adapters.postgres_store import open_store as open_postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import psycopg

ANN = KeyOwner("sha256:a", "ann", "memory")


def subject_file(folder: Path, *, read_only: bool = False) -> SubjectFile:
    return SubjectFile(folder, read_only=read_only, busy_timeout_s=5.0)


class TestSubjectFile(SubjectKeysContract):
    @pytest.fixture
    def make_keys(self, tmp_path: Path) -> Iterator[Callable[[], SubjectFile]]:
        made: list[SubjectFile] = []

        def make() -> SubjectFile:
            folder = tmp_path / str(len(made))
            folder.mkdir()
            made.append(subject_file(folder))
            return made[-1]

        yield make
        for keys in made:
            keys.close()


class TestTableKeys(SubjectKeysContract):
    @pytest.fixture
    def make_keys(self, postgres_url: str) -> Iterator[Callable[[], TableKeys]]:
        opened: list[psycopg.Connection] = []
        numbers = itertools.count()

        def make() -> TableKeys:
            url = f"{postgres_url}_{next(numbers)}"
            open_postgres(url).close()
            opened.append(connect(place_of(url), name="test", patience_s=5.0))
            return TableKeys(opened[-1])

        yield make
        for number, connection in enumerate(opened):
            connection.close()
            server, _, schema = postgres_url.partition("?schema=")
            drop_schema(server, f"{schema}_{number}")


class TestMemorySubjectKeys(SubjectKeysContract):
    @pytest.fixture
    def make_keys(self) -> Callable[[], MemorySubjectKeys]:
        return MemorySubjectKeys


def test_the_file_is_made_with_the_first_key_and_is_its_owners_alone(tmp_path: Path) -> None:
    with closing(subject_file(tmp_path)) as keys:
        assert keys.obtain([ANN], make=False) == {}
        assert [*tmp_path.iterdir()] == []
        keys.obtain([ANN], make=True)
        assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


def test_neither_the_subject_nor_a_plain_hash_of_it_lies_in_the_file(tmp_path: Path) -> None:
    with closing(subject_file(tmp_path)) as keys, closing(subject_file(tmp_path)) as other:
        made = keys.obtain([ANN], make=True)
        assert other.obtain([ANN], make=False) == made
    whole = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"ann" not in whole
    assert b"sha256:a" not in whole


def test_the_bytes_of_a_destroyed_key_are_in_no_file(tmp_path: Path) -> None:
    owners = [ANN._replace(subject=f"p-{n}") for n in range(300)]
    with closing(subject_file(tmp_path)) as keys:
        made = [keys.obtain(owners[n : n + 30], make=True) for n in range(0, 300, 30)]
        secrets = [key.secret for some in made for key in some.values()]
        whole = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert all(secret in whole for secret in secrets)
        keys.destroy([key.name for some in made for key in some.values()][1:])
        whole = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert [secret for secret in secrets if secret in whole] == secrets[:1]


def test_a_key_that_is_deleted_by_hand_is_destroyed(tmp_path: Path) -> None:
    with closing(subject_file(tmp_path)) as keys:
        name = keys.obtain([ANN], make=True)[ANN].name
        with closing(sqlite3.connect(tmp_path / "subjects.db", isolation_level=None)) as by_hand:
            by_hand.execute("DELETE FROM keys")
        assert keys.held([name]) == {name: None}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE keys SET secret = zeroblob(32)",
        "DELETE FROM destroyed",
        "UPDATE destroyed SET name = 'x'",
        "INSERT INTO keys SELECT name, x'00', x'00' FROM destroyed",
    ],
)
def test_keys_are_destroyed_and_never_changed_or_brought_back(tmp_path: Path, statement: str) -> None:
    with closing(subject_file(tmp_path)) as keys:
        keys.destroy([keys.obtain([ANN], make=True)[ANN].name])
        keys.obtain([ANN], make=True)
    with (
        closing(sqlite3.connect(tmp_path / "subjects.db", isolation_level=None)) as by_hand,
        pytest.raises(sqlite3.IntegrityError, match="destroyed"),
    ):
        by_hand.execute(statement)


@pytest.mark.parametrize("spoil", ["missing", "empty", "no identity", "another program's", "no database"])
def test_a_file_that_is_not_there_or_not_ours_is_no_erasure(tmp_path: Path, spoil: str) -> None:
    file = tmp_path / "subjects.db"
    with closing(subject_file(tmp_path)) as keys:
        name = keys.obtain([ANN], make=True)[ANN].name
    if spoil == "missing":
        file.unlink()
    elif spoil == "empty":
        file.write_bytes(b"")
    elif spoil == "no database":
        file.write_bytes(b"\0" * 9000)
    else:
        statement = "DELETE FROM identity" if spoil == "no identity" else "PRAGMA application_id=7"
        with closing(sqlite3.connect(file, isolation_level=None)) as by_hand:
            by_hand.execute(statement)
    for read_only in (True, False):
        with closing(subject_file(tmp_path, read_only=read_only)) as keys, pytest.raises(LedgerError):
            keys.held([name])
        with closing(subject_file(tmp_path, read_only=read_only)) as keys, pytest.raises(LedgerError):
            _ = keys.id
        with closing(subject_file(tmp_path, read_only=read_only)) as keys, pytest.raises(LedgerError):
            keys.destroy([name])
