"""What `remit compile --stats` says of the engine: which one decides, why, and what loading it takes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.cli.stores import open_auditable
from remit.engine.checked import CheckedEngine
from remit.engine.compiled.engine import applicable_policies
from remit.errors import NoStoreError
from remit.host.engines import SAMPLE, scope_of_image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remit.cli.output import Session
    from remit.document.values import JsonObject
    from remit.engine.checked import Divergence
    from remit.engine.image import PolicyImage
    from remit.host.location import Location


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStats:
    """How an image loads.

    Args:
        name: of the engine that decides.
        status: why it does, in one line.
        probes: requests that both engines decided alike at load.
        not_compiled: why the image is not compiled, reason by reason, each with its rule.
        actions: policies that can apply, by action.
        load_s: seconds to load it where nothing is kept.
        cached_load_s: seconds to load it from a cache; nothing where it cannot be kept.
    """

    name: str
    status: str
    probes: int
    not_compiled: tuple[str, ...]
    actions: Mapping[str, int]
    load_s: float
    cached_load_s: float | None

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        return {
            "name": self.name,
            "status": self.status,
            "probes": self.probes,
            "not_compiled": [*self.not_compiled],
            "load_s": round(self.load_s, 4),
            "cached_load_s": None if self.cached_load_s is None else round(self.cached_load_s, 4),
        }

    def show(self, session: Session) -> None:
        """Write it for people."""
        session.say("  can apply, by action:")
        for action, count in sorted(self.actions.items()):
            session.say(f"    {count:>6}  {action}")
        session.say(f"  engine: {self.status}")
        session.say(f"  probes: {self.probes}")
        for reason in self.not_compiled:
            session.say(f"  not compiled: {reason}", style="yellow")
        cached = "" if self.cached_load_s is None else f", {self.cached_load_s:.3f} s from a cache"
        session.say(f"  load: {self.load_s:.3f} s{cached}")


def engine_stats(
    image: PolicyImage, *, store: Location, progress: Callable[[int, int], None] | None
) -> EngineStats:
    """Load an image as a runtime would, without and with what a cache would give.

    Args:
        image: what governance compiled to.
        store: the agent's store, whose orders count; it need not be there.
        progress: called with how many probes are decided and how many there are at most.

    Raises:
        PolicyError: the image does not load.
        LedgerError: the store is there and cannot be read.
    """
    started = time.perf_counter()
    engine = CheckedEngine(image, sample=SAMPLE, on_divergence=_shown_by_status, progress=progress)
    load_s = time.perf_counter() - started
    saved = engine.save()
    cached_s: float | None = None
    if saved is not None:
        started = time.perf_counter()
        CheckedEngine(image, sample=SAMPLE, on_divergence=_shown_by_status, saved=saved)
        cached_s = time.perf_counter() - started
    name, status = engine.name, engine.status
    order = _order(store, image)
    if order:
        name = engine.reference
        status = f"{name}: {order}"
    return EngineStats(
        name=name,
        status=status,
        probes=engine.probes,
        not_compiled=engine.refused,
        actions=applicable_policies(image, engine.index),
        load_s=load_s,
        cached_load_s=cached_s,
    )


def _order(place: Location, image: PolicyImage) -> str:
    """Return which standing order keeps an image from running compiled; empty where none does."""
    try:
        store = open_auditable(place)
    except NoStoreError:
        return ""
    try:
        order = store.control.in_force([scope_of_image(image.digest)])
    finally:
        store.close()
    return "" if order is None else f"by order of {order.by} since {order.at}: {order.reason}"


def _shown_by_status(_: Divergence) -> None:
    """Do nothing: the engine's status says it."""
