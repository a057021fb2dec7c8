"""A project uses packs: pinned, filled in, located; and everything that can be wrong with a use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packs_world import (
    AGENT,
    PACK,
    PERMIT,
    RULES,
    USE,
    built,
    faults_of,
    image_of,
    make_pack,
    make_project,
    pack_at,
    pack_files,
    pin,
    write,
)

from remit.document.parse import parse_document, serialize_document
from remit.errors import PolicyError
from remit.policy.compile import compile_governance
from remit.project.build import build_project
from remit.project.packs.folder import read_pack
from remit.project.packs.lock import LOCK_FILE

if TYPE_CHECKING:
    from pathlib import Path

USES: dict[str, tuple[str, str]] = {
    "no pack at all": (
        "packs: caps\n",
        "desk/agent.yaml:19:8: `packs` is a text, not a list; begin each with `- name: `",
    ),
    "neither name nor path": (
        "packs:\n  - with: {tools: [pay]}\n",
        "desk/agent.yaml:20:5: a use of a pack names none; write `name:` and `version:`, or `path:`",
    ),
    "a name without a version": (
        "packs:\n  - name: budgets\n",
        "desk/agent.yaml:20:5: a pack that is used by name needs its version; add such as `version: 1.0.0`",
    ),
    "an unknown name": (
        "packs:\n  - {name: budget, version: 1.0.0}\n",
        (
            "desk/agent.yaml:20:5: no pack is called `budget`; did you mean `budgets`?; "
            "name another one by its `path`"
        ),
    ),
    "another version": (
        "packs:\n  - {name: budgets, version: 0.9.0}\n",
        (
            "desk/agent.yaml:20:30: the pack `budgets` has the version `1.0.0`, not `0.9.0`; "
            "read what changed before you write the new one here"
        ),
    ),
    "an unknown member": (
        USE.replace("with:", "wiht:"),
        "desk/agent.yaml:21:5: unknown key `wiht` in a use of a pack; did you mean `with`?",
    ),
    "a path to nothing": (
        USE.replace("../caps", "../cups"),
        "desk/agent.yaml:20:5: `cups` is no folder; make one with `remit packs new FOLDER`",
    ),
    "values that are no mapping": (
        USE.replace("{tools: [pay]}", "[pay]"),
        "desk/agent.yaml:21:11: `with` is a list, not a mapping; write such as `with: {regions: [EU]}`",
    ),
    "a missing parameter": (
        USE.replace("{tools: [pay]}", "{cap: 3}"),
        "desk/agent.yaml:21:11: the pack `caps` needs the parameter `tools`; it is a Set of String",
    ),
    "an unknown parameter": (
        USE.replace("{tools: [pay]}", "{tools: [pay], cup: 3}"),
        "desk/agent.yaml:21:31: the pack `caps` has no parameter `cup`; did you mean `cap`",
    ),
    "a value of another type": (
        USE.replace("{tools: [pay]}", "{tools: pay}"),
        (
            "desk/agent.yaml:21:19: `tools` does not fit the pack `caps`: 'pay' is not of type 'array'; "
            "it is a Set of String"
        ),
    ),
    "an element of another type": (
        USE.replace("{tools: [pay]}", "{tools: [pay, 3]}"),
        (
            "desk/agent.yaml:21:25: `tools` does not fit the pack `caps`: 3 is not of type 'string'; "
            "it is a Set of String"
        ),
    ),
    "an undeclared tool": (
        USE.replace("[pay]", "[play]"),
        "desk/agent.yaml:20:5: the pack `caps` cannot be used: no tool is called `play`; did you mean `pay`?",
    ),
    "a tool without the argument": (
        USE.replace("[pay]", "[look]"),
        (
            "desk/agent.yaml:20:5: the pack `caps` cannot be used: `look` declares no `amount`; "
            "add `amount: {type: integer}` under `parameters.properties`"
        ),
    ),
    "two packs of one name": (
        USE + "  - path: ../caps\n    with: {tools: [pay]}\n",
        "desk/agent.yaml:22:5: two packs call their rules `caps.…`; give one of them another name with `as:`",
    ),
    "a name that is none": (
        USE + "    as: Caps\n",
        "desk/agent.yaml:22:9: `as` is `Caps`, not a pack's name",
    ),
    "a digest that is none": (
        USE + "    digest: abc\n",
        "desk/agent.yaml:22:13: `digest` is `abc`, not a digest",
    ),
    "another digest": (
        USE + f"    digest: sha256:{'0' * 64}\n",
        "desk/agent.yaml:22:13: the pack `caps` has the digest `sha256:",
    ),
}


@pytest.mark.parametrize("kind", USES)
def test_a_bad_use_is_told_at_its_place_with_a_way_forward(kind: str, tmp_path: Path) -> None:
    use, wanted = USES[kind]
    make_pack(tmp_path)
    project = make_project(tmp_path, use=use)
    said = faults_of(tmp_path, lambda: build_project(project))
    assert any(line.startswith(wanted) for line in said), said


def test_what_a_pack_requires_of_caller_environment_and_attributes_is_told(tmp_path: Path) -> None:
    needs = (
        "requires:\n"
        "  attributes: {cost_centre: string, owner: integer}\n"
        "  caller: {department: string}\n"
        "  environment: {freeze: boolean, level: integer, names: strings}\n"
        "  blocks: [notes, diary]\n"
    )
    agent = AGENT + (
        "environment:\n  schema: {type: object, properties: {freeze: {type: boolean}, level: {type: string}}}\n"
    )
    make_pack(tmp_path, pack=PACK.replace("requires:\n", needs))
    project = make_project(tmp_path, agent=agent)
    pin(project)
    said = [
        line.partition("cannot be used: ")[2] for line in faults_of(tmp_path, lambda: build_project(project))
    ]
    assert said == [
        "`attributes` has no `cost_centre`; add it (string)",
        "the attribute `owner` is a text; it must be of type integer",
        "`caller` declares no `department`; add `department: {type: string}` under `caller.properties`",
        "`freeze` of `environment` may be absent; list it under `environment.schema.required`",
        "`level` of `environment` is of another type; it must be {type: integer}",
        (
            "`environment` declares no `names`; add `names: {type: array, items: {type: string}}` "
            "under `environment.schema.properties`"
        ),
        "no memory block is called `diary`; declare it under `memory`; blocks are `notes`",
    ]


def test_a_pack_that_nobody_pinned_is_not_built(tmp_path: Path) -> None:
    make_pack(tmp_path)
    project = make_project(tmp_path)
    (said,) = faults_of(tmp_path, lambda: build_project(project))
    assert said == (
        "desk/agent.yaml:20:5: the pack `caps` is not pinned: `packs.lock.yaml` does not name it; "
        "read the pack, then pin it with `remit packs update`"
    )


def test_a_pack_that_says_something_else_is_not_built_until_it_is_pinned_again(tmp_path: Path) -> None:
    built(tmp_path)
    write(
        tmp_path / "caps", {"rules/rules.yaml": RULES.replace("amount > ${cap}\n", "amount >= ${cap}\n", 1)}
    )
    project = tmp_path / "desk"
    (said,) = faults_of(tmp_path, lambda: build_project(project))
    assert said.startswith(
        "desk/agent.yaml:20:5: the pack `caps` says something else than when it was pinned"
    )
    assert said.endswith("read what changed, then pin it with `remit packs update`")
    pin(project)
    assert "amount >= 500" in image_of(build_project(project)).rules["caps.cap"].text


def test_a_new_page_or_case_needs_no_new_pin(tmp_path: Path) -> None:
    first = built(tmp_path)
    write(tmp_path / "caps", {"README.md": "# caps\n\nMore words.\n"})
    second = build_project(tmp_path / "desk")
    assert first.document.identity == second.document.identity
    assert second.packs[0].evidence != second.packs[0].use.found.evidence()


def test_a_digest_in_agent_yaml_is_a_pin_too(tmp_path: Path) -> None:
    digest = pack_at(tmp_path).pack.digest
    project = make_project(tmp_path, use=USE + f"    digest: {digest}\n")
    assert build_project(project).document.governance.packs[0].digest == digest


def test_a_fixture_needs_no_lock_because_it_lies_inside_its_pack(tmp_path: Path) -> None:
    make_pack(tmp_path)
    assert build_project(tmp_path / "caps" / "fixture").document.governance.packs[0].name == "caps"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("packs: [", "this is no YAML"),
        ("spec: remit/1/packs-lock\npacks: {}\n", "is no `remit/1/packs-lock`"),
        ("spec: remit/1/packs-lock\npacks: [{name: caps}]\n", "a pinned pack lacks `version`"),
        (
            "spec: remit/1/packs-lock\npacks: [{name: caps, version: 1.0.0, digest: x, evidence: y}]\n",
            "`digest` is `x`, not a digest",
        ),
        ("spec: remit/1/packs-lock\npacks: []\nsigned: yes\n", "unknown key `signed`"),
        ("spec: remit/1/packs-lock\npacks: [{name: 3}]\n", "`name` is a number, not a text"),
    ],
)
def test_a_damaged_lock_is_refused(text: str, wanted: str, tmp_path: Path) -> None:
    make_pack(tmp_path)
    project = write(make_project(tmp_path), {LOCK_FILE: text})
    assert any(wanted in line for line in faults_of(tmp_path, lambda: build_project(project)))


def test_the_document_holds_rules_and_pin_and_runs_without_the_pack(tmp_path: Path) -> None:
    import shutil

    held = built(tmp_path)
    data = serialize_document(held.document)
    shutil.rmtree(tmp_path / "caps")
    alone = parse_document(data)
    (found,) = alone.governance.packs
    assert (found.name, found.version, found.alias) == ("caps", "1.0.0", "caps")
    assert found.parameters == {"tools": ["pay"], "cap": 500}
    assert compile_governance(alone).digest == image_of(held).digest


def test_the_same_pack_twice_makes_two_sets_of_rules(tmp_path: Path) -> None:
    use = USE + "  - path: ../caps\n    as: small\n    with: {tools: [pay], cap: 9}\n"
    held = built(tmp_path, use=use)
    assert [pin.alias for pin in held.document.governance.packs] == ["caps", "small"]
    rules = image_of(held).rules
    assert ("> 500" in rules["caps.cap"].text, "> 9" in rules["small.cap"].text) == (True, True)


def test_a_packs_rules_come_after_the_projects_own(tmp_path: Path) -> None:
    ids = [rule.id for rule in built(tmp_path).document.governance.rules]
    assert ids == ["", "caps.cap"]


def test_building_twice_gives_the_same_document(tmp_path: Path) -> None:
    first = serialize_document(built(tmp_path).document)
    assert serialize_document(build_project(tmp_path / "desk").document) == first


def test_a_rule_that_does_not_compile_is_told_at_the_authors_column(tmp_path: Path) -> None:
    rules = RULES.replace("amount > ${cap}\n", "amount > ${cap} && context.input.amuont > 1\n", 1)
    held = built(tmp_path, rules=rules, use=USE.replace("tools: [pay]", "tools: [pay], cap: 123456789"))
    with pytest.raises(PolicyError) as caught:
        image_of(held)
    (fault,) = caught.value.faults
    line = rules.splitlines()[fault.line - 1]
    assert (fault.file.rpartition("/")[2], line[fault.column - 1 :][:6]) == ("rules.yaml", "amuont")


def test_the_origin_of_a_rule_is_its_place_in_the_pack(tmp_path: Path) -> None:
    origin = image_of(built(tmp_path)).rules["caps.cap"].origin
    assert origin == f"{tmp_path.as_posix()}/caps/rules/rules.yaml:2:5"


def test_a_pack_that_brings_no_rule_is_told(tmp_path: Path) -> None:
    rules = RULES.partition("  - id: vip-cap")[0].replace("not_given: [vip]", "given: [vip]")
    make_pack(tmp_path, rules=rules)
    project = make_project(tmp_path)
    pin(project)
    (said,) = faults_of(tmp_path, lambda: build_project(project))
    assert "the pack `caps` brings no rule with these values" in said


SAME: dict[str, dict[str, str]] = {
    "line ends": {"pack": PACK.replace("\n", "\r\n"), "rules": RULES.replace("\n", "\r\n")},
    "comments": {"pack": "# a remark\n" + PACK, "rules": RULES.replace("rules:\n", "rules: # all\n")},
    "quoting": {"pack": PACK.replace("name: caps", 'name: "caps"')},
    "flow style": {"pack": PACK.replace("  required: [tools]\n", "  required:\n    - tools\n")},
    "order of members": {
        "pack": PACK.replace("name: caps\nversion: 1.0.0\n", "version: 1.0.0\nname: caps\n")
    },
}


@pytest.mark.parametrize("kind", SAME)
def test_a_packs_digest_does_not_depend_on_how_it_is_written(kind: str, tmp_path: Path) -> None:
    first = pack_at(tmp_path / "a").pack.digest
    assert pack_at(tmp_path / "b", **SAME[kind]).pack.digest == first


def test_a_packs_digest_does_not_depend_on_file_names_or_its_page(tmp_path: Path) -> None:
    first = pack_at(tmp_path / "a").pack.digest
    files = pack_files()
    files["rules/other/name.yml"] = files.pop("rules/rules.yaml")
    files["README.md"] = "# something else\n"
    write(tmp_path / "b" / "caps", files)
    assert read_pack(tmp_path / "b" / "caps").pack.digest == first


OTHER: dict[str, dict[str, str]] = {
    "version": {"pack": PACK.replace("1.0.0", "1.0.1")},
    "default": {"pack": PACK.replace("default: 500", "default: 501")},
    "bound": {"rules": RULES.replace("> ${cap}", ">= ${cap}", 1)},
    "reason": {"rules": RULES.replace("too much", "much", 1)},
    "place": {
        "rules": RULES.replace("rules:\n", "place: rules\nrules:\n", 1).replace(
            "place: rules", "place: activation"
        )
    },
}


@pytest.mark.parametrize("kind", OTHER)
def test_a_packs_digest_depends_on_all_that_it_says(kind: str, tmp_path: Path) -> None:
    first = pack_at(tmp_path / "a").pack.digest
    assert pack_at(tmp_path / "b", **OTHER[kind]).pack.digest != first


def test_evidence_covers_page_and_cases_and_not_what_is_made_beside_them(tmp_path: Path) -> None:
    found = pack_at(tmp_path)
    first = found.evidence()
    write(
        found.folder,
        {"fixture/.remit/x": "1", "fixture/__pycache__/t.pyc": "1", "fixture/a.agent.json": "{}"},
    )
    assert found.evidence() == first
    write(found.folder, {"README.md": "# caps\r\n"})
    assert found.evidence() == first
    write(found.folder, {"fixture/cases/more.yaml": "cases: []\n"})
    assert found.evidence() != first


def test_a_permit_of_the_project_cannot_lift_a_packs_forbid(tmp_path: Path) -> None:
    from remit.engine.cedar import CedarEngine
    from remit.project.questions import Question, build_request

    held = built(tmp_path)
    assert PERMIT.startswith('@id("anything")')
    image = image_of(held)
    question = Question(action="pay", input={"amount": 501, "note": "", "rate": 1})
    decision = CedarEngine(image).decide(build_request(held.document, question))
    assert (decision.verdict, decision.reasons) == ("deny", ("caps.cap",))


def test_a_project_has_no_rule_called_after_a_pack(tmp_path: Path) -> None:
    built(tmp_path)
    own = "- {id: caps.extra, effect: permit, on: [pay], because: mine}\n"
    project = write(tmp_path / "desk", {"rules/own.yaml": own})
    said = faults_of(tmp_path, lambda: build_project(project))
    assert said == [
        (
            "desk/rules/own.yaml:1:8: `id` is `caps.extra`, and a point stands in the ids of packs' rules alone; "
            "use `-` or `_`"
        )
    ]
