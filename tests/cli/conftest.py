"""Fixtures: a small agent's folder, the command line in an empty folder, whole outputs as snapshots."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_desk import Remit, invoke, write_project

if TYPE_CHECKING:
    from collections.abc import Callable

RENEW = "REMIT_RENEW_SNAPSHOTS"
SNAPSHOTS = Path(__file__).with_name("snapshots")


@pytest.fixture
def remit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Remit:
    """The command line, run in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REMIT_STORE", raising=False)
    monkeypatch.setenv("REMIT_CACHE", str(tmp_path / "cache"))
    return invoke


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Make the test agent's folder `desk` with some of its files replaced."""
    return lambda **texts: write_project(tmp_path / "desk", **texts)


@pytest.fixture
def document(project: Callable[..., Path], remit: Remit, tmp_path: Path) -> dict[str, Any]:
    """The test agent's document as JSON, also written to `desk.agent.json`."""
    project()
    built = remit("build", "desk", "-o", "desk.agent.json")
    assert built.code == 0, built.stderr
    return json.loads((tmp_path / "desk.agent.json").read_text())


_UNSTABLE = (
    (re.compile(r"sha256:[0-9a-f]{64}"), "sha256:<digest>"),
    (re.compile(r"\b[0-9a-f]{32,64}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "<short>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"), "<time>"),
    (re.compile(r"remit\.local/[0-9a-f]{16}"), "remit.local/<key>"),
    (re.compile(r"\brun [A-Za-z0-9_-]{12,}\b"), "run <run>"),
    (re.compile(r"base\.cedar:\d+:\d+"), "base.cedar:<place>"),
    (re.compile(r"policy_bytes: \d+"), "policy_bytes: <n>"),
    (re.compile(r"load: \d+\.\d+ s, \d+\.\d+ s from a cache"), "load: <s> s, <s> s from a cache"),
    (re.compile(r"decides \d+ probes"), "decides <n> probes"),
    (re.compile(r"probes: \d+"), "probes: <n>"),
    (re.compile(r"tokens \d+"), "tokens <n>"),
    (re.compile(r"cedar \d+\.\d+\.\d+"), "cedar <version>"),
)


@pytest.fixture
def snapshot(tmp_path: Path) -> Callable[[str, str], None]:
    """Compare a whole output with `snapshots/NAME.txt`; REMIT_RENEW_SNAPSHOTS=1 writes it anew."""

    def compare(name: str, text: str) -> None:
        for pattern, word in _UNSTABLE:
            text = pattern.sub(word, text)
        text = text.replace(str(tmp_path), "<folder>")
        text = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
        path = SNAPSHOTS / f"{name}.txt"
        if os.environ.get(RENEW):
            SNAPSHOTS.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text

    return compare
