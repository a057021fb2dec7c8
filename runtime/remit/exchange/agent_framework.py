"""Declarative agents of Microsoft's Agent Framework: YAML with `kind: Prompt`, alone or in a manifest.

A text that begins with `=` is an expression of that framework. None is evaluated: `=Env.NAME` names an
environment variable, any other one is a person's decision.
Hosted agents and workflows are refused: they are programs, and nothing in the file says what they do.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.exchange.endpoints import (
    ANTHROPIC,
    GOOGLE,
    OPENAI,
    Service,
    backend_entry,
    self_hosted,
)
from remit.exchange.foreign import ForeignAgent
from remit.exchange.framework_tools import FrameworkTools, property_schema
from remit.exchange.members import Findings, ForeignObject, without_nulls
from remit.exchange.remnants import lose_together

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.places import Parsed
    from remit.document.values import JsonObject, JsonValue

NAME = "agent-framework"

_AGENTS = ("prompt", "agent")
_PROGRAMS = ("hosted", "workflow", "containeragent", "container")
_VARIABLE = re.compile(r"=\s*Env\.([A-Za-z_][A-Za-z0-9_]*)\s*")
_SERVICES: dict[str, Service] = {"openai": OPENAI, "anthropic": ANTHROPIC, "google": GOOGLE, "gemini": GOOGLE}
_AZURE = "azure-openai"
_RESPONSES = ("", "responses", "assistants")
"""API types of OpenAI that the Responses API serves; Assistants is no more."""


class _Reader:
    """Reads declarative agents of the Agent Framework."""

    name = NAME

    def detects(self, value: JsonValue) -> bool:
        """Whether a value is a prompt agent, or a manifest or program of the same family."""
        if not isinstance(value, dict) or "apiVersion" in value or "component_type" in value:
            return False
        template = value.get("template")
        return _kind(value) in (*_AGENTS, *_PROGRAMS) or (
            isinstance(template, dict) and _kind(template) in (*_AGENTS, *_PROGRAMS)
        )

    def read(self, parsed: Parsed) -> tuple[ForeignAgent, ...]:
        """Read the one agent of a file; see `remit.exchange.registry.Reader`."""
        findings = Findings(parsed)
        root = ForeignObject(parsed.value, "", findings)
        template = root.value.get("template")
        manifest = isinstance(template, dict) and _kind(template) != ""
        own = root.object("template") if manifest else root
        agent = None if own is None else _Prompt(own, root if manifest else None, findings).agent()
        findings.refuse()
        return () if agent is None else (agent,)


READER = _Reader()


def _kind(value: JsonObject) -> str:
    kind = value.get("kind")
    return kind.lower() if isinstance(kind, str) else ""


class _Prompt:
    """One prompt agent.

    Args:
        own: its object.
        manifest: the manifest around it, or None.
        findings: where faults and remarks go.
    """

    def __init__(self, own: ForeignObject, manifest: ForeignObject | None, findings: Findings) -> None:
        self._own = own
        self._manifest = manifest
        self._findings = findings
        self._variable = ("", "")

    def agent(self) -> ForeignAgent:
        """Read it."""
        own, findings = self._own, self._findings
        kind = own.text("kind", required=True)
        if kind.lower() in _PROGRAMS:
            own.wrong(
                "kind",
                f"is `{printable(kind)}`, which runs a program of its own",
                "import the agents that it uses, if they are prompt agents",
            )
        elif kind and kind.lower() not in _AGENTS:
            own.wrong(
                "kind", f"is `{printable(kind)}`, which is no agent", "only `Prompt` agents can be read"
            )
        instructions = "\n\n".join(
            text for text in (self._plain("instructions"), self._plain("additionalInstructions")) if text
        )
        if instructions:
            findings.carried(own.at("instructions"), "`instructions` are the agent's instructions")
        tools = FrameworkTools(findings).read(own)
        agent = ForeignAgent(
            format=NAME,
            name=self._plain("name") or self._plain("displayName"),
            instructions=instructions,
            description=self._plain("description"),
            tools=tools.tools,
            builtins=tools.builtins,
            backends=self._backends(),
            extensions=self._extensions(),
        )
        lose_together(own, ("displayName",), "no counterpart")
        if own.has("template"):
            findings.decide(
                own.at("template"), "`template` renders the instructions: write them out as they are meant"
            )
        own.close()
        self._close_manifest()
        return replace(agent, remarks=findings.remarks)

    def _plain(self, name: str) -> str:
        """Return a text; an expression is empty, and a person must decide."""
        text = self._own.text(name)
        if not text.startswith("="):
            return text
        self._findings.decide(
            self._own.at(name), f"`{name}` is the expression `{printable(text)}`: say what it is"
        )
        return ""

    def _extensions(self) -> JsonObject:
        kept: JsonObject = {}
        metadata = self._own.object("metadata")
        if metadata is not None and metadata.value:
            kept["metadata"] = metadata.value
            self._findings.carried(metadata.pointer, "`metadata` is kept in `x-import`")
        for name in ("inputSchema", "outputSchema"):
            if self._own.has(name):
                kept[name] = property_schema(self._own.any(name), self._own.at(name), self._findings)
                self._findings.lost(
                    self._own.at(name), f"`{name}` is not enforced: `x-import` keeps it as JSON Schema"
                )
        model = self._model()
        options = model.object("options") if model is not None else None
        if options is not None and options.value:
            kept["options"] = without_nulls(options.value)
            self._findings.lost(
                options.pointer, "the model's `options` do not reach it: `x-import` keeps them"
            )
        return kept

    def _backends(self) -> tuple[JsonObject, ...]:
        model = self._model()
        if model is None:
            return ()
        model.any("options")
        entry = self._entry(model)
        model.close()
        if entry is not None:
            self._findings.carried(model.pointer, f"the model is the back-end `{entry['name']}`")
        return tuple(self._with_key(entry))

    def _entry(self, model: ForeignObject) -> JsonObject | None:
        provider = model.text("provider") or model.text("publisher")
        api = model.text("apiType") or self._api_of_options(model)
        model.text("kind")
        name = self._model_name(model)
        url = self._connection(model)
        if url is None or not name:
            return None
        service = _service(provider, api)
        if service is None:
            where = f"`{printable(provider)}`" if provider else "no provider"
            self._findings.decide(
                model.pointer, f"the model names {where}: declare a back-end that serves it"
            )
            return None
        if api.lower() == "assistants":
            self._findings.decide(
                model.at("apiType"),
                "OpenAI ended its Assistants service on 2026-08-26, so the back-end speaks the Responses API",
            )
        if url and service.provider == _AZURE and "/openai" not in url:
            url = f"{url.rstrip('/')}/openai/v1"
        return backend_entry(self._findings, model.pointer, service=service, model=name, url=url)

    def _with_key(self, entry: JsonObject | None) -> Iterator[JsonObject]:
        """Name the key's variable beside the provider's own address; elsewhere a person must decide."""
        variable, place = self._variable
        config = {} if entry is None else entry.get("config")
        if entry is not None and variable and isinstance(config, dict) and "api_key_env" in config:
            self._findings.carried(place, f"the key is read from the environment variable `{variable}`")
            yield {**entry, "config": {**config, "api_key_env": variable}}
            return
        if variable:
            self._findings.decide(
                place,
                f"the key stands in the environment variable `{variable}`: name it as `api_key_env` of the "
                "back-end if it may go to that address",
            )
        if entry is not None:
            yield entry

    def _model(self) -> ForeignObject | None:
        """Return the model's object; a text is its name."""
        written = self._own.any("model")
        if isinstance(written, str):
            return ForeignObject({"id": written}, self._own.at("model"), self._findings)
        return self._own.object("model")

    def _api_of_options(self, model: ForeignObject) -> str:
        """Return the API type where early samples put it."""
        options = model.object("options")
        return options.text("apiType") if options is not None else ""

    def _model_name(self, model: ForeignObject) -> str:
        name = model.text("id")
        if not name:
            self._findings.decide(model.pointer, "the file names no model: declare a back-end")
        if not name.startswith("="):
            return name
        found = _VARIABLE.fullmatch(name)
        said = f"stands in the environment variable `{found[1]}`" if found else f"is `{printable(name)}`"
        self._findings.decide(model.at("id"), f"the model's name {said}: write it into a back-end")
        return ""

    def _connection(self, model: ForeignObject) -> str | None:
        """Return the address that the connection names: empty for the provider's own, None where unknown."""
        connection = model.object("connection")
        if connection is None:
            return ""
        findings = self._findings
        kind = connection.text("kind")
        for member in ("key", "apiKey"):
            self._key(connection, member)
        endpoint = connection.text("endpoint") or connection.text("target")
        reference = connection.text("name")
        lose_together(connection, ("authenticationMode", "usageDescription", "authority"), "no counterpart")
        connection.close()
        if endpoint.startswith("="):
            found = _VARIABLE.fullmatch(endpoint)
            said = (
                f"stands in the environment variable `{found[1]}`" if found else f"is `{printable(endpoint)}`"
            )
            findings.decide(
                connection.pointer, f"the model's address {said}: declare a back-end with the address"
            )
            return None
        if reference and not endpoint:
            findings.decide(
                connection.pointer,
                f"the connection `{printable(reference)}` is defined elsewhere: declare a back-end instead",
            )
            return None
        if not endpoint and kind.lower() not in ("", "key", "apikey", "anonymous"):
            findings.decide(
                connection.pointer,
                f"a connection of kind `{printable(kind)}` says no address: declare a back-end in its place",
            )
            return None
        return endpoint

    def _key(self, connection: ForeignObject, member: str) -> None:
        key = connection.text(member)
        if not key:
            return
        found = _VARIABLE.fullmatch(key)
        if found:
            self._variable = (found[1], connection.at(member))
        elif key.startswith("="):
            self._findings.decide(
                connection.at(member),
                f"the key is the expression `{printable(key)}`: name a variable instead",
            )
        else:
            self._findings.lost(
                connection.at(member), "a key stands in the file: secrets are not carried, so revoke it"
            )

    def _close_manifest(self) -> None:
        if self._manifest is None:
            return
        manifest = self._manifest
        for name in ("name", "description", "template"):
            manifest.any(name)
        lose_together(manifest, ("displayName", "metadata"), "no counterpart, as the manifest says them")
        for name in ("parameters", "resources"):
            if manifest.has(name):
                self._findings.decide(
                    manifest.at(name),
                    f"`{name}` of the manifest are filled in by its host: say what they are here",
                )
        manifest.close()


def _service(provider: str, api: str) -> Service | None:
    """Return what serves a model of a provider; None where the file does not say enough."""
    spelled = provider.lower().replace(" ", "").replace("_", "")
    if spelled in ("azure", "azureopenai"):
        azure = self_hosted(_AZURE)
        return replace(azure, adapter="openai-responses") if api.lower() in _RESPONSES else azure
    service = _SERVICES.get(spelled)
    if service is OPENAI and api.lower() in _RESPONSES:
        return replace(OPENAI, adapter="openai-responses")
    return service
