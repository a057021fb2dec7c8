"""The pack that `remit packs new` makes: one rule, one fixture, cases on both sides, and a page."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from remit.project.packs.folder import FIXTURE, PACK_FILE, PAGE
from remit.project.skeleton import write_new_folder

if TYPE_CHECKING:
    from pathlib import Path

_PACK = """\
spec: remit/1/pack
name: {name}
version: 0.1.0
title: What this pack is for, in one line
parameters:
  type: object
  properties:
    effects:
      description: effects of tools that wait for a person
      type: array
      items: {{type: string, enum: [read, write, external]}}
      minItems: 1
      uniqueItems: true
      default: [external]
    approver:
      description: role of the person who approves
      type: string
      minLength: 1
      default: approver
controls:
  - {{id: OWN-1, clause: the clause as your lawyers cite it, asks: what it asks, mark: recall}}
"""

_RULES = """\
rules:
  - id: approval
    effect: forbid
    on: [call_tool]
    when: ${effects}.contains(resource.effect)
    because: calls of tools with the effect ${effects} need a person with the role ${approver}
    controls: [OWN-1]
    obligations: [{approve: {by: "${approver}"}}]
"""

_AGENT = """\
# An ordinary project that uses the pack; every verb that works on projects works on it.
spec: remit/1
nonce: "{nonce}"
attributes: {{jurisdiction: EU, risk_tier: limited, owner: fixture}}
instructions: {{text: You are a fixture.}}
tools:
  - name: look
    description: Look.
    embedder: true
    effect: read
    parameters: {{type: object, properties: {{}}}}
  - name: mail
    description: Mail.
    embedder: true
    effect: external
    parameters: {{type: object, properties: {{}}}}
backends:
  - name: local
    adapter: scripted
    provider: local
    region: EU
    model: transcript
    config: {{script: []}}
packs:
  - path: ..
"""

_PERMIT = """\
// Whatever the pack does not forbid is allowed here, so that every denial is one of its rules.

@id("anything")
@because("the fixture permits what the pack leaves open")
permit (principal, action, resource);
"""

_CASES = """\
cases:
  - name: mail waits for a person
    request: {{action: mail}}
    expect: {{decision: awaiting_approval, rules: [{name}.approval], kind: forbidden}}
  - name: approved mail is sent
    request: {{action: mail, fulfilled: [{name}.approval]}}
    expect: {{decision: allow, rules: [anything]}}
  - name: looking needs nobody
    request: {{action: look}}
    expect: {{decision: allow, rules: [anything]}}
"""

_PAGE = """\
# {name}

What the pack is for, in a few sentences.

## Parameters

| parameter | type | default | meaning |
|---|---|---|---|
| `effects` | Set of String | `external` | effects of tools that wait for a person |
| `approver` | String | `approver` | role of the person who approves |

## What it shows

What an auditor can rely on.

## What it does not show

What remains to be done by people.
"""


def make_pack(folder: Path, *, name: str) -> tuple[str, ...]:
    """Make a pack's folder that `remit packs check` accepts.

    Args:
        folder: must not exist, or be empty.
        name: the pack's name.

    Returns:
        The files made, relative to the folder.

    Raises:
        DocumentError: the folder holds something, or cannot be written.
    """
    files = {
        PACK_FILE: _PACK.format(name=name),
        "rules/rules.yaml": _RULES,
        f"{FIXTURE}/agent.yaml": _AGENT.format(nonce=secrets.token_hex(16)),
        f"{FIXTURE}/rules/permit.cedar": _PERMIT,
        f"{FIXTURE}/cases/cases.yaml": _CASES.format(name=name),
        PAGE: _PAGE.format(name=name),
    }
    return write_new_folder(folder, files)
