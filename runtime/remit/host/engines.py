"""Engines made ready for the agents of this process.

Rules
1. An image is compiled once for each governance, and its engine is made once for each image; agents share.
2. An image whose compiled code once differed from the reference stays on the reference for good: the store's
   control state then holds a kill on the image's scope, which is read before an engine is chosen and whenever
   an agent looks for a newer head. Who withdraws it, as any kill, is another person, on the record.
3. Every agent that uses an engine is told of a difference, also one that comes later.
4. What an image and an engine are made of is kept in the store's sealed cache, if it has one, under a name
   that holds the digest of the content, and of the program that made it. Nothing else is believed, and where
   there is no such name everything is made anew.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import resources
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from remit.engine.cedar import CedarEngine
from remit.engine.checked import VERSION, CheckedEngine, saved_index
from remit.engine.compiled.version import FORMAT
from remit.errors import PolicyError
from remit.messages import content_digest
from remit.policy.base import base_policy_text, base_schema_text
from remit.policy.kept import image_from_bytes, image_to_bytes

if TYPE_CHECKING:
    from remit.document.model import Document
    from remit.document.values import JsonObject
    from remit.engine.checked import Divergence
    from remit.engine.image import PolicyImage
    from remit.engine.port import Engine
    from remit.ports import ControlState, SealedCache, Stop

EngineName = Literal["cedar", "compiled"]
DEFAULT: EngineName = "compiled"
SAMPLE = 1000
"""Every so many decisions of the compiled engine are decided again by the reference."""

_KEPT = 16
_T = TypeVar("_T")


def scope_of_image(digest: str) -> str:
    """Return the scope of the order that keeps an image from running compiled by this compiler."""
    return f"engine:compiled-{FORMAT}:{digest}"


Watcher = Callable[[str, "Divergence"], None]
"""Told the digest of an image and on what the engines differ."""


class Watch:
    """Tells of the difference that ended compiled decisions: once, to everyone who asks to be told.

    Args:
        image: digest of the policy image.
    """

    def __init__(self, image: str) -> None:
        self._image = image
        self._lock = threading.Lock()
        self._difference: Divergence | None = None
        self._watchers: list[weakref.WeakMethod[Watcher]] = []

    def __call__(self, difference: Divergence) -> None:
        """Tell everyone.

        Raises:
            Exception: the first that a watcher raised, after all were told.
        """
        with self._lock:
            self._difference = difference
            told, self._watchers = self._watchers, []
        failures: list[Exception] = []
        for reference in told:
            watcher = reference()
            if watcher is not None:
                try:
                    watcher(self._image, difference)
                except Exception as error:  # noqa: BLE001  # raised again once all were told
                    failures.append(error)
        if failures:
            raise failures[0]

    def tell(self, watcher: Watcher) -> None:
        """Tell `watcher`, a method of an object that is not kept alive: now if it has happened, or later."""
        with self._lock:
            difference = self._difference
            if difference is None:
                kept = [known for known in self._watchers if known() not in (None, watcher)]
                self._watchers = [*kept, weakref.WeakMethod(watcher)]
        if difference is not None:
            watcher(self._image, difference)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Governance ready to decide.

    Args:
        image: what it compiled to.
        engine: decides.
        watch: tells when the engine stops deciding by compiled code; None where it never does.
        note: why the engine is not the one that was asked for; empty where it is.
        watched: whether there are rules of `mode: shadow` besides.
    """

    image: PolicyImage
    engine: Engine
    watch: Watch | None = None
    note: str = ""
    watched: bool = False

    @property
    def status(self) -> str:
        """Which engine decides, and why, in one line for people."""
        if self.note:
            return f"{self.engine.name}: {self.note}"
        return self.engine.status if isinstance(self.engine, CheckedEngine) else self.engine.name


