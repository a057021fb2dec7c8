"""What the tests of the Assistants server have in common."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from openai import OpenAI

from remit.testing.assistants_server import AssistantsServer
from remit.testing.loopback import Reply, SaidCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The package warns at each call that the API is deprecated, which is why this server exists.
DEPRECATED = pytest.mark.filterwarnings(
    "ignore:(deprecated$|The Assistants API is deprecated):DeprecationWarning"
)
LOOKUP = {
    "type": "function",
    "function": {
        "name": "lookup_order",
        "description": "Look up an order.",
        "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}},
    },
}
CALLS = Reply(
    text="Let me look.",
    calls=(
        SaidCall(name="lookup_order", raw='{"order_id": "A-1001"}'),
        SaidCall(name="lookup_order", raw='{"order_id": "A-1002"}'),
    ),
    finish="tool_calls",
)
DONE = Reply(text="Both orders were delivered.")
SLOW = Reply(text="late", hang_s=60.0)
BETA: Any = {"headers": {"OpenAI-Beta": "assistants=v2"}}


@contextmanager
def served(*replies: Reply, truth: bool = True, **options: Any) -> Iterator[tuple[AssistantsServer, OpenAI]]:
    """A server and a client; where the server is judged, nothing may be wrong at the end."""
    with (
        AssistantsServer(*replies, truth=truth, **options) as server,
        OpenAI(base_url=server.base_url, api_key="any", max_retries=0) as client,
    ):
        yield server, client
        assert server.violations == ()


def started(client: OpenAI, text: str = "Where are my orders?", **assistant: Any) -> dict[str, str]:
    """Make an assistant and a thread; return them as the arguments of a run."""
    made = client.beta.assistants.create(model="subject-1", tools=[LOOKUP], **assistant)
    thread = client.beta.threads.create(messages=[{"role": "user", "content": text}])
    return {"assistant_id": made.id, "thread_id": thread.id}


def outputs(run: Any, text: str = "delivered") -> list[dict[str, str]]:
    """Return an output for each call that a run waits for."""
    calls = run.required_action.submit_tool_outputs.tool_calls
    return [{"tool_call_id": call.id, "output": text} for call in calls]


def said(client: OpenAI, thread_id: str) -> list[tuple[str, str]]:
    """Return who said what in a thread."""
    listed = client.beta.threads.messages.list(thread_id, order="asc")
    return [(message.role, "".join(part.text.value for part in message.content)) for message in listed]


def waited_for(condition: Callable[[], Any]) -> Any:
    """Return what `condition` returns once that is true."""
    until = time.monotonic() + 20
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found
