"""What the operations accept as bodies, as JSON Schemas of our own, with the limits of the reference.

They are kept apart from the vendor's description on purpose: the description is the judge of this server
(`wire_truth`), and a judge is not asked to do the work that it judges.

Sources: OpenAI API reference, Assistants v2, files and vector stores (descriptions of members and limits).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

import jsonschema

from remit.testing.assistants.faults import WireFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from remit.document.values import JsonObject, JsonValue

_SHOWN = 200
_STRING: JsonObject = {"type": "string"}
_ID: JsonObject = {"type": "string", "minLength": 1}
_METADATA: JsonObject = {
    "type": ["object", "null"],
    "maxProperties": 16,
    "propertyNames": {"maxLength": 64},
    "additionalProperties": {"type": "string", "maxLength": 512},
}
_INSTRUCTIONS: JsonObject = {"type": ["string", "null"], "maxLength": 256_000}
_TEMPERATURE: JsonObject = {"type": ["number", "null"], "minimum": 0, "maximum": 2}
_TOP_P: JsonObject = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_TOKENS: JsonObject = {"type": ["integer", "null"], "minimum": 256}
_EFFORT: JsonObject = {"type": ["string", "null"]}


def _closed(properties: JsonObject, *required: str) -> JsonObject:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": [*required],
    }


def _array(items: JsonObject, *, most: int = 0, least: int = 0) -> JsonObject:
    return {"type": "array", "items": items, "minItems": least, **({"maxItems": most} if most else {})}


def _either(*schemas: JsonObject) -> JsonObject:
    return {"anyOf": [*schemas]}


_FUNCTION = _closed(
    {
        "name": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"},
        "description": _STRING,
        "parameters": {"type": "object"},
        "strict": {"type": ["boolean", "null"]},
    },
    "name",
)
_TOOL = _either(
    _closed({"type": {"const": "function"}, "function": _FUNCTION}, "type", "function"),
    _closed({"type": {"const": "code_interpreter"}}, "type"),
    _closed({"type": {"const": "file_search"}, "file_search": {"type": "object"}}, "type"),
)
_CHUNKING: JsonObject = {"type": "object", "required": ["type"]}
_RESPONSE_FORMAT: JsonObject = {
    "anyOf": [
        {"const": "auto"},
        {"type": "null"},
        {
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"enum": ["text", "json_object", "json_schema"]}},
        },
    ]
}
_TOOL_CHOICE: JsonObject = {
    "anyOf": [
        {"enum": ["none", "auto", "required", None]},
        {
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"enum": ["function", "code_interpreter", "file_search"]}},
        },
    ]
}


def _resources(*, stores: bool) -> JsonObject:
    search: JsonObject = {"vector_store_ids": _array(_ID, most=1)}
    if stores:
        made = _closed({"file_ids": _array(_ID), "chunking_strategy": _CHUNKING, "metadata": _METADATA})
        search["vector_stores"] = _array(made, most=1)
    both: JsonObject = {
        "code_interpreter": _closed({"file_ids": _array(_ID, most=20)}),
        "file_search": _closed(search),
    }
    return {**_closed(both), "type": ["object", "null"]}


_PART = _either(
    _closed(
        {"type": {"const": "text"}, "text": {"type": "string", "minLength": 1, "maxLength": 256_000}},
        "type",
        "text",
    ),
    _closed({"type": {"const": "image_file"}, "image_file": {"type": "object"}}, "type", "image_file"),
    _closed({"type": {"const": "image_url"}, "image_url": {"type": "object"}}, "type", "image_url"),
)
_ATTACHMENT = _closed(
    {
        "file_id": _ID,
        "tools": _array(
            _closed({"type": {"enum": ["code_interpreter", "file_search"]}}, "type"),
        ),
    },
    "file_id",
    "tools",
)
_MESSAGE = _closed(
    {
        "role": {"enum": ["user", "assistant"]},
        "content": _either({"type": "string", "minLength": 1, "maxLength": 256_000}, _array(_PART, least=1)),
        "attachments": {**_array(_ATTACHMENT), "type": ["array", "null"]},
        "metadata": _METADATA,
    },
    "role",
    "content",
)
_ASSISTANT: JsonObject = {
    "model": _ID,
    "name": {"type": ["string", "null"], "maxLength": 256},
    "description": {"type": ["string", "null"], "maxLength": 512},
    "instructions": _INSTRUCTIONS,
    "reasoning_effort": _EFFORT,
    "tools": _array(_TOOL, most=128),
    "metadata": _METADATA,
    "temperature": _TEMPERATURE,
    "top_p": _TOP_P,
    "response_format": _RESPONSE_FORMAT,
}
_THREAD: JsonObject = {
    "messages": _array(_MESSAGE),
    "tool_resources": _resources(stores=True),
    "metadata": _METADATA,
}
_RUN: JsonObject = {
    "assistant_id": _ID,
    "model": {"type": ["string", "null"]},
    "instructions": _INSTRUCTIONS,
    "tools": {**_array(_TOOL, most=20), "type": ["array", "null"]},
    "metadata": _METADATA,
    "temperature": _TEMPERATURE,
    "top_p": _TOP_P,
    "stream": {"type": ["boolean", "null"]},
    "max_prompt_tokens": _TOKENS,
    "max_completion_tokens": _TOKENS,
    "truncation_strategy": {
        "type": ["object", "null"],
        "required": ["type"],
        "properties": {
            "type": {"enum": ["auto", "last_messages"]},
            "last_messages": {"type": ["integer", "null"], "minimum": 1},
        },
    },
    "tool_choice": _TOOL_CHOICE,
    "parallel_tool_calls": {"type": "boolean"},
    "response_format": _RESPONSE_FORMAT,
}
_EXPIRY = _closed(
    {"anchor": {"const": "last_active_at"}, "days": {"type": "integer", "minimum": 1, "maximum": 365}},
    "anchor",
    "days",
)
_ATTRIBUTES: JsonObject = {
    "type": ["object", "null"],
    "maxProperties": 16,
    "propertyNames": {"maxLength": 64},
    "additionalProperties": {"type": ["string", "number", "boolean"], "maxLength": 512},
}
_SCHEMAS: dict[str, JsonObject] = {
    "POST /assistants": _closed({**_ASSISTANT, "tool_resources": _resources(stores=True)}, "model"),
    "POST /assistants/{assistant_id}": _closed({**_ASSISTANT, "tool_resources": _resources(stores=False)}),
    "POST /threads": _closed(_THREAD),
    "POST /threads/{thread_id}": _closed({"tool_resources": _resources(stores=False), "metadata": _METADATA}),
    "POST /threads/{thread_id}/messages": _MESSAGE,
    "POST /threads/{thread_id}/messages/{message_id}": _closed({"metadata": _METADATA}),
    "POST /threads/runs": _closed(
        {**_RUN, "thread": _closed(_THREAD), "tool_resources": _resources(stores=False)}, "assistant_id"
    ),
    "POST /threads/{thread_id}/runs": _closed(
        {
            **_RUN,
            "reasoning_effort": _EFFORT,
            "additional_instructions": _INSTRUCTIONS,
            "additional_messages": {**_array(_MESSAGE), "type": ["array", "null"]},
        },
        "assistant_id",
    ),
    "POST /threads/{thread_id}/runs/{run_id}": _closed({"metadata": _METADATA}),
    "POST /threads/{thread_id}/runs/{run_id}/cancel": _closed({}),
    "POST /threads/{thread_id}/runs/{run_id}/submit_tool_outputs": _closed(
        {
            "tool_outputs": _array(
                _closed({"tool_call_id": _ID, "output": _STRING}, "tool_call_id", "output")
            ),
            "stream": {"type": ["boolean", "null"]},
        },
        "tool_outputs",
    ),
    "POST /files": _closed(
        {
            "purpose": {"enum": ["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]},
            "expires_after[anchor]": {"const": "created_at"},
            "expires_after[seconds]": {"type": "string", "pattern": "^[0-9]{4,7}$"},
        },
        "purpose",
    ),
    "POST /vector_stores": _closed(
        {
            "file_ids": _array(_ID, most=500),
            "name": _STRING,
            "description": _STRING,
            "expires_after": _EXPIRY,
            "chunking_strategy": _CHUNKING,
            "metadata": _METADATA,
        }
    ),
    "POST /vector_stores/{vector_store_id}": _closed(
        {
            "name": {"type": ["string", "null"]},
            "expires_after": {**_EXPIRY, "type": ["object", "null"]},
            "metadata": _METADATA,
        }
    ),
    "POST /vector_stores/{vector_store_id}/files": _closed(
        {"file_id": _ID, "chunking_strategy": _CHUNKING, "attributes": _ATTRIBUTES}, "file_id"
    ),
}


def check_body(operation: str, body: JsonObject) -> None:
    """Accept or refuse the body of an operation; operations without a schema take none.

    Raises:
        WireFault: 400, with the member that is wrong.
    """
    schema = _SCHEMAS.get(operation)
    if schema is None:
        if body:
            raise WireFault(400, "This operation takes no body.")
        return
    # jsonschema ships no types; the shallowest error is the one that a person can use.
    errors: list[Any] = list(_validator(operation).iter_errors(body))
    if not errors:
        return
    error = min(
        errors, key=lambda each: (len(each.absolute_path), [str(step) for step in each.absolute_path])
    )
    param = ".".join(str(step) for step in error.absolute_path)
    said = str(error.message)
    shown = said if len(said) <= _SHOWN else said[:_SHOWN] + "…"
    raise WireFault(400, f"Invalid `{param}`: {shown}" if param else f"Invalid body: {shown}", param=param)


@cache
def _validator(operation: str) -> Any:  # noqa: ANN401  # jsonschema ships no types
    draft = cast("Callable[..., Any]", jsonschema.Draft202012Validator)
    return draft(cast("JsonValue", _SCHEMAS[operation]))
