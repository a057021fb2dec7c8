"""`remit packs`: what it says to people and to programs, and how it ends."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli_desk import Remit

USE = """\
packs:
  - name: human-approval
    version: 1.0.0
    as: bills
    with: {tools: [pay], above: 100, approver: officer}
"""


OUR_PACK = """\
packs:
  - path: ../our-pack
"""


def _using(project: Callable[..., Path], use: str) -> Path:
    """Make the test agent's folder and let it use packs."""
    folder = project()
    with (folder / "agent.yaml").open("a", encoding="utf-8") as agent:
        agent.write(use)
    return folder


@pytest.fixture
def desk(project: Callable[..., Path], remit: Remit) -> Path:
    """A project that uses a pack and is pinned."""
    folder = _using(project, USE)
    assert remit("packs", "update", "desk").code == 0
    return folder


def test_list_and_show_name_the_packs_and_their_digests(remit: Remit) -> None:
    listed = remit("packs", "list", "--json").json
    assert len(listed) == 10
    shown = remit("packs", "show", "budgets", "--json").json
    assert shown["digest"] == next(item["digest"] for item in listed if item["name"] == "budgets")
    assert {item["name"] for item in shown["parameters"]} >= {"run_tool_calls", "lifetime_cost_microusd"}
    text = remit("packs", "show", "business-hours").stdout
    assert "requires environment value `business_day` (boolean)" in text
    assert "forbid closed-date  (given closed_dates)" in text


def test_an_unknown_pack_is_told_with_the_nearest_name(remit: Remit) -> None:
    said = remit("packs", "show", "bugets")
    assert (said.code, said.stderr) == (
        2,
        "error: no pack is called `bugets`; did you mean `budgets`?; name another one by its `path`\n",
    )


def test_a_new_pack_checks_and_is_never_made_over_something(remit: Remit, tmp_path: Path) -> None:
    made = remit("packs", "new", "our-pack", "--json")
    assert (made.code, made.json["name"]) == (0, "our-pack")
    checked = remit("packs", "check", "our-pack", "--json")
    assert (checked.code, checked.json["passed"]) == (0, True)
    again = remit("packs", "new", "our-pack")
    assert (again.code, "exists and is not an empty folder" in again.stderr) == (2, True)
    bad = remit("packs", "new", "Our_Pack")
    assert (bad.code, "name the pack with `--name`" in bad.stderr) == (2, True)
    assert not (tmp_path / "Our_Pack").exists()


def test_a_pack_whose_case_fails_is_a_finding(remit: Remit, tmp_path: Path) -> None:
    remit("packs", "new", "our-pack")
    path = tmp_path / "our-pack" / "fixture" / "cases" / "cases.yaml"
    path.write_text(re.sub("decision: awaiting_approval[^}]*", "decision: allow", path.read_text()))
    said = remit("packs", "check", "our-pack")
    assert (said.code, "expected decision allow, got awaiting_approval" in said.stdout) == (1, True)


def test_a_project_is_built_once_its_packs_are_pinned(
    project: Callable[..., Path], remit: Remit, tmp_path: Path
) -> None:
    _using(project, USE)
    refused = remit("build", "desk")
    assert (refused.code, "is not pinned" in refused.stderr) == (2, True)
    assert not (tmp_path / "desk" / "packs.lock.yaml").exists()
    first = remit("packs", "update", "desk", "--json").json
    assert [item["change"] for item in first["packs"]] == ["pinned"]
    assert remit("packs", "update", "desk", "--json").json["packs"][0]["change"] == "unchanged"
    assert remit("build", "desk").code == 0


def test_check_and_inspect_say_which_rules_come_from_which_pack(desk: Path, remit: Remit) -> None:
    del desk
    checked = remit("check", "desk", "--json").json
    (pack,) = checked["packs"]
    assert (pack["name"], pack["as"], pack["differences"]) == ("human-approval", "bills", [])
    assert pack["rules"] == ["bills.effect", "bills.amount", "bills.ceiling", "bills.not-positive"]
    assert "pack human-approval 1.0.0 as bills (" in remit("check", "desk").stdout
    inspected = remit("inspect", "desk", "--json").json
    assert inspected["governance"]["packs"][0]["parameters"]["above"] == 100
    assert "pack human-approval as bills 1.0.0" in remit("inspect", "desk").stdout


def test_a_decision_names_the_packs_rule(desk: Path, remit: Remit) -> None:
    del desk
    asked = ("--as", "ana", "--attr", "jurisdiction=EU", "--input", '{"amount": 101, "to": "bob"}')
    said = remit("decide", "desk", "--action", "pay", *asked)
    assert (said.code, "rule     bills.amount" in said.stdout) == (4, True)


