"""A project folder becomes a document: the same one each time, or every fault at the author's line."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remit.document.parse import parse_document, serialize_document
from remit.errors import DocumentError, PolicyError
from remit.policy.compile import compile_governance
from remit.project.build import build_project, default_output, write_document
from remit.project.scenes import read_demo
from remit.workbench.suites.folder import run_folder

if TYPE_CHECKING:
    from pathlib import Path

NONCE = "0123456789abcdef0123456789abcdef"
AGENT = f"""\
spec: remit/1
nonce: "{NONCE}"
attributes: {{jurisdiction: EU, risk_tier: limited, owner: tests}}
instructions: prompts/system.md
tools:
  - python: tools:pay
    effect: write
memory:
  - {{name: notes, description: Notes., schema: {{type: string}}, classification: internal}}
backends:
  - {{name: local, adapter: scripted, provider: local, region: EU, model: transcript, config: {{script: []}}}}
"""
RULES = """\
rules:
  - id: start
    place: activation
    because: anybody may
  - id: cap
    place: tool:pay
    effect: forbid
    when: |
      context.input.amount > 500
      && context.input.amount < 5000
    because: too much
  - {id: notes, place: "memory:notes", because: notes are kept}
"""
TOOLS = '''\
def pay(amount: int, note: str = "") -> int:
    """Pay an amount.

    Args:
        amount: whole euros.
    """
    return amount
'''


def make(folder: Path, **files: str) -> Path:
    texts = {
        "agent.yaml": AGENT,
        "prompts/system.md": "Be brief.\n",
        "rules/10.yaml": RULES,
        "tools.py": TOOLS,
        **{name.replace("__", "/"): text for name, text in files.items()},
    }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def faults_of(folder: Path) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        build_project(folder)
    prefix = f"{folder.as_posix()}/"
    return [str(fault).replace(prefix, "") for fault in caught.value.faults]


def test_building_twice_gives_the_same_document_byte_for_byte(tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(tmp_path / "b")
    first, second = build_project(tmp_path / "a").document, build_project(tmp_path / "b").document
    assert serialize_document(first) == serialize_document(second)


def test_another_nonce_is_another_agent(tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(tmp_path / "b", **{"agent.yaml": AGENT.replace(NONCE, "f" * 32)})
    agents = {build_project(tmp_path / name).document.identity.agent for name in "ab"}
    assert len(agents) == 2


def test_a_built_document_parses_and_keeps_its_identity(tmp_path: Path) -> None:
    built = build_project(make(tmp_path)).document
    assert built.identity == parse_document(serialize_document(built)).identity


def test_rules_go_to_the_place_that_they_name(tmp_path: Path) -> None:
    make(
        tmp_path,
        **{
            "rules/20.cedar": '@id("plain") permit(principal, action == Remit::Action::"continue", resource);'
        },
    )
    document = build_project(tmp_path).document
    assert [rule.id for rule in document.governance.activation] == ["start"]
    assert [rule.id for rule in document.capabilities.tools[0].rules] == ["cap"]
    assert [rule.id for rule in document.memory.blocks[0].rules] == ["notes"]
    assert [rule.cedar is not None for rule in document.governance.rules] == [True]


def test_a_tools_schema_is_derived_from_its_typed_function(tmp_path: Path) -> None:
    tool = build_project(make(tmp_path)).document.capabilities.tools[0]
    assert (tool.name, tool.description, tool.effect) == ("pay", "Pay an amount.", "write")
    assert tool.parameters["required"] == ["amount"]


def test_a_fully_described_tool_is_built_without_importing_anything(tmp_path: Path) -> None:
    described = AGENT.replace(
        "    effect: write\n",
        "    effect: write\n    name: pay\n    description: Pay.\n"
        "    parameters: {type: object, properties: {amount: {type: integer}}, required: [amount]}\n",
    )
    make(tmp_path, **{"agent.yaml": described, "tools.py": "raise SystemExit('imported')\n"})
    assert build_project(tmp_path).document.capabilities.tools[0].name == "pay"


def test_two_projects_may_both_hold_a_module_called_tools(tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(tmp_path / "b", **{"tools.py": TOOLS.replace("Pay an amount.", "Send money.")})
    words = [build_project(tmp_path / n).document.capabilities.tools[0].description for n in "ab"]
    assert words == ["Pay an amount.", "Send money."]


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("agent.yaml", "instructions:", "instrucions:", "agent.yaml:4:1: unknown key `instrucions`"),
        ("agent.yaml", "    effect: write", "    efect: write", "agent.yaml:7:5: unknown key `efect`"),
        ("agent.yaml", "spec: remit/1", "spec: remit/9", "agent.yaml:1:7: `spec` is `remit/9`"),
        ("agent.yaml", "tools:pay", "tools:pai", "agent.yaml:6:13: `tools.py` has no function `pai`"),
        ("agent.yaml", "tools:pay", "desk:pay", "agent.yaml:6:13: `desk.py` does not exist"),
        (
            "agent.yaml",
            "prompts/system.md",
            "prompts/systm.md",
            "agent.yaml:4:15: `prompts/systm.md` does not",
        ),
        ("agent.yaml", "prompts/system.md", "../secret.md", "agent.yaml:4:15: `../secret.md` leaves"),
        ("agent.yaml", "classification: internal", "clasification: x", "did you mean `classification`?"),
        ("agent.yaml", "effect: write", "effect: wirte", "agent.yaml:7:13"),
        ("agent.yaml", "risk_tier: limited, ", "", "risk_tier"),
        ("rules/10.yaml", "place: activation", "place: activatoin", "rules/10.yaml:3:12: unknown place"),
        ("rules/10.yaml", "because: anybody may", "becuase: x", "rules/10.yaml:4:5: unknown key `becuase`"),
        ("rules/10.yaml", "tool:pay", "tool:pax", "rules/10.yaml:6:12: no tool is called `pax`"),
        ("rules/10.yaml", "effect: forbid", "effect: forbidden", "rules/10.yaml:7:13"),
        ("tools.py", "amount: int,", "amount,", "tools.py:1"),
        ("tools.py", "return amount", "return (", "tools.py:"),
        (
            "tools.py",
            "def pay",
            "import nothing_here\ndef pay",
            "tools.py:1:1: the module cannot be imported",
        ),
    ],
)
def test_a_mistake_is_reported_at_the_authors_place(
    file: str, old: str, new: str, expected: str, tmp_path: Path
) -> None:
    make(tmp_path)
    path = tmp_path / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert any(expected in fault for fault in faults_of(tmp_path)), faults_of(tmp_path)


def test_all_faults_of_all_files_are_reported_at_once(tmp_path: Path) -> None:
    make(
        tmp_path,
        **{
            "agent.yaml": AGENT.replace("spec: remit/1", "spec: remit/2").replace("backends:", "backend:"),
            "rules/10.yaml": RULES.replace("place: activation", "place: nowhere"),
            "rules/20.yaml": "rules: 3\n",
        },
    )
    found = "\n".join(faults_of(tmp_path))
    for word in ("`spec` is", "unknown key `backend`", "lacks `backends`", "10.yaml:3:12", "20.yaml:1:8"):
        assert word in found


def test_a_tool_at_fault_does_not_make_its_rules_faults_too(tmp_path: Path) -> None:
    make(tmp_path, **{"tools.py": "raise ValueError('broken')\n"})
    assert len(faults_of(tmp_path)) == 1


def test_a_missing_nonce_is_refused_with_a_fresh_one_to_paste(tmp_path: Path) -> None:
    make(
        tmp_path,
        **{"agent.yaml": "".join(line for line in AGENT.splitlines(keepends=True) if "nonce" not in line)},
    )
    (found,) = faults_of(tmp_path)
    pasted = found.split("add `")[1].split("`")[0]
    (tmp_path / "agent.yaml").write_text(pasted + "\n" + (tmp_path / "agent.yaml").read_text())
    assert pasted.endswith('"')
    assert len(str(build_project(tmp_path).document.lineage.operations[0].value["nonce"])) == 32


@pytest.mark.parametrize("bad", ["12345678901234567890123456789012", '"XYZ"', '"0123"', "[a]"])
def test_a_nonce_that_is_no_text_of_32_hex_digits_is_refused(bad: str, tmp_path: Path) -> None:
    make(tmp_path, **{"agent.yaml": AGENT.replace(f'"{NONCE}"', bad)})
    assert any("agent.yaml:2:8" in fault for fault in faults_of(tmp_path))


def test_a_file_that_is_not_utf8_is_refused_with_the_byte(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "prompts/system.md").write_bytes(b"fine\nnot \xff fine")
    assert any("prompts/system.md:2:5: not UTF-8: byte 0xff" in fault for fault in faults_of(tmp_path))


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("secret")
    make(tmp_path / "desk")
    (tmp_path / "desk/prompts/system.md").unlink()
    (tmp_path / "desk/prompts/system.md").symlink_to(tmp_path / "secret.md")
    assert any("leaves the project folder" in fault for fault in faults_of(tmp_path / "desk"))


@pytest.mark.parametrize("what", ["folder", "loop", "nowhere"])
def test_no_rule_file_goes_unread_because_it_is_no_file(what: str, tmp_path: Path) -> None:
    make(tmp_path)
    odd = tmp_path / "rules/99.yaml"
    if what == "folder":
        odd.mkdir()
    else:
        odd.symlink_to(odd.name if what == "loop" else "nowhere.yaml")
    (fault,) = faults_of(tmp_path)
    assert "rules/99.yaml" in fault
    assert {"folder": "is a folder", "loop": "cannot be read", "nowhere": "does not exist"}[what] in fault


def test_an_error_inside_a_block_scalar_points_into_the_authors_file(tmp_path: Path) -> None:
    make(tmp_path, **{"rules/10.yaml": RULES.replace("&& context.input.amount", "&& context.input.amonut")})
    built = build_project(tmp_path)
    with pytest.raises(PolicyError) as caught:
        compile_governance(built.document, origins=built.origins)
    (fault,) = caught.value.faults
    assert (fault.line, fault.column) == (10, 24)
    assert fault.file.endswith("rules/10.yaml")


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_an_error_inside_a_quoted_scalar_points_at_the_token(quote: str, tmp_path: Path) -> None:
    rules = (
        f"rules:\n  - id: start\n    place: activation\n    when: {quote}principal.rolez.isEmpty(){quote}\n"
    )
    built = build_project(make(tmp_path, **{"rules/10.yaml": rules}))
    with pytest.raises(PolicyError) as caught:
        compile_governance(built.document, origins=built.origins)
    (fault,) = caught.value.faults
    assert (4, 11 + len(quote) + len("principal.")) == (fault.line, fault.column)


def test_an_error_in_a_cedar_file_points_into_that_file(tmp_path: Path) -> None:
    cedar = '// one\n@id("x")\npermit(principal, action == Remit::Action::"activate", resource)\nwhen { principal.rolez.isEmpty() };\n'
    built = build_project(make(tmp_path, **{"rules/20.cedar": cedar}))
    with pytest.raises(PolicyError) as caught:
        compile_governance(built.document, origins=built.origins)
    (fault,) = caught.value.faults
    assert (fault.line, fault.column) == (4, 18)
    assert fault.file.endswith("rules/20.cedar")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("prompts/system.md", "Be brief."),
        ("[prompts/system.md, prompts/more.md]", "Be brief.\n\nAnd kind."),
        ("{file: prompts/more.md}", "And kind."),
        ("{text: prompts/more.md}", "prompts/more.md"),
        ("Read the file a.md first", "Read the file a.md first"),
    ],
)
def test_instructions_are_paths_or_words(written: str, expected: str, tmp_path: Path) -> None:
    agent = AGENT.replace("instructions: prompts/system.md", f"instructions: {written}")
    make(tmp_path, **{"agent.yaml": agent, "prompts/more.md": "And kind.\n"})
    assert expected == build_project(tmp_path).document.capabilities.instructions


def test_members_that_start_with_x_go_into_the_document_and_its_identity(tmp_path: Path) -> None:
    plain = build_project(make(tmp_path)).document
    extended = build_project(make(tmp_path, **{"agent.yaml": AGENT + "x-ticket: 17\n"})).document
    assert dict(extended.extensions) == {"x-ticket": 17}
    assert plain.identity.agent != extended.identity.agent


def test_a_later_revision_is_not_overwritten_unless_forced(tmp_path: Path) -> None:
    from remit.document.revision import revise

    built = build_project(make(tmp_path)).document
    later = revise(
        built,
        operation="activate",
        actor='Remit::Caller::"ana"',
        at="2026-01-01T00:00:00.000Z",
        decision="sha256:" + "0" * 64,
        execution_state={**built.execution_state.value, "lifecycle": "active"},
    )
    path = tmp_path / "desk.agent.json"
    write_document(later, path)
    kept = path.read_bytes()
    with pytest.raises(DocumentError, match="history"):
        write_document(built, path)
    assert kept == path.read_bytes()
    write_document(built, path, force=True)
    assert built.identity == parse_document(path.read_bytes()).identity


def test_a_file_that_is_no_document_is_not_overwritten(tmp_path: Path) -> None:
    built = build_project(make(tmp_path)).document
    path = tmp_path / "notes.json"
    path.write_text("my notes")
    with pytest.raises(DocumentError, match="force"):
        write_document(built, path)
    assert path.read_text() == "my notes"


def test_writing_into_a_missing_folder_leaves_nothing_behind(tmp_path: Path) -> None:
    built = build_project(make(tmp_path)).document
    with pytest.raises(DocumentError, match="cannot be written"):
        write_document(built, tmp_path / "nowhere" / "x.agent.json")
    assert not (tmp_path / "nowhere").exists()


def test_the_default_output_is_named_after_the_folder(tmp_path: Path) -> None:
    assert default_output(tmp_path / "my desk").name == "my-desk.agent.json"


def test_cases_hold_or_say_what_differs(tmp_path: Path) -> None:
    cases = """
