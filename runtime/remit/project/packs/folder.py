"""A pack's folder, read strictly: `pack.yaml` and `rules/*.yaml`; every fault at its author's line.

What a pack may say at all is judged here; whether its rules compile depends on an agent, and is judged there.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from remit.document.faults import PACK_NAME, SHAPES
from remit.document.values import canonical_bytes, digest_text, tagged_sha256
from remit.errors import DocumentError, Fault
from remit.policy.packs.pack import MARKS, SPEC, Control, Pack, Requirements, pack_digest
from remit.policy.packs.parameters import Parameter, parameter_schema_faults, parameters_of
from remit.project.packs.requires import read_requirements
from remit.project.packs.rules import RuleNode, check_rules, read_pack_rules
from remit.project.source import (
    FaultList,
    Node,
    check_keys,
    kind_of,
    listing,
    nearest,
    read_bytes,
    read_yaml,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from remit.document.values import JsonObject, JsonValue

PACK_FILE = "pack.yaml"
PAGE = "README.md"
FIXTURE = "fixture"
SIGNATURES = "signatures"
_KEYS = ("spec", "name", "version", "title", "description", "parameters", "requires", "controls")
_REQUIRED = ("spec", "name", "version", "title")
_CONTROL_KEYS = ("id", "clause", "asks", "mark")
_VERSION = re.compile(
    r"(?:0|[1-9][0-9]{0,8})\.(?:0|[1-9][0-9]{0,8})\.(?:0|[1-9][0-9]{0,8})(?:-[0-9A-Za-z.-]{1,40})?"
)
_RESERVED = ("remit",)
_NO_PARAMETERS: JsonObject = {"type": "object"}
_MADE_FILES = re.compile(r"(?:^|/)(?:\.|__pycache__/)|\.agent\.(?:json|yaml|cbor)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackFolder:
    """A pack with the folder that it was read from.

    Args:
        pack: the pack.
        folder: where it lies.
        label: how faults and origins call the folder.
        nodes: where each rule was written, by its id.
        head: `pack.yaml` as parsed.
    """

    pack: Pack
    folder: Path
    label: str
    nodes: Mapping[str, Node]
    head: JsonObject

    def fixtures(self) -> tuple[Path, ...]:
        """Return the projects that the pack is tried on: `fixture` and `fixture-*`, sorted."""
        found = (path for path in self.folder.glob(f"{FIXTURE}*") if path.is_dir())
        return tuple(
            sorted(path for path in found if path.name == FIXTURE or path.name.startswith(f"{FIXTURE}-"))
        )

    def evidence(self) -> str:
        """Return the digest of the page and of the fixtures with their cases; line ends do not count.

        Raises:
            DocumentError: a file cannot be read.
        """
        files = [self.folder / PAGE, *(path for root in self.fixtures() for path in root.rglob("*"))]
        digests: JsonObject = {}
        for path in sorted(files):
            relative = path.relative_to(self.folder).as_posix()
            if not path.is_file() or _MADE_FILES.search(relative):
                continue
            data = read_bytes(self.folder, relative, file=f"{self.label}/{relative}")
            digests[relative] = hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest()
        return digest_text(tagged_sha256("pack/evidence", canonical_bytes(digests)))


def is_pack(folder: Path) -> bool:
    """Whether a folder holds a pack."""
    return (folder / PACK_FILE).is_file()


def read_pack(folder: Path, *, label: str = "") -> PackFolder:
    """Read a pack's folder.

    Args:
        folder: where it lies.
        label: how faults call it; empty where they call it by its path.

    Raises:
        DocumentError: it is no pack, or anything in it is wrong; lists every fault.
    """
    shown = label or folder.as_posix()
    if not is_pack(folder):
        problem = f"holds no `{PACK_FILE}`, so it is no pack" if folder.is_dir() else "is no folder"
        raise DocumentError(
            Fault(message=f"`{shown}` {problem}", hint="make one with `remit packs new FOLDER`")
        )
    faults = FaultList()
    root = read_yaml(folder, PACK_FILE, label=shown)
    if not check_keys(root, known=_KEYS, required=_REQUIRED, what=PACK_FILE, faults=faults):
        faults.settle()
    parameters = _parameters(root, faults=faults)
    controls = _controls(root, faults=faults)
    rules = read_pack_rules(folder, label=shown, faults=faults)
    requirements, used = Requirements(), frozenset[str]()
    # Where the parameters themselves are at fault, what is said of their use would be an echo.
    if parameters is not None:
        requirements, used = read_requirements(root, parameters, faults=faults)
        check_rules(rules, parameters, controls, faults=faults)
        _refuse_idle(root, parameters, controls, rules, used, faults=faults)
    name, version = _name(root, faults=faults), _version(root, faults=faults)
    title, description = _words(root, "title", faults=faults), _words(root, "description", faults=faults)
    faults.settle()
    listed: list[JsonValue] = [{**rule.written, "place": rule.rule.place} for rule in rules]
    pack = Pack(
        name=name,
        version=version,
        title=title,
        description=description,
        parameters=parameters or (),
        requirements=requirements,
        controls=controls,
        rules=tuple(rule.rule for rule in rules),
        digest=pack_digest(root.object() or {}, listed),
    )
    nodes = {rule.rule.id: rule.node for rule in rules}
    return PackFolder(pack=pack, folder=folder, label=shown, nodes=nodes, head=root.object() or {})


def _name(root: Node, *, faults: FaultList) -> str:
    members = root.object() or {}
    if "spec" in members and members["spec"] != SPEC:
        faults.add(root.member("spec").fault(f"`spec` is `{members['spec']}`", f"write `spec: {SPEC}`"))
    name = members.get("name")
    if "name" in members and (not isinstance(name, str) or PACK_NAME.fullmatch(name) is None):
        faults.add(root.member("name").fault(f"`name` is `{name}`, not {SHAPES[PACK_NAME]}"))
    elif name in _RESERVED:
        faults.add(root.member("name").fault(f"`{name}` names the base rules", "choose another name"))
    return str(name)


def _version(root: Node, *, faults: FaultList) -> str:
    version = (root.object() or {}).get("version")
    if version is not None and (not isinstance(version, str) or _VERSION.fullmatch(version) is None):
        hint = 'write such as `version: "1.0.0"` (semver.org), in quotes where it reads as a number'
        faults.add(root.member("version").fault(f"`version` is `{version}`, no semantic version", hint))
    return str(version)


def _words(root: Node, key: str, *, faults: FaultList) -> str:
    members = root.object() or {}
    if key not in members:
        return ""
    value = members[key]
    if not isinstance(value, str) or not value.strip():
        shown = "empty" if isinstance(value, str) else kind_of(value)
        faults.add(root.member(key).fault(f"`{key}` is {shown}", "write words"))
        return ""
    return value.strip()


def _parameters(root: Node, *, faults: FaultList) -> tuple[Parameter, ...] | None:
    """Read the parameters; None where they are at fault."""
    members = root.object() or {}
    schema = members.get("parameters", _NO_PARAMETERS)
    if not isinstance(schema, dict):
        faults.add(
            root.member("parameters").fault(
                f"`parameters` is {kind_of(schema)}, no JSON Schema", "write `type: object` and `properties:`"
            )
        )
        return None
    wrong = parameter_schema_faults(schema)
    for pointer, what, hint in wrong:
        place = root.member("parameters")
        line, column = place.source.place(place.pointer + pointer)
        faults.add(
            Fault(
                message=f"`parameters`: {what}",
                file=place.source.file,
                line=line,
                column=column,
                hint=hint,
            )
        )
    return None if wrong else parameters_of(schema)


def _controls(root: Node, *, faults: FaultList) -> tuple[Control, ...]:
    members = root.object() or {}
    if "controls" not in members:
        return ()
    node = root.member("controls")
    if not isinstance(node.value, list):
        faults.add(node.fault(f"`controls` is {kind_of(node.value)}, not a list", "begin each with `- `"))
        return ()
    found: list[Control] = []
    for item in node.items():
        keys = _CONTROL_KEYS
        if not check_keys(item, known=keys, required=keys, what="a control", faults=faults):
            continue
        values = item.object() or {}
        texts = {key: values.get(key) for key in keys}
        if not all(isinstance(text, str) and text for text in texts.values() if text is not None):
            faults.add(item.fault("a control's members are texts", f"write {listing(keys)} in words"))
            continue
        mark = values.get("mark")
        if "mark" in values and mark not in MARKS:
            hint = nearest(str(mark), MARKS) or "`docs`: read at its source; `recall`: known, not read again"
            faults.add(item.member("mark").fault(f"`mark` is `{mark}`", hint))
        if any(control.id == values.get("id") for control in found):
            faults.add(item.fault(f"the control `{values.get('id')}` stands twice", "keep one of them"))
        found.append(Control(**{key: str(text) for key, text in texts.items()}))
    return tuple(found)


def _refuse_idle(
    root: Node,
    parameters: tuple[Parameter, ...],
    controls: tuple[Control, ...],
    rules: tuple[RuleNode, ...],
    used: frozenset[str],
    *,
    faults: FaultList,
) -> None:
    """Refuse what nothing reads: a parameter without effect, a clause that no rule serves."""
    read = used.union(*(rule.rule.parameters() for rule in rules), *(rule.rule.given for rule in rules))
    read = read.union(*(rule.rule.not_given for rule in rules))
    for item in parameters:
        if item.name not in read:
            node = root.member("parameters").member("properties").member(item.name)
            faults.add(node.fault(f"no rule reads the parameter `{item.name}`", "use it, or drop it"))
    served = {
        control
        for rule in rules
        for control in cast("list[JsonValue]", rule.rule.value.get("controls") or [])
        if isinstance(control, str)
    }
    for index, control in enumerate(controls):
        if control.id not in served:
            node = Node(source=root.source, pointer=f"/controls/{index}", value=None)
            message = f"no rule serves the control `{control.id}`"
            faults.add(node.fault(message, "name it at a rule under `controls`, or do not claim it"))
