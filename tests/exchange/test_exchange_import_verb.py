from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from remit.document.parse import parse_document

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Remit

DOCUMENT = "Refund-desk.agent.json"
TEAM = """\
agents:
  root: {model: openai/gpt-4o, instruction: Lead., sub_agents: [helper]}
  helper: {model: openai/gpt-4o, instruction: Help.}
"""
WORDY = TEAM.replace("instruction: Help.", f"instruction: {'x' * 9000}")


def test_import_writes_a_draft_and_says_what_became_of_everything(
    remit: Remit, assistant: object, tmp_path: Path
) -> None:
    done = remit("import", "assistant.json")
    assert done.code == 0, done.stderr
    document = parse_document((tmp_path / DOCUMENT).read_bytes())
    assert document.execution_state.lifecycle == "draft"
    lines = done.stdout.splitlines()
    assert lines[:5] == [
        f"imported {DOCUMENT}",
        "  format  openai-assistant",
        "  name    Refund desk",
        f"  agent   {document.identity.agent}",
        f"  memory  2 entries, as revision {document.identity.revision}",
    ]
    groups = [line for line in lines if line and not line.startswith(" ")]
    assert [group.split(" (")[0] for group in groups[1:]] == ["carried", "lost", "to decide"]
    assert "  assistant.json:36:18: `temperature` does not reach the model: `x-import` keeps it" in lines
    assert [path.name for path in sorted(tmp_path.iterdir())] == [DOCUMENT, "assistant.json"]


def test_json_has_every_remark_with_its_place(remit: Remit, assistant: object) -> None:
    value = remit("import", "assistant.json", "--json").json
    (agent,) = value["agents"]
    assert (value["file"], agent["format"], agent["output"], agent["entries"], agent["project"]) == (
        "assistant.json",
        "openai-assistant",
        DOCUMENT,
        2,
        "",
    )
    assert {
        "what": "`temperature` does not reach the model: `x-import` keeps it",
        "pointer": "/assistant/temperature",
        "line": 36,
        "column": 18,
    } in agent["lost"]
    assert agent["carried"]
    assert agent["decide"]


def test_many_remarks_alike_are_shown_as_a_few_and_a_count(
    remit: Remit, assistant: dict[str, Any], tmp_path: Path
) -> None:
    function = assistant["assistant"]["tools"][0]["function"]
    tools = [{"type": "function", "function": {**function, "name": f"tool{n}"}} for n in range(128)]
    value = {"assistant": {**assistant["assistant"], "tools": tools}}
    (tmp_path / "many.json").write_text(json.dumps(value, indent=1))
    done = remit("import", "many.json")
    lines = done.stdout.splitlines()
    alike = [number for number, line in enumerate(lines) if "is a tool; the embedder supplies" in line]
    assert len(alike) == 3
    assert lines[alike[2] + 1] == "  … and 125 more of this kind; `--json` lists them all"
    assert [line for line in lines if line.startswith("carried (")] == ["carried (131)"]
    (made,) = remit("import", "many.json", "--json").json["agents"]
    assert sum("is a tool" in remark["what"] for remark in made["carried"]) == 128
    kept = parse_document((tmp_path / DOCUMENT).read_bytes()).extensions["x-import"]
    assert sum("is a tool" in remark["what"] for remark in kept["remarks"]) == 128  # type: ignore[index, call-overload, union-attr]


def test_ten_remarks_alike_are_all_shown(remit: Remit, assistant: dict[str, Any], tmp_path: Path) -> None:
    function = assistant["assistant"]["tools"][0]["function"]
    tools = [{"type": "function", "function": {**function, "name": f"tool{n}"}} for n in range(10)]
    (tmp_path / "ten.json").write_text(json.dumps({"assistant": {**assistant["assistant"], "tools": tools}}))
    assert remit("import", "ten.json").stdout.count("is a tool; the embedder supplies") == 10


def test_nothing_is_written_where_one_of_several_documents_could_not_be_read_again(
    remit: Remit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "team.yaml").write_text(WORDY)
    monkeypatch.setattr("remit.project.build.MAX_BYTES", 9000)
    assert remit("import", "team.yaml").code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["team.yaml"]


def test_importing_twice_gives_one_agent_and_renaming_the_file_changes_nothing(
    remit: Remit, assistant: object, tmp_path: Path
) -> None:
    first = remit("import", "assistant.json", "--json").json["agents"][0]
    shutil.copy(tmp_path / "assistant.json", tmp_path / "other.txt")
    second = remit("import", "other.txt", "--json").json["agents"][0]
    assert first["agent"] == second["agent"]
    assert first["output"] == second["output"]


