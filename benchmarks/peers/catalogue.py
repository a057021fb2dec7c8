"""Who is measured, from which environment, and what each leaves out that another does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One peer.

    Args:
        name: of its module, `<name>_peer.py`.
        title: how people know it.
        environment: its packages are pinned in `<environment>.txt`; without such a file it needs none.
        note: what it checks and what it leaves out, beside the decision.
        packages: distributions whose versions the report names.
        needs_remit: whether Remit's own source is on its path.
        module: a module that must be there for it to be measured at all.
    """

    name: str
    title: str
    environment: str
    note: str
    packages: tuple[str, ...] = ()
    needs_remit: bool = False
    module: str = ""


BASE_LINE = "cedarpy"

PEERS = (
    Entry(
        name="floor",
        title="hand-written `if` table",
        environment="floor",
        note="decision only; no reasons, no errors, no check of the request; a new rule is new code",
    ),
    Entry(
        name="remit_compiled",
        title="Remit, compiled engine",
        environment="remit",
        note="decision, all reasons, all errors; every request checked against the schema",
        packages=("cedarpy",),
        needs_remit=True,
        module="remit.engine.compiled.engine",
    ),
    Entry(
        name="remit_cedar",
        title="Remit, Cedar engine",
        environment="remit",
        note="the same, decided by Cedar itself",
        packages=("cedarpy",),
        needs_remit=True,
    ),
    Entry(
        name="cedarpy",
        title="cedarpy, parsed handle",
        environment="cedarpy",
        note="decision, reasons, errors; no schema given, so the request is not checked",
        packages=("cedarpy",),
    ),
    Entry(
        name="cedar_python",
        title="cedar-python",
        environment="cedar_python",
        note="as cedarpy",
        packages=("cedar-python",),
    ),
    Entry(
        name="cedarling",
        title="Cedarling, unsigned",
        environment="cedarling",
        note="decision, reasons, errors; checks the request against its schema; log off, no tokens",
        packages=("cedarling-python",),
    ),
    Entry(
        name="agent_os_kernel",
        title="agent-os-kernel, shared evaluator",
        environment="agent_os_kernel",
        note="the first matching rule by priority, so one reason; no schema; makes an audit entry",
        packages=("agent-os-kernel",),
    ),
    Entry(
        name="agent_governance_toolkit",
        title="Agent Governance Toolkit, shared evaluator",
        environment="agent_governance_toolkit",
        note="as agent-os-kernel; the audit entry holds a deep copy of the context",
        packages=("agent-governance-toolkit-core",),
    ),
    Entry(
        name="vakt",
        title="vakt",
        environment="vakt",
        note="decision only (reasons go to its audit log, which is off)",
        packages=("vakt",),
    ),
    Entry(
        name="regorus",
        title="regorus (Rego in Rust)",
        environment="regorus",
        note="decision only; no schema; the wheel is a fork's",
        packages=("gordon-to-regorus",),
    ),
    Entry(
        name="regopy",
        title="regopy (Rego in C++)",
        environment="regopy",
        note="as regorus",
        packages=("regopy",),
    ),
    Entry(
        name="casbin",
        title="pycasbin, ordinary enforcer",
        environment="casbin",
        note="decision only; evaluates the text of each rule at every request; no schema",
        packages=("pycasbin",),
    ),
)


def chosen(names: str) -> tuple[Entry, ...]:
    """Return the entries of a comma-separated list of names, or all of them for an empty one.

    Raises:
        ValueError: a name that is not in the list; says which there are.
    """
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    unknown = sorted(wanted - {entry.name for entry in PEERS})
    if unknown:
        there = ", ".join(entry.name for entry in PEERS)
        raise ValueError(f"there is no peer `{unknown[0]}`: give some of {there}")
    return tuple(entry for entry in PEERS if not wanted or entry.name in wanted)
