"""The wires that the loopback server speaks: each turns one written `Reply` into a vendor's own answer.

    with LoopbackServer(Reply(text="hello"), truth=True) as server:
        client = anthropic.AsyncAnthropic(base_url=server.root_url, api_key="any", max_retries=0)
        ...
        assert server.violations == ()

| module | wire | answers at |
|---|---|---|
| `chat` | OpenAI Chat Completions | `/v1/chat/completions`, `/openai/deployments/{model}/chat/completions`, `/openai/v1/chat/completions` |
| `responses` | OpenAI Responses | `/v1/responses`, `/openai/responses`, `/openai/v1/responses` |
| `messages` | Anthropic Messages | `/v1/messages` |
| `gemini` | Gemini generateContent | `/v1beta/models/{model}:generateContent` and `:streamGenerateContent` |

What goes to `/openai/v1` is judged by OpenAI's description, what goes elsewhere below `/openai` by Azure's.

Rules
1. An answer is a stream where the request asks for one, else one JSON body; both say the same.
2. What a vendor sends only when asked (usage chunks, encrypted reasoning, sources) is sent only when asked.
3. Errors come in the vendor's own envelope, with the vendor's own word for the status.
4. What a wire has no place for is left out; the module's docstring names it.

What each member of a reply becomes
| member | Chat Completions | Responses | Messages | generateContent |
|---|---|---|---|---|
| `text` | `content` deltas | `message` item | `text` block | `text` parts |
| `calls` | `tool_calls` | `function_call` items | `tool_use` blocks | `functionCall` parts |
| `reasoning` | left out | `reasoning` item, encrypted | `thinking` block, signature | `thoughtSignature` |
| `used` | left out | `…_call` items | `server_tool_use` and results | grounding, code parts |
| `stop` | `stop` | `completed` | `end_turn` | `STOP` |
| `tool_calls` | `tool_calls` | `completed` | `tool_use` | `STOP` |
| `length` | `length` | `incomplete`, `max_output_tokens` | `max_tokens` | `MAX_TOKENS` |
| `content_filter` | `content_filter` | `incomplete`, `content_filter` | `refusal` | `SAFETY` |
| `refusal` | as it is | refusal part, `completed` | `refusal` | as it is |
| other `finish` | as it is | `incomplete` with it as reason | as it is | as it is |

To add a wire, write a module with a class that has the members of `Wire`, and name it in `routes`.
"""  # noqa: E501  # a table's row is one line

from remit.testing.wires.answer import Answer, Asked, Event, Wire
from remit.testing.wires.reply import Finish, Reply, SaidCall, SaidUse, UseName
from remit.testing.wires.routes import Route, Vendor, find_route, nearest_route

__all__ = [
    "Answer",
    "Asked",
    "Event",
    "Finish",
    "Reply",
    "Route",
    "SaidCall",
    "SaidUse",
    "UseName",
    "Vendor",
    "Wire",
    "find_route",
    "nearest_route",
]
