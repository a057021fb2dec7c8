"""The policies' syntax trees: there while an engine is made, and gone when it is not; they are large."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING

import cedarpy

from remit.engine.compiled.program import Numbered
from remit.engine.compiled.support import Unsupported, unsupported_depth
from remit.engine.policy_index import ActionScope, PolicyIndex
from remit.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cedarpy import pst

    from remit.engine.image import PolicyImage
    from remit.engine.schema import ActionType

CHUNK = 200
"""Policies that are parsed at once: bounds what the binding holds beside the trees."""


class Trees:
    """The trees of one image.

    Args:
        text: the image's policies.
        index: of these.
        known: trees that were parsed already, by number.

    Attributes:
        index: as given.
        rules: rule ids in image order.
    """

    def __init__(
        self, text: str, index: PolicyIndex, known: Mapping[int, pst.Template] | None = None
    ) -> None:
        self._known = known or {}
        self._text = text
        self.index = index
        self.rules = tuple(policy.rule for policy in index.policies)
        self._by_scope: defaultdict[ActionScope, list[int]] = defaultdict(list)
        for number, policy in enumerate(index.policies):
            self._by_scope[policy.action].append(number)
        self._numbered: tuple[Numbered, ...] | None = None

    @classmethod
    def of(cls, image: PolicyImage) -> Trees:
        """Index an image's policies and keep their trees.

        Raises:
            PolicyError: as `PolicyIndex.of`.
        """
        known: dict[int, pst.Template] = {}
        return cls(image.policies, PolicyIndex.of(image, visit=known.__setitem__), known)

    def numbered(self) -> tuple[Numbered, ...]:
        """Return all policies with their numbers.

        Raises:
            Unsupported: lists every policy that is not compiled, and why.
        """
        if self._numbered is None:
            faults: list[Fault] = []
            trees = self._known or dict(self._parsed())
            self._known = {}
            for number, tree in trees.items():
                why = unsupported_depth(tree)
                if why:
                    faults.append(Fault(message=f"policy `{self.rules[number]}` {why}"))
            for number, rule in enumerate(self.rules):
                if number not in trees:
                    faults.append(Fault(message=f"policy `{rule}` has no syntax tree: it nests too deeply"))
            if faults:
                raise Unsupported(*faults)
            self._numbered = tuple(Numbered(number, trees[number]) for number in range(len(self.rules)))
        return self._numbered

    def texts(self) -> Iterator[str]:
        """Yield the text of every policy."""
        for policy in self.index.policies:
            yield self._text[policy.start : policy.end]

    def fitting(self, action: ActionType) -> Iterator[Numbered]:
        """Yield the policies whose scope admits an action, in image order."""
        numbered = self.numbered()
        for number in sorted(chain.from_iterable(self._admitting(action))):
            yield numbered[number]

    def applicable(self, action: ActionType) -> int:
        """Return how many policies' scopes admit an action."""
        return sum(map(len, self._admitting(action)))

    def _admitting(self, action: ActionType) -> Iterator[Sequence[int]]:
        for scope, numbers in self._by_scope.items():
            if scope.admits(action.name, action.ancestors):
                yield numbers

    def forget(self) -> None:
        """Let the trees go; they are parsed again when they are needed."""
        self._numbered = None
        self._known = {}

    def _parsed(self) -> Iterator[tuple[int, pst.Template]]:
        policies = self.index.policies
        for first in range(0, len(policies), CHUNK):
            yield from self._chunk(first, min(first + CHUNK, len(policies)))

    def _chunk(self, first: int, end: int) -> Iterator[tuple[int, pst.Template]]:
        """Yield the trees of some policies; those that have none are left out."""
        policies = self.index.policies
        text = self._text[policies[first].start : policies[end - 1].end]
        try:
            trees = cedarpy.PolicySet.from_str(text).to_pst().static_policies
        except ValueError:
            if end - first > 1:
                for number in range(first, end):
                    yield from self._chunk(number, number + 1)
            return
        for number in range(first, end):
            yield number, trees[f"policy{number - first}"]