def test_every_agent_of_a_file_is_written_or_the_one_that_is_asked_for(remit: Remit, tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text(TEAM)
    done = remit("import", "team.yaml", "--json")
    assert [agent["output"] for agent in done.json["agents"]] == ["root.agent.json", "helper.agent.json"]
    both = {agent["name"]: agent["agent"] for agent in done.json["agents"]}
    one = remit("import", "team.yaml", "--agent", "helper", "--output", "h.agent.yaml", "--json").json[
        "agents"
    ]
    assert [(agent["output"], agent["agent"]) for agent in one] == [("h.agent.yaml", both["helper"])]
    assert (
        parse_document((tmp_path / "h.agent.yaml").read_bytes(), format="yaml").identity.agent
        == both["helper"]
    )


def test_one_output_for_several_agents_and_an_unknown_agent_are_refused(remit: Remit, tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text(TEAM)
    done = remit("import", "team.yaml", "--output", "x.agent.json")
    assert (done.code, "choose one with `--agent`: `root`, `helper`" in done.stderr) == (2, True)
    done = remit("import", "team.yaml", "--agent", "helpr")
    assert (done.code, "did you mean `helper`?" in done.stderr) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["team.yaml"]


def test_another_agent_s_document_is_not_overwritten_unasked(
    remit: Remit, assistant: object, tmp_path: Path
) -> None:
    (tmp_path / "team.yaml").write_text(TEAM)
    remit("import", "team.yaml", "--agent", "helper")
    before = (tmp_path / "helper.agent.json").read_bytes()
    done = remit("import", "assistant.json", "--output", "helper.agent.json")
    assert done.code == 2
    assert "error: `helper.agent.json` holds another agent; write elsewhere with `--output`" in done.stderr
    assert (tmp_path / "helper.agent.json").read_bytes() == before
    assert remit("import", "assistant.json", "--output", "helper.agent.json", "--force").code == 0


def test_what_is_no_document_is_not_overwritten_unasked(
    remit: Remit, assistant: object, tmp_path: Path
) -> None:
    (tmp_path / "notes.agent.json").write_text("my notes")
    done = remit("import", "assistant.json", "--output", "notes.agent.json")
    assert (done.code, "is not a document that can be read" in done.stderr) == (2, True)
    assert (tmp_path / "notes.agent.json").read_text() == "my notes"


def test_nothing_is_written_where_one_of_several_agents_would_be_refused(
    remit: Remit, tmp_path: Path
) -> None:
    (tmp_path / "team.yaml").write_text(TEAM)
    (tmp_path / "helper.agent.json").write_text("{}")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "root").mkdir()
    (tmp_path / "full" / "root" / "x").write_text("x")
    assert remit("import", "team.yaml", "--project", "full").code == 2
    assert not (tmp_path / "root.agent.json").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("missing.json",), "`missing.json` does not exist; give the file of an agent"),
        ((".",), "`.` is a folder"),
        (("assistant.json", "--format", "crew"), "`crew` is no format that can be read"),
        (("assistant.json", "--as", "letta"), "assistant.json:"),
        (("assistant.json", "--output", "x.txt"), "`x.txt` has no suffix that names a format"),
        (("assistant.json", "--output", "no/x.agent.json"), "cannot be written"),
        (("assistant.json", "--project", "assistant.json"), "exists and is not an empty folder"),
    ],
)
def test_a_command_that_cannot_be_carried_out_is_one_message_and_no_file(
    remit: Remit, assistant: object, tmp_path: Path, args: tuple[str, ...], message: str
) -> None:
    done = remit("import", *args)
    assert (done.code, done.stdout) == (2, "")
    assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["assistant.json"]


HOSTILE = {
    "an alias bomb": b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 12)),
    "code in a tag": b"agents: !!python/object/apply:os.system ['touch ran']\n",
    "NaN": b'{"object": "assistant", "model": "m", "temperature": NaN}',
    "a duplicate key": b'{"object": "assistant", "object": "assistant", "model": "m"}',
    "deep nesting": b'{"object": "assistant", "model": "m", "metadata": ' + b"[" * 200 + b"]" * 200 + b"}",
    "no agent": b'{"hello": "world"}',
    "nothing": b"",
    "binary": bytes(range(256)),
    "a wrong type": b'{"object": "assistant", "model": {"a": 1}}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_without_a_file_or_a_traceback(
    remit: Remit, tmp_path: Path, name: str
) -> None:
    (tmp_path / "agent").write_bytes(HOSTILE[name])
    done = remit("import", "agent", "--project", "p", "--json")
    assert done.code == 2
    (fault, *_) = done.json["error"]["faults"]
    assert fault["message"]
    assert fault["file"] == "agent"
    assert [path.name for path in tmp_path.iterdir()] == ["agent"]


def test_nothing_in_a_file_is_executed_or_fetched(
    remit: Remit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import builtins
    import os
    import socket
    import subprocess

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the importer tried to act")

    for owner, name in (
        (subprocess, "Popen"),
        (os, "system"),
        (socket, "socket"),
        (socket, "getaddrinfo"),
        (builtins, "eval"),
        (builtins, "exec"),
    ):
        monkeypatch.setattr(owner, name, refuse)
    (tmp_path / "team.yaml").write_text(
        "agents:\n"
        "  root:\n"
        "    model: openai/gpt-4o\n"
        "    instruction: =Exec('touch ran')\n"
        "    toolsets:\n"
        "      - {type: mcp, command: touch, args: [ran], tools: [a]}\n"
        "      - {type: mcp, remote: {url: 'http://127.0.0.1:9/mcp'}, tools: [b]}\n"
        "      - {type: script, shell: {c: {cmd: touch ran}}}\n"
    )
    assert remit("import", "team.yaml", "--project", "p").code == 0
    assert not (tmp_path / "ran").exists()


def test_a_name_that_no_file_could_have_becomes_one_that_any_system_can_hold(
    remit: Remit, tmp_path: Path
) -> None:
    value = {"object": "assistant", "model": "m", "name": "../../etc/passwd \x1b[31m∕CON"}
    (tmp_path / "a.json").write_text(json.dumps(value))
    done = remit("import", "a.json")
    assert done.code == 0
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.json", "etc-passwd-31m-CON.agent.json"]
    assert "\x1b" not in done.stdout
