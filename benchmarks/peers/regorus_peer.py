"""Rego in process through regorus (Rust), compiled for its virtual machine."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING

from peers.peer import Loaded, nested
from peers.rego_form import module_text

if TYPE_CHECKING:
    from peers.workload import Workload

_ENTRY = "data.bench.allow"


def load(workload: Workload) -> Loaded[dict[str, object]]:
    """Compile the module once."""
    regorus = import_module("regorus")
    program = regorus.Program.compile_from_modules("{}", [("bench.rego", module_text(workload))], [_ENTRY])
    machine = regorus.Rvm()
    machine.load_program(program)

    def decide(given: dict[str, object]) -> bool:
        machine.set_input_json(json.dumps(given))
        answer: bool = machine.execute() == "true"
        return answer

    return Loaded(form=nested, decide=decide)
