"""Loaded models: one for each set of parameters in a process, counted by their users.

Needs `xllamacpp>=2026.10`.
"""

from __future__ import annotations

import atexit
import os
import secrets
import threading
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol, cast

from remit.errors import AdapterError
from remit_adapters.gguf import chat_template
from remit_adapters.templates import edited_template, template_sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from remit.document.values import JsonObject


class Engine(Protocol):
    """What we use of the package's server."""

    listening_address: str

    def handle_chat_completions(self, request: object, callback: Callable[[object], bool]) -> object:
        """Generate; the callback receives each chunk and returns True to stop."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelKey:
    """What makes two users share one loaded model.

    Args:
        sha256: digest of the weights.
        path: where they lie.
        native: whether the template edits for native tool calls are applied.
        context_tokens: context length.
        threads: threads of computation.
    """

    sha256: str
    path: Path
    native: bool
    context_tokens: int
    threads: int


@dataclass(slots=True, kw_only=True, eq=False)
class LoadedModel:
    """A model in memory.

    Args:
        sha256: digest of its weights.
        template_sha256: digest of the chat template in use.
        engine: the package's server.
        api_key: key of its listener.
        busy: held while it generates.
        users: how many hold it.
    """

    sha256: str
    template_sha256: str
    engine: Engine
    api_key: str
    busy: threading.Lock = field(default_factory=threading.Lock)
    users: int = 1

    def chat(self, request: JsonObject, on_chunk: Callable[[object], bool]) -> None:
        """Generate an answer; the callback must not raise."""
        self.engine.handle_chat_completions(request, on_chunk)


_LOADED: dict[ModelKey, LoadedModel] = {}
_LOCK = threading.Lock()


def engine_version() -> str:
    """Return the package's version.

    Raises:
        ImportError: it is not installed.
    """
    return version("xllamacpp")


def acquire(key: ModelKey) -> LoadedModel:
    """Return the loaded model for `key`, loading it for its first user.

    Raises:
        AdapterError: the engine cannot load it.
    """
    with _LOCK:
        model = _LOADED.get(key)
        if model is not None:
            model.users += 1
            return model
        model = load(key)
        _LOADED[key] = model
        return model


def release(key: ModelKey) -> None:
    """Give back what `acquire` returned; the last user unloads it."""
    with _LOCK:
        model = _LOADED.get(key)
        if model is None:
            return
        model.users -= 1
        if model.users > 0:
            return
        del _LOADED[key]
    with model.busy:
        del model.engine


def loaded_models() -> int:
    """Return how many models are in memory."""
    with _LOCK:
        return len(_LOADED)


def load(key: ModelKey) -> LoadedModel:
    """Load weights that were verified.

    Raises:
        AdapterError: the engine cannot load them.
    """
    # The default lets idle threads spin, which halves the speed as soon as another process wants a processor.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    xllamacpp: Any = import_module("xllamacpp")  # a compiled package without types

    own = chat_template(key.path)
    edited = edited_template(own) if key.native else ""
    params = xllamacpp.CommonParams()
    params.model.path = str(key.path)
    params.n_ctx = key.context_tokens
    params.n_parallel = 1
    params.verbosity = 0
    params.cpuparams.n_threads = key.threads
    params.cpuparams_batch.n_threads = key.threads
    params.model_alias = {"local-default"}
    params.ui = False
    params.offline = True
    params.endpoint_slots = False
    api_key = secrets.token_hex(32)
    params.api_keys = [api_key]
    if edited:
        params.chat_template = edited
    try:
        engine = cast("Engine", xllamacpp.Server(params))
    except (RuntimeError, ValueError, MemoryError) as error:
        raise AdapterError(
            f"weights `{key.path}` cannot be loaded: {error}; "
            "is there memory for them, and does this engine know the model?"
        ) from error
    return LoadedModel(
        sha256=key.sha256, template_sha256=template_sha256(edited or own), engine=engine, api_key=api_key
    )


@atexit.register
def _unload_all() -> None:
    """Stop the engines while the interpreter still runs; their threads must not outlive it."""
    with _LOCK:
        models = list(_LOADED.values())
        _LOADED.clear()
    for model in models:
        del model.engine
