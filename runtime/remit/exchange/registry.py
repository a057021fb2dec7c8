"""The foreign formats that can be read, by name and by what a file holds."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from remit.document.json_text import printable
from remit.errors import DocumentError, Fault
from remit.exchange.foreign import MAX_AGENTS
from remit.exchange.foreign_text import read_foreign

if TYPE_CHECKING:
    from remit.document.places import Parsed
    from remit.document.values import JsonValue
    from remit.exchange.foreign import ForeignAgent

READERS = {
    "openai-assistant": "openai_assistant",
    "agent-framework": "agent_framework",
    "docker-agent": "docker_agent",
    "letta": "letta",
    "agent-spec": "agent_spec",
    "a2a": "a2a",
}
"""Name of each format and the module of its reader, which exposes `READER`."""


class Reader(Protocol):
    """Reads one foreign format; a function of the value alone (rule 4 of `remit.exchange.foreign`)."""

    @property
    def name(self) -> str:
        """Name of the format, as in `READERS`."""
        ...

    def detects(self, value: JsonValue) -> bool:
        """Whether a value looks like this format; never raises, whatever the value is."""
        ...

    def read(self, parsed: Parsed) -> tuple[ForeignAgent, ...]:
        """Read the agents of one value.

        Args:
            parsed: a value from `remit.exchange.foreign_text`: nulls are None, depth is at most 64.

        Returns:
            At least one agent, in the file's order.

        Raises:
            DocumentError: the value cannot be an agent of this format; every fault found, with its place.
        """
        ...


def reader(name: str) -> Reader:
    """Return the reader of a format.

    Raises:
        DocumentError: there is no such format.
    """
    module = READERS.get(name)
    if module is None:
        raise DocumentError(
            Fault(
                message=f"`{printable(name)}` is no format that can be read",
                hint=f"use one of {', '.join(READERS)}",
            )
        )
    return cast("Reader", import_module(f"remit.exchange.{module}").READER)


def detect(parsed: Parsed) -> Reader:
    """Return the one reader whose format a value looks like.

    Raises:
        DocumentError: no format, or more than one, fits.
    """
    found = [candidate for candidate in map(reader, READERS) if candidate.detects(parsed.value)]
    if len(found) == 1:
        return found[0]
    line, column = parsed.place("")
    if found:
        names = ", ".join(f"`{candidate.name}`" for candidate in found)
        raise DocumentError(
            Fault(
                message=f"this may be an agent of more than one format: {names}",
                file=parsed.file,
                line=line,
                column=column,
                hint=f"say which with `--format {found[0].name}`",
            )
        )
    raise DocumentError(
        Fault(
            message="this is no agent of a format that can be read",
            file=parsed.file,
            line=line,
            column=column,
            hint=f"if it is one all the same, say which with `--format`: {', '.join(READERS)}",
        )
    )


def read_agents(data: bytes, *, file: str = "", format: str | None = None) -> tuple[ForeignAgent, ...]:  # noqa: A002  # the carriers' own word
    """Read every agent of a foreign file.

    Args:
        data: the bytes of the file.
        file: its name, for faults.
        format: name of the format; None finds it from the content.

    Raises:
        DocumentError: the bytes hold no readable value, no agent of the format, or more than `MAX_AGENTS`.
    """
    agents: list[ForeignAgent] = []
    values = read_foreign(data, file=file)
    for parsed in values[:MAX_AGENTS]:
        chosen = detect(parsed) if format is None else reader(format)
        agents.extend(chosen.read(parsed))
    count = len(agents) + len(values[MAX_AGENTS:])
    if count > MAX_AGENTS:
        raise DocumentError(
            Fault(
                message=f"the file holds {count} agents, more than the {MAX_AGENTS} allowed",
                file=file,
                hint="split it",
            )
        )
    return tuple(agents)
