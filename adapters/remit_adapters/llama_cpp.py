"""Back-end `llama-cpp`: open weights in this process, no key and no network. Needs `xllamacpp>=2026.10`.

Config
    model_sha256    SHA-256 of weights in the cache (`remit models pull`, `remit models add`), or
    path            a GGUF file, relative to the project folder or absolute, with optionally
    sha256          its SHA-256
    tool_mode       envelope (default): a JSON answer is enforced, works with any model, calls may chain
                    native: the model's own call syntax, with the template edits where they are known; the
                    edited template offers no tools directly after a tool result, so calls do not chain
    calls_per_tool  in tool mode envelope: how often a tool is offered after one user message (default 1),
                    because small models repeat themselves
    context_tokens  longest thread and answer together (default 8192)
    threads         threads of computation (default: processors, at most 4)

Rules
1. Weights are hashed before they are loaded; a file that is not what the document names is refused.
2. Free text is never read as a call (see `chat_wire`, `envelope`).
3. One model with the same parameters is loaded once in a process and released with its last user.
4. Inference runs in a thread, one at a time for each model, so that equal turns give equal answers.
5. The engine's listener cannot be turned off; it listens on loopback, under a random key told to no one.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.errors import AdapterError
from remit.host.models import catalogue, check_file, model_sha256, stored_models
from remit.messages import TurnEnd
from remit_adapters.chat_wire import ChatStream, wire_messages, wire_tools
from remit_adapters.config import ConfigReader
from remit_adapters.dispatch import backend_info, redeem_dispatch
from remit_adapters.envelope import enveloped_request, opened_events
from remit_adapters.llama_model import LoadedModel, ModelKey, acquire, engine_version, release
from remit_adapters.llama_stream import chunks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from remit.document.model import BackendEntry
    from remit.document.values import JsonObject
    from remit.messages import Turn, TurnEvent
    from remit.permit import Permit
    from remit.ports import BackendContext, BackendInfo

_MAX_CONTEXT = 1 << 20
_MAX_THREADS = 256
_DEFAULT_THREADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaConfig:
    """The config, read.

    Args:
        path: the weights.
        sha256: what they must be; empty where the document gives a bare path.
        tool_mode: `envelope` or `native`.
        calls_per_tool: see the module.
        context_tokens: see the module.
        threads: see the module.
    """

    path: Path
    sha256: str
    tool_mode: str
    calls_per_tool: int
    context_tokens: int
    threads: int


class LlamaCppBackend:
    """See the module's docstring."""

    def __init__(self, entry: BackendEntry, config: LlamaConfig) -> None:
        self._entry = entry
        self._config = config
        self._key: ModelKey | None = None
        self._model: LoadedModel | None = None
        self._loading = asyncio.Lock()
        self._disposed = False

    @property
    def info(self) -> BackendInfo:
        """What it is."""
        return backend_info(
            self._entry,
            {
                "engine": f"xllamacpp {engine_version()}",
                "model_sha256": self._config.sha256,
                "tool_mode": self._config.tool_mode,
            },
        )

    async def infer(self, permit: Permit, turn: Turn) -> AsyncIterator[TurnEvent]:
        """Redeem the permit and generate; closing the iterator stops the engine before it returns.

        Raises:
            PermitError: no valid permit.
            AdapterError: the weights are not what they must be, or the engine failed.
        """
        redeem_dispatch(permit, backend=self._entry.name, turn=turn)
        enveloped = self._config.tool_mode == "envelope" and bool(turn.tools)
        request = self._enveloped(turn) if enveloped else self._native(turn)
        model = await self._loaded()
        stream = ChatStream(turn, backend=self._entry.name, own_ids=True)
        detail = {
            "engine": f"xllamacpp {engine_version()}",
            "model_sha256": model.sha256,
            "template_sha256": model.template_sha256,
            "tool_mode": self._config.tool_mode,
        }
        text: list[str] = []
        received = chunks(model, request, backend=self._entry.name)
        try:
            async for chunk in received:
                for delta in stream.feed(chunk):
                    if enveloped:
                        text.append(delta.text)
                    else:
                        yield delta
        finally:
            await received.aclose()
        for event in stream.end(model=self._entry.model, detail=detail):
            if enveloped and isinstance(event, TurnEnd):
                for opened in opened_events(turn, "".join(text), event):
                    yield opened
            else:
                yield event

    async def dispose(self) -> None:
        """Release the model; the last user of it unloads it."""
        self._disposed = True
        async with self._loading:
            key, self._key, self._model = self._key, None, None
        if key is not None:
            await asyncio.to_thread(release, key)

    async def _loaded(self) -> LoadedModel:
        async with self._loading:
            if self._disposed:
                raise AdapterError(f"back-end `{self._entry.name}` was disposed of; open it again")
            if self._model is not None:
                return self._model
            self._key, model = await asyncio.to_thread(self._load)
            self._model = model
            return model

    def _load(self) -> tuple[ModelKey, LoadedModel]:
        digest = check_file(self._config.path, self._config.sha256)
        key = ModelKey(
            sha256=digest,
            path=self._config.path,
            native=self._config.tool_mode == "native",
            context_tokens=self._config.context_tokens,
            threads=self._config.threads,
        )
        return key, acquire(key)

    def _native(self, turn: Turn) -> JsonObject:
        request = self._request(turn)
        request["messages"] = [*wire_messages(turn)]
        if turn.tools:
            request["tools"] = [*wire_tools(turn)]
        return request

    def _enveloped(self, turn: Turn) -> JsonObject:
        members = enveloped_request(
            turn, backend=self._entry.name, calls_per_tool=self._config.calls_per_tool
        )
        return {**self._request(turn), **members}

    def _request(self, turn: Turn) -> JsonObject:
        return {
            "max_tokens": turn.max_output_tokens,
            "temperature": turn.temperature,
            "seed": turn.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }


