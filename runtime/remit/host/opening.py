"""Opening an agent: load → verify identity → compile → put into the store if it is new."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from remit.document.model import Document
from remit.errors import DocumentError, Fault, LedgerError
from remit.host.agent import Agent, Surroundings
from remit.host.candidate import Candidate, candidate_of
from remit.host.clock import SystemClock
from remit.host.engines import DEFAULT, compiled_image, prepare_engine
from remit.host.location import Location, location_of
from remit.host.shadow import Shadow
from remit.host.stores import Store, cache_of, open_store
from remit.host.telemetry import open_telemetry
from remit.host.tool_sources import supplied_functions
from remit.host.trust import trusted
from remit.ports import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from remit.document.trust import TrustRules
    from remit.document.values import JsonValue
    from remit.host.engines import EngineName
    from remit.host.events import EngineDiverged
    from remit.ports import Clock, Signer, TelemetrySink

MAX_DOCUMENT_BYTES = 1 << 30


def read_document(path: Path) -> Document:
    """Read and verify a document file; the format follows from its suffix.

    Raises:
        DocumentError: it cannot be read or accepted.
    """
    from remit.document.carriers import format_of
    from remit.document.parse import parse_document

    try:
        if path.stat().st_size > MAX_DOCUMENT_BYTES:
            raise DocumentError(Fault(file=str(path), message="the file is larger than 1 GiB"))
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DocumentError(Fault(message=f"cannot read `{path}`: {reason.lower()}")) from error
    return parse_document(data, file=str(path), format=format_of(path.name))


def open_agent(
    source: str | Path | Document,
    *,
    store: str | Path | Location | Store,
    backend: str | None,
    clock: Clock | None,
    environment: Mapping[str, JsonValue],
    tools: tuple[Callable[..., object], ...],
    folder: Path | None,
    signer: Signer | None,
    mcp_servers: Mapping[str, object],
    engine: EngineName = DEFAULT,
    on_divergence: Callable[[EngineDiverged], None] | None = None,
    shadow: str | Path | Document | None = None,
    telemetry: Sequence[str | TelemetrySink] = (),
    telemetry_content: bool = False,
    trust: str | Path | TrustRules | None = None,
    signed: Sequence[Document] = (),
) -> Agent:
    """Open an agent; see `Runtime.open`.

    Raises:
        DocumentError: the document, a tool function or the back-end's name cannot be accepted, or the
            document is not signed as `trust` says.
        PolicyError: governance does not compile.
        EvaluationError: telemetry that was named is not installed.
        LedgerError: the store cannot be used or holds another content for this agent.
    """
    if isinstance(source, Document):
        document = source
    else:
        document = read_document(Path(source))
        folder = folder or Path(source).resolve().parent
    clock_used = clock or SystemClock()
    believed = None if trust is None else trusted(trust, document, clock_used, signed=signed)
    place = location_of(store) if isinstance(store, (str, Path, Location)) else None
    if place is not None and not place.begun:
        # A document that does not compile leaves no store behind.
        compiled_image(document)
    functions = supplied_functions(document, tools)
    surroundings = Surroundings(
        clock=clock_used,
        backend=known_backend(document, backend),
        environment=environment,
        functions=functions,
        servers=mcp_servers,
        folder=folder,
        engine=engine,
        on_divergence=on_divergence,
        telemetry=open_telemetry(telemetry, private=telemetry_content),
        trust=believed,
    )
    candidate = None if shadow is None else _candidate(shadow)
    if place is not None:
        opened = open_store(place, signer=signer, clock=clock)
        try:
            return _agent(document, opened, surroundings, candidate, owns_store=True)
        except BaseException:
            opened.close()
            raise
    return _agent(document, cast("Store", store), surroundings, candidate, owns_store=False)


def _agent(
    document: Document,
    store: Store,
    surroundings: Surroundings,
    candidate: Candidate | None,
    *,
    owns_store: bool,
) -> Agent:
    # INVARIANT (first compiled): no document becomes a head that does not compile.
    compiled_image(document, cache=cache_of(store))
    watching = _shadow(store, surroundings, candidate)
    return Agent(_head(document, store), store, surroundings, owns_store=owns_store, shadow=watching)


def _candidate(source: str | Path | Document) -> Candidate:
    """Read and compile what is watched beside; that it cannot be is the opener's mistake, told at once."""
    return candidate_of(source if isinstance(source, Document) else read_document(Path(source)))


def _shadow(store: Store, surroundings: Surroundings, candidate: Candidate | None) -> Shadow:
    return Shadow(
        store,
        surroundings.clock,
        candidate,
        make_engine=lambda image: prepare_engine(image, surroundings.engine),
    )


def known_backend(document: Document, name: str | None) -> str | None:
    """Return `name` if the document has such a back-end.

    Raises:
        DocumentError: it has none.
    """
    if name is None or document.backend(name) is not None:
        return name
    names = ", ".join(f"`{entry.name}`" for entry in document.capabilities.backends) or "none"
    raise DocumentError(Fault(message=f"the document has no back-end `{name}`", hint=f"it declares {names}"))


def _head(document: Document, store: Store) -> Document:
    """Return the store's head of the agent; a new agent is put there first.

    A document that is neither the head nor an ancestor of it is another history of the same agent and is
    refused.
    """
    agent = document.identity.agent
    known = store.load(agent)
    if known is None:
        store.submit(Batch(records=(), create=document)).result()
        return document
    ancestors = {operation.parent for operation in known.lineage.operations}
    revision = document.identity.revision
    if revision == known.identity.revision or revision in ancestors:
        return known
    raise LedgerError(
        f"the store holds another history of agent `{agent}`: its head is `{known.identity.revision}`, "
        f"and `{revision}` is not among its ancestors"
    )
