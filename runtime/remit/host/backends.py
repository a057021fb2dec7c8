"""Where a back-end's adapter is found: the entry-point group `remit.backends`, and nowhere else.

An entry point names a function `open_backend(entry: BackendEntry, *, context: BackendContext) -> Backend`.
Its module may have a constant `BUILTINS`: the names of the vendor's own tools that it can offer.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, NoReturn, cast

from remit.errors import AdapterError, LedgerError
from remit.host.installed import installed
from remit.host.models import models_folder
from remit.ports import Backend, BackendContext, ObjectRegister, VendorObject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from importlib.metadata import EntryPoint
    from pathlib import Path

    from remit.document.model import BackendEntry

GROUP = "remit.backends"
EXTRAS: Mapping[str, str] = {
    "anthropic": "anthropic",
    "google": "google",
    "llama-cpp": "llama-cpp",
    "openai-assistants": "openai",
    "openai-chat": "openai",
    "openai-responses": "openai",
}
"""The extra of the distribution that brings an adapter's SDK, by adapter name."""


def known_adapters() -> tuple[str, ...]:
    """Return the names of all installed back-end adapters, sorted."""
    return tuple(sorted({point.name for point in installed(GROUP)}))


class NoRegister:
    """The register where there is no ledger: nothing may be made on a vendor's side."""

    answers = None

    async def planned(self, thing: VendorObject) -> NoReturn:
        """Refuse: what nobody records would be left behind unnoticed."""
        raise LedgerError(f"nothing may be made on a vendor's side without a ledger: {thing.kind}")

    async def made(self, thing: VendorObject) -> None:
        """Do nothing: nothing can have been made."""

    async def gone(self, thing: VendorObject) -> None:
        """Do nothing: nothing can have been made."""


def backend_context(
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    register: ObjectRegister | None = None,
) -> BackendContext:
    """Describe the surroundings of this process.

    Args:
        folder: folder of the project or document; None refuses relative paths.
        environment: environment variables; this process's own where None.
        register: where vendor-side objects are noted; None refuses to make any.
    """
    variables = dict(os.environ) if environment is None else environment
    return BackendContext(
        folder=folder,
        environment=variables,
        models=models_folder(variables),
        register=NoRegister() if register is None else register,
    )


def offered_builtins(entry: BackendEntry) -> frozenset[str]:
    """Return the names of the vendor's own tools that the adapter of `entry` can offer.

    Raises:
        AdapterError: no adapter of that name, or its module cannot be imported.
    """
    point = _entry_point(entry)
    try:
        module = importlib.import_module(point.module)
    except ImportError as error:
        raise AdapterError(_missing_sdk(entry.adapter, error)) from error
    return frozenset(cast("tuple[str, ...]", getattr(module, "BUILTINS", ())))


def open_backend(entry: BackendEntry, *, context: BackendContext) -> Backend:
    """Open the back-end that a document declares.

    Args:
        entry: the document's declaration.
        context: folder, environment and model weights.

    Raises:
        AdapterError: no adapter of that name, its SDK is not installed, or its config is not acceptable.
    """
    point = _entry_point(entry)
    try:
        factory = cast("Callable[..., Backend]", point.load())
        return factory(entry, context=context)
    except ImportError as error:
        raise AdapterError(_missing_sdk(entry.adapter, error)) from error


def _entry_point(entry: BackendEntry) -> EntryPoint:
    found = installed(GROUP, entry.adapter)
    if not found:
        known = ", ".join(f"`{name}`" for name in known_adapters()) or "none"
        raise AdapterError(
            f"back-end `{entry.name}`: no adapter is called `{entry.adapter}`; installed adapters: {known}"
        )
    if len({point.value for point in found}) > 1:
        # INVARIANT (one adapter a name): a second distribution must not shadow the one that was reviewed.
        places = ", ".join(sorted(f"`{point.value}`" for point in found))
        raise AdapterError(
            f"back-end `{entry.name}`: several adapters are called `{entry.adapter}`: {places}"
        )
    return found[0]


def _missing_sdk(adapter: str, error: ImportError) -> str:
    extra = EXTRAS.get(adapter)
    way = f"install `remit[{extra}]`" if extra else "install the package that the adapter needs"
    return f"adapter `{adapter}` cannot be imported: {error}; {way}"
