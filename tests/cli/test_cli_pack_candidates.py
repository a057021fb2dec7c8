"""A pack as a candidate: put into the agent whose ledger is replayed, and compared with another version."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli_desk import Remit

WHO = ("--as", "ana", "--attr", "jurisdiction=EU", "--attr", "level=2")
APPROVAL = ("human-approval", "--with", 'tools=["pay"]')
USE = """\
packs:
  - path: ../caps
    as: own
    with: {effects: [write]}
"""


@pytest.fixture
def desk(project: Callable[..., Path], remit: Remit) -> Path:
    """A project whose store has one run, in which 20 was paid."""
    folder = project()
    assert remit("run", "desk", *WHO, "--input", "pay bob").code == 0
    return folder


def version(folder: Path, name: str, *changes: tuple[str, str]) -> Path:
    """Write another version of the pack `caps` beside it."""
    other = folder / name
    shutil.copytree(folder / "caps", other)
    for path in (other / "pack.yaml", other / "rules" / "rules.yaml"):
        text = path.read_text()
        for old, new in changes:
            text = text.replace(old, new)
        path.write_text(text)
    return other


@pytest.fixture
def caps(remit: Remit, tmp_path: Path) -> Path:
    """A new pack: tools with certain effects wait for a person; `external` by default."""
    assert remit("packs", "new", "caps").code == 0
    return tmp_path


@pytest.fixture
def pinned(caps: Path, project: Callable[..., Path], remit: Remit) -> Path:
    """A project that uses `caps` as `own`, pinned, with one run; paying waits for a person there."""
    folder = project()
    agent = folder / "agent.yaml"
    agent.write_text(agent.read_text() + USE)
    assert remit("packs", "update", "desk").code == 0
    assert remit("run", "desk", *WHO, "--input", "pay bob").code == 4
    return caps


def test_a_pack_is_replayed_as_the_agents_own_document_with_its_rules(desk: Path, remit: Remit) -> None:
    found = remit("replay", "desk", "--against", *APPROVAL, "--with", "above=10")
    assert (found.code, found.stderr) == (0, "")
    assert "in which the pack human-approval is added as human-approval" in found.stdout
    assert "1 of 6 replayed decisions flip: 1 newly needs approval" in found.stdout
    assert "pay: allow by pay → awaiting approval by human-approval.amount" in found.stdout


def test_parameters_that_nobody_gives_have_their_defaults(desk: Path, remit: Remit) -> None:
    assert remit("replay", "desk", "--against", *APPROVAL, "--json").json["flips"] == 0


def test_flips_under_a_pack_become_cases_that_hold_under_it(desk: Path, remit: Remit) -> None:
    found = remit(
        "replay", "desk", "--against", *APPROVAL, "--with", "above=10", "--to-cases", "x.cases.yaml"
    )
    assert "wrote 1 cases into x.cases.yaml" in found.stdout


def test_a_version_of_a_pinned_pack_takes_its_place_with_the_same_values(pinned: Path, remit: Remit) -> None:
    version(pinned, "same", ("version: 0.1.0", "version: 0.2.0"))
    found = remit("replay", "desk", "--against", "same", "--json").json
    assert found["flips"] == 0
    assert "the pack caps is replaced by version 0.2.0 as own" in found["notes"][0]
    # The pinned version is not at hand beside a folder that nobody named.
    assert any("is not at hand" in note for note in found["notes"])
    version(
        pinned,
        "laxer",
        ("[${effects}]", "[]"),
        ("${effects}.contains(resource.effect)", '${effects}.contains("read")'),
    )
    found = remit("replay", "desk", "--against", "laxer", "--compare", "caps", "--json").json
    assert found["changes"]["no longer needs approval"] == 1


def test_a_new_default_counts_where_the_pinned_version_is_at_hand(pinned: Path, remit: Remit) -> None:
    version(
        pinned,
        "next",
        ("default: approver", "default: officer"),
        ("when: ${effects}", 'when: ${approver} == "officer" && ${effects}'),
    )
    found = remit("diff", "caps", "next", "--ledger", "desk", "--json").json
    assert found["of"] == "pack"
    assert [(item["part"], item["name"], item["pointer"]) for item in found["declarations"]] == [
        ("parameter", "approver", "/default")
    ]
    assert [(rule["id"], rule["change"]) for rule in found["rules"]] == [("approval", "changed")]
    assert (found["ledger"]["replayed"], found["ledger"]["flips"]) == (4, 0)
    assert not any("not at hand" in note for note in found["notes"])


def test_versions_of_a_pack_are_compared_in_their_authors_words_and_on_their_fixtures(
    caps: Path, remit: Remit
) -> None:
    version(
        caps,
        "next",
        ("default: [external]", "default: [read]"),
        ("version: 0.1.0", "version: 0.2.0"),
        ("calls of tools", "each call of tools"),
    )
    found = remit("diff", "caps", "next", "--html", "diff.html", "--exit-code")
    assert (found.code, found.stderr) == (1, "")
    lines = found.stdout.splitlines()
    assert (
        "  +because: each call of tools with the effect ${effects} need a person with the role ${approver}"
        in lines
    )
    assert '  version: "0.1.0" → "0.2.0"' in lines
    assert '  parameter effects /default: ["external"] → ["read"]' in lines
    assert "case flips: mail waits for a person" in lines
    assert any(
        re.search(r"newly needs approval: allow by anything .*caps.approval .*next/fixture", line)
        for line in lines
    )
    assert lines[-2].startswith("1 rule differs; 2 declarations differ; 2 of 3 known cases flip")
    page = (caps / "diff.html").read_text()
    assert "Old pack" in page
    assert "Cedar schema" not in page


def test_a_pack_does_not_differ_from_itself(caps: Path, remit: Remit) -> None:
    found = remit("diff", "caps", "caps", "--exit-code", "--json")
    assert (found.code, found.json["flips"], found.json["rules"], found.json["declarations"]) == (
        0,
        0,
        [],
        [],
    )
    assert found.json["cases"]["count"] == 3


def test_a_fixture_that_one_version_does_not_fit_is_named_with_the_reason(caps: Path, remit: Remit) -> None:
    needs = "requires:\n  caller: {desk: string}\ncontrols:"
    version(caps, "next", ("controls:\n  - {id: OWN-1,", needs + "\n  - {id: OWN-1,"))
    found = remit("diff", "next", "caps", "--json").json
    assert found["notes"] == [
        (
            "The fixture fixture was left out: "
            "0.1.0 does not go into it: the pack `caps` cannot be used: `caller` declares no `desk`."
        )
    ]
    assert found["cases"]["count"] == 0


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (("replay", "desk", "--against", "human-approval", "--with", "abov=1"), "has no parameter `abov`; did you mean `above`"),
        (("replay", "desk", "--against", "human-approval", "--with", "above=-1"), "`above` does not fit the pack"),
        (("replay", "desk", "--against", "human-approval", "--with", 'tools=["pya"]'), "no tool is called `pya`; did you mean `pay`"),
        (("replay", "desk", "--against", "delegation-limits"), "cannot be used"),
        (("replay", "desk", "--against", "desk", "--with", "above=1"), "`--with` gives values to a pack"),
        (("replay", "desk", "--against", "human-approva"), "`human-approva` does not exist; did you mean `human-approval`? give a project folder, a document file, or a pack"),
        (("diff", "desk", "human-approval"), "`human-approval` is a pack, and `desk` is none"),
        (("diff", "budgets", "human-approval"), "are two packs, not two versions of one"),
        (("diff", "budgets", "budgets", "--cases", "desk"), "`--cases` names cases of an agent"),
        (("diff", "budgets", "budgets", "--with", "max_tokens=1"), "name it with `--ledger`"),
        (("diff", "desk", "desk", "--with", "max_tokens=1"), "name two versions of a pack"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_told_with_a_way_forward(
    line: tuple[str, ...], told: str, desk: Path, remit: Remit
) -> None:
    found = remit(*line)
    assert (found.code, found.stdout) == (2, "")
    assert told in found.stderr
    assert json.loads(remit(*line, "--json").stdout)
