"""Exports of OpenAI's Assistants API: the assistant, and the messages of its threads where they are there.

Nothing says what an export looks like, for the service never had one; these shapes are read:
an assistant object, a list or list page of them, the body of a request that creates one, and a bundle
`{assistant | assistants, threads, messages, files, vector_stores}`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.exchange.foreign import ForeignAgent, ForeignBlock, ForeignTool
from remit.exchange.members import Findings, ForeignObject, without_nulls
from remit.exchange.names import fit_tool_name
from remit.exchange.openai_files import VendorFiles
from remit.exchange.openai_pages import elements, read_page
from remit.exchange.openai_threads import MESSAGE_SCHEMA, Messages, read_thread
from remit.exchange.remnants import beside, listed, lose_together
from remit.exchange.schemas import fit_parameters

if TYPE_CHECKING:
    from remit.document.places import Parsed
    from remit.document.values import JsonObject, JsonValue

NAME = "openai-assistant"
BASE_URL = "https://api.openai.com/v1"
KEY_VARIABLE = "OPENAI_API_KEY"
BLOCK = "thread"
BUILTINS = ("code_interpreter", "file_search")
_FIRST_VERSION = {"retrieval": "file_search"}
"""Built-ins of the service's first version and what they are called in the second."""

RESULTS = "max_num_results"
"""The one setting of a built-in that back-ends here know, too."""

_READ = ("id", "object", "name", "description", "model", "instructions", "tools", "tool_resources")
_SETTINGS = ("temperature", "top_p", "response_format", "reasoning_effort")
_KNOWN = frozenset((*_READ, *_SETTINGS, "metadata", "created_at", "file_ids"))
_BUNDLE = ("assistant", "assistants", "threads", "messages", "files", "vector_stores")
_ID = re.compile(r"asst_[A-Za-z0-9]+")


class _Reader:
    """Reads exports of the Assistants API."""

    name = NAME

    def detects(self, value: JsonValue) -> bool:
        """Whether a value is an assistant, several, or a bundle with one."""
        if isinstance(value, list):
            return bool(value) and all(_is_assistant(item) for item in value)
        if not isinstance(value, dict):
            return False
        if _is_assistant(value) or _is_assistant(value.get("assistant")):
            return True
        several = _listed(value.get("assistants", value))
        return all(_is_assistant(item) for item in several) if several else _is_empty_list(value)

    def read(self, parsed: Parsed) -> tuple[ForeignAgent, ...]:
        """Read the assistants of an export; see `remit.exchange.registry.Reader`."""
        findings = Findings(parsed)
        around, assistants = _assistants(findings)
        if not assistants and not findings.log.faults:
            findings.fault("", "the list holds no assistant", "export it again, every page of it")
        several = len(assistants) > 1
        agents: list[ForeignAgent] = []
        for pointer, value in assistants:
            own = beside(findings)
            own.repeat(findings.remarks)
            agents.append(_Assistant(pointer, value, around, own, several=several).agent())
        findings.refuse()
        return tuple(agents)


READER = _Reader()


def _is_assistant(value: JsonValue) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("model"), str):
        return isinstance(value, dict) and value.get("object") == "assistant"
    if value.get("object") == "assistant" or _ID.fullmatch(str(value.get("id"))):
        return True
    # The body of a request that creates one says nothing of its kind, so all of its members must be known.
    return value.keys() <= _KNOWN and ("instructions" in value or "tools" in value)


def _listed(value: JsonValue) -> list[JsonValue]:
    """Return the elements of a list or of a list page."""
    if isinstance(value, dict) and value.get("object", "list") == "list":
        value = value.get("data")
    return value if isinstance(value, list) else []


def _is_empty_list(value: JsonObject) -> bool:
    """Whether this is what the service, or a bundle, says where there is no assistant."""
    around = value.get("assistants", value)
    if isinstance(around, dict):
        return around.get("object") == "list" and around.get("data") == []
    return around == []


