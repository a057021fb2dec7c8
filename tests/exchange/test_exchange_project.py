from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from remit import Caller, Runtime
from remit.document.parse import parse_document
from remit.document.revision import revise
from remit.errors import DocumentError
from remit.project.build import build_project, write_document

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Remit
    from remit.document.model import Document

AT = "2026-01-02T03:04:05.006Z"
CALLER = 'Remit::Caller::"ana"'
DECISION = "sha256:" + "0" * 64
TEAM = """\
agents:
  root:
    model: openai/gpt-4o
    instruction: |
      Lead.

      Be brief.
    toolsets: [{type: shell}, {type: mcp, remote: {url: "https://x.example/mcp"}, tools: [find, "a b"]}]
  helper: {instruction: ""}
permissions: {deny: ["shell:cmd=/*"], allow: [find]}
"""


def document_at(path: Path) -> Document:
    return parse_document(path.read_bytes(), file=path.name)


def decided(folder: Path, script: str) -> None:
    """Decide everything that an import leaves open, as an owner would, with a transcript for a model."""
    agent = folder / "agent.yaml"
    text = (
        agent.read_text().replace('"undecided"', '"EU"').replace('lifecycle: "draft"', 'lifecycle: "ready"')
    )
    backends = (
        "backends:\n"
        "  - {name: script, adapter: scripted, provider: local, region: EU, model: transcript,\n"
        f"     config: {{script: {script}}}}}\n"
    )
    agent.write_text(text[: text.index("backends:")] + backends + text[text.index("x-import:") :])
    (folder / "rules" / "undecided.yaml").unlink()
    (folder / "proposed" / "rules.yaml").rename(folder / "rules" / "agreed.yaml")


def refund(amount: int, note: str = "") -> str:
    """Refund an order."""
    return f"refunded {amount}{note}"


@pytest.fixture
def imported(remit: Remit, assistant: object, tmp_path: Path) -> dict[str, Any]:
    """The assistant, imported with a project folder `desk`."""
    done = remit("import", "assistant.json", "--project", "desk", "--output", "in.agent.json", "--json")
    assert done.code == 0, done.stderr
    return done.json["agents"][0]


