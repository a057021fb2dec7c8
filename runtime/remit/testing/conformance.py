"""Runs a published contract without a test runner: the one entry point for adapters of third parties.

    outcomes = run_contract(MyBackendContract)

A contract is a class whose methods named `test_…` are its promises, such as
`remit.testing.backend_contract.BackendContract`. pytest collects the same class; nothing is gained or lost.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast
from unittest import SkipTest

from remit.errors import EvaluationError
from remit.testing.backend_contract import SCENES, BackendContract

if TYPE_CHECKING:
    from collections.abc import Callable

Verdict = Literal["kept", "broken", "exempt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one promise.

    Args:
        promise: the sentence.
        verdict: kept, broken or exempt.
        detail: what went wrong, or why it is exempt; empty where it was kept.
    """

    promise: str
    verdict: Verdict
    detail: str = ""


def find_contract(name: str) -> type[BackendContract]:
    """Return the contract class that `MODULE:CLASS` names; modules of the working folder are found too.

    Raises:
        EvaluationError: there is no such module or class, or it is no complete contract.
    """
    module_name, mark, class_name = name.partition(":")
    if not (mark and module_name and class_name):
        raise EvaluationError(f"`{name}` is not MODULE:CLASS, such as `tests.my_adapter:TestMyBackend`")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise EvaluationError(f"`{module_name}` is no name of a module")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        cause = str(error) or type(error).__name__
        raise EvaluationError(f"module `{module_name}` cannot be imported: {cause}") from error
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, BackendContract)):
        raise EvaluationError(f"`{class_name}` in `{module_name}` is no subclass of `BackendContract`")
    strangers = unknown_exemptions(found)
    if strangers:
        known = ", ".join(f"`{name}`" for name in sorted(SCENES))
        raise EvaluationError(f"`{class_name}` exempts `{strangers[0]}`, which is no scene; scenes: {known}")
    missing: frozenset[str] = getattr(found, "__abstractmethods__", frozenset[str]())
    if missing:
        raise EvaluationError(f"`{class_name}` lacks {', '.join(f'`{item}`' for item in sorted(missing))}")
    return found


def unknown_exemptions(contract: type[BackendContract]) -> tuple[str, ...]:
    """Return the names under `exempt` that no scene has: a mistake, or an exemption that outlived it."""
    return tuple(sorted(set(contract.exempt) - SCENES))


def run_contract(
    contract: type[BackendContract], *, told: Callable[[Outcome], None] = lambda _: None
) -> tuple[Outcome, ...]:
    """Put every promise of a contract to the test, in the order in which they are written.

    Args:
        contract: the class; a fresh instance serves each promise.
        told: called with each outcome as it comes.
    """
    outcomes: list[Outcome] = []
    for name in dict.fromkeys(name for kind in reversed(contract.__mro__) for name in vars(kind)):
        if not name.startswith("test_"):
            continue
        promise = name.removeprefix("test_").replace("_", " ")
        try:
            cast("Callable[[], object]", getattr(contract(), name))()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # whatever escapes breaks the promise, an exit included
            # A test runner's own way to skip is not derived from `Exception`.
            skipped = isinstance(error, SkipTest) or type(error).__name__ == "Skipped"
            outcome = Outcome(
                promise=promise,
                verdict="exempt" if skipped else "broken",
                detail=str(error) if skipped else _why(error),
            )
        else:
            outcome = Outcome(promise=promise, verdict="kept")
        outcomes.append(outcome)
        told(outcome)
    return tuple(outcomes)


def _why(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    said = " ".join(str(error).split()) or type(error).__name__
    line = f" ({last.line})" if last.line and isinstance(error, AssertionError) else ""
    return f"{said[:300]}{line}"
