"""The command line as a function, in an empty folder of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from remit.cli.main import cli

if TYPE_CHECKING:
    from pathlib import Path


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

ASSISTANT = {
    "assistant": {
        "object": "assistant",
        "id": "asst_1",
        "name": "Refund desk",
        "description": "Helps with refunds.",
        "model": "gpt-4o",
        "instructions": "Be kind.\n",
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "refund",
                    "description": "Refund an order.",
                    "parameters": {
                        "type": "object",
                        "properties": {"amount": {"type": "integer"}, "note": {"type": "string"}},
                        "required": ["amount"],
                        "additionalProperties": False,
                    },
                },
            }
        ],
        "metadata": {"team": "refunds"},
        "temperature": 0.5,
    },
    "threads": [
        {
            "thread": {"id": "thread_1"},
            "messages": [
                {"id": "m1", "role": "user", "content": "Hi", "created_at": 1},
                {"id": "m2", "role": "assistant", "content": "Hello!", "created_at": 2},
            ],
        }
    ],
}


@pytest.fixture
def remit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Remit:
    """The command line."""
    monkeypatch.chdir(tmp_path)

    def invoke(*args: str) -> Outcome:
        result = CliRunner().invoke(cli, [*args])
        assert "Traceback" not in result.stdout + result.stderr
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return Outcome(code=result.exit_code, stdout=result.stdout, stderr=result.stderr)

    return invoke


@pytest.fixture
def assistant(tmp_path: Path) -> dict[str, Any]:
    """An export with one function and two messages, also written to `assistant.json`."""
    (tmp_path / "assistant.json").write_text(json.dumps(ASSISTANT, indent=1), encoding="utf-8")
    return ASSISTANT
