"""What `-o FILE` does with a file that is there, and with what is no file."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ANA = ("--as", "ana", "--attr", "jurisdiction=EU")
STORE = ("--store", "desk/.remit")
WRITING: dict[str, tuple[str, ...]] = {
    "an export of the ledger": ("ledger", "export", "--format", "jsonl", *STORE, "-o"),
    "a bundle of evidence": ("evidence", "export", *STORE, "-o"),
    "an export of a document": ("export", "desk", "--to", "openai-assistant", "-o"),
    "a checkpoint": ("ledger", "checkpoint", *STORE, "-o"),
    "a proof": ("ledger", "prove", "0", *STORE, "-o"),
    "a report": ("test", "desk", "--html"),
    "an archive": (
        *("ledger", "prune", "--to", "2", "--as", "otto", "--reason", "x", *STORE),
        *("--now", "2999-01-01", "--unsafe-future", "--archive"),
    ),
}
COPIES = ("an export of the ledger", "a bundle of evidence", "an export of a document")
MADE_AGAIN = ("a checkpoint", "a proof")


@pytest.fixture
def desk(remit: Any, project: Callable[..., Path]) -> Path:
    folder = project()
    assert remit("run", "desk", "please pay", *ANA).code == 0
    return folder


@pytest.mark.parametrize("what", WRITING)
def test_what_is_no_file_is_left_alone(what: str, remit: Any, desk: Path) -> None:
    os.mkfifo("pipe")
    (desk / "folder").mkdir()
    for place in ("pipe", "desk/folder"):
        kind = Path(place).stat().st_mode
        refused = remit(*WRITING[what], place)
        assert refused.code == 2, refused.stdout
        assert f"`{place}`" in refused.stderr
        assert refused.stderr.count("error") == 1
        assert Path(place).stat().st_mode == kind
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)


@pytest.mark.parametrize("what", COPIES)
def test_a_copy_is_written_over_by_force_alone(what: str, remit: Any, desk: Path) -> None:
    assert desk.is_dir()
    Path("mine").write_text("mine")
    refused = remit(*WRITING[what], "mine")
    assert (refused.code, "`mine` exists; name another file, or overwrite" in refused.stderr) == (2, True)
    assert Path("mine").read_text() == "mine"
    assert remit(*WRITING[what], "mine", "--force").code == 0
    assert Path("mine").read_bytes() != b"mine"


@pytest.mark.parametrize("what", MADE_AGAIN)
def test_what_can_be_made_again_takes_the_place_of_the_file(what: str, remit: Any, desk: Path) -> None:
    assert desk.is_dir()
    Path("old").write_text("old")
    assert remit(*WRITING[what], "old").code == 0
    assert Path("old").read_text() != "old"
