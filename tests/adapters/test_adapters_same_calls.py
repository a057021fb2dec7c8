"""One conversation over three back-ends: the host sees the same calls whichever of them answers."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from remit.document.model import BackendEntry
from remit.host.backends import backend_context, open_backend
from remit.host.models import catalogue, models_folder
from remit.messages import Message, ToolOffer
from remit.testing.backend_contract import CALL, LOOKUP, Stage, infer, permit_for
from remit_adapters.llama_server import llama_server

if TYPE_CHECKING:
    from remit.document.values import JsonObject

WEIGHTS = catalogue()[0].sha256
PATH = models_folder(os.environ) / f"{WEIGHTS}.gguf"
REFUND = ToolOffer(
    name="refund",
    description="Refund an order.",
    parameters={
        "type": "object",
        "properties": {
            "order_id": {"type": "string", "description": "order id, such as A-1001"},
            "amount": {"type": "integer", "description": "euros to refund"},
            "reason": {"type": "string", "description": "why, a few words"},
        },
        "required": ["order_id", "amount", "reason"],
        "additionalProperties": False,
    },
)
RESULTS = {
    "lookup_order": {"order_id": "A-1001", "item": "kettle", "paid": 40, "status": "delivered"},
    "refund": {"ok": True, "refunded": 40, "order_id": "A-1001"},
}


def conversation(adapter: str, config: JsonObject) -> list[tuple[str, object]]:
    async def play() -> list[tuple[str, object]]:
        entry = BackendEntry(name="b", adapter=adapter, provider="p", region="EU", model="m", config=config)
        backend = open_backend(entry, context=backend_context(environment={**os.environ, **key}))
        stage = Stage(backend=backend, name="b", sent=lambda: 0)
        calls: list[tuple[str, object]] = []
        messages = [Message(role="user", text="Look up order A-1001 and refund what was paid.")]
        for _ in range(5):
            turn = replace(
                CALL.turn(), messages=tuple(messages), tools=(LOOKUP, REFUND), max_output_tokens=120
            )
            answer = await infer(stage, permit_for(stage, turn), turn)
            assert answer.error is None
            calls += [(call.name, call.arguments) for call in answer.calls]
            if not answer.calls:
                break
            messages.append(Message(role="assistant", text=answer.text, tool_calls=tuple(answer.calls)))
            messages += [
                Message(role="tool", text=json.dumps(RESULTS[call.name]), tool_call_id=call.id)
                for call in answer.calls
            ]
        await backend.dispose()
        return calls

    key = {"LOCAL_KEY": str(config.pop("x-key", ""))}
    return asyncio.run(play())


@pytest.mark.model
@pytest.mark.skipif(
    not PATH.is_file(), reason="the embedded model's weights are not in the cache: remit models pull"
)
def test_the_model_in_process_and_behind_a_server_and_its_transcript_ask_for_the_same_calls() -> None:
    embedded: JsonObject = {"model_sha256": WEIGHTS, "threads": 2}
    local = conversation("llama-cpp", embedded)
    with llama_server(PATH, sha256=WEIGHTS) as served:
        remote = conversation(
            "openai-chat",
            {
                "base_url": served.base_url,
                "api_key_env": "LOCAL_KEY",
                "tool_mode": "envelope",
                "x-key": served.api_key,
            },
        )
    script = [{"call": {"name": name, "arguments": arguments}} for name, arguments in local]
    written = conversation("scripted", {"script": [*script, {"say": "done"}]})
    assert [name for name, _ in local] == ["lookup_order", "refund"]
    assert local[0] == ("lookup_order", {"order_id": "A-1001"})
    assert remote == local
    assert written == local
