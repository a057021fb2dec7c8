"""What the tests of importers share: reading a sample, and the law that hostile values are read or refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st

from remit.document.json_text import parse_json
from remit.errors import DocumentError
from remit.exchange.document import import_agents, with_memory
from remit.exchange.foreign_text import read_foreign
from remit.exchange.registry import reader

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from remit.errors import Fault
    from remit.exchange.foreign import ForeignAgent

AGENTS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "agents"

OTHER_TYPES = [
    None,
    True,
    False,
    0,
    -7,
    2**53 - 1,
    1.5,
    "",
    "x",
    "a b/ü~\x07",
    "{{ name }}",
    "http://user:word@host/path?key=1#part",
    "http://[broken",
    "$component_ref",
    "Swarm",
    "A2AAgent",
    "system",
    [],
    [None],
    [1, "x", {}],
    [[["x"]]],
    {},
    {"a": None},
    {"type": "object"},
    {"type": 7},
    {"$ref": "#/nowhere"},
    {"$component_ref": "nowhere"},
    {"$component_ref": 5},
]
"""Values to put where another type belongs."""


def shared_file(family: str, name: str) -> bytes:
    """Return an optional real file; skip by name where it is not here."""
    path = AGENTS / family / name
    if not path.is_file():
        pytest.skip(f"the optional file ../shared/data/agents/{family}/{name} is not here")
    return path.read_bytes()


def read_bytes(format_name: str, data: bytes, *, file: str = "") -> tuple[ForeignAgent, ...]:
    """Read the one value of a file with one reader."""
    (parsed,) = read_foreign(data, file=file)
    return reader(format_name).read(parsed)


def read_value(format_name: str, value: object, *, file: str = "") -> tuple[ForeignAgent, ...]:
    """Read a value as if it stood in a JSON file."""
    return read_bytes(format_name, json.dumps(value, indent=2).encode(), file=file)


def said(agent: ForeignAgent, fate: str) -> str:
    """Return every remark of one fate as one text."""
    return "\n".join(remark.what for remark in agent.remarks if remark.fate == fate)


def documents(format_name: str, data: bytes) -> list[object]:
    """Make the documents of a file, memory and all: what was read must fit the format of documents."""
    agents = read_bytes(format_name, data)
    numbers = iter(range(1_000_000))
    return [
        with_memory(item, at="2026-01-02T03:04:05.006Z", salt=lambda: f"{next(numbers):032x}")
        for item in import_agents(agents, data)
    ]


def broken(sample: object) -> SearchStrategy[object]:
    """Return copies of a sample in which one to four members or elements are of another type."""
    places = list(_places(sample, ()))
    change = st.tuples(st.sampled_from(places), st.sampled_from(OTHER_TYPES))
    return st.lists(change, min_size=1, max_size=4).map(lambda changes: _changed(sample, changes))


def is_read_or_refused(format_name: str, value: object) -> None:
    """Hold the law: a value is read into agents, twice alike, or refused with faults; nothing else happens."""
    data = json.dumps(value).encode()
    parsed = parse_json(data)
    chosen = reader(format_name)
    assert chosen.detects(parsed.value) in (True, False)
    agents: tuple[ForeignAgent, ...] = ()
    faults: tuple[Fault, ...] = ()
    try:
        agents = chosen.read(parsed)
    except DocumentError as error:
        faults = error.faults
    assert bool(agents) != bool(faults)
    assert len(set(faults)) == len(faults)
    if agents:
        assert agents == chosen.read(parsed)
        documents(format_name, data)


def _places(value: object, path: tuple[str | int, ...]) -> object:
    yield path
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _places(member, (*path, name))
    elif isinstance(value, list):
        for index, element in enumerate(value):
            yield from _places(element, (*path, index))


def _changed(sample: object, changes: list[tuple[tuple[str | int, ...], object]]) -> object:
    whole = {"": copy.deepcopy(sample)}
    for path, value in changes:
        owner, name = whole, ""
        for step in path:
            below = owner[name]
            if isinstance(step, str):
                there = isinstance(below, dict) and step in below
            else:
                there = isinstance(below, list) and step < len(below)
            if not there:
                break
            owner, name = below, step
        else:
            owner[name] = copy.deepcopy(value)
    return whole[""]
