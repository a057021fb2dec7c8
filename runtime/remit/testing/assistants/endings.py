"""How a reply's finish word ends a turn of a run.

| finish                                           | run                | reason or error code     |
|--------------------------------------------------|--------------------|--------------------------|
| `stop`, `tool_calls`, `refusal` without calls    | completed          |                          |
| the same with calls                              | requires_action    |                          |
| `length`                                         | incomplete         | max_completion_tokens    |
| `max_prompt_tokens`                              | incomplete         | max_prompt_tokens        |
| `content_filter`                                 | incomplete         | none, the message's says |
| `server_error`, `rate_limit_exceeded`, `invalid_prompt` | failed      | that word                |
| `expired`                                        | expired            |                          |
| any other word                                   | incomplete         | that word                |

The description knows no run reason for a filtered answer, only a message's.
A run that has used up its `max_completion_tokens` or `max_prompt_tokens` ends as with those reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from remit.testing.assistants.store import StoredRun
    from remit.testing.loopback import Reply

Status = Literal["requires_action", "completed", "incomplete", "failed", "expired", "cancelled"]
ERRORS = ("server_error", "rate_limit_exceeded", "invalid_prompt")
"""Finish words of a failed turn; the reply's text is then the error's message and nothing is said."""

_WHOLE = ("stop", "tool_calls", "refusal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a turn ends.

    Args:
        status: the run's status.
        reason: the run's reason where it is incomplete; may be empty.
        message_reason: the open message's reason; empty where the message is whole.
        error: code of the run's last error.
        error_message: for people.
    """

    status: Status
    reason: str = ""
    message_reason: str = ""
    error: str = ""
    error_message: str = ""


CANCELLED = Ending(status="cancelled", message_reason="run_cancelled")
EXPIRED = Ending(status="expired", message_reason="run_expired")


def turn_ending(run: StoredRun, reply: Reply) -> Ending:
    """Return how `reply` ends the turn; its tokens are counted in `run` already."""
    finish = reply.finish
    if finish in ERRORS:
        return Ending(
            status="failed", message_reason="run_failed", error=finish, error_message=reply.text or finish
        )
    if finish == "expired":
        return EXPIRED
    if finish == "content_filter":
        return Ending(status="incomplete", message_reason="content_filter")
    if finish == "length" or _over(run, "max_completion_tokens", run.output_tokens):
        return Ending(status="incomplete", reason="max_completion_tokens", message_reason="max_tokens")
    if finish == "max_prompt_tokens" or _over(run, "max_prompt_tokens", run.input_tokens):
        return Ending(status="incomplete", reason="max_prompt_tokens", message_reason="max_tokens")
    if finish in _WHOLE:
        return Ending(status="requires_action" if reply.calls else "completed")
    return Ending(status="incomplete", reason=finish, message_reason=finish)


def _over(run: StoredRun, member: str, used: int) -> bool:
    most = run.value[member]
    return isinstance(most, int) and used > most
