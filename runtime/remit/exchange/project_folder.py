"""An imported agent as a project folder that its owner goes on from.

`agent.yaml` and `rules/` hold what the document holds, `proposed/` what a person may move into `rules/`, and
`README.md` says what to decide.
Building the folder is the owner's act, and its document is another agent than the imported one:
`remit build FOLDER --from IMPORTED` names that one as the parent and takes its memory along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.document.values import SPEC, JsonObject, JsonValue
from remit.document.yaml_text import write_yaml
from remit.exchange.document import EXTENSION, GUARD, UNDECIDED, Imported, rule_value
from remit.exchange.remark_groups import lines_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.exchange.foreign import ForeignRule, ForeignTool, Remark

PROMPT = "prompts/system.md"
_NO_BACKEND: JsonObject = {
    "name": UNDECIDED,
    "adapter": "scripted",
    "provider": UNDECIDED,
    "region": UNDECIDED,
    "model": UNDECIDED,
    "config": {"script": [{"say": "no back-end was declared"}]},
}
"""Stands where the file named no model, so that the folder builds."""

_RULES = "# Rules that the imported file amounts to. They are in force once the folder is built.\n"
_GUARD = """\
# Nobody has decided yet. Remove this file once README.md is worked through,
# and set `lifecycle: ready` in agent.yaml.
"""
_PROPOSED = """\
# What the imported file allowed. Nothing here is in force: move what you agree with into a file below rules/,
# and narrow it while you are there.
"""
_STEPS = """\
1. Write `jurisdiction`, `risk_tier` and `owner` into `agent.yaml`.
2. Move what you agree with from `proposed/` into `rules/`, and narrow it.
3. Remove `rules/undecided.yaml`, and set `lifecycle: ready` in `agent.yaml`.
4. Write cases into `cases/`, and run `remit check`.
5. `remit build . --from IMPORTED.agent.json` names the imported agent as the parent and takes its memory.
   From then on name that document and not the folder: a folder is built without a parent, and that is another
   agent without this memory."""


def project_files(imported: Imported, *, file: str) -> dict[str, bytes]:
    """Return the files of a project folder by relative path.

    Args:
        imported: the agent.
        file: name of the file that it came from, for the README.
    """
    agent = imported.agent
    files: dict[str, bytes] = {
        "agent.yaml": write_yaml(_agent_value(imported)),
        "README.md": _readme(imported, file).encode(),
        ".gitignore": b".remit/\n",
        f"rules/{GUARD}.yaml": _rule_file(_GUARD, imported.in_force[:1]),
    }
    if agent.instructions.strip("\n"):
        files[PROMPT] = (agent.instructions.strip("\n") + "\n").encode()
    if imported.in_force[1:]:
        files["rules/imported.yaml"] = _rule_file(_RULES, imported.in_force[1:])
    if imported.proposed:
        files["proposed/rules.yaml"] = _rule_file(_PROPOSED, imported.proposed)
    return files


def _rule_file(head: str, rules: Sequence[ForeignRule]) -> bytes:
    return head.encode() + write_yaml([rule_value(rule) for rule in rules])


def _agent_value(imported: Imported) -> JsonObject:
    agent = imported.agent
    backends: list[JsonValue] = list(agent.backends) or [_NO_BACKEND]
    value: JsonObject = {
        "spec": SPEC,
        "nonce": imported.nonce,
        "lifecycle": "draft",
        "attributes": imported.document.governance.attributes,
        "instructions": PROMPT if agent.instructions.strip("\n") else {"text": ""},
        "tools": [_tool_value(tool) for tool in agent.tools],
        "memory": [
            {
                "name": block.name,
                "description": block.description,
                "schema": block.schema,
                "classification": block.classification,
            }
            for block in agent.blocks
        ],
        "backends": backends,
        EXTENSION: {"format": agent.format, "file_sha256": imported.file_sha256, "agent": agent.name},
    }
    if agent.builtins:
        value["builtins"] = list(agent.builtins)
    return value


def _tool_value(tool: ForeignTool) -> JsonObject:
    source = {"embedder": True} if tool.source is None else dict(tool.source)
    value: JsonObject = {
        "name": tool.name,
        "description": tool.description,
        "effect": tool.effect,
        "parameters": tool.parameters,
    }
    server = source.get("mcp")
    if isinstance(server, dict):
        remote = source.get("tool")
        value["mcp"] = server if remote is None else {**server, "tool": remote}
    else:
        value.update(source)
    return value


def _readme(imported: Imported, file: str) -> str:
    agent = imported.agent
    title = " ".join((agent.name or "An imported agent").split())
    parts = [
        f"# {title}",
        f"Imported from `{file}` ({agent.format}); SHA-256 of the file: `{imported.file_sha256}`.",
        " ".join(agent.description.split()),
        "It is a draft: a rule in `rules/undecided.yaml` forbids every activation, and nothing is permitted.",
        "## Decide",
        _list(imported.remarks, "decide"),
        "## Then",
        _STEPS,
        "## Lost",
        _list(imported.remarks, "lost"),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _list(remarks: Sequence[Remark], fate: str) -> str:
    flat = all(remark.line <= 1 for remark in remarks)
    lines = lines_of([remark for remark in remarks if remark.fate == fate], flat=flat)
    return "\n".join(f"- {line}" for line in lines) or "Nothing."
