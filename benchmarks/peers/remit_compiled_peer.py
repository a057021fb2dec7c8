"""Remit's compiled engine: the same image as Python code, with the same decision, reasons and errors."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from peers.peer import Loaded
from peers.remit_form import image_of, request_of

if TYPE_CHECKING:
    from peers.workload import Workload
    from remit.engine.port import Engine
    from remit.engine.request import Request


def load(workload: Workload) -> Loaded[Request]:
    """Load the image; the code of an action is made when it is first asked about."""
    made = import_module("remit.engine.compiled.engine").CompiledEngine(image_of(workload))
    engine = cast("Engine", made)
    return Loaded(form=request_of, decide=lambda request: engine.decide(request).allowed)
