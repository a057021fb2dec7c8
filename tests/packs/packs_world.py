"""A small pack and a small project that uses it, written into a folder with some of their files replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from remit.errors import FaultsError
from remit.policy.compile import compile_governance
from remit.project.build import Built, build_project, write_whole
from remit.project.packs.folder import read_pack
from remit.project.packs.lock import LOCK_FILE, lock_bytes
from remit.project.packs.use import read_uses
from remit.project.source import FaultList, read_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from remit.engine.image import PolicyImage
    from remit.project.packs.folder import PackFolder

PACK = """\
spec: remit/1/pack
name: caps
version: 1.0.0
title: Amounts have a cap
parameters:
  type: object
  required: [tools]
  properties:
    tools: {type: array, items: {type: string}, minItems: 1}
    cap: {type: integer, minimum: 1, default: 500}
    vip: {type: string}
requires:
  tools:
    - names: ${tools}
      arguments: [{name: amount, type: integer}]
controls:
  - {id: OWN-1, clause: Own clause 1, asks: a cap, mark: recall}
"""
RULES = """\
rules:
  - id: cap
    effect: forbid
    on: ${tools}
    not_given: [vip]
    when: context.input.amount > ${cap}
    because: more than ${cap} is too much
    controls: [OWN-1]
  - id: vip-cap
    effect: forbid
    on: ${tools}
    given: [vip]
    when: context.input.amount > ${cap} && context.input.note != ${vip}
    because: more than ${cap} is too much, except for ${vip}
    obligations: [{approve: {by: boss}}]
"""
AGENT = """\
spec: remit/1
nonce: "0123456789abcdef0123456789abcdef"
attributes: {jurisdiction: EU, risk_tier: limited, owner: tests}
instructions: {text: Pay.}
tools:
  - name: pay
    description: Pay.
    embedder: true
    effect: write
    parameters:
      type: object
      properties: {amount: {type: integer}, note: {type: string}, rate: {type: number}}
      required: [amount, note, rate]
  - {name: look, description: Look., embedder: true, effect: read, parameters: {type: object, properties: {}}}
memory:
  - {name: notes, description: Notes., schema: {type: string}, classification: internal}
backends:
  - {name: local, adapter: scripted, provider: local, region: EU, model: transcript, config: {script: []}}
"""
USE = """\
packs:
  - path: ../caps
    with: {tools: [pay]}
"""
PERMIT = '@id("anything") @because("all") permit (principal, action, resource);\n'
CASES = """\
cases:
  - name: at the cap
    request: {action: pay, input: {amount: 500, note: "", rate: 1}}
    expect: {decision: allow}
  - name: above it
    request: {action: pay, input: {amount: 501, note: "", rate: 1}}
    expect: {decision: deny, rules: [caps.cap], kind: forbidden}
"""
VIP_CASES = """\
cases:
  - name: above it for the guest
    request: {action: pay, input: {amount: 501, note: gold, rate: 1}}
    expect: {decision: allow}
  - name: above it for others
    request: {action: pay, input: {amount: 501, note: tin, rate: 1}}
    expect: {decision: awaiting_approval, rules: [caps.vip-cap]}
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder


def pack_files(**texts: str) -> dict[str, str]:
    """Files of the pack `caps`; `pack` and `rules` replace a file's text."""
    return {
        "pack.yaml": texts.get("pack", PACK),
        "rules/rules.yaml": texts.get("rules", RULES),
        "README.md": "# caps\n",
        "fixture/agent.yaml": AGENT + "packs:\n  - path: ..\n    with: {tools: [pay]}\n",
        "fixture/rules/permit.cedar": PERMIT,
        "fixture/cases/cases.yaml": CASES,
        "fixture-vip/agent.yaml": AGENT + "packs:\n  - path: ..\n    with: {tools: [pay], vip: gold}\n",
        "fixture-vip/rules/permit.cedar": PERMIT,
        "fixture-vip/cases/cases.yaml": VIP_CASES,
    }


def make_pack(folder: Path, **texts: str) -> Path:
    return write(folder / "caps", pack_files(**texts))


def make_project(folder: Path, *, use: str = USE, agent: str = AGENT, rules: str = PERMIT) -> Path:
    return write(folder / "desk", {"agent.yaml": agent + use, "rules/permit.cedar": rules})


def pin(project: Path) -> None:
    """Do what `remit packs update` does."""
    faults = FaultList()
    uses = read_uses(read_yaml(project, "agent.yaml"), folder=project, faults=faults)
    faults.settle()
    write_whole(project / LOCK_FILE, lock_bytes(use.entry() for use in uses))


def built(folder: Path, **texts: str) -> Built:
    """Make pack and project, pin, and build."""
    make_pack(folder, pack=texts.get("pack", PACK), rules=texts.get("rules", RULES))
    project = make_project(folder, use=texts.get("use", USE), agent=texts.get("agent", AGENT))
    pin(project)
    return build_project(project)


def image_of(held: Built) -> PolicyImage:
    return compile_governance(held.document, origins=held.origins)


def pack_at(folder: Path, **texts: str) -> PackFolder:
    return read_pack(make_pack(folder, **texts))


def faults_of(folder: Path, act: object) -> list[str]:
    """What an act that must be refused says, with paths as from `folder`."""
    assert callable(act)
    with pytest.raises(FaultsError) as caught:
        act()
    return [str(fault).replace(f"{folder.as_posix()}/", "") for fault in caught.value.faults]
