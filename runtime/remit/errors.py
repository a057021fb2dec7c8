"""What can go wrong, as one tree.

    GovernanceError
    ├── DocumentError      the document (or a carrier of it) cannot be accepted; lists every fault
    ├── PolicyError        governance does not compile, validate or load; lists every fault
    ├── EvaluationError    the engine was asked something that it cannot evaluate
    ├── EnforcementError   somebody tried to act past the gate
    │   └── PermitError    a permit is missing, used, expired or bound to other content
    ├── AdapterError       the world outside failed: a back-end, a tool source, a model fetch
    └── LedgerError        the record cannot be written, read or trusted
        ├── HeadMovedError compare-and-swap lost: the head, or what was judged by, is not the newest any more
        └── SettledError   an intent that was to be settled has an outcome already

A deny is a value (`remit.engine.Decision`, `remit.gate.Denial`), never one of these.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with an input, with its place.

    Args:
        message: lower case, no full stop, user input in backticks, cause after a colon.
        file: name of the input as the user gave it; empty where there is none.
        line: 1-based line; 0 where the input has no lines (CBOR, a Python value).
        column: 1-based column in characters; 0 like `line`.
        pointer: RFC 6901 JSON pointer of the member concerned; empty for the whole input.
        hint: what to do about it, one sentence without a full stop; may be empty.
    """

    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    pointer: str = ""
    hint: str = ""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        text = f"{place}: {self.message}" if place else self.message
        if self.pointer and not self.line:
            text = f"{text} (at `{self.pointer}`)"
        return f"{text}; {self.hint}" if self.hint else text


class GovernanceError(Exception):
    """Base of everything that Remit raises on purpose."""


class FaultsError(GovernanceError):
    """A `GovernanceError` that carries every fault found, in input order.

    Attributes:
        faults: at least one `Fault`.
    """

    def __init__(self, *faults: Fault) -> None:
        if not faults:
            raise ValueError("an error that lists faults needs at least one")
        self.faults: tuple[Fault, ...] = faults
        super().__init__("\n".join(str(fault) for fault in faults))


class DocumentError(FaultsError):
    """The document, or a carrier of it, cannot be accepted."""


class PolicyError(FaultsError):
    """Governance does not compile, validate or load."""


class EvaluationError(GovernanceError):
    """The engine was asked something that it cannot evaluate."""


class EnforcementError(GovernanceError):
    """Somebody tried to act past the gate."""


class PermitError(EnforcementError):
    """A permit is missing, used, expired, forged or bound to other content."""


class AdapterError(GovernanceError):
    """The world outside failed; `retryable` says whether trying again can help.

    Attributes:
        retryable: whether trying again can help.
        tokens: what the failed inference used up all the same, as far as the vendor says.
        cost_microusd: what that cost, in millionths of a US dollar.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.tokens = 0
        self.cost_microusd = 0


class LedgerError(GovernanceError):
    """The record cannot be written, read or trusted."""


class NoStoreError(LedgerError):
    """Nothing lies where a store was to be read."""


class HeadMovedError(LedgerError):
    """What was decided by is no longer the newest: the head, or records that something was judged by."""


class SettledError(LedgerError):
    """An intent that a batch settles has an outcome already; nothing was written."""
