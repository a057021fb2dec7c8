"""Copies of the examples, the real command line, and what lies in the SQLite files afterwards."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remit.project.build import build_project

if TYPE_CHECKING:
    from remit.document.model import Document

REPO = Path(__file__).resolve().parents[2]
EXAMPLES = ("refund-desk", "care-navigator")
MODEL_SHA256 = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
SCENES = {
    "lookup": "Look up order A-1001.",
    "small-refund": "Refund 40 euros for order A-1001 because it arrived broken.",
    "too-large": "Refund 9000 euros for order A-1003 because the customer asked.",
    "large-refund": "Refund 900 euros for order A-1002, it does not work.",
    "budget": "Look up order A-1004, then refund 45 euros because it was lost.",
}


def copy_example(name: str, folder: Path) -> Path:
    """Copy an example as a user's checkout holds it, but for its README, which quotes what a test looks for."""
    project = folder / name
    shutil.copytree(
        REPO / "examples" / name,
        project,
        ignore=shutil.ignore_patterns("README.md", "__pycache__", "*.sqlite3*", "*.agent.json", ".remit*"),
    )
    return project


def with_transcript(project: Path, transcript: str) -> Path:
    """Let the back-end `scripted` replay another transcript of the folder."""
    agent = project / "agent.yaml"
    text = agent.read_text(encoding="utf-8")
    changed = text.replace("transcripts/small-refund.yaml", f"transcripts/{transcript}.yaml")
    assert transcript == "small-refund" or changed != text
    agent.write_text(changed, encoding="utf-8")
    return project


def build(project: Path) -> Document:
    return build_project(project).document


def remit(*arguments: str, cwd: Path, code: int | None = 0, timeout_s: float = 120) -> dict[str, Any]:
    """Run the command line in a process of its own with `--json` and return what it wrote."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("REMIT_STORE", "REFUND_", "CARE_"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "remit.cli.main", *arguments, "--json"]
        if not (Path(sys.executable).parent / "remit").exists()
        else [str(Path(sys.executable).parent / "remit"), *arguments, "--json"],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    assert "Traceback" not in done.stderr, done.stderr
    if code is not None:
        assert code == done.returncode, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    value = json.loads(done.stdout)
    assert isinstance(value, dict)
    return value


def rows(file: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query).fetchall()


def holding(folder: Path, words: tuple[str, ...]) -> list[str]:
    """The files under `folder` that hold any of `words`, in UTF-8 or UTF-16."""
    needles = [word.encode(code) for word in words for code in ("utf-8", "utf-16-le")]
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and any(needle in path.read_bytes() for needle in needles)
    )
