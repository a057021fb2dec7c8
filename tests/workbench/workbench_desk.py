"""A small agent for the workbench's tests: its folder, its document, its image, and requests to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from remit.engine.cedar import CedarEngine
from remit.policy.compile import compile_governance
from remit.project.build import build_project
from remit.project.questions import Question

if TYPE_CHECKING:
    from pathlib import Path

    from remit.document.model import Document
    from remit.engine.image import PolicyImage

AGENT = """\
spec: remit/1
nonce: "00112233445566778899aabbccddeeff"
attributes: {jurisdiction: EU, risk_tier: limited, owner: tests}
caller:
  type: object
  properties: {jurisdiction: {type: string}, level: {type: integer}}
  required: [jurisdiction]
environment:
  schema: {type: object, properties: {freeze: {type: boolean}}, required: [freeze]}
  values: {freeze: false}
limits: {max_turns: 6}
instructions: prompts/system.md
tools:
  - python: tools:pay
    name: pay
    description: Pay an amount.
    effect: write
    parameters:
      type: object
      properties:
        amount: {type: integer, minimum: -1000}
        to: {type: string}
        note: {type: string}
      required: [amount, to]
      additionalProperties: false
  - {python: "tools:look", name: look, description: Look., effect: read, parameters: {type: object, properties: {}}}
memory:
  - {name: visits, description: Visits., schema: {type: string}, classification: personal, subject: true}
backends:
  - {name: near, adapter: scripted, provider: local, region: EU, model: transcript, config: {path: script.yaml}}
  - {name: far, adapter: scripted, provider: local, region: US, model: transcript, config: {path: script.yaml}}
"""
RULES = """\
rules:
  - id: start
    place: activation
    when: principal.jurisdiction == resource.jurisdiction
    because: the desk serves its own jurisdiction only
  - id: think
    place: dispatch
    when: resource.region == principal.jurisdiction
    because: inference stays here
  - {id: pay, place: "tool:pay", because: paying is the work}
  - id: pay-cap
    place: tool:pay
    effect: forbid
    when: context.input.amount > 500 && context.input.amount <= 5000
    because: payments over 500 need a person
    obligations: [{approve: {by: officer}}]
  - id: pay-ceiling
    place: tool:pay
    effect: forbid
    when: context.input.amount > 5000
    because: payments over 5000 are not made here
  - id: pay-note
    place: tool:pay
    effect: forbid
    when: context.input has note && context.input.note like "*secret*"
    because: notes hold no secrets
  - id: freeze
    place: tool:pay
    effect: forbid
    when: context.environment.freeze
    because: the books are being closed
  - id: look
    place: tool:look
    when: context.caller.roles.contains("clerk") || context.caller.roles.contains("auditor")
    because: clerks and auditors look
  - id: visits
    place: memory:visits
    on: [remember]
    when: principal is Remit::Agent && context.input.bytes <= 400
    because: visits are short
"""
CASES = """\
# What the desk promises.
cases:
  - name: a small payment is made   # the usual
    request: {action: pay, caller: {id: ana, jurisdiction: EU}, input: {amount: 20, to: bob}}
    expect: {decision: allow, rules: [pay]}
  - name: a large payment waits
    request: {action: pay, caller: {id: ana, jurisdiction: EU}, input: {amount: 900, to: bob}}
    expect: {decision: awaiting_approval, rules: [pay-cap]}
"""
TOOLS = '''\
"""Tools."""


def pay(amount: int, to: str, note: str = "") -> str:
    """Pay an amount."""
    return "paid"


def look() -> str:
    """Look."""
    return "seen"
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A built agent."""

    folder: Path
    document: Document
    image: PolicyImage
    engine: CedarEngine


def write_desk(folder: Path, **texts: str) -> Path:
    """Write the agent; `agent`, `rules` and `cases` replace a file's text."""
    files = {
        "agent.yaml": texts.get("agent", AGENT),
        "rules/desk.yaml": texts.get("rules", RULES),
        "cases/desk.yaml": texts.get("cases", CASES),
        "prompts/system.md": "You pay bills.\n",
        "script.yaml": "script:\n  - say: Hello.\n",
        "tools.py": TOOLS,
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def read_desk(folder: Path) -> Desk:
    """Build the agent of a folder."""
    built = build_project(folder)
    image = compile_governance(built.document, origins=built.origins)
    return Desk(folder=folder, document=built.document, image=image, engine=CedarEngine(image))


def question(action: str, **members: Any) -> Question:
    """Ask as a caller of the desk's own jurisdiction."""
    return Question(**{"action": action, "caller": {"id": "ana", "jurisdiction": "EU"}, **members})
