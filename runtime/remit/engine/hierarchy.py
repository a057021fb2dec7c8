"""Who is in what: the entities of a request as a hierarchy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from remit.engine.policy_index import Uid


def all_ancestors(direct: Mapping[Uid, Iterable[Uid]]) -> dict[Uid, frozenset[Uid]] | None:
    """Return, by entity, everything above it; nothing where something is above itself.

    Args:
        direct: what each entity is directly in.
    """
    above: dict[Uid, frozenset[Uid]] = {}
    for uid, nearest in direct.items():
        reached: set[Uid] = set()
        ahead = list(nearest)
        while ahead:
            ancestor = ahead.pop()
            if ancestor not in reached:
                reached.add(ancestor)
                ahead.extend(direct.get(ancestor, ()))
        if uid in reached:
            return None
        above[uid] = frozenset(reached)
    return above
