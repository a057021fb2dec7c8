"""Amending governance or capabilities: judged by the rules in force, and compiled before it is stored."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from remit.document.revision import revise
from remit.errors import HeadMovedError, LedgerError
from remit.gate.answers import Granted
from remit.host.operations import answer_of, operation_session
from remit.host.requests import agent_entity
from remit.host.session import MAX_MOVES
from remit.messages import content_digest

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.host.agent import Agent
    from remit.host.caller import Caller
    from remit.host.results import Answer


async def amend(
    agent: Agent,
    *,
    by: Caller,
    reason: str,
    governance: JsonObject | None,
    capabilities: JsonObject | None,
) -> Answer:
    """Replace fields of the document; see `Runtime.amend`.

    Raises:
        DocumentError: a new field is not valid.
        PolicyError: the new governance does not compile.
        LedgerError: it cannot be recorded; nothing changed.
    """
    await asyncio.to_thread(agent.refresh)
    session = operation_session(agent, by)
    given: dict[str, JsonObject | None] = {"governance": governance, "capabilities": capabilities}
    changed = {name: value for name, value in given.items() if value is not None}
    fields: list[JsonValue] = [*sorted(changed)]
    content: JsonObject = {**changed, "reason": reason}
    for _ in range(MAX_MOVES):
        parent = session.document
        entity = agent_entity(parent)
        # Validated first: what cannot be stored need not be decided.
        draft = revise(
            parent,
            operation="amend",
            actor=str(session.actor.ref),
            at=agent.clock.now(),
            decision="",
            governance=governance,
            capabilities=capabilities,
        )
        # Beside the loop: decisions under the old rules go on meanwhile.
        await asyncio.to_thread(agent.prepare, draft)
        answer = await session.ask(
            "amend", resource=entity, given={"fields": fields}, content=content_digest(content)
        )
        if isinstance(answer, Granted):
            child = revise(
                parent,
                operation="amend",
                actor=str(session.actor.ref),
                at=agent.clock.now(),
                decision=answer.receipt.digest,
                governance=governance,
                capabilities=capabilities,
            )
            try:
                await agent.advance(child, session.revision_draft(parent, child, replaced=True))
            except HeadMovedError:
                agent.reload()
                continue
        return answer_of(session, answer, action="amend", resource=str(entity.ref))
    raise LedgerError(f"the agent's head moved {MAX_MOVES} times while `amend` was recorded")