class _Kept(Generic[_T]):
    """What was made lately, by key; what is wanted by several threads at once is made by one of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: OrderedDict[str, _T] = OrderedDict()
        self._making: dict[str, threading.Lock] = {}

    def get(self, key: str, make: Callable[[], _T]) -> _T:
        """Return the value of a key."""
        with self._lock:
            known = self._values.get(key)
            if known is not None:
                self._values.move_to_end(key)
                return known
            making = self._making.setdefault(key, threading.Lock())
        with making:
            try:
                with self._lock:
                    known = self._values.get(key)
                if known is None:
                    known = make()
                with self._lock:
                    self._values[key] = known
                    while len(self._values) > _KEPT:
                        self._values.popitem(last=False)
                return known
            finally:
                with self._lock:
                    self._making.pop(key, None)


_IMAGES: _Kept[PolicyImage] = _Kept()
_PREPARED: _Kept[Prepared] = _Kept()


def compiled_image(document: Document, *, cache: SealedCache | None = None) -> PolicyImage:
    """Compile governance, or return what the same governance was compiled to before.

    Args:
        document: whose governance.
        cache: of the agent's store.

    Raises:
        PolicyError: it does not compile.
    """
    source: JsonObject = {
        "governance": document.governance.value,
        "capabilities": document.capabilities.value,
        "blocks": document.memory.value.get("blocks", []),
    }
    digest = content_digest(source)
    image = _IMAGES.get(digest, lambda: _compiled(document, digest, cache))
    if cache is not None and image_name(digest) and not cache.has(image_name(digest)):
        cache.keep(image_name(digest), image_to_bytes(image))
    return image


def _compiled(document: Document, digest: str, cache: SealedCache | None) -> PolicyImage:
    name = image_name(digest)
    if cache is not None and name:
        known = cache.kept(name)
        image = None if known is None else image_from_bytes(known)
        if image is not None:
            return image
        cache.drop(name)
    from remit.policy.compile import compile_governance

    return compile_governance(document)


def image_name(digest: str) -> str:
    """Return the name of a kept image by the digest of what it comes from; empty where none may be kept."""
    return f"image {digest} {program_digest()}" if program_digest() else ""


def engine_name(image: str) -> str:
    """Return the name of a kept engine by its image's digest; empty where none may be kept."""
    return f"engine {image} {VERSION} {program_digest()}" if program_digest() else ""


@functools.cache
def program_digest() -> str:
    """Return the digest of the program's own text that images and engines depend on.

    INVARIANT (never another program's code): a change of the compiler, however small, changes the name of
    everything that it makes. Empty where the text cannot be read; then nothing is kept.
    """
    whole = hashlib.sha256(f"{sys.version} {importlib.metadata.version('cedarpy')}".encode())
    try:
        for folder in ("document", "engine", "engine/compiled", "policy"):
            place = resources.files("remit").joinpath(*folder.split("/"))
            files = sorted(
                (one for one in place.iterdir() if one.name.endswith(".py")), key=lambda one: one.name
            )
            if not files:
                return ""
            for file in files:
                whole.update(f"{folder}/{file.name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
        whole.update(base_schema_text().encode() + b"\0" + base_policy_text().encode())
    except (OSError, PolicyError):
        return ""
    return whole.hexdigest()


def prepare(
    document: Document,
    *,
    engine: EngineName,
    control: ControlState | None = None,
    cache: SealedCache | None = None,
) -> Prepared:
    """Compile governance and choose what decides.

    Args:
        document: whose governance.
        engine: `cedar` is the reference; `compiled` is faster, and is checked against it at load and in
            service.
        control: of the agent's store; None where there is none.
        cache: likewise.

    Raises:
        PolicyError: it does not compile.
        LedgerError: the control state cannot be read.
    """
    from remit.policy.compile import has_shadow_rules

    image = compiled_image(document, cache=cache)
    order = None
    if engine == "compiled" and control is not None:
        order = control.in_force([scope_of_image(image.digest)])
    prepared = _of_image(image, engine, cache) if order is None else on_reference(image, order, cache=cache)
    return replace(prepared, watched=True) if has_shadow_rules(document) else prepared


def prepare_engine(image: PolicyImage, name: EngineName) -> Engine:
    """Return an engine for an image that is not enforced."""
    return _of_image(image, name, None).engine


def on_reference(image: PolicyImage, order: Stop, *, cache: SealedCache | None = None) -> Prepared:
    """Return the reference engine for an image that an order keeps from running compiled."""
    note = f"the policies do not run compiled since {order.at}, by order of {order.by}: {order.reason}"
    return replace(_of_image(image, "cedar", cache), note=note)


def _of_image(image: PolicyImage, engine: EngineName, cache: SealedCache | None) -> Prepared:
    prepared = _PREPARED.get(f"{engine} {image.digest}", lambda: _made(image, engine, cache))
    checked = prepared.engine
    name = engine_name(image.digest)
    if cache is not None and name and isinstance(checked, CheckedEngine) and not cache.has(name):
        saved = checked.save()
        if saved is not None:
            cache.keep(name, saved)
    # Equal policies can stand at other places of another document.
    return prepared if prepared.image is image else replace(prepared, image=image)


def _made(image: PolicyImage, engine: EngineName, cache: SealedCache | None) -> Prepared:
    name = engine_name(image.digest)
    saved = cache.kept(name) if cache is not None and name else None
    if engine == "cedar":
        return Prepared(image=image, engine=CedarEngine(image, index=saved_index(image, saved)))
    if saved is None and cache is not None:
        # Whatever lies there is not ours.
        cache.drop(name)
    watch = Watch(image.digest)
    checked = CheckedEngine(image, sample=SAMPLE, on_divergence=watch, saved=saved)
    return Prepared(image=image, engine=checked, watch=watch)
