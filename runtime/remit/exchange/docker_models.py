"""Models of a Docker agent file as back-ends: `provider/model`, or a name of `models` and `providers`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.exchange.endpoints import ANTHROPIC, GOOGLE, OPENAI, Service, backend_entry, self_hosted
from remit.exchange.names import fit_name
from remit.exchange.remnants import lose_together

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from remit.document.values import JsonObject
    from remit.exchange.members import Findings, ForeignObject

_SERVICES = {"openai": OPENAI, "anthropic": ANTHROPIC, "google": GOOGLE}
_RESPONSES = "openai_responses"
_MINOR = (
    *("temperature", "top_p", "max_tokens", "frequency_penalty", "presence_penalty", "parallel_tool_calls"),
    *("provider_opts", "track_usage", "thinking_budget", "task_budget", "description", "title_model"),
    *(
        "compaction_model",
        "compaction_threshold",
        "capabilities",
        "cost",
        "bypass_models_gateway",
        "unload_api",
    ),
)


class Models:
    """Finds the back-ends of one agent.

    Args:
        models: the file's models by name.
        providers: the file's providers by name.
        findings: where remarks go.
    """

    def __init__(
        self,
        models: Mapping[str, ForeignObject],
        providers: Mapping[str, ForeignObject],
        findings: Findings,
    ) -> None:
        self._models = models
        self._providers = providers
        self._findings = findings
        self._entries: list[JsonObject] = []

    def add(self, reference: str, pointer: str) -> None:
        """Add what a model reference names; several are separated by commas."""
        for part in reference.split(","):
            for entry in self._entries_of(part.strip(), pointer, ()):
                if not any(_same(entry, known) for known in self._entries):
                    self._entries.append(entry)

    @property
    def entries(self) -> tuple[JsonObject, ...]:
        """The back-ends so far, in order of preference."""
        return tuple(self._entries)

    def _entries_of(self, reference: str, pointer: str, seen: tuple[str, ...]) -> Iterator[JsonObject]:
        own = self._models.get(reference)
        if own is None:
            provider, mark, model = reference.partition("/")
            if not mark or not provider or not model:
                if reference:
                    self._findings.decide(
                        pointer, f"`{printable(reference)}` names no model of the file: declare a back-end"
                    )
                return
            yield from self._entry(provider, model, None, pointer, reference)
            return
        if reference in seen:
            self._findings.fault(own.pointer, f"the model `{printable(reference)}` names itself")
            return
        candidates = own.texts("first_available")
        for place, name in candidates:
            yield from self._entries_of(name, place, (*seen, reference))
        if own.has("routing") or own.has("auth"):
            self._findings.decide(
                own.pointer, "`routing` and `auth` are not carried: declare back-ends as you need them"
            )
        lose_together(own, _MINOR, "does not reach the model")
        if not candidates:
            provider = own.text("provider", required=True)
            yield from self._entry(provider, own.text("model", required=True), own, own.pointer, reference)
        own.close()

    def _entry(
        self, provider: str, model: str, own: ForeignObject | None, pointer: str, name: str
    ) -> Iterator[JsonObject]:
        custom = self._providers.get(provider)
        kind = provider if custom is None else custom.text("provider") or "openai"
        api = "" if custom is None else custom.text("api_type")
        url = own.text("base_url") if own is not None else ""
        variable = own.text("token_key") if own is not None else ""
        if custom is not None:
            url = url or custom.text("base_url")
            variable = variable or custom.text("token_key")
            lose_together(custom, (*_MINOR, "auth"), "does not reach the model")
            custom.close()
        if "$" in url:
            self._findings.decide(
                pointer,
                f"the address `{printable(url)}` is filled in from the environment: declare a back-end",
            )
            return
        service = self._service(kind, provider, api)
        taken = {str(entry["name"]) for entry in self._entries}
        entry = backend_entry(
            self._findings,
            pointer,
            service=service,
            model=model,
            url=url,
            name=fit_name(name.replace("/", "-"), taken, default="model"),
        )
        if entry is not None:
            self._findings.carried(pointer, f"model `{printable(name)}` is the back-end `{entry['name']}`")
            yield self._with_key(entry, variable, pointer)

    def _service(self, kind: str, provider: str, api: str) -> Service:
        service = _SERVICES.get(kind)
        if service is None:
            return self_hosted(provider)
        adapter = "openai-responses" if service is OPENAI and api == _RESPONSES else service.adapter
        return replace(service, adapter=adapter, provider=provider)

    def _with_key(self, entry: JsonObject, variable: str, pointer: str) -> JsonObject:
        config = entry.get("config")
        if not variable or not isinstance(config, dict):
            return entry
        if "api_key_env" in config:
            self._findings.carried(
                pointer, f"the key is read from the environment variable `{printable(variable)}`"
            )
            return {**entry, "config": {**config, "api_key_env": variable}}
        self._findings.decide(
            pointer,
            f"the key stands in the environment variable `{printable(variable)}`: name it as `api_key_env` "
            "of the back-end if it may go to that address",
        )
        return entry


def _same(left: JsonObject, right: JsonObject) -> bool:
    """Whether two entries call the same model at the same place."""
    return all(left[name] == right[name] for name in ("adapter", "model", "config"))
