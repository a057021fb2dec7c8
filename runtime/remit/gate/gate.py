"""The gate: the only door between a proposal and an effect.

Signatures first; the body follows in the next commit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from remit.document.values import JsonValue
from remit.engine.image import PolicyImage
from remit.engine.port import Engine
from remit.gate.answers import Answer, Ask, AwaitingApproval, Content, Denial, Granted
from remit.ports import Advance, Clock, ControlState, Ledger, RunState
from remit.records import Receipt

__all__ = ["Answer", "Ask", "AwaitingApproval", "Content", "Denial", "Gate", "Granted", "OutcomeStatus"]

OutcomeStatus = Literal["ok", "failed", "abandoned", "unknown"]


class Gate:
    """Authorize → record → permit, for one run of one agent under one policy image."""

    def __init__(
        self,
        engine: Engine,
        image: PolicyImage,
        ledger: Ledger,
        control: ControlState,
        clock: Clock,
        *,
        agent: str,
        run: str,
        new_id: Callable[[], str] | None = None,
        ledger_timeout_s: float = 30.0,
        permit_lifetime_s: float = 300.0,
    ) -> None: ...

    def authorize(self, ask: Ask) -> Answer:
        """Answer `ask`; never raises, every doubt is a `Denial`."""

    async def aauthorize(self, ask: Ask) -> Answer:
        """Like `authorize`, without blocking the event loop while the ledger commits."""

    def outcome(
        self,
        granted: Granted,
        status: OutcomeStatus,
        *,
        result: JsonValue = None,
        detail: str = "",
        advance: Advance | None = None,
        run_state: RunState | None = None,
    ) -> Receipt:
        """Record what became of a granted effect; raises LedgerError where it cannot be written.

        Also voids the permit if it was not redeemed.
        """

    async def aoutcome(
        self,
        granted: Granted,
        status: OutcomeStatus,
        *,
        result: JsonValue = None,
        detail: str = "",
        advance: Advance | None = None,
        run_state: RunState | None = None,
    ) -> Receipt:
        """Like `outcome`, without blocking the event loop."""
