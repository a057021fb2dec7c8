"""Where a vendor's description is provably wrong, and what is read instead; the whole list.

An entry changes one place of the description.
An entry that changes nothing has outlived its mistake; a test finds it.
Four more mistakes are no schema's; the code that reads the place has the reason
- the events `ping` and `error` of Anthropic are missing (`descriptions`)
- Assistants and Azure's chat stream, and no event stream is described (`descriptions`)
- the query `api-version` is described for some of Azure's operations only (`descriptions`)
- some answers with a status of 400 are described as a bare error (rule 5 of the package)
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """One correction.

    Args:
        vendor: whose description.
        where: component and the members that lead to the place, separated by `/`.
        change: `allow` adds `value` to an array, `drop` takes it out of one, `put` sets it.
        value: see `change`.
        reason: what proves the description wrong.
    """

    vendor: str
    where: str
    change: Literal["allow", "drop", "put"]
    value: JsonValue
    reason: str


EXEMPTIONS: tuple[Exemption, ...] = (
    Exemption(
        vendor="openai",
        where="OutputTextContent/required",
        change="drop",
        value="logprobs",
        reason="the description's own examples and the vendor's client leave it out, in input and in output",
    ),
    Exemption(
        vendor="openai",
        where="Response/allOf/2/properties/usage",
        change="put",
        value={"anyOf": [{"$ref": "#/components/schemas/ResponseUsage"}, {"type": "null"}]},
        reason="the description's own example of `response.created` has `usage: null`",
    ),
    Exemption(
        vendor="azure",
        where="chatCompletionsRequestCommon/properties/model",
        change="put",
        value={"type": "string"},
        reason="the vendor's client sends `model` beside the deployment in the path",
    ),
    Exemption(
        vendor="azure",
        where="response/allOf/2/properties/usage",
        change="put",
        value={"anyOf": [{"$ref": "#/components/schemas/ResponseUsage"}, {"type": "null"}]},
        reason="the description's own example of `response.created` has `usage: null`",
    ),
    Exemption(
        vendor="azure",
        where="FunctionToolCall/required",
        change="drop",
        value="id",
        reason="the vendor's client and OpenAI's later description have it optional",
    ),
    Exemption(
        vendor="azure",
        where="createRunRequest/required",
        change="drop",
        value="thread_id",
        reason="the path holds it, and the same schema refuses the member",
    ),
    Exemption(
        vendor="azure",
        where="createThreadAndRunRequest/required",
        change="drop",
        value="thread_id",
        reason="the operation makes the thread, and the same schema refuses the member",
    ),
    Exemption(
        vendor="azure",
        where="errorResponse/required",
        change="put",
        value=["error"],
        reason="without it every body is an error envelope",
    ),
    Exemption(
        vendor="azure",
        where="errorBase/required",
        change="put",
        value=["message"],
        reason="without it every object is an error",
    ),
    Exemption(
        vendor="gemini",
        where="GenerateContentRequest/required",
        change="drop",
        value="model",
        reason="the path holds it, and the vendor's client leaves it out of the body",
    ),
    Exemption(
        vendor="anthropic",
        where="StopReason/enum",
        change="allow",
        value="model_context_window_exceeded",
        reason="the vendor's client and guide to stop reasons have it",
    ),
)


def corrected(vendor: str, components: JsonObject) -> tuple[JsonObject, tuple[Exemption, ...]]:
    """Apply a vendor's exemptions.

    Returns:
        The corrected components, and the entries that changed nothing: their mistakes are gone, as may be in
        a later description.
    """
    entries = [entry for entry in EXEMPTIONS if entry.vendor == vendor]
    touched = {entry.where.partition("/")[0] for entry in entries}
    made = {name: deepcopy(schema) if name in touched else schema for name, schema in components.items()}
    return made, tuple(entry for entry in entries if not _apply(entry, made))


def _apply(entry: Exemption, components: JsonObject) -> bool:
    *path, last = entry.where.split("/")
    here: JsonValue = components
    for token in path:
        if isinstance(here, dict) and token in here:
            here = here[token]
        elif isinstance(here, list) and token.isdecimal() and int(token) < len(here):
            here = here[int(token)]
        else:
            return False
    if not isinstance(here, dict):
        return False
    if entry.change == "put":
        changed = here.get(last) != entry.value
        here[last] = entry.value
        return changed
    items = here.get(last)
    if not isinstance(items, list) or (entry.value in items) == (entry.change == "allow"):
        return False
    if entry.change == "allow":
        items.append(entry.value)
    else:
        items.remove(entry.value)
    return True
