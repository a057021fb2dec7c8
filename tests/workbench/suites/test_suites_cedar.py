"""Cedar's own test files: integration tests run as they are, `run-tests` files go both ways."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from suites_world import HEAD, write_agent

from remit.errors import DocumentError, FaultsError
from remit.workbench.suites.cedar_export import export_suite
from remit.workbench.suites.cedar_import import imported
from remit.workbench.suites.finding import read_suites
from remit.workbench.suites.model import Case, CedarQuestion
from remit.workbench.suites.plain import read_reference
from remit.workbench.suites.plan import prepare, run_all

CORPUS = Path(__file__).parents[4] / "shared" / "data" / "cedar-tests"
needs_corpus = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="the corpus ../shared/data/cedar-tests is not part of a checkout of Remit"
)

POLICIES = """\
permit (principal == User::"alice", action == Action::"view", resource in Album::"trips");
@id("grown-up") forbid (principal, action, resource) unless { principal.age >= 18 };
@id("erring") permit (principal, action == Action::"edit", resource) when { context.n + 1 > 9223372036854775807 };
"""
SCHEMA = """\
entity Album;
entity Photo in [Album];
entity User = {age: Long};
action view, edit appliesTo {principal: [User], resource: [Photo], context: {n: Long}};
"""
ENTITIES: list[Any] = [
    {"uid": {"type": "User", "id": "alice"}, "attrs": {"age": 30}, "parents": []},
    {"uid": {"type": "User", "id": "kid"}, "attrs": {"age": 9}, "parents": []},
    {"uid": {"type": "Photo", "id": "p"}, "attrs": {}, "parents": [{"type": "Album", "id": "trips"}]},
]
SUITE = """\
policies: [a.cedar]
schema: a.cedarschema
entities: entities.json
request: {action: 'Action::"view"', resource: {type: Photo, id: p}, context: {n: 1}}
cases:
  - name: alice looks
    request: {principal: 'User::"alice"'}
    expect: {decision: allow, rules: [policy0]}
  - name: children do not
    request: {principal: 'User::"kid"'}
    expect: {decision: deny, rules: [grown-up], kind: forbidden}
  - name: whose photo it is
    request: {principal: 'User::"alice"'}
    matrix: {context.n: [2, 3]}
    expect: {decision: allow}
  - name: an error beside the decision
    request: {principal: 'User::"alice"', action: 'Action::"edit"', context: {n: 9223372036854775807}}
    expect: {decision: deny, rules: [], errors: [erring]}