def test_a_project_folder_holds_the_rules_the_prompt_the_proposals_and_what_to_decide(
    imported: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "desk"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert names == [
        ".gitignore",
        "README.md",
        "agent.yaml",
        "prompts/system.md",
        "proposed/rules.yaml",
        "rules/undecided.yaml",
    ]
    assert (folder / "prompts/system.md").read_text() == "Be kind.\n"
    readme = (folder / "README.md").read_text()
    assert "# Refund desk" in readme
    assert "`owner` is undecided" in readme
    assert "- line 36: `temperature`" in readme
    assert "nonce" in (folder / "agent.yaml").read_text()
    assert 'place: "tool:refund"' in (folder / "proposed/rules.yaml").read_text()


def test_the_folder_builds_with_the_same_nonce_into_a_draft(
    remit: Remit, imported: dict[str, Any], tmp_path: Path
) -> None:
    assert remit("build", "desk", "-o", "out.agent.json").code == 0
    built, origin = document_at(tmp_path / "out.agent.json"), document_at(tmp_path / "in.agent.json")
    assert built.execution_state.lifecycle == "draft"
    assert built.lineage.operations[0].value["nonce"] == origin.lineage.operations[0].value["nonce"]
    assert built.capabilities.tools == origin.capabilities.tools
    assert built.capabilities.backends == origin.capabilities.backends
    assert [rule.id for rule in built.governance.activation] == ["undecided"]


@pytest.mark.parametrize("name", ["root", "helper"])
def test_every_agent_of_a_file_gets_a_folder_that_builds(remit: Remit, tmp_path: Path, name: str) -> None:
    (tmp_path / "team.yaml").write_text(TEAM)
    assert remit("import", "team.yaml", "--project", "team").code == 0
    done = remit("build", f"team/{name}", "-o", "out.agent.json")
    assert done.code == 0, done.stderr
    built, origin = document_at(tmp_path / "out.agent.json"), document_at(tmp_path / f"{name}.agent.json")
    assert built.capabilities.tools == origin.capabilities.tools
    assert built.governance.activation == origin.governance.activation
    assert built.capabilities.backends


def test_a_document_built_from_an_imported_one_keeps_its_memory_and_names_it(
    remit: Remit, imported: dict[str, Any], tmp_path: Path
) -> None:
    done = remit("build", "desk", "--from", "in.agent.json", "-o", "out.agent.json", "--json")
    assert done.code == 0, done.stderr
    built, origin = document_at(tmp_path / "out.agent.json"), document_at(tmp_path / "in.agent.json")
    assert built.lineage.parents == (origin.identity.revision,)
    assert built.lineage.operations[0].operation == "fork"
    assert built.memory.tree.root == origin.memory.tree.root
    assert [*built.memory.tree] == [*origin.memory.tree]
    assert built.identity.agent != origin.identity.agent
    assert (done.json["parent"], done.json["entries"]) == (origin.identity.revision, 2)


def test_building_from_a_document_is_the_same_each_time(
    remit: Remit, imported: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        assert remit("build", "desk", "--from", "in.agent.json", "-o", f"{name}.agent.json").code == 0
    assert (tmp_path / "a.agent.json").read_bytes() == (tmp_path / "b.agent.json").read_bytes()


def test_memory_of_a_block_that_the_folder_dropped_is_not_thrown_away(
    remit: Remit, imported: dict[str, Any], tmp_path: Path
) -> None:
    agent = tmp_path / "desk" / "agent.yaml"
    agent.write_text(agent.read_text().replace('name: "thread"', 'name: "talk"'))
    (tmp_path / "desk/proposed/rules.yaml").unlink()
    done = remit("build", "desk", "--from", "in.agent.json", "-o", "out.agent.json")
    assert done.code == 2
    assert "`memory` declares no block `thread`, in which the parent keeps 2 entries" in done.stderr
    assert not (tmp_path / "out.agent.json").exists()


def test_memory_that_no_longer_fits_its_block_is_refused(
    remit: Remit, imported: dict[str, Any], tmp_path: Path
) -> None:
    agent = tmp_path / "desk" / "agent.yaml"
    text = agent.read_text()
    assert 'role:\n          type: "string"' in text
    agent.write_text(text.replace('role:\n          type: "string"', 'role:\n          const: "user"'))
    done = remit("build", "desk", "--from", "in.agent.json", "-o", "out.agent.json")
    assert done.code == 2
    assert "does not fit the schema of block `thread`" in done.stderr
    assert done.stderr.count("error:") == 1


def test_of_many_entries_that_do_not_fit_a_few_are_named_and_the_rest_counted(
    remit: Remit, assistant: dict[str, Any], tmp_path: Path
) -> None:
    messages = [{"id": f"m{n}", "role": "user", "content": "x", "created_at": n} for n in range(30)]
    value = {"assistant": assistant["assistant"], "messages": messages}
    (tmp_path / "many.json").write_text(json.dumps(value))
    assert remit("import", "many.json", "--project", "desk", "--output", "in.agent.json").code == 0
    agent = tmp_path / "desk" / "agent.yaml"
    agent.write_text(
        agent.read_text().replace('role:\n          type: "string"', 'role:\n          const: "x"')
    )
    done = remit("build", "desk", "--from", "in.agent.json", "-o", "out.agent.json")
    assert (done.code, done.stderr.count("does not fit the schema")) == (2, 8)
    assert "22 more memory entries of the parent do not fit" in done.stderr


def test_a_child_with_memory_is_not_replaced_by_a_build_without_its_parent(
    remit: Remit, imported: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "desk" / "desk.agent.json"
    assert remit("build", "desk", "--from", "in.agent.json").code == 0
    kept = path.read_bytes()
    done = remit("build", "desk")
    assert (done.code, done.stdout) == (2, "")
    assert "`desk/desk.agent.json` names a parent that what would be written lacks" in done.stderr
    assert "use `--from FILE` again, or overwrite it with `--force`" in done.stderr
    assert path.read_bytes() == kept
    assert remit("build", "desk", "--from", "in.agent.json").code == 0
    assert path.read_bytes() == kept
    assert remit("build", "desk", "--force").code == 0
    assert len(document_at(path).memory.tree) == 0


def test_building_the_child_again_after_its_rules_changed_needs_no_force(
    remit: Remit, imported: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "desk" / "desk.agent.json"
    assert remit("build", "desk", "--from", "in.agent.json").code == 0
    before = document_at(path)
    (tmp_path / "desk" / "rules" / "more.yaml").write_text(
        "- {id: thirsty, place: 'tool:refund', because: x}\n"
    )
    done = remit("build", "desk", "--from", "in.agent.json")
    assert done.code == 0, done.stderr
    after = document_at(path)
    assert after.identity.agent != before.identity.agent
    assert [*after.memory.tree] == [*before.memory.tree]


def test_memory_of_another_agent_without_a_parent_is_not_overwritten(
    remit: Remit, imported: dict[str, Any], tmp_path: Path
) -> None:
    kept = (tmp_path / "in.agent.json").read_bytes()
    done = remit("build", "desk", "-o", "in.agent.json")
    assert (done.code, "2 memory entries" in done.stderr) == (2, True)
    assert "--force" in done.stderr
    done = remit("build", "desk", "--from", "in.agent.json", "-o", "in.agent.json")
    assert (done.code, "write elsewhere with `--output`, or overwrite it" in done.stderr) == (2, True)
    assert (tmp_path / "in.agent.json").read_bytes() == kept
    assert remit("build", "desk", "-o", "in.agent.json", "--force").code == 0


def test_history_of_another_agent_is_not_overwritten(
    remit: Remit, imported: dict[str, Any], tmp_path: Path
) -> None:
    plain = build_project(tmp_path / "desk").document
    active = {**plain.execution_state.value, "lifecycle": "ready"}
    later = revise(plain, operation="amend", actor=CALLER, at=AT, decision=DECISION, execution_state=active)
    write_document(later, tmp_path / "desk" / "desk.agent.json")
    agent = tmp_path / "desk" / "agent.yaml"
    agent.write_text(agent.read_text().replace('"undecided"', '"EU"', 1))
    done = remit("build", "desk")
    assert done.code == 2
    assert "`desk/desk.agent.json` holds revision 2 of another agent" in done.stderr


def test_a_plain_document_is_built_anew_after_its_rules_changed(
    remit: Remit, imported: dict[str, Any], tmp_path: Path
) -> None:
    assert remit("build", "desk").code == 0
    (tmp_path / "desk" / "rules" / "more.yaml").write_text("- {id: more, place: activation, because: x}\n")
    assert remit("build", "desk").code == 0


def test_a_long_conversation_is_recalled_in_the_order_of_the_file(
    remit: Remit, assistant: dict[str, Any], tmp_path: Path
) -> None:
    messages = [{"id": f"m{n}", "role": "user", "content": f"{n}", "created_at": 7} for n in range(30)]
    value = {"assistant": assistant["assistant"], "messages": messages}
    (tmp_path / "long.json").write_text(json.dumps(value))
    assert remit("import", "long.json", "--project", "desk", "--output", "in.agent.json").code == 0
    decided(tmp_path / "desk", "[{say: done}]")
    assert remit("build", "desk", "--from", "in.agent.json", "-o", "out.agent.json").code == 0
    ann = Caller(id="ann")
    with Runtime.open(tmp_path / "out.agent.json", store=tmp_path / "store", tools=[refund]) as runtime:
        recalled = runtime.recall("thread", by=ann)
    texts = [entry["value"]["text"] for entry in recalled.value]  # type: ignore[union-attr, index, call-overload]
    assert texts == [f"{n}" for n in range(30)]


def test_the_readme_says_how_tools_of_the_embedder_come_to_run_and_what_to_name_from_then_on(
    imported: dict[str, Any], tmp_path: Path
) -> None:
    decide = (tmp_path / "desk" / "README.md").read_text().split("## Decide")[1].split("## Then")[0]
    assert "`refund`" in decide
    assert 'python: "tools:refund"' in decide
    assert "`remit run` has no functions to pass in" in decide
    then = (tmp_path / "desk" / "README.md").read_text().split("## Then")[1]
    assert "From then on name that document and not the folder" in " ".join(then.split())


def test_equal_lines_of_the_readme_are_one_line_that_names_every_place(
    remit: Remit, assistant: dict[str, Any], tmp_path: Path
) -> None:
    tools = [{"type": "audio"}] * 12
    value = {"assistant": {**assistant["assistant"], "tools": tools}}
    (tmp_path / "a.json").write_text(json.dumps(value, indent=1))
    (tmp_path / "b.json").write_text(json.dumps(value))
    assert remit("import", "a.json", "--project", "a", "--output", "a.agent.json").code == 0
    assert remit("import", "b.json", "--project", "b", "--output", "b.agent.json").code == 0
    what = "tools of type `audio` have no counterpart"
    several, flat = ((tmp_path / name / "README.md").read_text() for name in "ab")
    assert several.count(what) == flat.count(what) == 1
    assert f"- lines 10, 13, 16 and 9 more: {what}" in several
    assert f"- `/assistant/tools/0`, `/assistant/tools/1`, `/assistant/tools/2` and 9 more: {what}" in flat
    assert "line 1" not in flat
    assert "- `/assistant/temperature`: `temperature` does not" in flat


def test_a_document_that_could_not_be_read_again_is_not_written(
    imported: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remit.project.build.MAX_BYTES", 1000)
    with pytest.raises(DocumentError, match="more than the 0 MiB that can be read again"):
        write_document(document_at(tmp_path / "in.agent.json"), tmp_path / "new.agent.json")
    assert not (tmp_path / "new.agent.json").exists()


def test_a_document_that_does_not_verify_is_no_parent(
    remit: Remit, imported: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "in.agent.json"
    path.write_bytes(path.read_bytes().replace(b"Hello!", b"Howdy!"))
    done = remit("build", "desk", "--from", "in.agent.json", "-o", "out.agent.json")
    assert (done.code, "`commitment` does not match" in done.stderr) == (2, True)
    assert remit("build", "desk", "--from", "gone.agent.json").code == 2


def test_a_project_gives_all_that_a_tool_of_the_embedder_needs(remit: Remit, tmp_path: Path) -> None:
    remit("init", "desk", "--jurisdiction", "EU", "--owner", "me")
    agent = tmp_path / "desk" / "agent.yaml"
    tools = "tools:\n  - python: tools:add_note\n    effect: write\n"
    assert tools in agent.read_text()

    def built(entry: str) -> str:
        agent.write_text(agent.read_text().replace(tools, f"{tools}{entry}"))
        done = remit("build", "desk", "-o", "out.agent.json")
        agent.write_text(agent.read_text().replace(entry, ""))
        return done.stderr

    assert "a tool of the embedder lacks `description` and `parameters`" in built(
        "  - {embedder: true, name: pay, effect: write}\n"
    )
    assert "`embedder` is not true" in built("  - {embedder: pay, name: pay, effect: write}\n")
    assert "a tool has exactly one source" in built("  - {embedder: true, python: 'a:b', effect: write}\n")
    whole = "  - {embedder: true, name: pay, effect: write, description: Pay., parameters: {type: object}}\n"
    assert built(whole) == ""
    assert document_at(tmp_path / "out.agent.json").tool("pay").source == {"embedder": True}  # type: ignore[union-attr]


def test_an_imported_agent_runs_once_its_owner_has_decided(
    remit: Remit, imported: dict[str, Any], tmp_path: Path
) -> None:
    decided(tmp_path / "desk", "[{call: {name: refund, arguments: {amount: 7}}}, {say: done}]")
    done = remit("build", "desk", "--from", "in.agent.json", "-o", "out.agent.json")
    assert done.code == 0, done.stderr
    seen: list[int] = []

    def refund(amount: int, note: str = "") -> str:
        """Refund an order."""
        seen.append(amount)
        return f"refunded {amount}{note}"

    ann = Caller(id="ann")
    with Runtime.open(tmp_path / "out.agent.json", store=tmp_path / "store", tools=[refund]) as runtime:
        assert runtime.run("Refund 7.", caller=ann).status == "completed"
        recalled = runtime.recall("thread", by=ann)
    assert seen == [7]
    assert [entry["value"]["text"] for entry in recalled.value] == ["Hi", "Hello!"]  # type: ignore[union-attr, index, call-overload]


def test_an_imported_document_cannot_be_run_as_it_is(
    remit: Remit, imported: dict[str, Any], tmp_path: Path
) -> None:
    with Runtime.open(tmp_path / "in.agent.json", store=tmp_path / "store") as runtime:
        result = runtime.run("Refund 7.", caller=Caller(id="ann"))
    assert result.status == "denied"
