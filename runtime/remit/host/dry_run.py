"""Dry run: everything is evaluated and recorded in a temporary store; nothing is touched.

Rules
1. Store, ledger and control state are new and temporary; standing orders of the real control state still
   count.
2. Tools do not run, and their modules are not even loaded: each answers with what was recorded for it, else
   with its declared `x-example`, else with `{"dry_run": true}`. The permit is redeemed all the same.
3. Back-ends do infer, because without the model's proposals there is nothing to evaluate; `dispatch` is
   decided first.
4. Memory changes go into the temporary store and are thrown away.
5. What a back-end makes at its vendor is noted in the real store, so that a crash leaves nothing unnoticed.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from remit.host.agent import Agent
from remit.host.stores import open_store
from remit.permit import redeem
from remit.ports import Batch, ToolResult

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from remit.document.model import Document
    from remit.document.values import JsonValue
    from remit.permit import Permit
    from remit.ports import ControlState, Invocation


class DryTools:
    """Answers in the place of all tools, without running any.

    Args:
        examples: what a tool answers each time.
        recorded: answers by tool that come first, in the order of its calls; the last one is given again.
    """

    def __init__(
        self,
        examples: Mapping[str, JsonValue],
        recorded: Mapping[str, Sequence[ToolResult]] | None = None,
    ) -> None:
        self._examples = dict(examples)
        self._recorded = {tool: list(answers) for tool, answers in (recorded or {}).items()}

    async def call(self, permit: Permit, invocation: Invocation) -> ToolResult:
        """Redeem the permit and answer with the declared example.

        Raises:
            PermitError: no valid permit.
        """
        redeem(permit, effect="call_tool", target=invocation.tool, digest=invocation.digest())
        recorded = self._recorded.get(invocation.tool)
        if recorded:
            return recorded.pop(0) if len(recorded) > 1 else recorded[0]
        value = self._examples.get(invocation.tool)
        return ToolResult(ok=True, value={"dry_run": True} if value is None else value)

    async def close(self) -> None:
        """Release nothing: nothing was opened."""


def examples_of(document: Document) -> dict[str, JsonValue]:
    """Return the declared `x-example` of every tool that has one."""
    tools = document.capabilities.value.get("tools")
    found: dict[str, JsonValue] = {}
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict) and isinstance(tool.get("name"), str) and "x-example" in tool:
            found[str(tool["name"])] = tool["x-example"]
    return found


@contextmanager
def rehearsal(
    agent: Agent, *, recorded: Mapping[str, Sequence[ToolResult]] | None = None
) -> Generator[tuple[Agent, DryTools]]:
    """Open a temporary store that holds the agent's head, and close and delete it afterwards.

    Args:
        agent: whose head.
        recorded: answers of tools, see `DryTools`.
    """
    document = agent.refresh()
    with tempfile.TemporaryDirectory(prefix="remit-dry-run-") as folder:
        store = open_store(Path(folder), signer=None, clock=agent.surroundings.clock)
        try:
            store.submit(Batch(records=(), create=document)).result()
            _copy_orders(agent, store.control)
            shadow = Agent(document, store, agent.surroundings, owns_store=False, noted_in=agent.noted_in)
            yield shadow, DryTools(examples_of(document), recorded)
        finally:
            store.close()


def _copy_orders(agent: Agent, temporary: ControlState) -> None:
    real, document = agent.store.control, agent.document
    scopes = ["all", f"agent:{document.identity.agent}", *agent.scopes]
    scopes += [f"tool:{tool.name}" for tool in document.capabilities.tools]
    scopes += [f"backend:{entry.name}" for entry in document.capabilities.backends]
    for scope in scopes:
        order = real.in_force([scope])
        if order is not None:
            temporary.stop(order)