"""


def write_plain(folder: Path, suite: str = SUITE) -> Path:
    (folder / "a.cedar").write_text(POLICIES)
    (folder / "a.cedarschema").write_text(SCHEMA)
    (folder / "entities.json").write_text(json.dumps(ENTITIES))
    path = folder / "a.cases.yaml"
    # 2^63 - 1 is beyond what JSON numbers of Remit may be; Cedar's own form of it is not.
    path.write_text(suite.replace("9223372036854775807", "9007199254740991"))
    (folder / "a.cedar").write_text(
        POLICIES.replace("context.n + 1 > 9223372036854775807", "context.n * 9007199254740991 > 0")
    )
    return path


def outcome(*paths: Path | str) -> dict[str, tuple[str, ...]]:
    """Run suites and return what differs, by case."""
    results = run_all(prepare(read_suites(paths)))
    return {f"{suite.file}#{case.case.name}": case.problems for suite, cases in results for case in cases}


@needs_corpus
def test_cedars_own_hand_written_tests_all_agree() -> None:
    found = outcome(str(CORPUS / "tests" / "**" / "*.json"))
    assert len(found) == 74
    assert {name: problems for name, problems in found.items() if problems} == {}


@needs_corpus
@pytest.mark.parametrize(
    ("member", "value", "wanted"),
    [
        ("decision", "deny", "expected decision deny, got allow"),
        ("reason", [], "expected rules no rule, got `policy0`"),
        ("reason", ["policy0", "policy1"], "expected rules `policy0`, `policy1`, got `policy0`"),
        ("errors", ["policy1"], "expected errors `policy1`, got none"),
    ],
)
def test_an_integration_test_that_expects_something_else_does_not_hold(
    member: str, value: Any, wanted: str, tmp_path: Path
) -> None:
    for path in (*CORPUS.rglob("*.cedar"), *CORPUS.rglob("*.cedarschema"), *CORPUS.rglob("*.json")):
        copy = tmp_path / path.relative_to(CORPUS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    path = tmp_path / "tests" / "multi" / "1.json"
    test = json.loads(path.read_text())
    test["requests"][0][member] = value
    path.write_text(json.dumps(test))
    (first, *others) = outcome(path).values()
    assert first == (wanted,)
    assert others == [()] * 3


@needs_corpus
def test_an_integration_test_whose_policies_are_not_as_valid_as_it_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "1.json"
    test = json.loads((CORPUS / "tests" / "multi" / "1.json").read_text())
    for member in ("policies", "schema", "entities"):
        copy = tmp_path / Path(test[member]).name
        copy.write_bytes((CORPUS / test[member]).read_bytes())
        test[member] = copy.name
    path.write_text(json.dumps({**test, "shouldValidate": False}))
    with pytest.raises(FaultsError, match="the policies are valid, and should not be"):
        outcome(path)


def test_plain_policies_are_decided_as_cedar_decides_them(tmp_path: Path) -> None:
    found = outcome(write_plain(tmp_path))
    assert len(found) == 5
    assert {name: problems for name, problems in found.items() if problems} == {}


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (('principal: \'User::"alice"\'', "principal: alice"), "not an entity reference"),
        (("rules: [policy0]", "rules: [policy7]"), "no rule is called `policy7`"),
        (("decision: allow, rules: [policy0]", "decision: awaiting_approval"), "`decision` is `awaiting_approval`"),
        (("entities: entities.json", "entities: no.json"), "does not exist"),
        (("entities: entities.json", "entities: [{id: 1}]"), "an entity is"),
        (("schema: a.cedarschema", "schema: no.cedarschema"), "is not a file"),
        (("policies: [a.cedar]", "policies: []"), "names no file"),
        (("policies: [a.cedar]", "policies: [a.cedar]\nagent: x"), "either `agent` or `policies`"),
        (("policies: [a.cedar]", 'policies: [a.cedar]\nnow: "2026-01-01T00:00:00Z"'), "see no `now`"),
        (("expect: {decision: allow, rules: [policy0]}", "expect: {decision: allow, obligations: {approve: x}}"), "have no obligations"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_suite_of_plain_policies_is_told_with_its_place(
    change: tuple[str, str], cause: str, tmp_path: Path
) -> None:
    assert change[0] in SUITE
    path = write_plain(tmp_path, SUITE.replace(*change))
    with pytest.raises(FaultsError, match=cause) as caught:
        outcome(path)
    assert all(fault.line and fault.hint for fault in caught.value.faults)


def test_policies_that_are_not_valid_under_their_schema_are_refused(tmp_path: Path) -> None:
    path = write_plain(tmp_path)
    (tmp_path / "a.cedar").write_text(POLICIES.replace("principal.age", "principal.years"))
    with pytest.raises(FaultsError, match="the policies are not valid"):
        outcome(path)


@pytest.mark.parametrize(
    "text", ['User::"a"', 'A::B::User::"a b"', r'User::"quote \" and \u{e9} and \\"', 'User::""']
)
def test_a_reference_is_read_as_cedar_writes_it_and_written_back(text: str) -> None:
    found = read_reference(text)
    assert found is not None
    assert read_reference(str(found)) == found
    assert read_reference({"type": found.type, "id": found.id}) == found


@pytest.mark.parametrize(
    "value", ["alice", 'User::"a', "User::a", '::"a"', 3, {"type": "User"}, {"type": 1, "id": "a"}]
)
def test_what_is_no_reference_is_not_taken_for_one(value: Any) -> None:
    assert read_reference(value) is None


_TESTS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["one", "two", "three: a #name", "yes", "4"]),
            "request": st.fixed_dictionaries(
                {
                    "principal": st.sampled_from(['User::"alice"', 'User::"kid"', r'User::"o\"hara"']),
                    "action": st.sampled_from(['Action::"view"', 'Action::"edit"']),
                    "resource": st.just('Photo::"p"'),
                    "context": st.fixed_dictionaries({"n": st.integers(-5, 5)}),
                }
            ),
            "entities": st.sampled_from([ENTITIES, "entities.json"]),
            "decision": st.sampled_from(["allow", "deny"]),
            "reason": st.lists(st.sampled_from(["policy0", "grown-up", "erring"]), unique=True),
            "num_errors": st.integers(0, 2),
        }
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tests=_TESTS)
def test_an_imported_test_holds_exactly_where_cedars_own_meaning_of_it_does(tests: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_plain(folder)
        (folder / "tests.json").write_text(json.dumps(tests))
        text, count, repeats = imported(
            folder / "tests.json",
            policies=(folder / "a.cedar",),
            schema=str(folder / "a.cedarschema"),
            beside=folder,
        )
        assert count + repeats == len(tests)
        tests = _once(tests)
        assert count == len(tests)
        (folder / "b.cases.yaml").write_text(text)
        (prepared,) = prepare(read_suites([folder / "b.cases.yaml"]))
        world: Any = prepared.bound.world
        ((_, results),) = run_all([prepared])
        for test, result in zip(tests, results, strict=True):
            case = result.case
            assert isinstance(case, Case)
            assert isinstance(case.question, CedarQuestion)
            entities = ENTITIES if test["entities"] == "entities.json" else test["entities"]
            assert list(case.question.entities) == entities
            assert str(case.question.principal) == test["request"]["principal"]
            # What `cedar run-tests` compares: the decision, a part of the reasons, the number of errors.
            verdict = world.decide(case.question)
            holds = (
                verdict.decision == test["decision"]
                and set(test["reason"]) <= set(verdict.rules)
                and test["num_errors"] == len(verdict.errors)
            )
            assert result.passed == holds, (test, result.problems)
        _both_ways(prepared.bound, tests, results, folder)


def _once(tests: list[Any]) -> list[Any]:
    """The tests without those that ask and expect what an earlier one does."""
    kept: dict[str, Any] = {}
    for test in tests:
        key = json.dumps(
            [test["request"], test["decision"], sorted(test["reason"]), test["num_errors"]], sort_keys=True
        )
        kept.setdefault(key, test)
    return list(kept.values())


def _both_ways(bound: Any, tests: list[Any], results: Any, folder: Path) -> None:
    """Exported again, the tests that hold are what they were."""
    written = export_suite(bound, folder / "out")
    again = json.loads((written.folder / "tests.json").read_text())
    holding = [test for test, result in zip(tests, results, strict=True) if result.passed]
    assert len(written.left_out) == len(tests) - len(holding)
    assert len(again) == len(holding)
    for before, after in zip(holding, again, strict=True):
        entities = ENTITIES if before["entities"] == "entities.json" else before["entities"]
        assert {**after, "name": "", "reason": sorted(after["reason"])} == {
            **before,
            "name": "",
            "entities": entities,
            "reason": sorted(before["reason"]),
        }


def test_an_agents_cases_are_exported_so_that_cedar_itself_decides_them_alike(tmp_path: Path) -> None:
    write_agent(
        tmp_path / "desk",
        desk=f"""\
{HEAD}cases:
  - name: payments
    request: {{action: pay, input: {{amount: 1, to: bob}}}}
    matrix: {{input.amount: [20, 900, 9000]}}
    expect:
      - {{when: {{input.amount: 20}}, decision: allow, rules: [pay]}}
      - {{when: {{input.amount: 900}}, decision: awaiting_approval, rules: [pay-cap]}}
      - {{decision: deny, rules: [pay-cap, pay-ceiling]}}
  - {{name: it errs, request: {{action: look, input: {{what: x}}, usage: {{turns: 2}}}}, expect: {{decision: deny, errors: [look-sum]}}}}
  - {{name: a slip, request: {{action: pay, input: {{amount: 1}}}}, expect: {{decision: allow}}}}
  - {{name: later, skip: soon, request: {{action: continue}}, expect: {{decision: allow}}}}
  - {{name: a run, run: {{input: x, says: [{{say: y}}]}}, expect: {{status: completed}}}}
