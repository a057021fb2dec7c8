"""The model of an Open Agent Spec agent as a back-end entry."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.exchange.agent_spec_components import COMMON, TYPE
from remit.exchange.endpoints import (
    ANTHROPIC,
    GOOGLE,
    OPENAI,
    Service,
    backend_entry,
    clean_address,
    self_hosted,
)
from remit.exchange.remnants import listed, lose_together, says_nothing

if TYPE_CHECKING:
    from remit.document.values import JsonObject
    from remit.exchange.agent_spec_components import Components
    from remit.exchange.members import ForeignObject

_SERVICES = {
    "VllmConfig": self_hosted("vllm"),
    "OllamaConfig": self_hosted("ollama"),
    "OpenAiCompatibleConfig": self_hosted("openai-compatible"),
    "OpenAiConfig": OPENAI,
}
_PROVIDERS = {
    "openai": OPENAI,
    "anthropic": ANTHROPIC,
    "google": GOOGLE,
    "gemini": GOOGLE,
    "vllm": self_hosted("vllm"),
    "ollama": self_hosted("ollama"),
}
_AI_STUDIO = "GeminiAIStudioAuthConfig"
_SECRETS = ("api_key", "key_file", "cert_file", "ca_file", "client_config", "credential_name")
_READ = ("model_id", "model_name", "url", "api_type", "api_provider", "provider", "auth")
_OPENAI_APIS = ("chat_completions", "responses")


def model_entry(agent: ForeignObject, components: Components) -> JsonObject | None:
    """Return the back-end entry of an agent's `llm_config`, or None where a person must declare one."""
    findings = agent.findings
    config = components.member(agent, "llm_config")
    if config is None:
        if not agent.has("llm_config"):
            findings.decide(agent.pointer, "the agent names no model, so declare a back-end")
        return None
    secrets = [name for name in _SECRETS if not says_nothing(config.any(name))]
    if secrets:
        findings.lost(config.pointer, f"{listed(secrets)}: keys and credentials are never carried")
    if isinstance(config.value.get("api_key"), str) and config.value["api_key"]:
        findings.decide(config.at("api_key"), "the file tells the value of `api_key`: take it as disclosed")
    settings = [name for name in config.value if name not in (*COMMON, *_SECRETS, *_READ)]
    lose_together(config, settings, "settings of the model call")
    lose_together(config, ("description", "metadata"), "notes on the model")
    kind, model = config.text(TYPE), config.text("model_id") or config.text("model_name")
    service = _service(config, kind, components)
    if service is None:
        findings.decide(
            config.pointer,
            f"no adapter is known for a `{printable(kind)}` like this, "
            f"so declare a back-end for `{printable(model)}`",
        )
        return None
    return backend_entry(
        findings,
        config.pointer,
        service=service,
        model=model,
        url=config.text("url"),
        name=config.text("name"),
    )


def _service(config: ForeignObject, kind: str, components: Components) -> Service | None:
    url, api = config.text("url"), config.text("api_type")
    provider = (config.text("api_provider") or config.text("provider")).lower()
    if kind == "GeminiConfig":
        auth = components.member(config, "auth")
        # Vertex AI is another service, with credentials of its own.
        return GOOGLE if auth is None or auth.text(TYPE) == _AI_STUDIO else None
    service = _SERVICES.get(kind)
    if kind == "LlmConfig":
        service = _PROVIDERS.get(provider) or (self_hosted(provider or "undecided") if url else None)
    if service is None or service.adapter != "openai-chat":
        return service
    if clean_address(url)[0] == OPENAI.base_url:
        service = OPENAI
    if api and api not in _OPENAI_APIS:
        return None
    return replace(service, adapter="openai-responses") if api == "responses" else service
