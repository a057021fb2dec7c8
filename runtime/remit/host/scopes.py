"""Which orders concern an agent: its own, those of its lineage and of its tenant.

Rules
1. `lineage:<agent id>` concerns that agent and every fork of it, of a fork of it, and so on.
   A fork names a *revision* of its parent; the store knows whose revision that is, if it holds that agent.
   Where it does not, `lineage:<revision>` still reaches the fork.
2. `tenant:<name>` concerns every agent whose governance has the attribute `tenant` with that text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remit.document.model import Document
    from remit.host.stores import Store

TENANT = "tenant"
"""The attribute of governance that names a tenant."""


def lineage_scopes(document: Document, store: Store) -> tuple[str, ...]:
    """Return the scopes of an agent's lineage: its own, and those of all that it descends from.

    Args:
        document: any revision of the agent; what it descends from never changes.
        store: searched for the agents whose revisions it descends from.

    Raises:
        LedgerError: the store cannot be read.
    """
    found = {document.identity.agent: None}
    ahead = list(document.lineage.parents)
    if not ahead:
        return (f"lineage:{document.identity.agent}",)
    agents = [other for name, _ in store.agents() if (other := store.load(name)) is not None]
    owners = {revision: other for other in agents for revision in _revisions(other)}
    while ahead:
        revision = ahead.pop()
        found[revision] = None
        owner = owners.get(revision)
        if owner is not None and owner.identity.agent not in found:
            found[owner.identity.agent] = None
            ahead += owner.lineage.parents
    return tuple(f"lineage:{name}" for name in found)


def tenant_scopes(document: Document) -> tuple[str, ...]:
    """Return the scope of the tenant that a revision belongs to, if it names one."""
    tenant = document.governance.attributes.get(TENANT)
    return (f"tenant:{tenant}",) if isinstance(tenant, str) and tenant else ()


def _revisions(document: Document) -> set[str]:
    """Return all revisions of an agent up to this one."""
    earlier = {operation.parent for operation in document.lineage.operations if operation.parent}
    return earlier | {document.identity.revision, document.identity.agent}
