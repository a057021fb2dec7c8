"""The budget of instructions refuses what grew, and only that."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def budget() -> Any:
    path = list(sys.path)
    spec = importlib.util.spec_from_file_location("check_budget", BENCHMARKS / "check_budget.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = path
    return module


@pytest.mark.parametrize(("now", "broken"), [(900, 0), (1000, 0), (1100, 0), (1101, 1)])
def test_a_count_may_grow_by_a_tenth_and_no_more(budget: Any, now: int, broken: int) -> None:
    table, sentences = budget.judge({"decide": 1000}, {"decide": now})
    assert broken == len(sentences)
    assert len(table) == 2


def test_a_version_without_a_budget_is_printed_and_passes(budget: Any) -> None:
    table, sentences = budget.judge({}, {"decide": 5})
    assert "none" in table[1]
    assert sentences == []


def test_an_operation_without_a_budget_is_named(budget: Any) -> None:
    _, sentences = budget.judge({"decide": 5}, {"decide": 5, "encode": 5})
    assert len(sentences) == 1
    assert "`encode` has no budget" in sentences[0]


def test_two_counts_of_one_operation_are_equal(budget: Any) -> None:
    # In a process of its own: coverage tools and debuggers trace too.
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import check_budget as b; o = b.encode_record();"
        "[o() for _ in range(20)]; print(b.instructions(o), b.instructions(o))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(BENCHMARKS)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    one, two = done.stdout.split()
    assert one == two
    assert int(one) > 100


def test_every_operation_has_a_budget(budget: Any) -> None:
    for recorded in json.loads((BENCHMARKS / "budget.json").read_text()).values():
        assert set(budget.OPERATIONS) == set(recorded)
