"""The command line as a function, and the small agent that it is tried on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from remit.cli.main import cli

if TYPE_CHECKING:
    from pathlib import Path

TOOLS = '''\
"""Tools of the test agent; they really write into a file."""

import time
from pathlib import Path

PAID = Path(__file__).with_name("paid.txt")


def pay(amount: int, to: str) -> dict[str, int]:
    """Pay an amount."""
    with PAID.open("a", encoding="utf-8") as paid:
        paid.write(f"{amount} {to}\\n")
    return {"paid": amount}


def boom() -> str:
    """Fail."""
    raise RuntimeError("the desk is on fire")


def hang() -> str:
    """Never answer in time."""
    time.sleep(3)
    return "late"


def flood() -> str:
    """Answer far too much."""
    return "x" * 50_000_000
'''

AGENT = """\
spec: remit/1
nonce: "00112233445566778899aabbccddeeff"
attributes: {jurisdiction: EU, risk_tier: limited, owner: tests}
caller:
  type: object
  properties: {jurisdiction: {type: string}, level: {type: integer}}
  required: [jurisdiction]
environment:
  schema: {type: object, properties: {freeze: {type: boolean}}}
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
  - {python: "tools:boom", name: boom, description: Fail., effect: read, parameters: {type: object, properties: {}}}
  - {python: "tools:hang", name: hang, description: Hang., effect: read, timeout_s: 0.2, parameters: {type: object, properties: {}}}
  - {python: "tools:flood", name: flood, description: Flood., effect: read, parameters: {type: object, properties: {}}}
memory:
  - {name: visits, description: Visits., schema: {type: string}, classification: personal, subject: true}
backends:
  - name: scripted
    adapter: scripted
    provider: local
    region: EU
    model: transcript
    config: {path: script.yaml}
"""

RULES = """\
rules:
  - id: start
    place: activation
    when: principal.jurisdiction == "EU"
    because: the desk serves the EU only
  - {id: think, place: dispatch, because: inference is local}
  - {id: pay, place: "tool:pay", because: paying is the work}
  - id: pay-cap
    place: tool:pay
    effect: forbid
    when: context.input.amount > 500
    because: payments over 500 need a person
    controls: [SOX-404]
    obligations: [{approve: {by: officer}}]
  - id: pay-ceiling
    place: tool:pay
    effect: forbid
    when: context.input.amount > 5000
    because: payments over 5000 are not made here
  - {id: boom, place: "tool:boom", because: it may fail}
  - {id: hang, place: "tool:hang", because: it may hang}
  - {id: flood, place: "tool:flood", because: it may flood}
  - {id: visits, place: "memory:visits", on: [remember, recall, erase], because: visits are kept}
  - {id: budget, place: termination, when: context.usage.tool_calls >= 3, because: three calls are enough}
"""

CASES = """\
cases:
  - name: a small payment is made
    request: {action: pay, caller: {id: ana, jurisdiction: EU}, input: {amount: 20, to: bob}}
    expect: {decision: allow, rules: [pay]}
  - name: a large payment waits
    request: {action: pay, caller: {id: ana, jurisdiction: EU}, input: {amount: 900, to: bob}}
    expect: {decision: awaiting_approval, rules: [pay-cap]}
"""

SCRIPT = """\
script:
  - call: {name: pay, arguments: {amount: 20, to: bob}}
  - say: Paid 20 to bob.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one invocation did."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


Remit = Callable[..., Outcome]


def invoke(*args: str, input: str | bytes | None = None) -> Outcome:  # noqa: A002  # click's own word
    result = CliRunner().invoke(cli, [*args], input=input)
    assert "Traceback" not in result.stdout + result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return Outcome(code=result.exit_code, stdout=result.stdout, stderr=result.stderr)


def write_project(folder: Path, **texts: str) -> Path:
    """Write the test agent; `agent`, `rules`, `cases`, `script` and `tools` replace a file's text."""
    files = {
        "agent.yaml": texts.get("agent", AGENT),
        "rules/desk.yaml": texts.get("rules", RULES),
        "cases/desk.yaml": texts.get("cases", CASES),
        "prompts/system.md": "You pay bills.\n",
        "script.yaml": texts.get("script", SCRIPT),
        "tools.py": texts.get("tools", TOOLS),
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
