"""The public API: what `from remit import …` promises, and what `import remit` costs."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import remit

PUBLIC = [
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
SDKS = (
    "openai",
    "mcp",
    "xllamacpp",
    "anthropic",
    "google",
    "opentelemetry",
    "cedarpy",
    "pydantic",
    "jsonschema",
    "rich",
    "click",
)


def test_the_public_names_are_these_and_sorted() -> None:
    assert remit.__all__ == PUBLIC
    assert sorted(PUBLIC) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_documented(name: Any) -> None:
    assert getattr(remit, name).__doc__
    assert name in dir(remit)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="`nothing_like_it`"):
        _ = remit.nothing_like_it


def python(code: Any) -> Any:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()


def test_importing_remit_loads_no_other_module_of_it() -> None:
    assert python("import sys, remit; print(*[m for m in sys.modules if m.startswith('remit.')])") == []


def test_importing_the_runtime_loads_no_sdk() -> None:
    loaded = python("import sys; from remit import Runtime, Caller; print(*sys.modules)")
    assert [name for name in SDKS if name in loaded] == []