- name: right
  request: {action: activate}
  expect: {decision: allow, rules: [start]}
- name: wrong
  request: {action: continue}
  expect: {decision: deny, rules: [], kind: not_permitted}
"""
    right, wrong = run_folder(make(tmp_path, **{"cases/a.yaml": cases}))
    assert (right.passed, wrong.passed) == (True, False)
    assert len(wrong.problems) == 3


@pytest.mark.parametrize(
    ("case", "word"),
    [
        ("- name: a\n  request: {action: x}\n", "lacks `expect`"),
        ("- name: a\n  request: {action: x}\n  expect: {}\n", "lacks `decision`"),
        ("- name: a\n  request: {action: x}\n  expect: {decision: alow}\n", "did you mean `allow`"),
        ("- name: a\n  request: {acton: x}\n  expect: {decision: allow}\n", "did you mean `action`"),
        ("- name: a\n  request: {action: x, input: 3}\n  expect: {decision: allow}\n", "`input`"),
        ("- name: a\n  request: {action: x}\n  expect: {decision: allow, rules: r}\n", "`rules`"),
        ("- name: a\n  request: {action: pays}\n  expect: {decision: allow}\n", "did you mean `pay`"),
        ("cases: 3\n", "list"),
        ("caes: []\n", "did you mean `cases`"),
    ],
)
def test_a_case_that_cannot_be_judged_is_a_fault(case: str, word: str, tmp_path: Path) -> None:
    make(tmp_path, **{"cases/a.yaml": case})
    with pytest.raises(DocumentError) as caught:
        run_folder(tmp_path)
    assert word in str(caught.value)


def test_a_demo_with_a_mistake_is_refused_with_every_fault(tmp_path: Path) -> None:
    demo = "title: t\nscenes:\n  - {title: a, input: b, as: c, expect: {status: complete}}\n  - {titel: a}\n"
    make(tmp_path, **{"demo.yaml": demo})
    with pytest.raises(DocumentError) as caught:
        read_demo(tmp_path)
    assert "did you mean `completed`" in str(caught.value)
    assert "did you mean `title`" in str(caught.value)


def test_the_folder_that_init_makes_builds_and_its_cases_hold(tmp_path: Path) -> None:
    from remit.project.skeleton import make_project

    make_project(tmp_path / "new", jurisdiction='E"U: #', owner="we")
    results = run_folder(tmp_path / "new")
    assert len(results) == 5
    assert [result.problems for result in results] == [()] * 5


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.text(
        st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\u2028\u2029\ufeff\ufffe\uffff")
    )
)
def test_any_words_pass_from_yaml_into_the_document_unchanged(words: str, tmp_path: Path) -> None:
    agent = AGENT.replace(
        "instructions: prompts/system.md", f"instructions: {{text: {json.dumps(words, ensure_ascii=False)}}}"
    )
    make(tmp_path, **{"agent.yaml": agent})
    assert words == build_project(tmp_path).document.capabilities.instructions


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_to_agent_yaml_ends_in_anything_but_a_document_or_faults(
    data: st.DataObject, tmp_path: Path
) -> None:
    raw = AGENT.encode()
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 20)))
    junk = data.draw(st.binary(max_size=6))
    make(tmp_path)
    (tmp_path / "agent.yaml").write_bytes(raw[:start] + junk + raw[end:])
    with contextlib.suppress(DocumentError):
        build_project(tmp_path)
