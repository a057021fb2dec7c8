"""`remit settle`: what a crash left open is listed and settled by a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from open_intents import left_open
from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_what_is_unknown_is_listed_settled_and_gone(remit: Any, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    with open_store(tmp_path / "store") as opened:
        (intent,) = left_open(opened)
    listed = remit("settle", "--store", store, "--json")
    assert listed.code == 1
    assert [one["intent"] for one in listed.json["unknown"]] == [intent]
    shown = remit("settle", "--store", store)
    assert "call_tool refund" in shown.stdout
    assert "key key-0" in shown.stdout
    vague = remit("settle", intent[7:19], "--store", store, "--as", "otto", "--reason", "seen")
    assert (vague.code, "--happened" in vague.stderr) == (2, True)
    mute = remit("settle", intent[7:19], "--happened", "--store", store, "--as", "otto")
    assert (mute.code, "--reason" in mute.stderr) == (2, True)
    done = remit("settle", intent[7:19], "--happened", "--store", store, "--as", "otto", "--reason", "seen")
    assert (done.code, "refund happened, as otto found" in done.stdout) == (0, True)
    assert remit("settle", "--store", store).code == 0
    again = remit("settle", intent[7:19], "--happened", "--store", store, "--as", "eva", "--reason", "seen")
    assert (again.code, "is settled: `otto` found that it happened" in again.stderr) == (2, True)


def test_an_effect_of_a_tool_that_is_not_idempotent_is_not_repeated(
    remit: Any, project: Callable[..., Path], tmp_path: Path
) -> None:
    project()
    assert remit("run", "desk", "hello", "--as", "ana", "--attr", "jurisdiction=EU").code == 0
    with open_store(tmp_path / "desk" / ".remit") as opened:
        ((agent, _),) = opened.agents()
        (intent,) = left_open(opened, agent=agent)
    where = ("--store", "desk/.remit", "--as", "ana", "--attr", "jurisdiction=EU", "--reason", "hope")
    both = remit("settle", intent[7:19], "--repeat", "--happened", *where)
    assert (both.code, "`--repeat` finds out what happened" in both.stderr) == (2, True)
    done = remit("settle", intent[7:19], "--repeat", *where)
    assert (done.code, "does not declare itself idempotent" in done.stderr) == (2, True)
    assert remit("settle", "--store", "desk/.remit").code == 1
