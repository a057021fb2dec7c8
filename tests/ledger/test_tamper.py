"""A little of the thousand attempts of `make torture` to rewrite a log as its owner."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from torture_tamper import ACTS, attempt, control, make_log, tampered

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_held_checkpoint_finds_what_the_owner_of_the_key_rewrote_and_nothing_else_does() -> None:
    total, faults = tampered(22, 6, seed=5)
    assert faults == []
    assert total["found with a held checkpoint"] == total["attempts"] == 22
    assert total["controls that verify"] == total["controls"] == 6
    assert total["found without one"] == 0, "the owner makes the log agree with itself"


def test_every_way_of_tampering_is_found_with_every_checkpoint_that_covers_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = random.Random(1)
    held = make_log(tmp_path / "template", order)
    for act in ACTS:
        monkeypatch.setattr("torture_tamper.ACTS", (act,))
        done, found, _ = attempt(tmp_path / "template", tmp_path, held, order)
        assert found, done


def test_a_log_that_grew_honestly_verifies_with_every_checkpoint_that_was_taken_away(tmp_path: Path) -> None:
    order = random.Random(2)
    held = make_log(tmp_path / "template", order)
    for one in held[::5]:
        assert control(tmp_path / "template", tmp_path, [one], order)[1]
