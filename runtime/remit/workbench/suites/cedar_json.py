"""Cedar's own test files: integration tests that are run as they are, and `run-tests` files both ways.

An integration test is an object of `policies`, `schema`, `entities` (files), `shouldValidate` and `requests`
(or `queries`), each with `decision`, `reason` and `errors`; its paths are relative to some folder above it.
A file of `cedar run-tests` is a list of `{name, request, entities, decision, reason, num_errors}`, where
`reason` is a part of the determining policies; it does not say which policies it is about.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from remit.document.json_text import parse_json
from remit.errors import DocumentError
from remit.project.source import FaultList, Node, Source, read_text, real_path
from remit.workbench.suites.members import Members, place_of, shown
from remit.workbench.suites.model import Case, CedarQuestion, CedarSubject, Expectation, Suite
from remit.workbench.suites.plain import plain_question, read_json_file

if TYPE_CHECKING:
    from pathlib import Path

    from remit.document.values import JsonObject

_POSITION = re.compile(r"policy[0-9]+")
_TEST_KEYS = ("policies", "schema", "entities", "shouldValidate", "requests", "queries")
_REQUEST_KEYS = (
    "description",
    "desc",
    "principal",
    "action",
    "resource",
    "context",
    "validateRequest",
    "decision",
    "reason",
    "errors",
)


def holds_cedar_json(path: Path) -> bool:
    """Return whether a file is one of Cedar's own, by its name: JSON that is no case file of Remit's."""
    return path.suffix == ".json" and not path.name.endswith(".cases.json")


def read_json_node(path: Path) -> Node:
    """Read a JSON file with places.

    Raises:
        DocumentError: it cannot be read or is not strict JSON.
    """
    source = read_text(path.parent, path.name)
    parsed = parse_json(source.text.encode(), file=source.file, longs=True)
    whole = Source(file=source.file, relative=path.name, text=source.text, parsed=parsed)
    return Node(source=whole, pointer="", value=parsed.value)


def read_integration(path: Path) -> Suite:
    """Read one integration test.

    Raises:
        DocumentError: anything in it is wrong; lists every fault.
    """
    root, faults = read_json_node(path), FaultList()
    if isinstance(root.value, list):
        hint = f"say what it is about: `remit cases import {path.as_posix()} --policies FILE`"
        raise DocumentError(root.fault("this is a file for `cedar run-tests`, which names no policies", hint))
    members = Members(
        root, faults, what="a Cedar integration test", known=_TEST_KEYS, required=("policies", "entities")
    )
    asked = "queries" if members.has("queries") else "requests"
    items = members.items(asked)
    if not items:
        members.wrong_all(f"the test has no `{asked}`, so it can never fail", "add one")
    faults.settle()
    subject = _subject(members, path, faults)
    cases = [_case(item, number, faults) for number, item in enumerate(items, 1)]
    faults.settle()
    named = [name for case in cases if case is not None for name in _policies_of(case)]
    # Where a test calls policies by their positions alone, an `@id` is no name of theirs.
    subject = replace(subject, by_position=all(_POSITION.fullmatch(name) for name in named))
    return Suite(
        name=path.stem,
        file=root.source.file,
        place=place_of(root),
        subject=subject,
        cases=tuple(case for case in cases if case is not None),
        origin="cedar-integration",
    )


def _policies_of(case: Case) -> tuple[str, ...]:
    return (*(case.expect.rules or ()), *case.expect.errors)


def companions(suite: Suite) -> frozenset[Path]:
    """Return the files that a test names, which are no tests themselves."""
    subject = suite.subject
    if not isinstance(subject, CedarSubject):
        return frozenset()
    named = (*subject.policies, *subject.beside, *(() if subject.schema is None else (subject.schema,)))
    return frozenset(real_path(path) for path in named)


def _subject(members: Members, path: Path, faults: FaultList) -> CedarSubject:
    names = {key: members.text(key) for key in ("policies", "entities") if members.has(key)}
    if members.value.get("schema") not in (None, ""):
        names["schema"] = members.text("schema")
    faults.settle()
    folder = next((above for above in path.parents if _holds(above, names)), None)
    if folder is None:
        folder = next((above for above in real_path(path).parents if _holds(above, names)), None)
    if folder is None:
        hint = "paths are relative to a folder above the test; keep the files together"
        missing = next((name for name in names.values() if not (path.parent / name).is_file()), "")
        raise DocumentError(members.node.fault(f"`{missing}` is in no folder above this file", hint))
    entities = read_json_file(folder / names["entities"])
    return CedarSubject(
        policies=(folder / names["policies"],),
        schema=folder / names["schema"] if "schema" in names else None,
        entities=tuple(cast("list[JsonObject]", entities)) if isinstance(entities, list) else (),
        validate=members.flag("shouldValidate") if "schema" in names else None,
        beside=(folder / names["entities"],),
    )


def _holds(folder: Path, names: dict[str, str]) -> bool:
    return all((folder / name).is_file() for name in names.values())


def _case(node: Node, number: int, faults: FaultList) -> Case | None:
    required = ("principal", "action", "resource", "decision", "reason", "errors")
    members = Members(node, faults, what="a request", known=_REQUEST_KEYS, required=required)
    if not members.readable or not set(required) <= members.value.keys():
        return None
    request = {
        key: members.value[key] for key in ("principal", "action", "resource", "context") if members.has(key)
    }
    question = plain_question(node, request, faults)
    described = members.text("description", empty=True) or members.text("desc", empty=True)
    if question is None:
        return None
    return Case(
        # Descriptions are no names: Cedar's own tests give some of them twice.
        name=f"#{number} {described}".rstrip(),
        place=place_of(node),
        request=request,
        question=CedarQuestion(
            principal=question.principal,
            action=question.action,
            resource=question.resource,
            context=question.context,
            validate=members.flag("validateRequest") is not False,
        ),
        expect=Expectation(
            decision=_decision(members),
            rules=members.texts("reason"),
            errors=members.texts("errors"),
            written=node,
        ),
        written=node,
    )


def _decision(members: Members) -> str:
    """Read a decision; older files write it with a capital."""
    value = members.value.get("decision")
    text = value.lower() if isinstance(value, str) else ""
    if text not in ("allow", "deny"):
        members.wrong("decision", f"`decision` is {shown(value)}", "it is `allow` or `deny`")
    return text
