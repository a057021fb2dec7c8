"""One mapping of a case file, read member by member; what is wrong is kept as a fault with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from remit.project.source import check_keys, key_fault, kind_of, listing, nearest
from remit.workbench.suites.model import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from remit.document.values import JsonObject, JsonValue
    from remit.errors import Fault
    from remit.project.source import FaultList, Node


class MisfitError(Exception):
    """Parts of a case do not fit together.

    Attributes:
        hint: what to do about it.
        key: the member of the request that it is about; empty where it is no single one.
    """

    def __init__(self, message: str, hint: str, *, key: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.key = key

    def fault(self, node: Node) -> Fault:
        """Make a fault at the member of `node` that it is about, or at `node` itself."""
        return node_at(node, self.key).fault(str(self), self.hint)


def node_at(node: Node, *path: str) -> Node:
    """Return the member that a path leads to, or the nearest one around it."""
    for key in path:
        if key not in (node.object() or {}):
            break
        node = node.member(key)
    return node


def place_of(node: Node) -> Place:
    """Return where a value stands."""
    line, column = node.source.place(node.pointer)
    return Place(file=node.source.file, line=line, column=column)


class Members:
    """Reads one mapping.

    Args:
        node: the value that should be a mapping.
        faults: where faults go.
        what: what it is, for messages, with its article.
        known: its keys; `x-` keys are free.
        required: keys that must be there.
    """

    def __init__(
        self, node: Node, faults: FaultList, *, what: str, known: Sequence[str], required: Iterable[str] = ()
    ) -> None:
        self.node = node
        self._faults = faults
        self._what = what
        self.readable = check_keys(node, known=known, what=what, faults=faults)
        self.value: JsonObject = node.object() or {}
        if self.readable:
            self._require(required, known)

    def _require(self, required: Iterable[str], known: Sequence[str]) -> None:
        """Keep a fault for every key that is not there; one that is misspelled was told of."""
        odd = {nearest(key, known) for key in self.value if key not in known}
        for key in required:
            if key not in self.value and nearest(key, (key,)) not in odd:
                self._faults.add(self.node.fault(f"{self._what} lacks `{key}`", f"add `{key}:`"))

    def has(self, key: str) -> bool:
        """Return whether the member is there."""
        return key in self.value

    def at(self, key: str) -> Node:
        """Return the node of a member that is there."""
        return self.node.member(key)

    def wrong(self, key: str, message: str, hint: str) -> None:
        """Keep a fault of a member's value."""
        self._faults.add(self.at(key).fault(message, hint))

    def wrong_key(self, key: str, message: str, hint: str) -> None:
        """Keep a fault of a member as such, at its key."""
        self._faults.add(key_fault(self.node, key, message, hint))

    def wrong_all(self, message: str, hint: str) -> None:
        """Keep a fault of the whole mapping."""
        self._faults.add(self.node.fault(message, hint))

    def text(self, key: str, *, choices: Sequence[str] = (), empty: bool = False) -> str:
        """Return a text; empty where it is absent or wrong.

        Args:
            key: the member.
            choices: the only texts allowed.
            empty: whether the empty text is allowed.
        """
        value = self.value.get(key, "")
        if not isinstance(value, str):
            self.wrong(key, f"`{key}` of {self._what} is {kind_of(value)}, not a text", "put it in quotes")
            return ""
        if key in self.value and not value.strip() and not empty:
            self.wrong(key, f"`{key}` of {self._what} is empty", "write it out, or leave the key out")
            return ""
        if choices and key in self.value and value not in choices:
            hint = nearest(value, choices) or f"it is one of {listing(choices)}"
            self.wrong(key, f"`{key}` is `{value}`", hint)
            return ""
        return value

    def texts(self, key: str, *, single: bool = False) -> tuple[str, ...]:
        """Return a list of texts.

        Args:
            key: the member.
            single: whether one text may stand for a list of one.
        """
        value = self.value.get(key, [])
        if single and isinstance(value, str) and value:
            return (value,)
        if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
            return tuple(cast("list[str]", value))
        self.wrong(
            key, f"`{key}` is {_not_texts(value)}, not a list of texts", "write such as `[first, second]`"
        )
        return ()

    def mapping(self, key: str) -> JsonObject:
        """Return a mapping of free content."""
        value = self.value.get(key, {})
        if isinstance(value, dict):
            return value
        self.wrong(key, f"`{key}` is {kind_of(value)}, not a mapping", "write such as `{name: value}`")
        return {}

    def items(self, key: str) -> tuple[Node, ...]:
        """Return the nodes of a list."""
        if key not in self.value:
            return ()
        node = self.at(key)
        if isinstance(node.value, list):
            return tuple(node.items())
        self.wrong(key, f"`{key}` is {kind_of(node.value)}, not a list", "begin each item with `- `")
        return ()

    def count(self, key: str) -> int | None:
        """Return a whole number from 0, or None where it is absent or wrong."""
        value = self.value.get(key)
        if key not in self.value:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        self.wrong(key, f"`{key}` is {shown(value)}, not a whole number from 0", "write such as `1`")
        return None

    def flag(self, key: str) -> bool | None:
        """Return a truth value, or None where it is absent or wrong."""
        value = self.value.get(key)
        if key not in self.value or isinstance(value, bool):
            return cast("bool | None", value)
        self.wrong(key, f"`{key}` is {kind_of(value)}, not a truth value", "write `true` or `false`")
        return None


def shown(value: JsonValue) -> str:
    """Show a value to people, briefly."""
    import json

    text = json.dumps(value, ensure_ascii=False)
    return f"`{text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}`"


_SHOWN = 60


def _not_texts(value: JsonValue) -> str:
    if not isinstance(value, list):
        return kind_of(value)
    odd = next((item for item in value if not isinstance(item, str) or not item), None)
    return f"a list that holds {'an empty text' if odd == '' else kind_of(odd)}"
