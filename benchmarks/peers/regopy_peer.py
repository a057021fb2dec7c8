"""Rego in process through regopy (rego-cpp), its entry point built once into a bundle."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from peers.peer import Loaded, nested
from peers.rego_form import module_text

if TYPE_CHECKING:
    from peers.workload import Workload

_ENTRY = "bench/allow"


def load(workload: Workload) -> Loaded[dict[str, object]]:
    """Build the bundle once."""
    engine = import_module("regopy").Interpreter()
    engine.add_module("bench.rego", module_text(workload))
    bundle = engine.build(None, [_ENTRY])

    def decide(given: dict[str, object]) -> bool:
        engine.set_input(given)
        answer: bool = engine.query_bundle_entrypoint(bundle, _ENTRY)[0][0] is True
        return answer

    return Loaded(form=nested, decide=decide)
