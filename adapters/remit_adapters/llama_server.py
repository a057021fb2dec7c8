"""Open weights behind a Chat Completions server on loopback, for tests and demonstrations."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.host.models import check_file
from remit_adapters.llama_model import ModelKey, acquire, release

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """A running server.

    Args:
        base_url: its address, with `/v1`.
        api_key: what it wants as bearer token; new for each load.
    """

    base_url: str
    api_key: str


@contextmanager
def llama_server(
    path: Path, *, sha256: str = "", native: bool = False, context_tokens: int = 8192, threads: int = 2
) -> Generator[ServedModel]:
    """Serve the weights at `path` while the block runs; shares the loaded model with the adapter `llama-cpp`.

    Args:
        path: a GGUF file.
        sha256: what it must be, or empty.
        native: whether the template edits for native tool calls are applied.
        context_tokens: context length.
        threads: threads of computation.

    Raises:
        ImportError: `xllamacpp` is not installed.
        AdapterError: the weights are not what they must be, or cannot be loaded.
    """
    key = ModelKey(
        sha256=check_file(path, sha256),
        path=path,
        native=native,
        context_tokens=context_tokens,
        threads=min(threads, os.cpu_count() or 1),
    )
    model = acquire(key)
    try:
        yield ServedModel(base_url=model.engine.listening_address + "/v1", api_key=model.api_key)
    finally:
        release(key)
