"""Which operation a method and a path are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from remit.testing.assistants import file_operations as files
from remit.testing.assistants import run_operations as runs
from remit.testing.assistants import thread_operations as threads
from remit.testing.assistants.faults import WireFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remit.testing.assistants.operations import Answer, Call, World

    Act = Callable[[World, Call], Answer]

_RUN = "/threads/{thread_id}/runs/{run_id}"
_MESSAGE = "/threads/{thread_id}/messages/{message_id}"
_STORE = "/vector_stores/{vector_store_id}"
# A path without parameters stands before the pattern that would take its last part for an id.
OPERATIONS: dict[str, Act] = {
    "POST /assistants": threads.create_assistant,
    "GET /assistants": threads.list_assistants,
    "GET /assistants/{assistant_id}": threads.retrieve_assistant,
    "POST /assistants/{assistant_id}": threads.modify_assistant,
    "DELETE /assistants/{assistant_id}": threads.delete_assistant,
    "POST /threads": threads.create_thread,
    "POST /threads/runs": runs.create_thread_and_run,
    "GET /threads/{thread_id}": threads.retrieve_thread,
    "POST /threads/{thread_id}": threads.modify_thread,
    "DELETE /threads/{thread_id}": threads.delete_thread,
    "POST /threads/{thread_id}/messages": threads.create_message,
    "GET /threads/{thread_id}/messages": threads.list_messages,
    f"GET {_MESSAGE}": threads.retrieve_message,
    f"POST {_MESSAGE}": threads.modify_message,
    f"DELETE {_MESSAGE}": threads.delete_message,
    "POST /threads/{thread_id}/runs": runs.create_run,
    "GET /threads/{thread_id}/runs": runs.list_runs,
    f"GET {_RUN}": runs.retrieve_run,
    f"POST {_RUN}": runs.modify_run,
    f"POST {_RUN}/cancel": runs.cancel_run,
    f"POST {_RUN}/submit_tool_outputs": runs.submit_tool_outputs,
    f"GET {_RUN}/steps": runs.list_steps,
    f"GET {_RUN}/steps/{{step_id}}": runs.retrieve_step,
    "POST /files": files.create_file,
    "GET /files": files.list_files,
    "GET /files/{file_id}": files.retrieve_file,
    "DELETE /files/{file_id}": files.delete_file,
    "GET /files/{file_id}/content": files.read_file,
    "POST /vector_stores": files.create_vector_store,
    "GET /vector_stores": files.list_vector_stores,
    f"GET {_STORE}": files.retrieve_vector_store,
    f"POST {_STORE}": files.modify_vector_store,
    f"DELETE {_STORE}": files.delete_vector_store,
    f"POST {_STORE}/files": files.create_vector_store_file,
    f"GET {_STORE}/files": files.list_vector_store_files,
    f"GET {_STORE}/files/{{file_id}}": files.retrieve_vector_store_file,
    f"DELETE {_STORE}/files/{{file_id}}": files.delete_vector_store_file,
}
"""Every operation by its name: method and path of the description."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An operation that was found, with the ids in its path."""

    operation: str
    ids: Mapping[str, str]


def find_route(method: str, path: str) -> Route:
    """Find the operation for a path without its base.

    Raises:
        WireFault: 404 or 405, there is none.
    """
    parts = path.split("/")
    elsewhere = False
    for operation in OPERATIONS:
        known, pattern = operation.split(" ")
        ids = _match(pattern.split("/"), parts)
        if ids is not None and known == method:
            return Route(operation=operation, ids=ids)
        elsewhere = elsewhere or ids is not None
    if elsewhere:
        raise WireFault(405, f"Not allowed: {method} {path}.")
    raise WireFault(404, f"Invalid URL: {method} {path}.")


def _match(pattern: list[str], parts: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(parts):
        return None
    ids: dict[str, str] = {}
    for wanted, part in zip(pattern, parts, strict=True):
        if wanted.startswith("{") and part:
            ids[wanted.strip("{}")] = unquote(part)
        elif wanted != part:
            return None
    return ids
