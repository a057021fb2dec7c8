"""A small agent with rules of every kind, written into a folder, and its cases decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.workbench.suites.folder import run_folder

if TYPE_CHECKING:
    from pathlib import Path

    from remit.workbench.suites.results import CaseResult

AGENT = """\
spec: remit/1
nonce: "00112233445566778899aabbccddeeff"
attributes: {jurisdiction: EU, risk_tier: limited, owner: tests}
caller:
  type: object
  properties: {jurisdiction: {type: string}}
  required: [jurisdiction]
environment:
  schema: {type: object, properties: {freeze: {type: boolean}}, required: [freeze]}
  values: {freeze: false}
limits: {max_turns: 6, max_tool_calls: 6}
instructions: prompts/system.md
tools:
  - python: tools:pay
    name: pay
    description: Pay an amount.
    effect: write
    parameters:
      type: object
      properties: {amount: {type: integer}, to: {type: string}}
      required: [amount, to]
      additionalProperties: false
  - python: tools:look
    name: look
    description: Look something up.
    effect: read
    parameters:
      type: object
      properties: {what: {type: string}}
      required: [what]
      additionalProperties: false
memory:
  - {name: visits, description: Visits., schema: {type: string}, classification: personal, subject: true}
  - {name: notes, description: Notes., schema: {type: string}, classification: internal}
backends:
  - {name: here, adapter: llama-cpp, provider: local, region: EU, model: m, config: {}}
  - {name: there, adapter: openai-chat, provider: other, region: US, model: m, config: {}}
"""

RULES = """\
rules:
  - {id: start, place: activation, when: principal.jurisdiction == resource.jurisdiction, because: the desk serves its own}
  - {id: think, place: dispatch, when: resource.region == "EU", because: inference stays in the EU}
  - {id: pay, place: "tool:pay", because: paying is the work}
  - id: pay-cap
    place: tool:pay
    effect: forbid
    when: context.input.amount > 500
    because: payments over 500 need an officer
    obligations: [{approve: {by: officer}}]
  - {id: pay-ceiling, place: "tool:pay", effect: forbid, when: context.input.amount > 5000, because: too much}
  - id: pay-hours
    place: tool:pay
    effect: forbid
    unless: context.now.toTime() >= duration("8h")
    because: nothing is paid at night
  - {id: pay-freeze, place: "tool:pay", effect: forbid, when: context.environment.freeze, because: the books are closed}
  - id: look-sum
    place: tool:look
    effect: forbid
    when: context.usage.turns * 9223372036854775807 == 1
    because: this overflows from the second turn on
  - id: look
    place: tool:look
    obligations: [{redact: {result: [iban], arguments: [what]}}]
    because: looking is the work
  - {id: notes, place: "memory:notes", on: [remember, recall], when: 'action == Remit::Action::"recall" || context.input.bytes <= 20'}
  - {id: budget, place: termination, when: context.usage.tool_calls >= 3, because: three calls are enough}
"""
"""`look-sum` errs from the second turn on, which a case can expect."""

ANA = "{id: ana, roles: [clerk], jurisdiction: EU}"
HEAD = f"""\
now: "2026-03-02T12:00:00Z"
request: {{caller: {ANA}}}
"""


def write_agent(folder: Path, *, rules: str = RULES, **cases: str) -> Path:
    """Write the agent; each keyword is a case file of that name."""
    files = {
        "agent.yaml": AGENT,
        "rules/desk.yaml": rules,
        "prompts/system.md": "You pay bills.\n",
        **{f"cases/{name}.yaml": text for name, text in cases.items()},
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def decided(folder: Path, cases: str) -> tuple[CaseResult, ...]:
    """Decide the cases of one file beside the agent."""
    return run_folder(write_agent(folder, desk=cases))


def problems(folder: Path, case: str) -> tuple[str, ...]:
    """Decide one case, given below `cases:`, and return what differs."""
    (result,) = decided(folder, f"{HEAD}cases:\n{case}")
    return result.problems
