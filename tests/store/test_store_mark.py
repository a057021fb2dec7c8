"""The mark beside the control file: what was read from there never outlives a change."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remit.errors import LedgerError
from remit.ports import Stop
from remit_adapters import _sqlite_control
from remit_adapters._sqlite_control import SqliteControl
from remit_adapters._sqlite_mark import UNSETTLED, Mark

AT = "2026-01-01T00:00:00.000Z"
KILL = Stop(scope="all", order="kill", by="ann", reason="drill", at=AT)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "control.db"


def in_another_process(file: Path, *lines: str) -> None:
    head = (
        "import os, sys",
        "from pathlib import Path",
        "from remit.ports import Stop",
        "from remit_adapters._sqlite_control import SqliteControl",
        "control = SqliteControl(Path(sys.argv[1]))",
    )
    subprocess.run([sys.executable, "-c", "\n".join([*head, *lines]), str(file)], check=True, timeout=60)


GIVE = f"control.stop(Stop(scope='all', order='kill', by='ann', reason='drill', at='{AT}'))"


def test_the_mark_alone_shows_orders_of_other_processes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sqlite_control, "RECHECK_S", 1e9)
    with closing(SqliteControl(file)) as control:
        assert control.in_force(["all"]) is None
        in_another_process(file, GIVE)
        assert control.in_force(["all"]) == KILL
        in_another_process(file, f"assert control.lift('all', by='bob', reason='', at='{AT}')")
        assert control.in_force(["all"]) is None


def test_orders_are_read_once_while_nothing_changes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sqlite_control, "RECHECK_S", 1e9)
    with closing(SqliteControl(file)) as control:
        control.stop(KILL)
        assert control.in_force(["all"]) == KILL
        asked: list[str] = []
        control._connection.set_trace_callback(asked.append)
        assert [control.in_force(["all"]) for _ in range(100)] == [KILL] * 100
        assert control.in_force(["run:r"]) is None
        assert asked == []


def test_what_another_program_writes_is_seen_after_the_recheck(file: Path) -> None:
    with closing(SqliteControl(file)) as control, closing(sqlite3.connect(file)) as other:
        assert control.in_force(["all"]) is None
        other.execute("INSERT INTO standing VALUES ('all', 'kill', 'ann', 'drill', ?)", (AT,))
        other.commit()
        time.sleep(2 * _sqlite_control.RECHECK_S)
        assert control.in_force(["all"]) == KILL


@pytest.mark.parametrize("name", ["control.db", "control.mark"])
def test_a_file_that_is_removed_denies_after_the_recheck(file: Path, name: str) -> None:
    with closing(SqliteControl(file)) as control:
        assert control.in_force(["all"]) is None
        file.with_name(name).rename(file.with_name("moved"))
        time.sleep(2 * _sqlite_control.RECHECK_S)
        with pytest.raises(LedgerError, match="control"):
            control.in_force(["all"])
        with pytest.raises(LedgerError, match="control"):
            control.stop(KILL)


def test_a_process_that_dies_while_it_gives_an_order_makes_everybody_read_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sqlite_control, "RECHECK_S", 1e9)
    with closing(SqliteControl(file)) as control, closing(sqlite3.connect(file)) as other:
        assert control.in_force(["all"]) is None
        in_another_process(
            file, "control._connection.execute('BEGIN IMMEDIATE')", "control._mark.begin()", "os._exit(0)"
        )
        assert control.in_force(["all"]) is None
        other.execute("INSERT INTO standing VALUES ('all', 'suspend', 'ann', 'drill', ?)", (AT,))
        other.commit()
        found = control.in_force(["all"])
        assert found is not None
        assert found.order == "suspend"
        control.stop(KILL)
        assert control.in_force(["all"]) == KILL
        assert control._view[0] != UNSETTLED


def test_a_refused_lift_leaves_the_mark_settled_and_the_kill_in_force(file: Path) -> None:
    with closing(SqliteControl(file)) as control:
        control.stop(KILL)
        assert control.lift("run:r", by="bob", reason="", at=AT) is False
        assert control.in_force(["all"]) == KILL
        assert control._mark is not None
        assert control._mark.value() != UNSETTLED


def test_a_copy_without_a_mark_can_be_read(file: Path) -> None:
    with closing(SqliteControl(file)) as control:
        control.stop(KILL)
    file.with_suffix(".mark").unlink()
    with closing(SqliteControl(file, read_only=True)) as reader:
        assert reader.in_force(["all"]) == KILL
        with pytest.raises(LedgerError, match="read-only"):
            reader.stop(KILL)
    assert not file.with_suffix(".mark").exists()


def test_a_closed_control_state_denies(file: Path) -> None:
    control = SqliteControl(file)
    assert control.in_force(["all"]) is None
    control.close()
    control.close()
    with pytest.raises(LedgerError, match="control"):
        control.in_force(["all"])


@given(schedule=st.lists(st.integers(min_value=0, max_value=3), max_size=60))
def test_no_reader_believes_what_a_finished_change_has_replaced(schedule: list[int]) -> None:
    """Writers 0 to 2 and a reader, step by step in any order, each with a mapping of its own.

    A writer's steps: take the lock and count, commit and free the lock, say that it is done.
    """
    with tempfile.TemporaryDirectory() as folder:
        marks = [Mark(Path(folder) / "control.mark") for _ in range(4)]
        stored = finished = 0
        locked_by: int | None = None
        numbers: dict[int, int] = {}
        steps = [0, 0, 0]
        believed: tuple[int, int] = (UNSETTLED, 0)
        for who in schedule:
            if who == 3:
                mark = marks[3].value()
                if mark == UNSETTLED or mark != believed[0]:
                    believed = (mark, stored)
                assert believed[1] >= finished
            elif steps[who] == 0 and locked_by is None:
                locked_by = who
                numbers[who] = marks[who].begin()
                steps[who] = 1
            elif steps[who] == 1:
                stored += 1
                locked_by = None
                finished = stored
                steps[who] = 2
            elif steps[who] == 2:
                marks[who].end(numbers[who])
                steps[who] = 0
        for mark_file in marks:
            mark_file.close()
