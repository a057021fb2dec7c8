"""Reading suites of plain Cedar policies: entity references, files of policies, schema and entities.

A reference is written as Cedar writes it (`User::"alice"`) or as its JSON does (`{type: User, id: alice}`).
A policy without `@id` is called by its position over all files, as Cedar's own tools call it: `policy0`, ….
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cedarpy
from cedarpy import pst

from remit.document.carriers import format_of, read_value
from remit.document.json_text import parse_json
from remit.errors import DocumentError
from remit.project.source import kind_of, read_bytes
from remit.workbench.suites.members import node_at, shown
from remit.workbench.suites.model import CedarQuestion, CedarRef, CedarSubject

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.project.source import FaultList, Node
    from remit.workbench.suites.members import Members

PLAIN_SUITE_KEYS = ("policies", "schema", "entities", "validate")
PLAIN_KEYS = ("principal", "action", "resource", "context", "entities")
_REFERENCE = re.compile(
    r'(?P<type>[A-Za-z_]\w*(?:::[A-Za-z_]\w*)*)::"(?P<id>(?:[^"\\]|\\.)*)"', re.ASCII | re.DOTALL
)


def read_plain_subject(members: Members, path: Path) -> CedarSubject | None:
    """Read what a suite of plain policies is decided under.

    Args:
        members: the suite.
        path: its file; other paths are relative to it.
    """
    if members.has("agent"):
        members.wrong_key("agent", "a suite names either `agent` or `policies`", "keep one of the two")
        return None
    policies = tuple(path.parent / name for name in members.texts("policies", single=True))
    if not policies and members.value.get("policies") == []:
        members.wrong(
            "policies", "`policies` names no file, so nothing is permitted", "name at least one Cedar file"
        )
    for file in policies:
        if not file.is_file():
            members.wrong(
                "policies", f"`{file.as_posix()}` is not a file", "name a Cedar file, from this file"
            )
    schema = path.parent / members.text("schema") if members.has("schema") else None
    if schema is not None and not schema.is_file():
        members.wrong("schema", f"`{schema.as_posix()}` is not a file", "name a schema file, from this file")
    validate = members.flag("validate")
    if validate is not None and schema is None:
        members.wrong_key("validate", "`validate` needs a schema", "name it: `schema: FILE`")
    return CedarSubject(
        policies=policies,
        schema=schema,
        entities=read_entities(members, path.parent),
        validate=validate if validate is not None or schema is None else True,
    )


def read_entities(members: Members, folder: Path) -> tuple[JsonObject, ...]:
    """Read `entities`: a list of Cedar's JSON, or the path of a file that holds one."""
    if not members.has("entities"):
        return ()
    value: JsonValue = members.value["entities"]
    if isinstance(value, str):
        try:
            value = read_json_file(folder / value)
        except DocumentError as error:
            members.wrong(
                "entities", error.faults[0].message, error.faults[0].hint or "name a file of entities as JSON"
            )
            return ()
    if not isinstance(value, list):
        what = f"`entities` is {kind_of(value)}, not a list"
        members.wrong("entities", what, "give a list of `{uid, attrs, parents}`, or a file's path")
        return ()
    for item in value:
        if not isinstance(item, dict) or not isinstance(item.get("uid"), (dict, str)):
            what = f"an entity is {shown(item)}"
            members.wrong(
                "entities", what, "write each as `{uid: {type: …, id: …}, attrs: {…}, parents: […]}`"
            )
            return ()
    return tuple(cast("list[JsonObject]", value))


def read_json_file(path: Path) -> JsonValue:
    """Read one value of Cedar's JSON, whose integers have 64 bits, or a YAML value.

    Raises:
        DocumentError: it cannot be read, or is not strict JSON.
    """
    file = path.as_posix()
    data = read_bytes(path.parent, path.name, file=file)
    if format_of(path.name) == "json":
        return parse_json(data, file=file, longs=True).value
    return read_value(data, format=format_of(path.name), file=file).value


def plain_question(node: Node, request: JsonObject, faults: FaultList) -> CedarQuestion | None:
    """Read a request in Cedar's own terms; None where it is wrong.

    Args:
        node: where it was written.
        request: what it says, with fixtures and the matrix's values filled in.
        faults: where faults go.
    """
    before = len(faults.faults)
    references: dict[str, CedarRef] = {}
    for key in ("principal", "action", "resource"):
        if key not in request:
            faults.add(
                node.fault(f"a case's request lacks `{key}`", f"""add such as `{key}: 'User::"alice"'`""")
            )
            continue
        reference = read_reference(request[key])
        if reference is None:
            hint = """write such as `'User::"alice"'` or `{type: User, id: alice}`"""
            faults.add(
                node_at(node, key).fault(f"`{key}` is {shown(request[key])}, not an entity reference", hint)
            )
            continue
        references[key] = reference
    context, entities = request.get("context", {}), request.get("entities", [])
    if not isinstance(context, dict):
        faults.add(
            node.fault(f"`context` is {kind_of(context)}, not a mapping", "write such as `{name: value}`")
        )
    if isinstance(entities, str):
        try:
            entities = read_json_file(Path(node.source.file).parent / entities)
        except DocumentError as error:
            faults.add(node.fault(error.faults[0].message, "name a file of entities as JSON"))
    if not isinstance(entities, list) or not all(isinstance(item, dict) for item in entities):
        faults.add(
            node.fault(
                "`entities` is not a list of entities", "write each as `{uid: …, attrs: …, parents: …}`"
            )
        )
    if len(faults.faults) > before:
        return None
    return CedarQuestion(
        principal=references["principal"],
        action=references["action"],
        resource=references["resource"],
        context=cast("JsonObject", context),
        entities=tuple(cast("list[JsonObject]", entities)),
    )


def read_reference(value: JsonValue) -> CedarRef | None:
    """Read an entity reference in either spelling; None where it is none."""
    if isinstance(value, dict):
        inner = value.get("__entity", value)
        if not isinstance(inner, dict) or set(inner) != {"type", "id"}:
            return None
        kind, name = inner["type"], inner["id"]
        return (
            CedarRef(type=kind, id=name) if isinstance(kind, str) and isinstance(name, str) and kind else None
        )
    match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    if "\\" not in match["id"]:
        return CedarRef(type=match["type"], id=match["id"])
    return _by_cedar(match.group())


def _by_cedar(text: str) -> CedarRef | None:
    """Let Cedar itself read a reference whose id holds escapes."""
    try:
        tree = cedarpy.PolicySet.from_str(f"permit (principal == {text}, action, resource);").to_pst()
    except ValueError:
        return None
    (policy,) = tree.static_policies.values()
    scope = policy.principal
    if isinstance(scope, pst.ScopeEq) and isinstance(scope.entity, pst.EntityUid):
        return CedarRef(type=str(scope.entity.type), id=scope.entity.id)
    return None
