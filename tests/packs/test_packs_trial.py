"""Trying a pack finds what its author forgot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packs_world import AGENT, PACK, PERMIT, RULES, make_pack, pack_at, pack_files, write

from remit.project.packs.folder import read_pack
from remit.workbench.pack_trial import PackTrial, try_pack

if TYPE_CHECKING:
    from pathlib import Path


def _problems(trial: PackTrial) -> list[str]:
    return [finding.check for finding in trial.findings if finding.level == "problem"]


def test_a_good_pack_passes_with_every_rule_decided(tmp_path: Path) -> None:
    trial = try_pack(pack_at(tmp_path))
    assert (trial.passed, trial.findings) == (True, ())
    assert {rule for item in trial.fixtures for rule in item.decided} == {"cap", "vip-cap"}
    tried = {(edge.fixture, edge.parameter, str(edge.value)) for edge in trial.edges}
    assert tried >= {
        ("fixture", "cap", "1"),
        ("fixture", "cap", str(2**53 - 1)),
        ("fixture-vip", "vip", "None"),
    }


def test_a_case_that_fails_fails_the_trial(tmp_path: Path) -> None:
    trial = try_pack(pack_at(tmp_path, rules=RULES.replace("> ${cap}", ">= ${cap}", 1)))
    (failed,) = (result for item in trial.fixtures for result in item.results if not result.passed)
    assert (trial.passed, failed.case.name) == (False, "at the cap")


def test_a_rule_that_no_case_decides_is_a_problem(tmp_path: Path) -> None:
    found = make_pack(tmp_path)
    (found / "fixture-vip" / "cases" / "cases.yaml").unlink()
    trial = try_pack(read_pack(found))
    assert _problems(trial) == ["never-decides"]
    assert trial.findings[0].origin == f"{found.as_posix()}/rules/rules.yaml:9:5"


def test_a_rule_that_no_allowed_case_passes_by_is_a_problem(tmp_path: Path) -> None:
    found = make_pack(tmp_path)
    cases = (found / "fixture" / "cases" / "cases.yaml").read_text().replace("amount: 500,", "amount: 502,")
    cases = cases.replace("{decision: allow}", "{decision: deny}")
    write(found, {"fixture/cases/cases.yaml": cases})
    assert _problems(try_pack(read_pack(found))) == ["always-decides"]


def test_a_parameter_value_that_does_not_compile_is_a_problem(tmp_path: Path) -> None:
    pack = PACK.replace(
        "vip: {type: string}",
        "vip: {type: string}\n    field: {type: string, enum: [amount, rate], default: amount}",
    )
    rules = RULES.replace("context.input.amount > ${cap}\n", "context.input[${field}] > ${cap}\n", 1)
    trial = try_pack(pack_at(tmp_path, pack=pack, rules=rules))
    assert _problems(trial) == ["edge"]
    assert trial.findings[0].message.startswith("with `field` 'rate' the rules do not compile: ")


def test_defaults_that_no_fixture_uses_compile_too(tmp_path: Path) -> None:
    pack = PACK.replace(
        "vip: {type: string}", "vip: {type: string}\n    field: {type: string, default: note}"
    )
    rules = RULES.replace("context.input.amount > ${cap}\n", "context.input[${field}] > ${cap}\n", 1)
    found = make_pack(tmp_path, pack=pack, rules=rules)
    for name in ("fixture", "fixture-vip"):
        agent = (
            (found / name / "agent.yaml").read_text().replace("tools: [pay]", "tools: [pay], field: amount")
        )
        write(found, {f"{name}/agent.yaml": agent})
    trial = try_pack(read_pack(found))
    tried = [(edge.fixture, edge.parameter, edge.value) for edge in trial.edges if edge.problem]
    assert tried == [("fixture", "field", "note"), ("fixture", "*", None), ("fixture-vip", "*", None)]
    assert "with every parameter at its default the rules do not compile: " in trial.findings[1].message


def test_defaults_that_an_agent_cannot_use_are_not_held_against_the_pack(tmp_path: Path) -> None:
    pack = PACK.replace("{name: amount, type: integer}", '{name: "${field}", type: integer}')
    pack = pack.replace(
        "vip: {type: string}", "vip: {type: string}\n    field: {type: string, default: euros}"
    )
    rules = RULES.replace("context.input.amount", "context.input[${field}]")
    found = make_pack(tmp_path, pack=pack, rules=rules)
    for name in ("fixture", "fixture-vip"):
        agent = (
            (found / name / "agent.yaml").read_text().replace("tools: [pay]", "tools: [pay], field: amount")
        )
        write(found, {f"{name}/agent.yaml": agent})
    trial = try_pack(read_pack(found))
    assert (trial.passed, [edge for edge in trial.edges if edge.parameter == "*"]) == (True, [])


def test_a_pack_without_page_or_fixture_is_a_problem(tmp_path: Path) -> None:
    files = {name: text for name, text in pack_files().items() if not name.startswith(("fixture", "README"))}
    assert _problems(try_pack(read_pack(write(tmp_path / "caps", files)))) == ["no-page", "no-fixture"]


def test_a_fixture_that_does_not_use_the_pack_is_a_problem(tmp_path: Path) -> None:
    found = write(
        make_pack(tmp_path), {"fixture-bare/agent.yaml": AGENT, "fixture-bare/rules/permit.cedar": PERMIT}
    )
    assert _problems(try_pack(read_pack(found))) == ["unused"]


@pytest.mark.parametrize("effect", ["permit"])
def test_a_rule_that_permits_is_worth_a_look(effect: str, tmp_path: Path) -> None:
    rules = RULES + f"  - {{id: gift, effect: {effect}, on: [recall], because: why not}}\n"
    found = make_pack(tmp_path, rules=rules)
    trial = try_pack(read_pack(found))
    assert [finding.check for finding in trial.findings if finding.level == "advice"] == ["permits"]
