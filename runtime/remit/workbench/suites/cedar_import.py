"""Files of `cedar run-tests` as case files: every test means what it meant.

`reason` is a part of the determining policies and `num_errors` a number, and so they stay: a case then says
`rules: {includes: […]}` and `num_errors`, and can be made exact by hand.
A test that asks and expects what an earlier one does is left out: it could never say anything of its own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

from remit.document.yaml_text import write_yaml
from remit.errors import DocumentError
from remit.project.source import FaultList
from remit.workbench.suites.cedar_json import read_json_node
from remit.workbench.suites.members import Members, shown
from remit.workbench.suites.model import Expectation
from remit.workbench.suites.plain import plain_question, read_json_file
from remit.workbench.suites.reading import meaning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.document.values import JsonObject, JsonValue
    from remit.project.source import Node

_TEST_KEYS = ("name", "request", "entities", "decision", "reason", "num_errors")
_REQUEST_KEYS = ("principal", "action", "resource", "context")


def imported(
    source: Path, *, policies: Sequence[Path], schema: str | None, beside: Path
) -> tuple[str, int, int]:
    """Return a case file with the tests of a `run-tests` file, how many there are, and how many were repeats.

    Args:
        source: the JSON file.
        policies: the policies that it tests.
        schema: their schema, or None.
        beside: the folder that the case file will lie in; paths are written from there.

    Raises:
        DocumentError: the file is none of `cedar run-tests`; lists every fault.
    """
    root, faults = read_json_node(source), FaultList()
    if not isinstance(root.value, list):
        hint = "a Cedar integration test is run as it is: `remit test FILE`"
        raise DocumentError(root.fault("a file of `cedar run-tests` is a list of tests", hint))
    if not root.value:
        raise DocumentError(root.fault("the file holds no test, so it can never fail", "name another file"))
    cases: list[JsonValue] = []
    names: dict[str, int] = {}
    known: set[str] = set()
    for number, node in enumerate(root.items(), 1):
        case = _case(node, source.parent, beside, faults)
        if case is not None and case[1] not in known:
            known.add(case[1])
            cases.append({"name": _named(node, number, names), **case[0]})
    faults.settle()
    listed: list[JsonValue] = [_from(path, beside) for path in policies]
    suite: JsonObject = {"suite": source.name.partition(".")[0], "policies": listed}
    if schema is not None:
        suite["schema"] = _from(Path(schema), beside)
    return write_yaml({**suite, "cases": cases}).decode(), len(cases), len(root.value) - len(cases)


def _from(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _case(node: Node, folder: Path, beside: Path, faults: FaultList) -> tuple[JsonObject, str] | None:
    """Return a test as a case, and what it means."""
    required = ("request", "entities", "decision", "reason", "num_errors")
    members = Members(node, faults, what="a test", known=_TEST_KEYS, required=required)
    if not members.readable or not set(required) <= members.value.keys():
        return None
    asked = Members(
        members.at("request"), faults, what="`request`", known=_REQUEST_KEYS, required=_REQUEST_KEYS[:3]
    )
    reasons, errors = members.texts("reason"), members.count("num_errors")
    if members.value["decision"] not in ("allow", "deny"):
        members.wrong(
            "decision", f"`decision` is {shown(members.value['decision'])}", "it is `allow` or `deny`"
        )
    whole = {**asked.value, "entities": _entities(members, folder)}
    question = plain_question(asked.node, whole, faults) if asked.readable else None
    if question is None:
        return None
    expect: JsonObject = {"decision": members.value["decision"]}
    if reasons:
        listed: list[JsonValue] = [*dict.fromkeys(reasons)]
        expect["rules"] = {"includes": listed}
    expect["num_errors"] = errors or 0
    request: JsonObject = {
        key: asked.value[key] for key in _REQUEST_KEYS if key in asked.value and asked.value[key] != {}
    }
    entities = members.value["entities"]
    if isinstance(entities, str):
        request["entities"] = _from(folder / entities, beside)
    elif entities:
        request["entities"] = cast("list[JsonValue]", entities)
    members.text("name", empty=True)
    meant = Expectation(
        decision=str(expect["decision"]), rules=tuple(sorted(reasons)), exact=False, error_count=errors
    )
    return {"request": request, "expect": expect}, meaning(question, meant)


def _entities(members: Members, folder: Path) -> JsonValue:
    """Return a test's entities, read where it names a file of them."""
    value = members.value["entities"]
    if not isinstance(value, str):
        return value
    try:
        return read_json_file(folder / value)
    except DocumentError as error:
        members.wrong("entities", error.faults[0].message, "name a file of entities, from the tests' file")
        return []


def _named(node: Node, number: int, names: dict[str, int]) -> str:
    """Return the test's name, made the only one of its kind."""
    name = (node.object() or {}).get("name")
    wanted = name.strip() if isinstance(name, str) and name.strip() else f"test {number}"
    names[wanted] = names.get(wanted, 0) + 1
    return wanted if names[wanted] == 1 else f"{wanted} ({names[wanted]})"
