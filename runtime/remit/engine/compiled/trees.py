"""The policies' syntax trees: there while an engine is made, and gone when it is not; they are large."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cedarpy

from remit.engine.compiled.program import Numbered
from remit.engine.compiled.support import Unsupported, unsupported_depth
from remit.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cedarpy import pst

    from remit.engine.policy_index import PolicyIndex
    from remit.engine.schema import ActionType

CHUNK = 200
"""Policies that are parsed at once: bounds what the binding holds beside the trees."""


class Trees:
    """The trees of one image.

    Args:
        text: the image's policies.
        index: of these.

    Attributes:
        index: as given.
        rules: rule ids in image order.
    """

    def __init__(self, text: str, index: PolicyIndex) -> None:
        self._text = text
        self.index = index
        self.rules = tuple(policy.rule for policy in index.policies)
        self._numbered: tuple[Numbered, ...] | None = None

    def numbered(self) -> tuple[Numbered, ...]:
        """Return all policies with their numbers.

        Raises:
            Unsupported: lists every policy that is not compiled, and why.
        """
        if self._numbered is None:
            faults: list[Fault] = []
            policies = self.index.policies
            chunks = range(0, len(policies), CHUNK)
            self._numbered = tuple(
                Numbered(number, tree)
                for first in chunks
                for number, tree in self._chunk(first, min(first + CHUNK, len(policies)), faults)
            )
            if faults:
                self._numbered = None
                raise Unsupported(*faults)
        return self._numbered

    def texts(self) -> Iterator[str]:
        """Yield the text of every policy."""
        for policy in self.index.policies:
            yield self._text[policy.start : policy.end]

    def fitting(self, action: ActionType) -> Iterator[Numbered]:
        """Yield the policies whose scope admits an action."""
        known = self.index.policies
        for numbered in self.numbered():
            if known[numbered.rule].action.admits(action.name, action.ancestors):
                yield numbered

    def forget(self) -> None:
        """Let the trees go; they are parsed again when they are needed."""
        self._numbered = None

    def _chunk(self, first: int, end: int, faults: list[Fault]) -> Iterator[tuple[int, pst.Template]]:
        known = self.index.policies
        text = self._text[known[first].start : known[end - 1].end]
        try:
            trees = cedarpy.PolicySet.from_str(text).to_pst().static_policies
        except ValueError as error:
            if end - first > 1:
                for number in range(first, end):
                    yield from self._chunk(number, number + 1, faults)
                return
            faults.append(Fault(message=f"policy `{known[first].rule}` has no syntax tree: {error}"))
            return
        for number in range(first, end):
            tree = trees[f"policy{number - first}"]
            why = unsupported_depth(tree)
            if why:
                faults.append(Fault(message=f"policy `{known[number].rule}` {why}"))
            yield number, tree
