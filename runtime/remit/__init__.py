"""Remit: a governance runtime for AI agents.

An agent is a document that its owner holds. Its rules compile to Cedar policies, and nothing reaches a
back-end or
a tool before the policy engine has allowed it and the decision is recorded.

    from remit import Caller, Runtime

    with Runtime.open("refund-desk.agent.json", store=".remit") as runtime:
        result = runtime.run("refund order 1007", caller=Caller(id="ann", roles=("clerk",)))

Names are loaded when they are first used: `import remit` itself imports no other module.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remit.document.model import Document
    from remit.document.parse import parse_document, serialize_document
    from remit.errors import (
        AdapterError,
        DocumentError,
        EnforcementError,
        EvaluationError,
        Fault,
        GovernanceError,
        HeadMovedError,
        LedgerError,
        PermitError,
        PolicyError,
    )
    from remit.host.caller import Caller
    from remit.host.results import Answer, Pending, RunResult, Step
    from remit.host.runtime import Runtime
    from remit.host.tools import tool
    from remit.policy.compile import compile_governance

__version__ = "0.1.0"

__all__ = [
    "AdapterError",
    "Answer",
    "Caller",
    "Document",
    "DocumentError",
    "EnforcementError",
    "EvaluationError",
    "Fault",
    "GovernanceError",
    "HeadMovedError",
    "LedgerError",
    "Pending",
    "PermitError",
    "PolicyError",
    "RunResult",
    "Runtime",
    "Step",
    "compile_governance",
    "parse_document",
    "serialize_document",
    "tool",
]

_HOMES = {
    "Answer": "remit.host.results",
    "Caller": "remit.host.caller",
    "Document": "remit.document.model",
    "Pending": "remit.host.results",
    "RunResult": "remit.host.results",
    "Runtime": "remit.host.runtime",
    "Step": "remit.host.results",
    "compile_governance": "remit.policy.compile",
    "parse_document": "remit.document.parse",
    "serialize_document": "remit.document.parse",
    "tool": "remit.host.tools",
}


def __getattr__(name: str) -> object:
    """Load a public name from the module that defines it."""
    if name not in __all__:
        raise AttributeError(f"module `remit` has no attribute `{name}`")
    value: object = getattr(import_module(_HOMES.get(name, "remit.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
