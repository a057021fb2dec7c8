"""The packs that come with Remit: sound by their own cases, pinned in this file, and honest on their pages."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from remit.document.carriers import read_value
from remit.policy.packs.pack import MARKS
from remit.project.build import build_project, write_whole
from remit.project.packs.lock import LOCK_FILE, lock_bytes
from remit.project.packs.sources import shipped_folder, shipped_names, shipped_pack
from remit.project.packs.use import read_uses
from remit.project.source import FaultList, read_yaml
from remit.workbench.pack_trial import try_pack

REPO = Path(__file__).parents[2]
DIGESTS = Path(__file__).with_name("digests.yaml")
NAMES = shipped_names()
HEADINGS = (
    "Use",
    "Parameters",
    "Requires",
    "Rules",
    "Clauses",
    "What it shows",
    "What it does not show",
)


def _page(name: str) -> str:
    return (shipped_folder() / name / "README.md").read_text(encoding="utf-8")


def _rows(page: str, heading: str) -> list[list[str]]:
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def test_the_ten_packs_are_there() -> None:
    assert NAMES == (
        "budgets",
        "business-hours",
        "data-residency",
        "delegation-limits",
        "human-approval",
        "model-allow-list",
        "read-only",
        "segregation-of-duties",
        "self-amendment-guard",
        "sensitive-memory",
    )
    assert shipped_folder() == REPO / "policies" / "packs"


@pytest.mark.parametrize("name", NAMES)
def test_a_pack_keeps_its_cases_and_every_rule_decides_and_is_passed_by(name: str) -> None:
    trial = try_pack(shipped_pack(name))
    problems = [
        f"{item.name}: {result.case.name}: {problem}"
        for item in trial.fixtures
        for result in item.results
        for problem in result.problems
    ]
    assert (problems, [finding.message for finding in trial.findings]) == ([], [])
    assert trial.edges


@pytest.mark.parametrize("name", NAMES)
def test_a_packs_rules_are_forbids_alone_so_adding_it_gives_nothing(name: str) -> None:
    assert {rule.value["effect"] for rule in shipped_pack(name).pack.rules} == {"forbid"}


@pytest.mark.parametrize("name", NAMES)
def test_what_a_version_says_does_not_change_under_its_number(name: str) -> None:
    pinned = read_value(DIGESTS.read_bytes(), format="yaml").value
    assert isinstance(pinned, dict)
    pack = shipped_pack(name).pack
    held = pinned[name]
    assert isinstance(held, dict)
    assert held.get(pack.version) == pack.digest, (
        f"{name} {pack.version} says something else now: give it a new version, and add its digest to {DIGESTS.name}"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_packs_name_is_its_folders(name: str) -> None:
    assert shipped_pack(name).pack.name == name


@pytest.mark.parametrize("name", NAMES)
def test_every_clause_has_a_mark_and_a_rule(name: str) -> None:
    pack = shipped_pack(name).pack
    assert pack.controls
    assert {control.mark for control in pack.controls} <= {*MARKS}
    assert all(rule.value.get("controls") for rule in pack.rules)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_what_the_pack_says(name: str) -> None:
    pack, page = shipped_pack(name).pack, _page(name)
    assert page.startswith(f"# {name}\n\n{pack.title}.\n")
    assert tuple(re.findall(r"^## (.*)$", page, re.MULTILINE)) == HEADINGS
    parameters = [[f"`{item.name}`", str(item.type), item.description] for item in pack.parameters]
    assert [[row[0], row[1], row[3]] for row in _rows(page, "Parameters")] == parameters
    assert [row[0] for row in _rows(page, "Rules")] == [f"`{rule.id}`" for rule in pack.rules]
    assert [row[3] for row in _rows(page, "Rules")] == [rule.value["because"] for rule in pack.rules]
    clauses = [[item.id, item.clause, item.asks, item.mark] for item in pack.controls]
    assert [row[:4] for row in _rows(page, "Clauses")] == clauses
    for row in _rows(page, "Clauses"):
        served = [rule.id for rule in pack.rules if row[0] in (rule.value.get("controls") or [])]
        assert row[4] == ", ".join(f"`{rule}`" for rule in served)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_claims_nothing_and_says_what_is_not_shown(name: str) -> None:
    page = _page(name)
    assert "This page claims no compliance with anything" in page
    assert not re.search(r"\b(compliant|certified|ensures compliance|guarantees)\b", page, re.IGNORECASE)
    for heading in ("What it shows", "What it does not show"):
        section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
        assert len(re.findall(r"^- ", section, re.MULTILINE)) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_the_use_that_a_page_shows_builds(name: str, tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(packs:\n.*?)```", _page(name), re.DOTALL)
    assert block is not None
    project = tmp_path / "desk"
    shutil.copytree(shipped_folder() / name / "fixture", project)
    agent = (project / "agent.yaml").read_text(encoding="utf-8").partition("packs:\n")[0]
    (project / "agent.yaml").write_text(agent + block[1], encoding="utf-8")
    faults = FaultList()
    uses = read_uses(read_yaml(project, "agent.yaml"), folder=project, faults=faults)
    faults.settle()
    write_whole(project / LOCK_FILE, lock_bytes(use.entry() for use in uses))
    assert build_project(project).document.governance.packs[0].name == name
