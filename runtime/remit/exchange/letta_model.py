"""The model of a Letta agent as a back-end entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.exchange.endpoints import ANTHROPIC, GOOGLE, OPENAI, Service, backend_entry, self_hosted
from remit.exchange.remnants import lose_together, says_nothing

if TYPE_CHECKING:
    from remit.document.values import JsonObject
    from remit.exchange.members import ForeignObject

_SERVICES = {
    "openai": OPENAI,
    "anthropic": ANTHROPIC,
    "google_ai": GOOGLE,
    "groq": Service(
        adapter="openai-chat",
        provider="groq",
        base_url="https://api.groq.com/openai/v1",
        key="GROQ_API_KEY",
    ),
    "together": Service(
        adapter="openai-chat",
        provider="together",
        base_url="https://api.together.xyz/v1",
        key="TOGETHER_API_KEY",
    ),
    "deepseek": Service(
        adapter="openai-chat",
        provider="deepseek",
        base_url="https://api.deepseek.com/v1",
        key="DEEPSEEK_API_KEY",
    ),
    "xai": Service(adapter="openai-chat", provider="xai", base_url="https://api.x.ai/v1", key="XAI_API_KEY"),
    "mistral": Service(
        adapter="openai-chat",
        provider="mistral",
        base_url="https://api.mistral.ai/v1",
        key="MISTRAL_API_KEY",
    ),
    "openrouter": Service(
        adapter="openai-chat",
        provider="openrouter",
        base_url="https://openrouter.ai/api/v1",
        key="OPENROUTER_API_KEY",
    ),
    "zai": Service(
        adapter="openai-chat", provider="zai", base_url="https://api.z.ai/api/paas/v4", key="ZAI_API_KEY"
    ),
    "fireworks": Service(
        adapter="openai-chat",
        provider="fireworks",
        base_url="https://api.fireworks.ai/inference/v1",
        key="FIREWORKS_API_KEY",
    ),
    "ollama": self_hosted("ollama"),
    "vllm": self_hosted("vllm"),
    "llamacpp": self_hosted("llamacpp"),
    "lmstudio": self_hosted("lmstudio"),
    "lmstudio-chatcompletions": self_hosted("lmstudio"),
    "webui": self_hosted("webui"),
}
"""Letta's endpoint types whose protocol an adapter speaks."""

_READ = ("model", "model_endpoint_type", "model_endpoint", "provider_name", "handle")
_TOLD = ("provider_category", "display_name", "tier", "model_wrapper", "compatibility_type")


def model_entry(agent: ForeignObject) -> JsonObject | None:
    """Return the back-end entry of an agent's model, or None where a person must declare one.

    Args:
        agent: the agent, with `llm_config`, or with a handle `provider/model` and `model_settings`.
    """
    config = agent.object("llm_config")
    handle = agent.text("model")
    settings = agent.object("model_settings")
    if settings is not None:
        kind = settings.text("provider_type")
        lose_together(settings, [name for name in settings.value if name != "provider_type"], _SETTINGS_LOST)
    else:
        kind = ""
    if config is None:
        if not handle:
            agent.findings.decide(agent.pointer, "the file names no model, so declare a back-end")
            return None
        provider, slash, model = handle.partition("/")
        if not slash:
            provider, model = kind, handle
        return _entry(agent, agent.at("model"), kind or provider, model, "")
    lose_together(config, [name for name in config.value if name not in (*_READ, *_TOLD)], _SETTINGS_LOST)
    model = config.text("model")
    provider, slash, rest = config.text("handle").partition("/")
    lose_together(config, _TOLD, "marks of Letta's own")
    if handle and handle != config.text("handle") and not says_nothing(handle):
        agent.findings.decide(
            agent.at("model"), f"`model` says `{printable(handle)}`, but `llm_config` is followed"
        )
    return _entry(
        agent,
        config.pointer,
        config.text("model_endpoint_type") or kind or (provider if slash else ""),
        model or rest,
        config.text("model_endpoint"),
    )


_SETTINGS_LOST = "settings of the model call"


def _entry(agent: ForeignObject, pointer: str, kind: str, model: str, url: str) -> JsonObject | None:
    service = _SERVICES.get(kind)
    if service is None:
        agent.findings.decide(
            pointer,
            f"no adapter speaks to endpoints of type `{printable(kind)}`, "
            f"so declare a back-end for `{printable(model)}`",
        )
        return None
    return backend_entry(agent.findings, pointer, service=service, model=model, url=url)