def _assistants(findings: Findings) -> tuple[JsonObject, list[tuple[str, JsonValue]]]:
    """Return what stands around the assistants, and each assistant with its pointer."""
    value = findings.parsed.value
    if isinstance(value, list):
        return {}, [(f"/{index}", item) for index, item in enumerate(value)]
    root = ForeignObject(value, "", findings)
    if root.has("assistant") or root.has("assistants"):
        single = [("/assistant", root.value["assistant"])] if root.has("assistant") else []
        return root.value, [*single, *((item.pointer, item.value) for item in elements(root, "assistants"))]
    if root.value.get("object", "list") == "list" and root.has("data"):
        read_page(root)
        found = root.items("data")
        root.close()
        return {}, found
    return {}, [("", value)] if root.is_object else []


class _Assistant:
    """One assistant of the file.

    Args:
        pointer: where it stands.
        value: what stands there.
        around: the bundle around it; empty where there is none.
        findings: what is said about it.
        several: whether the file holds more than one.
    """

    def __init__(
        self, pointer: str, value: JsonValue, around: JsonObject, findings: Findings, *, several: bool
    ) -> None:
        self._own = ForeignObject(value, pointer, findings)
        self._bundle = ForeignObject(around, "", findings)
        self._findings = findings
        self._several = several

    def agent(self) -> ForeignAgent:
        """Read it."""
        own, findings = self._own, self._findings
        kind = own.text("object")
        if kind not in ("", "assistant"):
            own.wrong("object", f"is `{printable(kind)}`, not `assistant`")
        name = own.text("name") or own.text("id")
        instructions = own.text("instructions")
        if instructions:
            findings.carried(own.at("instructions"), "`instructions` are the agent's instructions")
        files = VendorFiles(findings)
        files.list("file", self._bundle, "files", label="filename")
        files.list("vector store", self._bundle, "vector_stores", label="name")
        tools, builtins = _tools(own, findings)
        _resources(own, files)
        blocks = self._blocks(name, files)
        extensions = self._settings()
        backends = self._backends()
        description = own.text("description")
        files.close()
        own.close()
        for member in _BUNDLE:
            self._bundle.any(member)
        self._bundle.close()
        return ForeignAgent(
            format=NAME,
            name=name,
            instructions=instructions,
            description=description,
            tools=tools,
            builtins=builtins,
            backends=backends,
            blocks=blocks,
            extensions=extensions,
            remarks=findings.remarks,
        )

    def _backends(self) -> tuple[JsonObject, ...]:
        model = self._own.text("model", required=True)
        if not model:
            return ()
        place = self._own.at("model")
        self._findings.carried(place, f"model `{printable(model)}` is the back-end `openai`")
        self._findings.decide(
            place,
            "OpenAI ended its Assistants service on 2026-08-26, so the back-end speaks the Responses API at "
            f"`{BASE_URL}`: say whether inference may happen there, and in which region",
        )
        return (
            {
                "name": "openai",
                "adapter": "openai-responses",
                "provider": "openai",
                "region": "undecided",
                "model": model,
                "config": {"base_url": BASE_URL, "api_key_env": KEY_VARIABLE},
            },
        )

    def _settings(self) -> JsonObject:
        """Return the assistant's own configuration, to be kept beside the document's fields."""
        own = self._own
        names = ("id", "model", *_SETTINGS, "metadata", "tool_resources", "file_ids", "created_at")
        for name in _SETTINGS:
            if own.has(name):
                self._findings.lost(own.at(name), f"`{name}` does not reach the model: `x-import` keeps it")
        metadata = own.object("metadata")
        if metadata is not None and metadata.value:
            self._findings.carried(metadata.pointer, "`metadata` is kept in `x-import`")
        return {"assistant": without_nulls({name: own.any(name) for name in names})}

    def _blocks(self, name: str, files: VendorFiles) -> tuple[ForeignBlock, ...]:
        """Return the messages of the export as a memory block."""
        bundle = self._bundle
        place = bundle.at("threads" if bundle.has("threads") else "messages")
        if self._several:
            for member in ("threads", "messages"):
                if bundle.has(member):
                    self._findings.lost(
                        bundle.at(member), f"`{member}` belong to no single assistant of the file"
                    )
            return ()
        messages = Messages(files, self._findings, place)
        names = [read_thread(item, messages) for item in elements(bundle, "threads")]
        messages.add(elements(bundle, "messages"), "")
        messages.close()
        if not messages.entries:
            return ()
        of_threads = f" of the threads {listed(names)}" if any(names) else ""
        self._findings.carried(
            place, f"{len(messages.entries)} messages{of_threads} are entries of the memory block `{BLOCK}`"
        )
        block = ForeignBlock(
            name=BLOCK,
            description=f"Messages of the imported assistant `{printable(name)}`.",
            schema=MESSAGE_SCHEMA,
            entries=tuple(messages.entries),
        )
        return (block,)


