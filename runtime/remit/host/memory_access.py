"""Memory for callers: the operations of `MemoryDesk` on their own behalf, each through the gate."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from remit.host.memory_operations import MemoryDesk
from remit.host.operations import answer_of, operation_session

if TYPE_CHECKING:
    from remit.document.values import JsonValue
    from remit.host.agent import Agent
    from remit.host.caller import Caller
    from remit.host.memory_operations import Outcome
    from remit.host.results import Answer


class MemoryAccess:
    """Memory operations of one caller."""

    def __init__(self, agent: Agent, by: Caller) -> None:
        self._session = operation_session(agent, by)
        author = "operator" if "operator" in by.roles else "caller"
        self._desk = MemoryDesk(self._session, author=author)

    async def remember(self, block: str, value: JsonValue, *, key: str | None, subject: str) -> Answer:
        """Write a new entry."""
        await self._ready()
        outcome = await self._desk.remember(block, value, key=key, subject=subject)
        return self._answer("remember", block, outcome)

    async def revise(self, block: str, entry: str, value: JsonValue) -> Answer:
        """Replace an entry's value."""
        await self._ready()
        return self._answer("revise", block, await self._desk.revise(block, entry, value))

    async def erase(self, block: str, *, entry: str, subject: str) -> Answer:
        """Erase one entry, or all of a data subject."""
        await self._ready()
        return self._answer("erase", block, await self._desk.erase(block, entry=entry, subject=subject))

    async def recall(self, block: str, *, subject: str) -> Answer:
        """Read a block's entries."""
        await self._ready()
        return self._answer("recall", block, await self._desk.recall(block, subject=subject))

    async def export(self, block: str, *, subject: str) -> Answer:
        """Read a block's entries in full."""
        await self._ready()
        outcome = await self._desk.recall(block, subject=subject, action="export")
        return self._answer("export", block, outcome)

    async def _ready(self) -> None:
        await asyncio.to_thread(self._session.agent.refresh)

    def _answer(self, action: str, block: str, outcome: Outcome) -> Answer:
        return answer_of(self._session, outcome, action=action, resource=f'Remit::Block::"{block}"')
