"""Orders of the control state: which may be given, who may lift them, which one counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from remit.document.persons import same_person
from remit.errors import EnforcementError, LedgerError
from remit.ports import SCOPE_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.ports import Stop

ORDERS: Final = ("kill", "suspend")
_PREFIXES: Final = tuple(f"{kind}:" for kind in SCOPE_KINDS)


def first_in_force(standing: Sequence[Stop], scopes: Sequence[str]) -> Stop | None:
    """Return the first order that stands on any of `scopes` (a kill before a suspend), or None."""
    if not standing:
        return None
    orders = {stop.scope: stop for stop in standing}
    found = [orders[scope] for scope in scopes if scope in orders]
    return next((stop for stop in found if stop.order == "kill"), found[0] if found else None)


def require_lifter(scope: str, by: str) -> None:
    """Refuse to lift an order for nobody.

    Raises:
        LedgerError: it does not say by whom.
    """
    if not by.strip():
        raise LedgerError(f"cannot lift the order on `{scope}`: it must say by whom")


def require_other(scope: str, order: str, given_by: str, by: str) -> None:
    """Refuse to lift a kill for who gave it.

    Raises:
        EnforcementError: they are the same person.
    """
    if order == "kill" and same_person(given_by, by):
        raise EnforcementError(
            f"the kill on `{scope}` was given by `{given_by}`: another person must lift it"
        )


def check_order(order: Stop) -> None:
    """Refuse an order that would stop nothing, or that nobody gave.

    Raises:
        LedgerError: it is malformed.
    """
    if order.order not in ORDERS:
        raise LedgerError(f"`{order.order}` is not an order: use `kill` or `suspend`")
    named = any(order.scope.startswith(prefix) and len(order.scope) > len(prefix) for prefix in _PREFIXES)
    if order.scope != "all" and not named:
        # An order on a scope that nobody asks about would stop nothing.
        raise LedgerError(
            f"`{order.scope}` is not a scope: "
            "use `all`, `agent:<id>`, `lineage:<agent id>`, `tenant:<name>`, `run:<id>`, `tool:<name>`, "
            "`backend:<name>` or "
            "`engine:<compiler>:<image>`"
        )
    if not order.by.strip():
        raise LedgerError(f"an order on `{order.scope}` must say by whom")
