"""`demo.yaml`: the scenes that `remit demo` plays, and what each of them must show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from remit.project.source import FaultList, Node, check_keys, kind_of, listing, nearest, read_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from remit.document.values import JsonObject, JsonValue

DEMO_FILE = "demo.yaml"
STATUSES = ("completed", "denied", "awaiting_approval", "terminated", "suspended", "failed")
_SCENE_KEYS = (
    "title",
    "input",
    "as",
    "roles",
    "attributes",
    "environment",
    "approve",
    "refuse",
    "transcript",
    "expect",
)
_EXPECT_KEYS = ("status", "allowed", "denied", "waited", "approved", "rules")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """Who answers an approval of a scene or a case, and how."""

    person: str
    roles: tuple[str, ...]
    reason: str
    approved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a scene must show.

    Args:
        status: how the run ends, after the approval if there is one.
        allowed, denied, waited, approved: actions that must be among those of the scene.
        rules: rules that must have decided something.
    """

    status: str
    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    waited: tuple[str, ...] = ()
    approved: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One run of the demonstration.

    Args:
        title: what it shows.
        input: what the caller says.
        person, roles, attributes: the caller.
        environment: values over the declared ones.
        settlement: who answers the approval that the run stops at, or None.
        transcript: path of the transcript for a scripted back-end; empty where the scene has none.
        expect: what it must show.
    """

    title: str
    input: str
    person: str
    roles: tuple[str, ...]
    attributes: JsonObject
    environment: JsonObject
    settlement: Settlement | None
    transcript: str
    expect: Expectation


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A query over a SQLite file of the project, shown at the end."""

    title: str
    sqlite: str
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """The whole demonstration."""

    title: str
    scenes: tuple[Scene, ...]
    show: tuple[Shown, ...]


def read_demo(folder: Path) -> Demo:
    """Read `demo.yaml` of a project folder.

    Raises:
        DocumentError: it is missing or anything in it is wrong; lists every fault.
    """
    faults = FaultList()
    root = read_yaml(folder, DEMO_FILE)
    scenes: list[Scene] = []
    shown: list[Shown] = []
    known = ("title", "scenes", "show")
    if check_keys(root, known=known, required=("title", "scenes"), what=DEMO_FILE, faults=faults):
        members = root.object() or {}
        for node in _list(root, "scenes", faults=faults):
            scene = _scene(node, faults=faults)
            if scene is not None:
                scenes.append(scene)
        for node in _list(root, "show", faults=faults):
            keys = ("title", "sqlite", "query")
            if check_keys(node, known=keys, required=keys, what="an entry of `show`", faults=faults):
                shown.append(Shown(**{key: _text(node, key, faults=faults) for key in keys}))
        if not scenes and "scenes" in members and not faults.faults:
            faults.add(root.member("scenes").fault("there is no scene", "add at least one"))
    faults.settle()
    return Demo(title=_text(root, "title", faults=faults), scenes=tuple(scenes), show=tuple(shown))


def _scene(node: Node, *, faults: FaultList) -> Scene | None:
    required = ("title", "input", "as", "expect")
    if not check_keys(node, known=_SCENE_KEYS, required=required, what="a scene", faults=faults):
        return None
    members = node.object() or {}
    if "expect" not in members:
        return None
    return Scene(
        title=_text(node, "title", faults=faults),
        input=_text(node, "input", faults=faults),
        person=_text(node, "as", faults=faults),
        roles=_texts(node, "roles", faults=faults),
        attributes=_object(node, "attributes", faults=faults),
        environment=_object(node, "environment", faults=faults),
        settlement=_settlement(node, faults=faults),
        transcript=_text(node, "transcript", faults=faults),
        expect=_expectation(node.member("expect"), faults=faults),
    )


def _settlement(node: Node, *, faults: FaultList) -> Settlement | None:
    members = node.object() or {}
    verbs = [verb for verb in ("approve", "refuse") if verb in members]
    if not verbs:
        return None
    if len(verbs) > 1:
        faults.add(node.fault("a scene either approves or refuses", "keep one of the two"))
    child, keys = node.member(verbs[0]), ("as", "roles", "reason")
    if not check_keys(child, known=keys, required=keys, what=f"`{verbs[0]}`", faults=faults):
        return None
    return Settlement(
        person=_text(child, "as", faults=faults),
        roles=_texts(child, "roles", faults=faults),
        reason=_text(child, "reason", faults=faults),
        approved=verbs[0] == "approve",
    )


def _expectation(node: Node, *, faults: FaultList) -> Expectation:
    if not check_keys(node, known=_EXPECT_KEYS, required=("status",), what="`expect`", faults=faults):
        return Expectation(status="")
    status = _text(node, "status", faults=faults)
    if status and status not in STATUSES:
        hint = nearest(status, STATUSES) or f"it is one of {listing(STATUSES)}"
        faults.add(node.member("status").fault(f"`status` is `{status}`", hint))
    return Expectation(
        status=status,
        allowed=_texts(node, "allowed", faults=faults),
        denied=_texts(node, "denied", faults=faults),
        waited=_texts(node, "waited", faults=faults),
        approved=_texts(node, "approved", faults=faults),
        rules=_texts(node, "rules", faults=faults),
    )


def _member(node: Node, key: str) -> JsonValue:
    return (node.object() or {}).get(key)


def _text(node: Node, key: str, *, faults: FaultList) -> str:
    value = _member(node, key)
    if value is None or isinstance(value, str):
        return value or ""
    faults.add(node.member(key).fault(f"`{key}` is {kind_of(value)}, not a text"))
    return ""


def _texts(node: Node, key: str, *, faults: FaultList) -> tuple[str, ...]:
    value = _member(node, key)
    if value is None:
        return ()
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(cast("list[str]", value))
    faults.add(node.member(key).fault(f"`{key}` is not a list of texts"))
    return ()


def _object(node: Node, key: str, *, faults: FaultList) -> JsonObject:
    value = _member(node, key)
    if value is None or isinstance(value, dict):
        return value or {}
    faults.add(node.member(key).fault(f"`{key}` is {kind_of(value)}, not a mapping"))
    return {}


def _list(node: Node, key: str, *, faults: FaultList) -> tuple[Node, ...]:
    value = _member(node, key)
    if value is None:
        return ()
    if isinstance(value, list):
        return tuple(node.member(key).items())
    faults.add(node.member(key).fault(f"`{key}` is {kind_of(value)}, not a list", "begin each with `- `"))
    return ()
