"""`remit test` on 1,000 written-out cases of one project: the whole command, by CPU time, and its parts."""

from __future__ import annotations

import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from remit.document.yaml_quick import quick_yaml
from remit.document.yaml_text import parse_yaml

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "refund-desk"
START = "from remit.cli.main import main; main()"
CASES = 1_000
ROUNDS = 5


def case(number):
    """One case, written out; every third decision is of another kind."""
    amount = number * 7
    if amount <= 0:
        decision, rule = "deny", "refund-amount"
    elif amount <= 500:
        decision, rule = "allow", "refund"
    elif amount <= 5000:
        decision, rule = "awaiting_approval", "refund-approval"
    else:
        decision, rule = "deny", "refund-ceiling"
    return f"""\
  - name: refund number {number}
    request:
      caller: {{id: ana, roles: [clerk], jurisdiction: EU}}
      action: refund
      input: {{order_id: A-{number}, amount: {amount}, reason: late}}
    expect: {{decision: {decision}, rules: [{rule}]}}
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suites") / "desk"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("cases", "*.sqlite3*", ".remit*"))
    (folder / "cases").mkdir()
    text = "cases:\n" + "".join(case(number) for number in range(CASES))
    (folder / "cases" / "many.yaml").write_text(text)
    return folder


def seconds_of(*arguments):
    """CPU and wall time of one invocation, and of what it started, in seconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", START, *arguments], capture_output=True, check=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert f"{CASES} passed" in done.stdout
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - began


def test_the_whole_command(desk):
    ways = {
        "cedar, one process": ("--jobs", "1"),
        "cedar, as many as pay": (),
        "compiled, one process": ("--jobs", "1", "--engine", "compiled"),
    }
    found = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, options in ways.items():
            found[way].append(seconds_of("test", str(desk), *options))
    print()
    for way, times in found.items():
        cpu, wall = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{CASES} cases, {way}: {cpu:.2f} s CPU, {wall:.2f} s wall (median of {ROUNDS})")


def test_reading_the_file(desk, monkeypatch):
    data = (desk / "cases" / "many.yaml").read_bytes()
    quick, full = [], []
    for _ in range(ROUNDS):
        began = time.process_time()
        assert quick_yaml(data.decode()) is not None
        quick.append(time.process_time() - began)
        with monkeypatch.context() as patch:
            patch.setattr("remit.document.yaml_text.quick_yaml", lambda _: None)
            began = time.process_time()
            parse_yaml(data)
            full.append(time.process_time() - began)
    ratio = statistics.median(full) / statistics.median(quick)
    print(f"\n{len(data)} bytes of YAML: the quick reader is {ratio:.0f}x the full one's speed")
