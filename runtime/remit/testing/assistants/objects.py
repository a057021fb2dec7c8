"""The API's objects when they are new; every member that the description requires is there.

`at_s` is always seconds since 1970, as the API counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue


def assistant_object(identifier: str, body: JsonObject, *, at_s: int) -> JsonObject:
    """Return an assistant as `POST /assistants` makes it."""
    value: JsonObject = {
        "id": identifier,
        "object": "assistant",
        "created_at": at_s,
        "name": body.get("name"),
        "description": body.get("description"),
        "model": body["model"],
        "instructions": body.get("instructions"),
        "tools": body.get("tools", []),
        "tool_resources": body.get("tool_resources") or {},
        "metadata": metadata(body),
        "temperature": given(body, "temperature", 1.0),
        "top_p": given(body, "top_p", 1.0),
        "response_format": given(body, "response_format", "auto"),
    }
    if "reasoning_effort" in body:
        value["reasoning_effort"] = body["reasoning_effort"]
    return value


def thread_object(identifier: str, body: JsonObject, *, at_s: int) -> JsonObject:
    """Return a thread without its messages."""
    return {
        "id": identifier,
        "object": "thread",
        "created_at": at_s,
        "tool_resources": body.get("tool_resources") or {},
        "metadata": metadata(body),
    }


def posted_message(identifier: str, thread_id: str, body: JsonObject, *, at_s: int) -> JsonObject:
    """Return a message as a client adds it to a thread."""
    content = body["content"]
    parts: list[JsonValue] = [content] if isinstance(content, str) else cast("list[JsonValue]", content)
    return {
        **_message(identifier, thread_id, at_s=at_s),
        "status": "completed",
        "completed_at": at_s,
        "role": body["role"],
        "content": [_part(part) for part in parts],
        "attachments": body.get("attachments") or [],
        "metadata": metadata(body),
    }


def run_message(identifier: str, run: JsonObject, *, at_s: int) -> JsonObject:
    """Return a message that a run has begun."""
    return {
        **_message(identifier, str(run["thread_id"]), at_s=at_s),
        "assistant_id": run["assistant_id"],
        "run_id": run["id"],
    }


def _message(identifier: str, thread_id: str, *, at_s: int) -> JsonObject:
    return {
        "id": identifier,
        "object": "thread.message",
        "created_at": at_s,
        "thread_id": thread_id,
        "status": "in_progress",
        "incomplete_details": None,
        "completed_at": None,
        "incomplete_at": None,
        "role": "assistant",
        "content": [],
        "assistant_id": None,
        "run_id": None,
        "attachments": [],
        "metadata": {},
    }


def _part(part: JsonValue) -> JsonValue:
    if isinstance(part, str):
        return text_part(part)
    assert isinstance(part, dict)
    return text_part(str(part["text"])) if part["type"] == "text" else part


def text_part(text: str) -> JsonObject:
    """Return the content part of a text."""
    return {"type": "text", "text": {"value": text, "annotations": []}}


def run_object(
    identifier: str, thread_id: str, body: JsonObject, assistant: JsonObject, *, at_s: int, expires_at_s: int
) -> JsonObject:
    """Return a queued run: what the request does not say is the assistant's."""
    instructions = str(given(body, "instructions", assistant["instructions"]) or "")
    extra = str(body.get("additional_instructions") or "")
    return {
        "id": identifier,
        "object": "thread.run",
        "created_at": at_s,
        "thread_id": thread_id,
        "assistant_id": assistant["id"],
        "status": "queued",
        "required_action": None,
        "last_error": None,
        "expires_at": expires_at_s,
        "started_at": None,
        "cancelled_at": None,
        "failed_at": None,
        "completed_at": None,
        "incomplete_details": None,
        "model": body.get("model") or assistant["model"],
        "instructions": f"{instructions}\n{extra}" if instructions and extra else instructions or extra,
        "tools": given(body, "tools", assistant["tools"]),
        "metadata": metadata(body),
        "usage": None,
        "temperature": given(body, "temperature", assistant["temperature"]),
        "top_p": given(body, "top_p", assistant["top_p"]),
        "max_prompt_tokens": body.get("max_prompt_tokens"),
        "max_completion_tokens": body.get("max_completion_tokens"),
        "truncation_strategy": given(body, "truncation_strategy", {"type": "auto", "last_messages": None}),
        "tool_choice": given(body, "tool_choice", "auto"),
        "parallel_tool_calls": given(body, "parallel_tool_calls", default=True),
        "response_format": given(body, "response_format", assistant["response_format"]),
    }


