"""What every wire's answer is held to: call ids of their own, strict arguments, a bound on its size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.errors import AdapterError
from remit.messages import ToolCall
from remit_adapters.calls import strict_arguments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from remit.messages import Turn

MAX_CALLS = 128
MAX_CHARACTERS = 1 << 24
"""An answer beyond this is an attack on memory, whatever was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentCall:
    """A proposed call as the server sent it.

    Args:
        id: the server's id for it; may be empty.
        name: the tool's name as the model wrote it.
        raw: the argument text.
    """

    id: str
    name: str
    raw: str


def new_call_id(turn: Turn, number: int) -> str:
    """Return an id for the `number`-th call of the answer to `turn`, the same in every process."""
    position = sum(1 for message in turn.messages if message.role == "assistant")
    return f"call_{position}_{number}"


def finished_calls(
    turn: Turn, sent: Iterable[SentCall], *, whole: bool, own_ids: bool = False
) -> Iterator[ToolCall]:
    """Yield the calls of an answer in order.

    Args:
        turn: what was asked.
        sent: the calls in the server's order.
        whole: whether the answer was finished; where it was cut off, empty text is not an empty object.
        own_ids: give calls our own ids instead of the server's.
    """
    used = {call.id for message in turn.messages for call in message.tool_calls}
    for number, call in enumerate(sent):
        call_id = "" if own_ids or call.id in used else call.id
        call_id = call_id or new_call_id(turn, number)
        used.add(call_id)
        arguments = strict_arguments(call.raw) if whole or call.raw.strip() else None
        yield ToolCall(id=call_id, name=call.name, arguments=arguments, raw=call.raw)


class AnswerBudget:
    """Counts what one answer holds.

    Args:
        backend: the document's name of the back-end, for messages.
    """

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._characters = 0

    def take(self, *texts: object) -> None:
        """Count the texts among `texts`.

        Raises:
            AdapterError: the answer is longer than `MAX_CHARACTERS`.
        """
        self._characters += sum(len(text) for text in texts if isinstance(text, str))
        if self._characters > MAX_CHARACTERS:
            raise AdapterError(
                f"back-end `{self._backend}` sent more than {MAX_CHARACTERS:,} characters in one answer"
            )

    def calls(self, count: int) -> None:
        """Check how many calls an answer proposes.

        Raises:
            AdapterError: more than `MAX_CALLS`.
        """
        if count > MAX_CALLS:
            raise AdapterError(
                f"back-end `{self._backend}` proposed more than {MAX_CALLS} calls in one answer"
            )