def open_backend(entry: BackendEntry, *, context: BackendContext) -> LlamaCppBackend:
    """Open the weights that `entry.config` names; they are hashed and loaded at the first inference.

    Raises:
        ImportError: `xllamacpp` is not installed.
        AdapterError: the config is not acceptable, or the weights are not there.
    """
    engine_version()
    config = ConfigReader.of_entry(entry)
    config.only("model_sha256", "path", "sha256", "tool_mode", "calls_per_tool", "context_tokens", "threads")
    path, sha256 = _weights(entry, config, context)
    default_threads = min(_DEFAULT_THREADS, os.cpu_count() or 1)
    return LlamaCppBackend(
        entry,
        LlamaConfig(
            path=path,
            sha256=sha256,
            tool_mode=config.choice("tool_mode", ("envelope", "native"), default="envelope"),
            calls_per_tool=config.integer("calls_per_tool", minimum=1, maximum=1000, default=1),
            context_tokens=config.integer("context_tokens", minimum=512, maximum=_MAX_CONTEXT, default=8192),
            threads=config.integer("threads", minimum=1, maximum=_MAX_THREADS, default=default_threads),
        ),
    )


def _weights(entry: BackendEntry, config: ConfigReader, context: BackendContext) -> tuple[Path, str]:
    if ("model_sha256" in config.value) == ("path" in config.value):
        known = next((model for model in catalogue() if model.name == entry.model), None)
        hint = f'; for `{known.name}` write `"model_sha256": "{known.sha256}"`' if known else ""
        raise config.error("", f"exactly one of `model_sha256` and `path` is needed{hint}")
    if "path" in config.value:
        path = config.path("path", context, inside="any")
        if not path.is_file():
            raise config.error("path", f"`{path}` is not a file")
        given = config.text("sha256", default="")
        return path, model_sha256(given) if given else ""
    if "sha256" in config.value:
        raise config.error("sha256", "belongs to `path`; `model_sha256` is the digest already")
    sha256 = model_sha256(config.text("model_sha256"))
    stored = next((model for model in stored_models(models=context.models) if model.sha256 == sha256), None)
    if stored is None:
        known = next((model for model in catalogue() if model.sha256 == sha256), None)
        way = f"run `remit models pull {known.name}`" if known else "run `remit models add PATH`"
        raise config.error("model_sha256", f"no weights `{sha256}` in `{context.models}`; {way}")
    return stored.path, sha256
