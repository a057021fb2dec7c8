from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from remit import Caller, Runtime
from remit.document.parse import parse_document

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Remit

    from remit.document.model import Document

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
    folder = tmp_path / "desk"
    agent = folder / "agent.yaml"
    text = (
        agent.read_text().replace('"undecided"', '"EU"').replace('lifecycle: "draft"', 'lifecycle: "ready"')
    )
    start = text.index("backends:")
    end = text.index("x-import:")
    script = "[{call: {name: refund, arguments: {amount: 7}}}, {say: done}]"
    backends = (
        "backends:\n"
        "  - {name: script, adapter: scripted, provider: local, region: EU, model: transcript,\n"
        f"     config: {{script: {script}}}}}\n"
    )
    agent.write_text(text[:start] + backends + text[end:])
    (folder / "rules" / "undecided.yaml").unlink()
    (folder / "proposed" / "rules.yaml").rename(folder / "rules" / "agreed.yaml")
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