def _tools(
    assistant: ForeignObject, findings: Findings
) -> tuple[tuple[ForeignTool, ...], tuple[JsonObject, ...]]:
    tools: list[ForeignTool] = []
    builtins: list[JsonObject] = []
    for item in assistant.objects("tools"):
        written = item.text("type", required=True)
        kind = _FIRST_VERSION.get(written, written)
        if kind != written:
            findings.carried(item.pointer, f"`{written}` of the first version is `{kind}`")
        if kind == "function":
            tool = _function(item, {tool.name for tool in tools}, findings)
            if tool is not None:
                tools.append(tool)
        elif kind in BUILTINS:
            if any(builtin["name"] == kind for builtin in builtins):
                findings.lost(item.pointer, f"`{kind}` stands twice: the second is left out")
                item.any(kind)
            else:
                builtins.append(_builtin(item, kind, findings))
        elif kind:
            findings.lost(item.pointer, f"tools of type `{printable(kind)}` have no counterpart")
            continue
        item.close()
    return tuple(tools), tuple(builtins)


def _function(item: ForeignObject, taken: set[str], findings: Findings) -> ForeignTool | None:
    function = item.object("function")
    if function is None:
        if not item.has("function"):
            item.missing("function")
        return None
    written = function.text("name", required=True)
    name = fit_tool_name(written, taken)
    strict = function.boolean("strict")
    tool = ForeignTool(
        name=name,
        description=function.text("description"),
        parameters=fit_parameters(
            function.any("parameters"), function.at("parameters"), findings, tool=written
        ),
    )
    if name != written:
        findings.decide(function.at("name"), f"the function `{printable(written)}` is the tool `{name}`")
    findings.carried(
        item.pointer, f"function `{printable(written)}` is a tool; the embedder supplies what it runs"
    )
    if strict:
        findings.lost(
            function.at("strict"), f"`strict` of `{printable(written)}`: arguments are always checked"
        )
    function.close()
    return tool


def _builtin(item: ForeignObject, kind: str, findings: Findings) -> JsonObject:
    builtin: JsonObject = {"name": kind, "required": False}
    settings = item.object(kind)
    if settings is not None:
        results = settings.number(RESULTS)
        if results is not None:
            builtin["config"] = {RESULTS: results}
        lose_together(settings, ("ranking_options",), "no counterpart")
        settings.close()
    findings.carried(
        item.pointer, f"`{kind}` runs at the vendor: it is offered where a rule on `dispatch` permits"
    )
    findings.decide(
        item.pointer, f"`{kind}` comes without files: list those that it may look into under `files`"
    )
    return builtin


def _resources(assistant: ForeignObject, files: VendorFiles) -> None:
    """Note every file and vector store that the assistant's own members name."""
    for pointer, name in assistant.texts("file_ids"):
        files.use("file", name, pointer, "the assistant")
    resources = assistant.object("tool_resources")
    if resources is None:
        return
    interpreter, search = resources.object("code_interpreter"), resources.object("file_search")
    if interpreter is not None:
        for pointer, name in interpreter.texts("file_ids"):
            files.use("file", name, pointer, "`code_interpreter`")
        interpreter.close()
    if search is not None:
        for pointer, name in search.texts("vector_store_ids"):
            files.use("vector store", name, pointer, "`file_search`")
        for store in search.objects("vector_stores"):
            for pointer, name in store.texts("file_ids"):
                files.use("file", name, pointer, "`file_search`")
            store.close()
        search.close()
    resources.close()
