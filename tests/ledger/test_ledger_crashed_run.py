"""A run is killed in the middle of an effect: the ledger holds, the effect is unknown and not repeated."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "tools.py": '''\
"""One tool that really writes, and then hangs while `hang` lies beside it."""

import time
from pathlib import Path

HERE = Path(__file__).parent


def pay(amount: int) -> dict[str, int]:
    """Pay an amount."""
    with (HERE / "paid.txt").open("a", encoding="utf-8") as paid:
        paid.write(f"{amount}\\n")
    while (HERE / "hang").exists():
        time.sleep(0.01)
    return {"paid": amount}
''',
    "agent.yaml": """\
spec: remit/1
nonce: "00112233445566778899aabbccddeeff"
attributes: {jurisdiction: EU, risk_tier: limited, owner: tests}
instructions: prompts/system.md
tools:
  - python: tools:pay
    name: pay
    description: Pay an amount.
    effect: write
    parameters:
      type: object
      properties: {amount: {type: integer}}
      required: [amount]
      additionalProperties: false
backends:
  - name: scripted
    adapter: scripted
    provider: local
    region: EU
    model: transcript
    config: {path: script.yaml}
""",
    "rules/desk.yaml": """\
rules:
  - {id: start, place: activation, because: anybody may start it}
  - {id: think, place: dispatch, because: inference is local}
  - {id: pay, place: "tool:pay", because: paying is the work}
""",
    "prompts/system.md": "You pay bills.\n",
    "script.yaml": "script:\n  - call: {name: pay, arguments: {amount: 20}}\n  - say: Paid.\n",
}


def remit(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from remit.cli.main import main; raise SystemExit(main())", *arguments]


def run(folder: Path) -> list[str]:
    return remit("run", str(folder), "Pay Nora Marker 20.", "--as", "ana", "--json")


def ask(folder: Path, *arguments: str) -> dict | list:
    done = subprocess.run(
        remit(*arguments, "--store", str(folder / ".remit"), "--json"), capture_output=True, check=True
    )
    return json.loads(done.stdout)


def threads(folder: Path) -> str:
    with closing(sqlite3.connect(folder / ".remit" / "store.db")) as connection:
        return " ".join(value for (value,) in connection.execute("SELECT value FROM runs"))


def wait_for(file: Path, child: subprocess.Popen[bytes]) -> None:
    while not file.exists() or not file.read_text():
        assert child.poll() is None, "the run ended before its effect"
        time.sleep(0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        file = tmp_path / "desk" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "desk"


def test_a_run_killed_during_an_effect_leaves_it_unknown_and_nobody_repeats_it(folder: Path) -> None:
    paid = folder / "paid.txt"
    (folder / "hang").touch()
    with subprocess.Popen(run(folder), stdout=subprocess.DEVNULL) as child:
        wait_for(paid, child)
        child.kill()
    (folder / "hang").unlink()
    assert paid.read_text() == "20\n"
    report = ask(folder, "ledger", "verify")
    assert isinstance(report, dict)
    assert (report["intact"], len(report["unfinished"])) == (True, 1)

    done = subprocess.run(run(folder), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert paid.read_text() == "20\n20\n"
    report = ask(folder, "ledger", "verify")
    assert isinstance(report, dict)
    assert (report["intact"], report["unfinished"]) == (True, [])
    outcomes = [item["record"]["body"] for item in ask(folder, "ledger", "show", "--kind", "outcome")]
    assert [body["target"] for body in outcomes if body["status"] == "unknown"] == ["pay"]


def test_what_was_said_in_a_killed_run_does_not_outlive_the_next_start(folder: Path) -> None:
    (folder / "hang").touch()
    with subprocess.Popen(run(folder), stdout=subprocess.DEVNULL) as child:
        wait_for(folder / "paid.txt", child)
        child.kill()
    (folder / "hang").unlink()
    assert "Nora Marker" in threads(folder)
    assert subprocess.run(run(folder), capture_output=True, check=False).returncode == 0
    assert "Nora Marker" not in threads(folder)
