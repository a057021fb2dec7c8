"""Tools on the generateContent wire, ours and the vendor's: how they are offered, how their use is reported.

Sources: Gemini API reference, Tool; guides on function calling, code execution and grounding.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from remit.messages import BuiltinUse
from remit_adapters.builtin_offers import nothing_to_set, offered_without_files
from remit_adapters.gemini_schema import openapi_schema
from remit_adapters.vendor_json import object_of, objects_of, shown, text_of, texts_of

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.messages import ToolOffer, Turn

OFFERED = ("code_interpreter", "web_search")
SCHEMAS = ("json", "openapi")
_VENDORS = {"code_interpreter": "codeExecution", "web_search": "googleSearch"}
_MAX_LISTED = 64
_SUCCESS = "OUTCOME_OK"


def wire_tools(turn: Turn, *, backend: str, schema: str) -> JsonObject:
    """Return the members of a request that offer what `turn` offers; empty where it offers nothing.

    Args:
        turn: what is about to be sent.
        backend: the document's name of the back-end, for messages.
        schema: one of `SCHEMAS`: how parameters are described.

    Raises:
        AdapterError: a built-in that cannot be offered, has files, or a config that is not acceptable.
    """
    tools: list[JsonValue] = []
    if turn.tools:
        declarations: list[JsonValue] = [_declaration(offer, schema) for offer in turn.tools]
        tools.append({"functionDeclarations": declarations})
    for item, reader in offered_without_files(turn, backend=backend, names=OFFERED):
        nothing_to_set(reader)
        tools.append({_VENDORS[item.name]: {}})
    members: JsonObject = {"tools": tools} if tools else {}
    if turn.tools and turn.builtins:
        # The vendor takes both together only where uses of its own tools are shown, and given back.
        members["toolConfig"] = {"includeServerSideToolInvocations": True}
    return members


def _declaration(offer: ToolOffer, schema: str) -> JsonObject:
    declaration: JsonObject = {"name": offer.name, "description": offer.description}
    if schema == "json":
        declaration["parametersJsonSchema"] = offer.parameters
    elif object_of(offer.parameters.get("properties")):
        # An object without properties is refused; a function without parameters is not.
        declaration["parameters"] = openapi_schema(offer.parameters)
    return declaration


class GeminiUses:
    """Collects what an answer reports of the vendor's own tools."""

    def __init__(self) -> None:
        self._uses: list[tuple[str, JsonObject]] = []
        self._running: dict[str, JsonObject] = {}
        self._queries: list[JsonValue] = []
        self._sources: list[JsonValue] = []

    def part(self, part: JsonObject) -> None:
        """Take a part of the answer."""
        code = object_of(part.get("executableCode"))
        if code:
            detail: JsonObject = {"status": "unfinished", "code": shown(text_of(code.get("code")))}
            self._uses.append(("code_interpreter", detail))
            self._running[text_of(code.get("id"))] = detail
        result = object_of(part.get("codeExecutionResult"))
        if result:
            self._ran(result)
        call = object_of(part.get("toolCall"))
        if call:
            self._called(call)

    def grounding(self, metadata: JsonObject) -> None:
        """Take grounding metadata; in a stream, each holds what those before did not."""
        self._search(texts_of(metadata.get("webSearchQueries")))
        for chunk in objects_of(metadata.get("groundingChunks")):
            web = object_of(chunk.get("web"))
            source: JsonObject = {
                "url": shown(text_of(web.get("uri"))),
                "title": shown(text_of(web.get("title"))),
            }
            if web and source not in self._sources and len(self._sources) < _MAX_LISTED:
                self._sources.append(source)

    def reported(self) -> tuple[BuiltinUse, ...]:
        """Return the uses; all web searches of an answer are one, as the vendor reports them."""
        uses = [BuiltinUse(name=name, detail=detail) for name, detail in self._uses]
        if self._queries or self._sources:
            found: JsonObject = {
                "status": "completed",
                "queries": self._queries,
                "sources": self._sources,
            }
            uses.append(BuiltinUse(name="web_search", detail=found))
        return tuple(uses)

    def _ran(self, result: JsonObject) -> None:
        outcome = text_of(result.get("outcome"))
        detail = self._running.pop(text_of(result.get("id")), None)
        if detail is None:
            # Its code stands in the answer before, which was to be continued.
            detail = dict[str, "JsonValue"]()
            self._uses.append(("code_interpreter", detail))
        detail["status"] = "completed" if outcome == _SUCCESS else "failed"
        if outcome != _SUCCESS:
            detail["error"] = shown(outcome)
        if text_of(result.get("output")):
            detail["logs"] = shown(text_of(result["output"]))

    def _called(self, call: JsonObject) -> None:
        kind, given = text_of(call.get("toolType")), object_of(call.get("args"))
        if kind.startswith("GOOGLE_SEARCH"):
            self._search(texts_of(given.get("queries")) or texts_of([given.get("query")]))
        elif len(self._uses) < _MAX_LISTED:
            self._uses.append((shown(kind.lower()), {"input": shown(json.dumps(given))}))

    def _search(self, queries: list[str]) -> None:
        for query in queries:
            if shown(query) not in self._queries and len(self._queries) < _MAX_LISTED:
                self._queries.append(shown(query))
