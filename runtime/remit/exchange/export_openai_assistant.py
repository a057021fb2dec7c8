"""An agent as the body of a request that creates an OpenAI Assistant (`CreateAssistantRequest`)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.errors import DocumentError, Fault
from remit.exchange.export import Exported, Subject, chosen_backend, clipped, imported_as, losses

if TYPE_CHECKING:
    from remit.document.model import Builtin, Document, Tool
    from remit.document.values import JsonObject, JsonValue

MAX_TOOLS = 128
MAX_NAME = 256
MAX_DESCRIPTION = 512
MAX_INSTRUCTIONS = 256_000
MAX_PAIRS = 16
MAX_KEY = 64
MAX_VALUE = 512
MAX_TEMPERATURE = 2
MAX_RESULTS = 50

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
_FORMATS = ("text", "json_object", "json_schema")
_RANKER = re.compile(r"auto|default_[0-9_]+")


def write(subject: Subject) -> Exported:
    """Write an agent; see `remit.exchange.export.Writer`."""
    document = subject.document
    backend, others = chosen_backend(subject, "an assistant")
    lost: list[str] = []
    tools = [*_builtins(document, lost), *(_function(tool, lost) for tool in document.capabilities.tools)]
    if len(tools) > MAX_TOOLS:
        raise DocumentError(
            Fault(message=f"the agent has {len(tools)} tools, and an assistant at most {MAX_TOOLS}")
        )
    value: JsonObject = {
        "model": backend.model,
        "name": clipped(subject.name, MAX_NAME, "the name", lost),
        "instructions": clipped(
            document.capabilities.instructions, MAX_INSTRUCTIONS, "the instructions", lost
        ),
        "tools": list(tools),
        "metadata": _metadata(document, lost),
        **_settings(document),
    }
    if subject.description:
        value["description"] = clipped(subject.description, MAX_DESCRIPTION, "the description", lost)
    lost.append(f"provider `{printable(backend.provider)}`, region `{printable(backend.region)}` and adapter")
    lost.extend(f"back-end `{entry.name}` (`{printable(entry.model)}`)" for entry in others)
    return Exported(value=value, lost=(*losses(document), *lost))


def _function(tool: Tool, lost: list[str]) -> JsonObject:
    lost.append(f"effect, source and limits of the tool `{tool.name}`")
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }


def _builtins(document: Document, lost: list[str]) -> list[JsonObject]:
    found: list[JsonObject] = []
    for builtin in document.capabilities.builtins:
        lost.extend(f"file `{printable(file.path)}` of `{builtin.name}`" for file in builtin.files)
        if builtin.name == "web_search":
            lost.append("`web_search`, which assistants do not have")
        elif builtin.name == "file_search":
            found.append(_file_search(builtin, lost))
        else:
            found.append({"type": builtin.name})
    return found


def _file_search(builtin: Builtin, lost: list[str]) -> JsonObject:
    """Return the tool with those of its settings that an assistant has."""
    settings: JsonObject = {}
    results = builtin.config.get("max_num_results")
    if isinstance(results, int) and 1 <= results <= MAX_RESULTS:
        settings["max_num_results"] = results
    ranking = builtin.config.get("ranking_options")
    options = ranking if isinstance(ranking, dict) else {}
    score, ranker = options.get("score_threshold"), options.get("ranker")
    if isinstance(score, (int, float)) and not isinstance(score, bool) and 0 <= score <= 1:
        settings["ranking_options"] = {
            "score_threshold": score,
            **({"ranker": ranker} if isinstance(ranker, str) and _RANKER.fullmatch(ranker) else {}),
        }
    lost.extend(
        f"setting `{printable(name)}` of `file_search`" for name in builtin.config if name not in settings
    )
    return {"type": "file_search", **({"file_search": settings} if settings else {})}


def _metadata(document: Document, lost: list[str]) -> JsonObject:
    """Return what says where the assistant comes from, and the pairs of an imported one."""
    pairs: JsonObject = {
        "remit_agent": document.identity.agent,
        "remit_revision": document.identity.revision,
    }
    own = _kept(document).get("metadata")
    for name, value in own.items() if isinstance(own, dict) else ():
        fits = isinstance(value, str) and len(name) <= MAX_KEY and len(value) <= MAX_VALUE
        if fits and len(pairs) < MAX_PAIRS and name not in pairs:
            pairs[name] = value
        elif name not in pairs:
            lost.append(f"metadata `{printable(name)}`")
    return pairs


def _kept(document: Document) -> JsonObject:
    assistant = imported_as(document)[2].get("assistant")
    return assistant if isinstance(assistant, dict) else {}


def _settings(document: Document) -> JsonObject:
    """Return the settings of an assistant that was imported, those of them that are acceptable."""
    kept = _kept(document)
    limits: tuple[tuple[str, float], ...] = (("temperature", MAX_TEMPERATURE), ("top_p", 1))
    settings: JsonObject = {name: kept[name] for name, limit in limits if _is_number(kept.get(name), limit)}
    effort, form = kept.get("reasoning_effort"), kept.get("response_format")
    if isinstance(effort, str) and effort in _EFFORTS:
        settings["reasoning_effort"] = effort
    if form == "auto" or (isinstance(form, dict) and form.get("type") in _FORMATS):
        settings["response_format"] = form
    return settings


def _is_number(value: JsonValue, limit: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= limit
