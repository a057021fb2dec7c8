"""`remit kill`: stop effects at once, also in other processes; `--lift` withdraws a stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from remit.cli.agents import existing_store
from remit.cli.exits import bad_input
from remit.cli.heads import open_head, show_answer
from remit.cli.options import caller_from, common, example, person_options, store_option
from remit.cli.rearm import lift
from remit.cli.stores import open_auditable
from remit.ports import SCOPE_KINDS
from remit.project.source import nearest

if TYPE_CHECKING:
    from remit.cli.output import Session
    from remit.host.results import Answer


_OF_AGENTS = ("agent", "lineage")
_OF_CAPABILITIES = ("tool", "backend")


@click.command(
    "kill",
    epilog=example(
        """remit kill all --as olga:operator --reason "incident 17" --store refund-desk/.remit""",
        """remit kill tool:refund --as olga:operator --reason "wrong totals" """.strip(),
        """remit kill all --lift --as olga:operator --reason "incident 17 is closed" """.strip(),
    ),
)
@click.argument("scope")
@click.option("--reason", required=True, help="Why.")
@click.option("--lift", "lifted", is_flag=True, help="Withdraw the stop on SCOPE.")
@click.option("--agent", default="", help="Whose rules judge, where the store holds several agents.")
@person_options
@store_option
@common
def command(
    session: Session,
    *,
    scope: str,
    reason: str,
    lifted: bool,
    agent: str,
    person: str | None,
    roles: tuple[str, ...],
    attributes: tuple[str, ...],
    store: str | None,
) -> int:
    """Stop SCOPE: `all`, `agent:ID`, `lineage:ID`, `tenant:NAME`, `run:ID`, `tool:NAME` or `backend:NAME`.

    `lineage:ID` stops that agent and every fork of it, `tenant:NAME` every agent with that attribute.
    `engine:COMPILER:IMAGE` stops compiled policies alone: the reference engine decides under that image.
    """
    kind, _, name = scope.partition(":")
    if scope != "all" and (kind not in SCOPE_KINDS or not name):
        raise bad_input(
            f"`{scope}` is no scope",
            "write `all`, `agent:ID`, `lineage:ID`, `tenant:NAME`, `run:ID`, `tool:NAME`, `backend:NAME` "
            "or `engine:COMPILER:IMAGE`",
        )
    if not reason.strip():
        raise bad_input("the reason is empty", "say why with `--reason`")
    answer: Answer | None = None
    for candidate in _judges(agent or (name if kind in _OF_AGENTS else ""), store=store):
        with open_head(candidate, store=store) as (runtime, opened):
            document = runtime.document
            caller = caller_from(person, roles, attributes, schema=document.governance.caller_schema)
            whole = f"{kind}:{document.identity.agent}" if kind in _OF_AGENTS else scope
            if lifted:
                answer = lift(document, opened, whole, by=caller, reason=reason)
            else:
                answer = runtime.kill(whole, by=caller, reason=reason)
        if answer.allowed:
            break
    if answer is None:
        raise bad_input("the store holds no agent whose rules could judge this", "run one first")
    code = show_answer(session, answer)
    if answer.allowed and not session.json:
        session.say(f"  {'lifted' if lifted else 'stopped'}   {scope}")
        if not lifted:
            _warn_of_unknown(session, kind, name, store=store)
            _show_in_flight(session, answer)
    return code


def _warn_of_unknown(session: Session, kind: str, name: str, *, store: str | None) -> None:
    """Say where no agent here has what the order names: it stands, and may be meant for something else."""
    if kind not in _OF_CAPABILITIES:
        return
    opened = open_auditable(existing_store(store))
    try:
        heads = [head for agent, _ in opened.agents() if (head := opened.load(agent)) is not None]
    finally:
        opened.close()
    known = {
        entry.name
        for head in heads
        for entry in (head.capabilities.tools if kind == "tool" else head.capabilities.backends)
    }
    if name not in known:
        near = nearest(name, sorted(known))
        session.note(
            f"no agent in this store has a {kind} `{name}`; {near}".rstrip("; "), indent=2, style="yellow"
        )


def _show_in_flight(session: Session, answer: Answer) -> None:
    """Say what had begun before the order and has no outcome yet."""
    under_way = answer.value if isinstance(answer.value, list) else []
    if not under_way:
        session.say("  in flight nothing")
        return
    session.say(f"  in flight {len(under_way)}, whose outcome is not known yet", style="yellow")
    for effect in under_way:
        if isinstance(effect, dict):
            session.say(
                f"    {effect['effect']} {effect['target']}  since {effect['since']}  run {effect['run']}"
            )


def _judges(agent: str, *, store: str | None) -> tuple[str, ...]:
    """Return the agents whose rules may judge: the named one, else each in turn until one allows it."""
    if agent:
        return (agent,)
    opened = open_auditable(existing_store(store))
    try:
        return tuple(name for name, _ in opened.agents())
    finally:
        opened.close()
