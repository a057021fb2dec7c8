"""How long records and what they say are kept: `retention.yaml`, beside the store or in it.

    classes:
      evidence: {contents_days: 730, records_days: 2190}
      operation: {contents_days: 190}
    kinds: {shadow: operation, object: operation}
    default: evidence

Rules
1. `contents_days` is when what lies beside a record (arguments, results, texts) is erased; left out: never.
   `records_days` is how old a record must be before the log may be pruned behind it; left out: the floor.
2. Neither is below the floor of six months for which logs of such systems are kept at least (Regulation (EU)
   2024/1689, Articles 19(1) and 26(6)). What a person asks to have erased is not a matter of retention.
3. A kind without a class of its own has the default; where there is no file, nothing expires and the floor
   holds for every kind.
4. Whatever else stands in the file is refused with its position.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from remit.document.carriers import format_of, read_value
from remit.document.faults import NAME, FaultLog, Members, nearest
from remit.document.json_text import printable
from remit.document.values import pointer_to
from remit.errors import DocumentError, Fault
from remit.ledger.encoding import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from remit.host.location import Location

FLOOR_DAYS: Final = 184
"""Days in the longest six months."""

FILE: Final = "retention.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionClass:
    """How long one class of records is kept.

    Args:
        name: its name.
        contents_days: days after which contents are erased; None for never.
        records_days: days before which a record is not pruned.
    """

    name: str
    contents_days: int | None = None
    records_days: int = FLOOR_DAYS


_KEPT = RetentionClass(name="floor")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRules:
    """A class for every kind of record.

    Args:
        default: of kinds that have none of their own.
        kinds: by record kind.
    """

    default: RetentionClass = _KEPT
    kinds: Mapping[str, RetentionClass] = field(default_factory=dict[str, RetentionClass])

    def of(self, kind: str) -> RetentionClass:
        """Return the class of a kind."""
        return self.kinds.get(kind, self.default)


def find_retention(place: Location) -> Path | None:
    """Return the retention file of a store: in its folder, else in the folder beside it; else None.

    A database has no folder: what is erased from it must not depend on where a program runs.
    """
    for folder in () if place.folder is None else (place.folder, place.beside):
        if (folder / FILE).is_file():
            return folder / FILE
    return None


def read_retention(path: Path) -> RetentionRules:
    """Read a retention file.

    Raises:
        DocumentError: it cannot be read or is none; every fault is listed with its place.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        raise DocumentError(Fault(message=f"cannot read `{path}`: {cause}")) from error
    parsed = read_value(data, format=format_of(path.name), file=str(path))
    log = FaultLog(parsed)
    whole = Members(parsed.value, "", log, extensions=False)
    classes: dict[str, RetentionClass] = {}
    for name, value in whole.object("classes").items():
        pointer = pointer_to("/classes", name)
        if NAME.fullmatch(name) is None:
            log.add(pointer, f"`{printable(name)}` is no name of a class", at_name=True)
        members = Members(value, pointer, log, extensions=False)
        contents = _days(members, "contents_days")
        records = _days(members, "records_days")
        members.close()
        classes[name] = RetentionClass(
            name=name, contents_days=contents, records_days=FLOOR_DAYS if records is None else records
        )
    kinds: dict[str, RetentionClass] = {}
    for kind, value in whole.object("kinds", required=False).items():
        pointer = pointer_to("/kinds", kind)
        if kind not in KINDS:
            hint = nearest(kind, KINDS) or f"use one of {', '.join(KINDS)}"
            log.add(pointer, f"`{printable(kind)}` is no kind of record", hint=hint, at_name=True)
        found = _class(value, pointer, classes, log)
        if found is not None:
            kinds[kind] = found
    default = _KEPT
    if whole.text("default", required=set(kinds) != set(KINDS)):
        default = _class(whole.value["default"], "/default", classes, log) or _KEPT
    whole.close()
    log.refuse()
    return RetentionRules(default=default, kinds=kinds)


def _days(members: Members, name: str) -> int | None:
    if name not in members.value:
        members.has(name)
        return None
    days = members.integer(name, default=FLOOR_DAYS)
    if days < FLOOR_DAYS:
        members.wrong(
            name,
            f"is {days}, below the floor of {FLOOR_DAYS} days",
            hint="logs are kept for six months at least; erase one person's data with `remit memory erase`",
        )
    return days


def _class(
    value: object, pointer: str, classes: Mapping[str, RetentionClass], log: FaultLog
) -> RetentionClass | None:
    name = value if isinstance(value, str) else ""
    found = classes.get(name)
    if found is None:
        hint = nearest(name, tuple(classes)) or "declare it under `classes`"
        log.add(pointer, f"no class is called `{printable(str(value))}`", hint=hint)
    return found
