"""The folder that `remit init` makes: an agent that builds, checks and runs as it is."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

from remit.errors import DocumentError, Fault
from remit.project.build import AGENT_FILE, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_AGENT = """\
spec: remit/1
nonce: "{nonce}"
attributes:
  jurisdiction: {jurisdiction}
  risk_tier: limited
  owner: {owner}
caller:
  type: object
  properties:
    jurisdiction: {{type: string}}
  required: [jurisdiction]
limits: {{max_turns: 8, max_tool_calls: 8}}
instructions: prompts/system.md
tools:
  - python: tools:add_note
    effect: write
backends:
  # The first one that may be used and can be opened is used.
  - name: scripted
    adapter: scripted
    provider: local
    region: {jurisdiction}
    model: transcript
    config:
      script:
        - call: {{name: add_note, arguments: {{text: "hello from remit"}}}}
        - say: I wrote it down.
"""

_RULES = """\
rules:
  - id: same-jurisdiction
    place: activation
    effect: permit
    when: principal.jurisdiction == resource.jurisdiction
    because: this agent serves callers of its own jurisdiction

  - id: own-region
    place: dispatch
    effect: permit
    when: resource.region == principal.jurisdiction
    because: inference stays in the agent's jurisdiction

  - id: notes-allowed
    place: tool:add_note
    effect: permit
    because: taking notes is this agent's work

  - id: notes-short
    place: tool:add_note
    effect: forbid
    when: context.input.text like "*password*"
    because: passwords are not written down

  - id: call-budget
    place: termination
    effect: forbid
    when: context.usage.tool_calls >= 4
    because: four tool calls are enough for one request
"""

_CASES = """\
cases:
  - name: a caller from here may start the agent
    request: {{action: activate, caller: {{id: ana, jurisdiction: {jurisdiction}}}}}
    expect: {{decision: allow, rules: [same-jurisdiction]}}
  - name: a caller from elsewhere may not
    request: {{action: activate, caller: {{id: bob, jurisdiction: elsewhere}}}}
    expect: {{decision: deny, kind: not_permitted}}
  - name: a note is taken
    request:
      action: add_note
      caller: {{id: ana, jurisdiction: {jurisdiction}}}
      input: {{text: buy milk}}
    expect: {{decision: allow, rules: [notes-allowed]}}
  - name: a password is not written down
    request:
      action: add_note
      caller: {{id: ana, jurisdiction: {jurisdiction}}}
      input: {{text: my password is tiger}}
    expect: {{decision: deny, kind: forbidden, rules: [notes-short]}}
  - name: four tool calls are enough
    request:
      action: continue
      caller: {{id: ana, jurisdiction: {jurisdiction}}}
      usage: {{tool_calls: 4}}
    expect: {{decision: deny, rules: [call-budget]}}
"""

_TOOLS = '''\
"""Tools of this agent: typed functions; the docstring is what the model is told."""

from pathlib import Path

from remit import tool

NOTES = Path(__file__).with_name("notes.txt")


@tool(effect="write")
def add_note(text: str) -> dict[str, int]:
    """Write one note down.

    Args:
        text: the note's words.
    """
    with NOTES.open("a", encoding="utf-8") as notes:
        notes.write(text + "\\n")
    return {"notes": len(NOTES.read_text(encoding="utf-8").splitlines())}
'''

_PROMPT = """\
You take notes for the caller. Use the tool `add_note` to write a note down, then say so in one sentence.
"""


def make_project(folder: Path, *, jurisdiction: str, owner: str) -> tuple[str, ...]:
    """Make a project folder with a fresh nonce.

    Args:
        folder: must not exist, or be empty.
        jurisdiction: the agent's jurisdiction.
        owner: the team that owns it.

    Returns:
        The files made, relative to the folder.

    Raises:
        DocumentError: the folder holds something, or cannot be written.
    """
    words = {
        "nonce": secrets.token_hex(16),
        "jurisdiction": json.dumps(jurisdiction, ensure_ascii=False),
        "owner": json.dumps(owner, ensure_ascii=False),
    }
    files = {
        AGENT_FILE: _AGENT.format(**words),
        "prompts/system.md": _PROMPT,
        "rules/rules.yaml": _RULES,
        "cases/cases.yaml": _CASES.format(**words),
        "tools.py": _TOOLS,
        ".gitignore": ".remit/\nnotes.txt\n",
    }
    return write_new_folder(folder, files)


def write_new_folder(folder: Path, files: Mapping[str, str]) -> tuple[str, ...]:
    """Write texts by relative path into a folder that does not exist yet, or is empty; return the paths.

    Raises:
        DocumentError: the folder holds something, or cannot be written.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DocumentError(
                Fault(
                    message=f"`{folder.as_posix()}` exists and is not an empty folder",
                    hint="name a new folder",
                )
            )
        for relative, text in files.items():
            path = folder / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text.encode())
    except OSError as error:
        raise DocumentError(
            Fault(message=f"`{folder.as_posix()}` cannot be made: {error.strerror or error}")
        ) from error
    return tuple(files)
