"""How good the cases of the packs that come with Remit are: what they reach, and what they would not notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from remit.engine.cedar import CedarEngine
from remit.policy.compile import compile_governance
from remit.project.build import build_project
from remit.project.packs.sources import shipped_names, shipped_pack
from remit.workbench.asked_cases import requests_of
from remit.workbench.coverage import measure
from remit.workbench.mutation import MutationRun

if TYPE_CHECKING:
    from pathlib import Path

    from remit.document.model import Document
    from remit.engine.image import PolicyImage

FIXTURES = [
    pytest.param(name, folder, id=f"{name}-{folder.name}")
    for name in shipped_names()
    for folder in shipped_pack(name).fixtures()
]
LEAST_SCORE = 80
EQUIVALENT = {
    ("self-amendment-guard", "swap membership"): "of one element, any and all are the same",
}
"""Changes that no request tells from the original, and why."""


def _compiled(folder: Path) -> tuple[Document, PolicyImage]:
    built = build_project(folder)
    return built.document, compile_governance(built.document, origins=built.origins)


@pytest.mark.parametrize(("name", "folder"), FIXTURES)
def test_every_rule_of_a_pack_decides_a_case_and_every_condition_goes_both_ways(
    name: str, folder: Path
) -> None:
    document, image = _compiled(folder)
    cases = requests_of(folder, document, image)
    tools = [tool.name for tool in document.capabilities.tools]
    engine = CedarEngine(image)
    found = measure(image, [(case.request, engine.decide(case.request)) for case in cases], tools=tools)
    rules = [rule for rule in found.rules if rule.rule.startswith(f"{name}.")]
    assert rules
    assert [rule.rule for rule in rules if not rule.decisive] == []
    assert [
        (rule.rule, branch.text)
        for rule in rules
        for branch in rule.branches
        if not (branch.true and branch.false)
    ] == []


@pytest.mark.parametrize(("name", "folder"), FIXTURES)
def test_a_changed_rule_of_a_pack_is_noticed_by_a_case(name: str, folder: Path) -> None:
    document, image = _compiled(folder)
    run = MutationRun(document, image, requests_of(folder, document, image))
    report = run.run(only=lambda mutant: mutant.rule.startswith(f"{name}."))
    assert report.killed
    assert report.score.percent >= LEAST_SCORE
    assert [(found.mutant.id, found.mutant.before, found.mutant.after) for found in report.survivors] == []
    assert [
        (mutant.id, mutant.operator) for mutant in report.untold if (name, mutant.operator) not in EQUIVALENT
    ] == []