def step_object(identifier: str, run: JsonObject, details: JsonObject, *, at_s: int) -> JsonObject:
    """Return a step that a run has begun; `details` is its `step_details`."""
    return {
        "id": identifier,
        "object": "thread.run.step",
        "created_at": at_s,
        "assistant_id": run["assistant_id"],
        "thread_id": run["thread_id"],
        "run_id": run["id"],
        "type": details["type"],
        "status": "in_progress",
        "step_details": details,
        "last_error": None,
        "expired_at": None,
        "cancelled_at": None,
        "failed_at": None,
        "completed_at": None,
        "metadata": {},
        "usage": None,
    }


def file_object(identifier: str, fields: JsonObject, *, filename: str, size: int, at_s: int) -> JsonObject:
    """Return an uploaded file; `fields` are the form's other fields. `size` is in bytes."""
    value: JsonObject = {
        "id": identifier,
        "object": "file",
        "bytes": size,
        "created_at": at_s,
        "filename": filename,
        "purpose": fields["purpose"],
        "status": "processed",
    }
    if "expires_after[seconds]" in fields:
        value["expires_at"] = at_s + int(str(fields["expires_after[seconds]"]))
    return value


def vector_store_object(identifier: str, body: JsonObject, *, at_s: int) -> JsonObject:
    """Return an empty vector store."""
    value: JsonObject = {
        "id": identifier,
        "object": "vector_store",
        "created_at": at_s,
        "name": body.get("name") or "",
        "usage_bytes": 0,
        "file_counts": {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0},
        "status": "completed",
        "expires_at": None,
        "last_active_at": at_s,
        "metadata": metadata(body),
    }
    set_expiry(value, body, at_s=at_s)
    return value


def set_expiry(store: JsonObject, body: JsonObject, *, at_s: int) -> None:
    """Give a vector store the `expires_after` of a body; the time counts from its last use."""
    after = body.get("expires_after")
    if isinstance(after, dict):
        days = after["days"]
        assert isinstance(days, int)
        store["expires_after"] = after
        store["expires_at"] = at_s + days * 86_400


def vector_store_file_object(file: JsonObject, store_id: str, body: JsonObject, *, at_s: int) -> JsonObject:
    """Return a file as a member of a vector store, indexed at once."""
    static: JsonObject = {
        "type": "static",
        "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400},
    }
    wanted = body.get("chunking_strategy")
    chosen = wanted if isinstance(wanted, dict) and wanted.get("type") == "static" else static
    return {
        "id": file["id"],
        "object": "vector_store.file",
        "usage_bytes": file["bytes"],
        "created_at": at_s,
        "vector_store_id": store_id,
        "status": "completed",
        "last_error": None,
        "chunking_strategy": chosen,
        "attributes": body.get("attributes") or {},
    }


def deleted(kind: str, identifier: str) -> JsonObject:
    """Return what a deletion answers; `kind` is the answer's `object`."""
    return {"id": identifier, "object": kind, "deleted": True}


def usage_object(input_tokens: int, output_tokens: int) -> JsonObject:
    """Return a usage."""
    return {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
    }


def metadata(body: JsonObject) -> JsonValue:
    """Return the metadata of a body; null is none."""
    return body.get("metadata") or {}


def given(body: JsonObject, member: str, default: JsonValue) -> JsonValue:
    """Return a member, or `default` where it is missing or null."""
    value = body.get(member)
    return default if value is None else value
