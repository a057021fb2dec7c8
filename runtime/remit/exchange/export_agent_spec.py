"""An agent as an Open Agent Spec component, JSON.

It names the oldest version of the format that can say it all, so that as many readers as possible take it.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.exchange.export import Exported, Subject, asks_first, chosen_backend, losses

if TYPE_CHECKING:
    from remit.document.model import BackendEntry, Tool
    from remit.document.values import JsonObject, JsonValue

_FIRST, _WITH_CONFIRMATION, _WITH_ANY_MODEL = "25.4.1", "25.4.2", "26.1.2"
_PLACEHOLDER = re.compile(r"{{\s*(\w+)\s*}}")
_OPENAI_HOST = "https://api.openai.com"


def write(subject: Subject) -> Exported:
    """Write an agent; see `remit.exchange.export.Writer`."""
    return _Writing(subject).export()


class _Writing:
    """One export: components get ids that follow from the agent's, and may need a later version."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._version = _FIRST
        self._lost: list[str] = []

    def export(self) -> Exported:
        """Write it."""
        subject, capabilities = self._subject, self._subject.document.capabilities
        backend, others = chosen_backend(subject, "an agent of Agent Spec")
        names = dict.fromkeys(_PLACEHOLDER.findall(capabilities.instructions))
        inputs: list[JsonValue] = [{"title": name, "type": "string"} for name in names]
        self._lost.extend(f"`{{{{{name}}}}}` in the instructions is an input there" for name in names)
        tools: list[JsonValue] = [self._tool(tool) for tool in capabilities.tools]
        agent: JsonObject = {
            **self._component("Agent", subject.name, subject.description),
            "metadata": {"remit_revision": subject.document.identity.revision},
            "inputs": inputs,
            "outputs": [],
            "llm_config": self._model(backend),
            "system_prompt": capabilities.instructions,
            "tools": tools,
        }
        agent["agentspec_version"] = self._version
        self._lost.extend(f"back-end `{entry.name}`" for entry in others)
        self._lost.extend(f"built-in `{builtin.name}`" for builtin in capabilities.builtins)
        return Exported(value=agent, lost=(*losses(subject.document), *self._lost))

    def _component(self, kind: str, name: str, description: str = "") -> JsonObject:
        seed = f"{self._subject.document.identity.revision}/{kind}/{name}"
        return {
            "component_type": kind,
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, seed)),
            "name": name,
            "description": description or None,
            "metadata": {},
        }

    def _need(self, version: str) -> None:
        self._version = max(self._version, version)

    def _model(self, entry: BackendEntry) -> JsonObject:
        url = entry.config.get("base_url")
        address = url if isinstance(url, str) else ""
        kind = "OpenAiConfig" if address.startswith(f"{_OPENAI_HOST}/") else "OpenAiCompatibleConfig"
        self._lost.append(f"region `{printable(entry.region)}` and settings of the back-end `{entry.name}`")
        if entry.adapter not in ("openai-chat", "openai-responses") or not address:
            # Readers of early versions know no model without a class of its own.
            self._need(_WITH_ANY_MODEL)
            return {
                **self._component("LlmConfig", entry.name),
                "model_id": entry.model,
                "provider": entry.provider,
                "api_provider": entry.provider,
                "api_type": None,
                "url": address or None,
                "default_generation_parameters": None,
            }
        config: JsonObject = {**self._component(kind, entry.name), "model_id": entry.model}
        if kind == "OpenAiCompatibleConfig":
            config["url"] = address
        if entry.adapter == "openai-responses":
            self._need(_WITH_CONFIRMATION)
            config["api_type"] = "responses"
        config["default_generation_parameters"] = None
        return config

    def _tool(self, tool: Tool) -> JsonObject:
        server = tool.source.get("mcp")
        kind = "MCPTool" if isinstance(server, dict) else "ServerTool"
        value: JsonObject = {
            **self._component(kind, tool.name, tool.description),
            "inputs": self._inputs(tool),
            "outputs": [{"title": f"{tool.name}_result", "type": "string"}],
        }
        if asks_first(tool):
            self._need(_WITH_CONFIRMATION)
            value["requires_confirmation"] = True
        if isinstance(server, dict):
            value["client_transport"] = self._transport(tool, server)
            remote = tool.source.get("tool", tool.name)
            if remote != tool.name:
                value["name"] = remote
        self._lost.append(f"effect, limits and the kind of result of the tool `{tool.name}`")
        return value

    def _transport(self, tool: Tool, server: JsonObject) -> JsonObject:
        command, url = server.get("command"), server.get("url")
        session: JsonObject = {"session_parameters": {"read_timeout_seconds": tool.timeout_s}}
        name = f"{tool.name}-server"
        if isinstance(command, list):
            words = [str(word) for word in command]
            return {
                **self._component("StdioTransport", name),
                **session,
                "command": words[0],
                "args": list(words[1:]),
                "env": None,
                "cwd": None,
            }
        return {
            **self._component("StreamableHTTPTransport", name),
            **session,
            "url": str(url),
            "headers": None,
        }

    def _inputs(self, tool: Tool) -> list[JsonValue]:
        """Return the parameters as properties: what is not required may be null there."""
        properties = tool.parameters.get("properties")
        required = tool.parameters.get("required")
        names = required if isinstance(required, list) else []
        if "$defs" in tool.parameters or "definitions" in tool.parameters:
            self._lost.append(f"definitions that the parameters of `{tool.name}` refer to")
        inputs: list[JsonValue] = []
        for name, schema in properties.items() if isinstance(properties, dict) else ():
            own: JsonObject = dict(schema) if isinstance(schema, dict) else {}
            own.pop("title", None)
            if name in names or "default" in own:
                inputs.append({"title": name, **own})
            else:
                inputs.append({"title": name, "anyOf": [own, {"type": "null"}], "default": None})
        return inputs