def test_a_document_that_departs_from_its_pack_is_found(desk: Path, remit: Remit, tmp_path: Path) -> None:
    del desk
    remit("build", "desk", "-o", "desk.agent.json")
    assert remit("packs", "verify", "desk.agent.json").code == 0
    _lift(tmp_path / "desk.agent.json")
    said = remit("packs", "verify", "desk.agent.json", "--json")
    assert (said.code, said.json["intact"]) == (1, False)
    assert [(item["kind"], item["rule"]) for item in said.json["packs"][0]["differences"]] == [
        ("missing", "bills.ceiling")
    ]
    checked = remit("check", "desk.agent.json")
    assert (
        checked.code,
        "the rule `bills.ceiling` of the pack is not in the document" in checked.stdout,
    ) == (
        1,
        True,
    )


def _lift(path: Path) -> None:
    from remit.document.parse import document_value, parse_document, serialize_document
    from remit.document.revision import genesis

    value: dict[str, Any] = json.loads(json.dumps(document_value(parse_document(path.read_bytes()))))
    rules = value["governance"]["rules"]
    value["governance"]["rules"] = [rule for rule in rules if rule.get("id") != "bills.ceiling"]
    path.write_bytes(serialize_document(genesis(value, nonce="0" * 32)))


def test_a_pack_that_is_not_at_hand_is_advice_to_check_and_a_finding_to_verify(
    project: Callable[..., Path], remit: Remit, tmp_path: Path
) -> None:
    remit("packs", "new", "our-pack")
    _using(project, OUR_PACK)
    remit("packs", "update", "desk")
    remit("build", "desk", "-o", "desk.agent.json")
    (tmp_path / "our-pack").rename(tmp_path / "elsewhere")
    checked = remit("check", "desk.agent.json")
    assert (checked.code, "advice: /governance/packs/0: no pack at hand is" in checked.stdout) == (0, True)
    assert remit("packs", "verify", "desk.agent.json").code == 1
    assert remit("packs", "verify", "desk.agent.json", "--pack", "elsewhere").code == 0


def test_changed_evidence_is_advice(project: Callable[..., Path], remit: Remit, tmp_path: Path) -> None:
    remit("packs", "new", "our-pack")
    _using(project, OUR_PACK)
    remit("packs", "update", "desk")
    (tmp_path / "our-pack" / "README.md").write_text("# our-pack\n")
    said = remit("check", "desk", "--json").json
    assert [item["message"] for item in said["findings"] if item["check"] == "pack-evidence"] == [
        "the page or the cases of the pack `our-pack` changed since it was pinned"
    ]
    assert remit("packs", "update", "desk", "--json").json["packs"][0]["change"] == "changed page or cases of"


def test_packs_are_signed_and_pinned_only_where_they_are(
    project: Callable[..., Path], remit: Remit, tmp_path: Path
) -> None:
    remit("packs", "new", "our-pack")
    _using(project, OUR_PACK)
    remit("keys", "new", "legal")
    unsigned = remit("packs", "update", "desk", "--trust", "legal.pub.pem")
    assert (unsigned.code, "has 0 trusted signature(s), 1 needed" in unsigned.stderr) == (2, True)
    assert not (tmp_path / "desk" / "packs.lock.yaml").exists()
    signed = remit("packs", "sign", "our-pack", "--key", "legal.key.pem", "--json").json
    assert signed["file"] == "our-pack/signatures/legal.dsse.json"
    assert remit("packs", "update", "desk", "--trust", "legal.pub.pem").code == 0
    verified = remit("packs", "verify", "our-pack", "--trust", "legal.pub.pem", "--json").json
    assert verified["trusted_signers"] == ["legal"]
    remit("build", "desk", "-o", "desk.agent.json")
    held = ("desk.agent.json", "--pack", "our-pack", "--trust", "legal.pub.pem")
    assert remit("packs", "verify", *held, "--json").json["packs"][0]["trusted_signers"] == ["legal"]
    (tmp_path / "our-pack" / "README.md").write_text("# our-pack\n")
    assert remit("packs", "verify", *held).code == 2


@pytest.mark.parametrize("verb", ["list", "show", "new", "check", "update", "sign", "verify"])
def test_every_verb_has_help_with_an_example(verb: str, remit: Remit) -> None:
    said = remit("packs", verb, "--help")
    assert (said.code, f"remit packs {verb}" in said.stdout.partition("Examples:")[2]) == (0, True)


@pytest.mark.parametrize(
    "words",
    [
        ("packs", "check", "nowhere"),
        ("packs", "show", "."),
        ("packs", "update", "."),
        ("packs", "sign", "budgets", "--key", "none.pem"),
        ("packs", "verify", "none.agent.json"),
        ("packs", "verify", "budgets", "--trust", "none.pem"),
    ],
)
def test_bad_arguments_are_told_without_a_traceback(words: tuple[str, ...], remit: Remit) -> None:
    said = remit(*words)
    assert (said.code, said.stderr.startswith("error: ")) == (2, True)
    assert remit(*words, "--json").json["error"]["exit_code"] == 2