""",
    )
    (prepared,) = prepare(read_suites([tmp_path / "desk"]))
    written = export_suite(prepared.bound, tmp_path / "out")
    tests = json.loads((written.folder / "tests.json").read_text())
    assert [test["name"].partition("=")[2] for test in tests] == ["20]", "900]", "9000]"]
    assert [test["decision"] for test in tests] == ["allow", "deny", "deny"]
    reasons = dict(written.left_out)
    # Cedar alone skips a rule that errs, and allows.
    assert "Cedar alone says otherwise: expected decision deny, got allow" in reasons["it errs"]
    assert "`context.input.to` is missing" in reasons["a slip"]
    assert reasons["later"] == "it is skipped: soon"
    assert "whole run" in reasons["a run"]
    text, count, _ = imported(
        written.folder / "tests.json",
        policies=(written.folder / "policies.cedar",),
        schema=str(written.folder / "schema.cedarschema"),
        beside=tmp_path,
    )
    (tmp_path / "back.cases.yaml").write_text(text)
    assert count == 3
    assert list(outcome(tmp_path / "back.cases.yaml").values()) == [()] * 3


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("{}", "is a list of tests"),
        ("[]", "no test"),
        ('[{"name": "x"}]', "lacks `request`"),
        ('[{"request": {"principal": "x", "action": "y", "resource": "z"}, "entities": [], "decision": "allow", "reason": [], "num_errors": 0}]', "not an entity reference"),
        ('[{"request": {"principal": "U::\\"a\\"", "action": "A::\\"a\\"", "resource": "R::\\"a\\""}, "entities": [], "decision": "Allow", "reason": [], "num_errors": 0}]', "`decision` is"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_of_cedar_run_tests_is_refused(text: str, cause: str, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(DocumentError, match=cause) as caught:
        imported(tmp_path / "t.json", policies=(), schema=None, beside=tmp_path)
    assert caught.value.faults[0].hint


def test_a_run_tests_file_says_how_it_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text("[]")
    with pytest.raises(DocumentError) as caught:
        read_suites([tmp_path / "t.json"])
    assert "remit cases import" in caught.value.faults[0].hint
