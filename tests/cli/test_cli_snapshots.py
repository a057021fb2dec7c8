"""Whole outputs of the command line, reviewed as text: REMIT_RENEW_SNAPSHOTS=1 writes them anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from remit.cli.main import VERBS

if TYPE_CHECKING:
    from collections.abc import Callable

ANA = ("--as", "ana", "--attr", "jurisdiction=EU")
LARGE = "script:\n  - call: {name: pay, arguments: {amount: 900, to: bob}}\n"
OUTPUTS: dict[str, tuple[str, ...]] = {
    "check": ("check", "desk"),
    "inspect": ("inspect", "desk"),
    "compile": ("compile", "desk", "--stats"),
    "verify": ("verify", "desk"),
    "decide-allow": ("decide", "desk", "--action", "pay", "--input", '{"amount": 20, "to": "bob"}', *ANA),
    "decide-wait": ("decide", "desk", "--action", "pay", "--input", '{"amount": 900, "to": "bob"}', *ANA),
    "decide-deny": ("decide", "desk", "--action", "pay", "--input", '{"amount": 9000, "to": "bob"}', *ANA),
    "decide-json": (
        "decide",
        "desk",
        "--action",
        "pay",
        "--input",
        '{"amount": 20, "to": "b"}',
        *ANA,
        "--json",
    ),
    "decide-explain": (
        "decide",
        "desk",
        "--action",
        "pay",
        "--input",
        '{"amount": 9000, "to": "bob"}',
        *ANA,
        "--explain",
    ),
    "run": ("run", "desk", "please pay", *ANA),
    "run-denied": ("run", "desk", "please pay", "--as", "bob", "--attr", "jurisdiction=US"),
    "faults": ("verify", "broken.agent.json"),
    "usage": ("run",),
    "unknown-verb": ("rum",),
}


@pytest.mark.parametrize("name", [*OUTPUTS])
def test_the_whole_output_is_what_was_reviewed(
    name: str, remit: Any, project: Callable[..., Path], snapshot: Callable[[str, str], None]
) -> None:
    project()
    Path("broken.agent.json").write_text('{"spec": "remit/1",\n "surprise": 1}\n')
    done = remit(*OUTPUTS[name])
    snapshot(name, f"exit code {done.code}\n--- stdout\n{done.stdout}--- stderr\n{done.stderr}")


def test_the_whole_output_of_a_run_that_waits_is_what_was_reviewed(
    remit: Any, project: Callable[..., Path], snapshot: Callable[[str, str], None]
) -> None:
    project(script=LARGE)
    done = remit("run", "desk", "please pay", *ANA)
    snapshot("run-waits", f"exit code {done.code}\n--- stdout\n{done.stdout}--- stderr\n{done.stderr}")


def test_the_schemas_are_printed_as_they_are(remit: Any, project: Callable[..., Path]) -> None:
    project()
    assert 'action "pay"' in remit("schema", "cedar", "desk").stdout
    assert "Remit" in remit("schema", "cedar", "desk", "--json").json
    assert "$schema" in remit("schema").json
    assert remit("schema", "rules").json["$ref"] == "#/$defs/rule"
    assert remit("schema", "cedar").code == 2


@pytest.mark.parametrize("verb", [*VERBS])
def test_the_help_of_every_verb_shows_an_example(verb: str, remit: Any) -> None:
    done = remit(verb, "--help")
    assert done.code == 0
    assert "Examples:" in done.stdout
    assert f"remit {verb}" in done.stdout.split("Examples:")[1]


def test_the_help_lists_every_verb(remit: Any) -> None:
    done = remit("--help")
    assert done.code == 0
    assert [verb for verb in VERBS if f"  {verb}" in done.stdout] == [*VERBS]


def test_the_help_of_every_sub_verb_shows_an_example(remit: Any) -> None:
    subs = {
        "ledger": ("verify", "show", "prove", "checkpoint", "witness"),
        "evidence": ("export", "verify"),
        "models": ("pull", "list", "add", "verify"),
        "memory": ("list", "remember", "recall", "erase", "prove", "check-proof"),
        "keys": ("new",),
    }
    for verb, names in subs.items():
        for name in names:
            assert f"remit {verb} {name}" in remit(verb, name, "--help").stdout.split("Examples:")[1]
