"""Remit's reference engine: Cedar through cedarpy, behind the ingress walk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peers.peer import Loaded
from peers.remit_form import image_of, request_of
from remit.engine.cedar import CedarEngine

if TYPE_CHECKING:
    from peers.workload import Workload
    from remit.engine.request import Request


def load(workload: Workload) -> Loaded[Request]:
    """Load the image."""
    engine = CedarEngine(image_of(workload))
    return Loaded(form=request_of, decide=lambda request: engine.decide(request).allowed)
