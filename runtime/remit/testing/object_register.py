"""The fake of `remit.ports.ObjectRegister`: keeps what is noted, in order, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from remit.ports import VendorObject


class KeptRegister:
    """Keeps every note, and what of it is left.

    Args:
        answers: folder for answers that outlive a process; None where nothing stays.
    """

    def __init__(self, answers: Path | None = None) -> None:
        self.answers = answers
        self.notes: list[tuple[str, VendorObject]] = []

    @property
    def left(self) -> tuple[VendorObject, ...]:
        """What was planned or made and is not gone, oldest first."""
        open_ones: dict[str, VendorObject] = {}
        for step, thing in self.notes:
            if step == "gone":
                open_ones.pop(thing.tag, None)
            else:
                open_ones[thing.tag] = thing
        return tuple(open_ones.values())

    async def planned(self, thing: VendorObject) -> None:
        """Keep that `thing` is about to be made."""
        self.notes.append(("planned", thing))

    async def made(self, thing: VendorObject) -> None:
        """Keep the vendor's id of `thing`."""
        self.notes.append(("made", thing))

    async def gone(self, thing: VendorObject) -> None:
        """Keep that `thing` does not exist any more."""
        self.notes.append(("gone", thing))
