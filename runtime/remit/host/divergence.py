"""What becomes of a difference between the two engines: an order, a record, an event.

Rules
1. The order first: it is what keeps the image on the reference after a restart and in other processes.
2. The record next, in front of the record of the deny; the request is its erasable content.
3. Neither failing undoes the other, nor the deny: what failed is logged, and the gate cannot record either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from remit.document.values import canonical
from remit.engine.compiled.version import NAME
from remit.gate.recorded import data_subject
from remit.host.engines import scope_of_image
from remit.host.events import EngineDiverged
from remit.ports import Batch, Stop
from remit.records import Draft

if TYPE_CHECKING:
    from concurrent.futures import Future

    from remit.document.values import Canonical, JsonObject
    from remit.engine.checked import Divergence
    from remit.engine.request import Request
    from remit.host.stores import Store
    from remit.records import Receipt

BY = "remit"
"""Who gives the order: nobody's name, so that any person who may stop the agent may withdraw it."""


class Kept(NamedTuple):
    """A difference that was made known, and its record, which may not be durable yet."""

    event: EngineDiverged
    record: Future[tuple[Receipt, ...]]


def keep(difference: Divergence, store: Store, *, agent: str, image: str, at: str) -> Kept:
    """Make a difference known and lasting.

    Args:
        difference: what the engines differ on.
        store: gets the order and the record.
        agent: agent id.
        image: digest of the policy image.
        at: RFC 3339 UTC time.
    """
    import structlog

    event = EngineDiverged(
        when=difference.when,
        image=image,
        action=_printable(difference.request.action),
        compiled=difference.found,
        reference=difference.wanted,
        at=at,
    )
    log = structlog.get_logger()
    log.error("engine_diverged", **{k: v for k, v in event.members().items() if k != "at"})
    scope = scope_of_image(image)
    where = "at load" if event.when == "load" else "in service"
    reason = f"{NAME} differed {where} on `{event.action}`: {event.compiled} instead of {event.reference}"
    try:
        store.control.stop(Stop(scope=scope, order="kill", by=BY, reason=reason, at=at))
    except Exception as error:  # noqa: BLE001  # rule 3
        log.error("engine_order_failed", image=image, error=str(error))  # noqa: TRY400  # the sentence is enough
    body: JsonObject = {
        "order": "kill",
        "scope": scope,
        "by": BY,
        "reason": reason,
        "operation": "engine_diverged",
        "when": event.when,
        "image": image,
        "action": event.action,
        "compiled": event.compiled,
        "reference": event.reference,
    }
    draft = Draft(
        kind="control",
        agent=agent,
        run="",
        at=at,
        body=body,
        content=_content(difference.request),
        subject=data_subject(difference.request),
    )

    def landed(future: Future[tuple[Receipt, ...]]) -> None:
        error = future.exception()
        if error is not None:
            log.error("engine_record_failed", image=image, error=str(error))

    record = store.submit(Batch(records=(draft,)))
    record.add_done_callback(landed)
    return Kept(event, record)


def _content(request: Request) -> Canonical:
    value: JsonObject = {
        "principal": {"ref": str(request.principal.ref), "attributes": request.principal.attributes},
        "resource": {"ref": str(request.resource.ref), "attributes": request.resource.attributes},
        "context": request.context,
        "entities": [{"ref": str(one.ref), "attributes": one.attributes} for one in request.entities],
    }
    try:
        return canonical(value)
    except Exception as error:  # noqa: BLE001  # whatever the canonical form refuses
        return canonical({"unrecordable": _printable(str(error) or type(error).__name__)})


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
