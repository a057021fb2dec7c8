"""Both examples build, compile and decide as their cases promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from examples_support import EXAMPLES, MODEL_SHA256, REPO, build, copy_example

from remit.document.carriers import read_value, write_value
from remit.document.parse import parse_document, serialize_document
from remit.host.tools import describe_function
from remit.policy.compile import compile_governance
from remit.workbench.suites.folder import run_folder

if TYPE_CHECKING:
    from pathlib import Path

    from remit.workbench.suites.results import CaseResult

_BASE = frozenset(
    {"remit.continue", "remit.operator-stop", "remit.terminated-acts", "remit.terminated-target"}
)
_FOR_LATER_TOOLS = frozenset({"no-external-tools"})
"""House rules that no tool of today meets; no request can show them."""


def _results(name: str) -> tuple[CaseResult, ...]:
    return run_folder(REPO / "examples" / name)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_case_of_an_example_holds(name: str) -> None:
    results = _results(name)
    assert len(results) >= 20
    assert [f"{result.case.name}: {problem}" for result in results for problem in result.problems] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_rule_of_an_example_decides_at_least_one_case(name: str) -> None:
    image = compile_governance(build(REPO / "examples" / name))
    deciding = {rule for result in _results(name) if result.verdict for rule in result.verdict.rules}
    own = {rule for rule in image.rules if not rule.startswith("remit.")}
    assert sorted(own - deciding - _FOR_LATER_TOOLS) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_rule_of_an_example_gives_its_reason(name: str) -> None:
    image = compile_governance(build(REPO / "examples" / name))
    assert [rule.id for rule in image.rules.values() if not rule.because] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_building_an_example_twice_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    first = serialize_document(build(copy_example(name, tmp_path / "a")))
    second = serialize_document(build(copy_example(name, tmp_path / "b")))
    assert first == second


@pytest.mark.parametrize("carrier", ["json", "yaml", "cbor"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_keeps_its_identity_in_every_carrier(name: str, carrier: str) -> None:
    document = build(REPO / "examples" / name)
    value = read_value(serialize_document(document), format="json").value
    again = parse_document(write_value(value, format=carrier), format=carrier)  # type: ignore[arg-type]  # a carrier's name
    assert document.identity == again.identity


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_embedded_model_of_an_example_is_named_by_the_digest_of_its_weights(name: str) -> None:
    local = build(REPO / "examples" / name).backend("local")
    assert local is not None
    assert (local.adapter, local.config["model_sha256"]) == ("llama-cpp", MODEL_SHA256)


def test_the_care_navigator_declares_its_tools_as_its_functions_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPO / "examples" / "care-navigator"))
    monkeypatch.delitem(__import__("sys").modules, "tools", raising=False)
    import tools  # type: ignore[import-not-found]  # a module of the example's folder

    document = build(REPO / "examples" / "care-navigator")
    for tool in document.capabilities.tools:
        described = describe_function(getattr(tools, tool.name))
        declared = {
            key: value for key, value in described.parameters.items() if key != "additionalProperties"
        }
        assert (tool.description, tool.parameters) == (described.description, declared)
    monkeypatch.delitem(__import__("sys").modules, "tools", raising=False)


def test_base_rules_are_part_of_every_example() -> None:
    for name in EXAMPLES:
        image = compile_governance(build(REPO / "examples" / name))
        assert image.rules.keys() >= _BASE
