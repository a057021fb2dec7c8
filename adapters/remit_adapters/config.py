"""A back-end's `config` member, read strictly: unknown members and wrong types are one clear error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from remit.document.values import MAX_SAFE_INTEGER, JsonObject, JsonValue
from remit.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.document.model import BackendEntry
    from remit.ports import BackendContext

_KINDS: dict[type, str] = {
    bool: "a boolean",
    dict: "an object",
    float: "a number",
    int: "an integer",
    list: "an array",
    str: "a string",
    type(None): "null",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigReader:
    """Typed reads from a JSON object; every failure names the member.

    Args:
        value: the object.
        where: what it is, for messages.
    """

    value: JsonObject
    where: str

    @classmethod
    def of_entry(cls, entry: BackendEntry) -> ConfigReader:
        """Read the config of `entry`."""
        return cls(value=entry.config, where=f"back-end `{entry.name}`: config")

    def error(self, member: str, message: str) -> AdapterError:
        """Make the error that names `member` (empty for the whole object)."""
        return AdapterError(f"{self.where}: `{member}`: {message}" if member else f"{self.where}: {message}")

    def only(self, *members: str) -> None:
        """Refuse members that are neither in `members` nor extensions (`x-…`)."""
        unknown = sorted(set(self.value) - set(members))
        unknown = [name for name in unknown if not name.startswith("x-")]
        if unknown:
            known = ", ".join(f"`{name}`" for name in members)
            raise self.error(unknown[0], f"is not known here; known members: {known}")

    def text(self, member: str, *, default: str | None = None) -> str:
        """Return a string."""
        value = self._get(member, default)
        if isinstance(value, str):
            return value
        raise self._wrong(member, value, "a string")

    def choice(self, member: str, choices: Sequence[str], *, default: str) -> str:
        """Return one of `choices`."""
        value = self.text(member, default=default)
        if value in choices:
            return value
        listed = ", ".join(f"`{choice}`" for choice in choices)
        raise self.error(member, f"`{value}` is not one of {listed}")

    def choices(self, member: str, choices: Sequence[str]) -> frozenset[str]:
        """Return an array of some of `choices`; empty where it is absent."""
        value = self.value.get(member, [])
        if not isinstance(value, list):
            raise self._wrong(member, value, "an array")
        listed = ", ".join(f"`{choice}`" for choice in choices)
        for item in value:
            if item not in choices:
                raise self.error(member, f"`{item}` is not one of {listed}")
        return frozenset(str(item) for item in value)

    def texts(self, member: str) -> tuple[str, ...]:
        """Return a non-empty array of distinct, non-empty strings."""
        value = self._get(member, None)
        if not isinstance(value, list):
            raise self._wrong(member, value, "an array")
        texts = tuple(item for item in value if isinstance(item, str) and item)
        if not texts or len(texts) != len(value) or len(set(texts)) != len(texts):
            raise self.error(member, "must be distinct, non-empty strings, at least one")
        return texts

    def flag(self, member: str, *, default: bool) -> bool:
        """Return a boolean."""
        value = self._get(member, default)
        if isinstance(value, bool):
            return value
        raise self._wrong(member, value, "a boolean")

    def integer(
        self, member: str, *, minimum: int = 0, maximum: int = MAX_SAFE_INTEGER, default: int | None = None
    ) -> int:
        """Return an integer in [minimum, maximum]."""
        value = self._get(member, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(member, value, "an integer")
        if minimum <= value <= maximum:
            return value
        raise self.error(member, f"`{value}` is not between {minimum} and {maximum}")

    def number(self, member: str, *, minimum: float, maximum: float, default: float | None = None) -> float:
        """Return a number in [minimum, maximum]."""
        value = self._get(member, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(member, value, "a number")
        if minimum <= value <= maximum:
            return float(value)
        raise self.error(member, f"`{value}` is not between {minimum:g} and {maximum:g}")

    def object(self, member: str) -> ConfigReader:
        """Return a reader of an object member."""
        value = self._get(member, None)
        if isinstance(value, dict):
            return ConfigReader(value=value, where=f"{self.where}: `{member}`")
        raise self._wrong(member, value, "an object")

    def objects(self, member: str) -> tuple[ConfigReader, ...]:
        """Return readers of the objects of an array member."""
        value = self._get(member, None)
        if not isinstance(value, list):
            raise self._wrong(member, value, "an array")
        readers: list[ConfigReader] = []
        for number, item in enumerate(value):
            place = f"{member}[{number}]"
            if not isinstance(item, dict):
                raise self._wrong(place, item, "an object")
            readers.append(ConfigReader(value=item, where=f"{self.where}: `{place}`"))
        return tuple(readers)

    def path(
        self, member: str, context: BackendContext, *, inside: Literal["folder", "any"] = "folder"
    ) -> Path:
        """Return a file path, relative ones against the project folder.

        Args:
            member: name of the member.
            context: gives the folder.
            inside: `folder` refuses paths that lead out of the project folder, links included.
        """
        text = self.text(member)
        if not text or "\x00" in text:
            raise self.error(member, "is not a path")
        path = Path(text)
        if context.folder is None:
            if inside == "any" and path.is_absolute():
                return path
            raise self.error(member, f"`{text}` cannot be resolved: this document has no project folder")
        folder = context.folder.resolve()
        resolved = (folder / path).resolve()
        if inside == "folder" and not resolved.is_relative_to(folder):
            raise self.error(member, f"`{text}` leads out of the project folder `{folder}`")
        return resolved

    def _get(self, member: str, default: JsonValue) -> JsonValue:
        if member in self.value:
            return self.value[member]
        if default is None:
            raise self.error(member, "is required")
        return default

    def _wrong(self, member: str, value: JsonValue, wanted: str) -> AdapterError:
        return self.error(member, f"is {_KINDS.get(type(value), 'something else')}, not {wanted}")
