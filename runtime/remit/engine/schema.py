"""The image's Cedar schema as typed values: what the ingress walk is guided by.

Reads the JSON form of a Cedar schema (docs.cedarpolicy.com, "JSON schema format"); common types are
resolved in place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from remit.document.values import JsonObject, JsonValue
from remit.engine.request import NAMESPACE
from remit.errors import Fault, PolicyError
from remit.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_TYPE_DEPTH = 64
"""Depth of a resolved type; a document's own depth limit is the same, so nothing honest is deeper."""


class Primitive(Value, frozen=True):
    """`Long`, `String` or `Bool`, or an extension: `decimal`, `datetime`, `duration`, `ipaddr`."""

    name: str


class EntityType(Value, frozen=True):
    """A reference to an entity; `name` is fully qualified (`Remit::Caller`)."""

    name: str


class SetType(Value, frozen=True):
    """A set with elements of one type."""

    element: Type


class Attribute(Value, frozen=True):
    """A member of a record or an attribute of an entity."""

    type: Type
    required: bool


class RecordType(Value, frozen=True):
    """A closed record."""

    attributes: Mapping[str, Attribute]


Type = Primitive | EntityType | SetType | RecordType


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionType:
    """What a schema says about one action.

    Args:
        name: its name, without the namespace.
        principals: fully qualified entity types it applies to.
        resources: the same for resources.
        context: the context's type.
        ancestors: names of the action itself and of every group it is in.
    """

    name: str
    principals: frozenset[str]
    resources: frozenset[str]
    context: RecordType
    ancestors: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaTypes:
    """A whole schema, resolved.

    Args:
        actions: by name, without the namespace.
        entities: attributes by fully qualified entity type.
        parents: which entity types an entity type may be a member of.
    """

    actions: Mapping[str, ActionType]
    entities: Mapping[str, RecordType]
    parents: Mapping[str, tuple[str, ...]]


_PRIMITIVES = {"Long": "Long", "String": "String", "Bool": "Bool", "Boolean": "Bool"}
_EXTENSIONS = frozenset({"decimal", "datetime", "duration", "ipaddr"})
_NO_ATTRIBUTES = RecordType({})


def resolve_schema(schema: JsonObject) -> SchemaTypes:
    """Resolve a schema in JSON form.

    Raises:
        PolicyError: a type is unknown, refers to itself, or is an open record (which Cedar validates only
        in part).
    """
    return _Resolver(schema).resolve()


def _fault(message: str, hint: str = "") -> PolicyError:
    return PolicyError(Fault(message=f"cedar schema: {message}", hint=hint))


def _object(value: JsonValue, what: str) -> JsonObject:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _fault(f"{what} is not an object")
    return value


def _texts(value: JsonValue, what: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _fault(f"{what} is not a list of names")
    return tuple(cast("list[str]", value))


class _Resolver:
    """One pass over a schema; remembers where it stands to name faults."""

    def __init__(self, schema: JsonObject) -> None:
        self._namespaces = {name: _object(body, f"namespace `{name}`") for name, body in schema.items()}
        self._entity_names = {
            _qualified(namespace, name)
            for namespace, body in self._namespaces.items()
            for name in _object(body.get("entityTypes"), "`entityTypes`")
        }

    def resolve(self) -> SchemaTypes:
        entities: dict[str, RecordType] = {}
        parents: dict[str, tuple[str, ...]] = {}
        for namespace, body in self._namespaces.items():
            for name, declared in _object(body.get("entityTypes"), "`entityTypes`").items():
                entity = _object(declared, f"entity type `{name}`")
                shape = entity.get("shape")
                entities[_qualified(namespace, name)] = (
                    _NO_ATTRIBUTES
                    if shape is None
                    else self._record(shape, namespace, f"entity type `{name}`")
                )
                parents[_qualified(namespace, name)] = tuple(
                    self._entity(parent, namespace, f"entity type `{name}`")
                    for parent in _texts(entity.get("memberOfTypes"), "`memberOfTypes`")
                )
        body = self._namespaces.get(NAMESPACE, {})
        declared_actions = {
            name: _object(action, f"action `{name}`")
            for name, action in _object(body.get("actions"), "`actions`").items()
        }
        groups = {name: _groups(action, name) for name, action in declared_actions.items()}
        actions = {
            name: self._action(name, action, _ancestors(name, groups))
            for name, action in declared_actions.items()
        }
        return SchemaTypes(actions=actions, entities=entities, parents=parents)

    def _action(self, name: str, action: JsonObject, ancestors: frozenset[str]) -> ActionType:
        applies = _object(action.get("appliesTo"), f"`appliesTo` of action `{name}`")
        what = f"action `{name}`"
        context = applies.get("context")
        return ActionType(
            name=name,
            principals=frozenset(
                self._entity(t, NAMESPACE, what) for t in _texts(applies.get("principalTypes"), what)
            ),
            resources=frozenset(
                self._entity(t, NAMESPACE, what) for t in _texts(applies.get("resourceTypes"), what)
            ),
            context=_NO_ATTRIBUTES if context is None else self._record(context, NAMESPACE, what),
            ancestors=ancestors,
        )

    def _record(self, value: JsonValue, namespace: str, what: str) -> RecordType:
        resolved = self._type(value, namespace, what, 0, frozenset())
        if not isinstance(resolved, RecordType):
            raise _fault(f"the type of {what} is not a record")
        return resolved

    def _type(self, value: JsonValue, namespace: str, what: str, depth: int, within: frozenset[str]) -> Type:
        if depth > MAX_TYPE_DEPTH:
            raise _fault(f"a type of {what} is deeper than {MAX_TYPE_DEPTH} levels")
        body = _object(value, f"a type of {what}")
        kind, name = body.get("type"), body.get("name")
        if kind == "Record":
            if body.get("additionalAttributes"):
                raise _fault(f"{what} holds an open record", "declare every member")
            members = _object(body.get("attributes"), f"the attributes of {what}")
            return RecordType(
                {
                    key: Attribute(
                        self._type(member, namespace, what, depth + 1, within),
                        _object(member, f"`{key}`").get("required", True) is not False,
                    )
                    for key, member in members.items()
                }
            )
        if kind == "Set":
            return SetType(self._type(body.get("element"), namespace, what, depth + 1, within))
        if kind == "Entity" and isinstance(name, str):
            return EntityType(self._entity(name, namespace, what))
        if kind == "Extension" and isinstance(name, str):
            return self._builtin(name, what)
        if kind == "EntityOrCommon" and isinstance(name, str):
            return self._named(name, namespace, what, depth, within)
        if isinstance(kind, str):
            return self._named(kind, namespace, what, depth, within)
        raise _fault(f"a type of {what} has no `type`")

    def _named(self, name: str, namespace: str, what: str, depth: int, within: frozenset[str]) -> Type:
        # Cedar resolves a bare name in its own namespace before the built-in ones; `__cedar::` is reserved.
        for home, local in _candidates(name, namespace):
            common = _object(self._namespaces.get(home, {}).get("commonTypes"), "`commonTypes`")
            if local in common:
                full = _qualified(home, local)
                if full in within:
                    raise _fault(f"common type `{full}` refers to itself")
                return self._type(common[local], home, what, depth + 1, within | {full})
            if _qualified(home, local) in self._entity_names:
                return EntityType(_qualified(home, local))
        return self._builtin(name, what)

    def _builtin(self, name: str, what: str) -> Primitive:
        plain = name.removeprefix("__cedar::")
        if plain in _PRIMITIVES:
            return Primitive(_PRIMITIVES[plain])
        if plain in _EXTENSIONS:
            return Primitive(plain)
        raise _fault(f"{what} uses the unknown type `{name}`")

    def _entity(self, name: str, namespace: str, what: str) -> str:
        for home, local in _candidates(name, namespace):
            if _qualified(home, local) in self._entity_names:
                return _qualified(home, local)
        raise _fault(f"{what} uses the unknown entity type `{name}`")


def _qualified(namespace: str, name: str) -> str:
    return f"{namespace}::{name}" if namespace else name


def _candidates(name: str, namespace: str) -> tuple[tuple[str, str], ...]:
    if "::" in name:
        home, _, local = name.rpartition("::")
        return ((home, local),)
    return ((namespace, name),) if not namespace else ((namespace, name), ("", name))


def _groups(action: JsonObject, name: str) -> tuple[str, ...]:
    groups = action.get("memberOf")
    if groups is None:
        return ()
    if not isinstance(groups, list):
        raise _fault(f"`memberOf` of action `{name}` is not a list")
    found: list[str] = []
    for group in groups:
        member = _object(group, f"a group of action `{name}`")
        kind, group_id = member.get("type"), member.get("id")
        if not isinstance(group_id, str) or kind not in (None, "Action", f"{NAMESPACE}::Action"):
            raise _fault(f"a group of action `{name}` is not an action of `{NAMESPACE}`")
        found.append(group_id)
    return tuple(found)


def _ancestors(name: str, groups: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    reached = {name}
    ahead = list(groups[name])
    while ahead:
        group = ahead.pop()
        if group not in groups:
            raise _fault(f"action `{name}` is in the undeclared group `{group}`")
        if group not in reached:
            reached.add(group)
            ahead.extend(groups[group])
    return frozenset(reached)


def type_json(declared: Type) -> JsonObject:
    """Return a resolved type in the JSON schema form."""
    match declared:
        case RecordType(attributes):
            return {
                "type": "Record",
                "attributes": {
                    name: {**type_json(member.type), "required": member.required}
                    for name, member in attributes.items()
                },
            }
        case SetType(element):
            return {"type": "Set", "element": type_json(element)}
        case EntityType(name):
            return {"type": "Entity", "name": name}
        case Primitive("Bool"):
            return {"type": "Boolean"}
        case Primitive(name) if name in _EXTENSIONS:
            return {"type": "Extension", "name": name}
        case Primitive(name):
            return {"type": name}


def whole_schema(types: SchemaTypes) -> JsonObject:
    """Return a resolved schema in the JSON schema form, without what Remit does not take over."""
    return _schema(types, types.actions.values())


def action_schema(types: SchemaTypes, action: ActionType, context: RecordType) -> JsonObject:
    """Return a schema that knows one action (and its groups) with `context` in place of the declared one.

    A projected context lacks members that the whole schema requires; this schema requires what was projected,
    so that Cedar's own strict request check stays on.

    Args:
        types: the whole schema.
        action: the action that is asked about.
        context: the projected type of its context.
    """
    return _schema(types, (replace(action, context=context),))


def _schema(types: SchemaTypes, declared: Iterable[ActionType]) -> JsonObject:
    schema: dict[str, JsonObject] = {}
    for full, attributes in types.entities.items():
        namespace, _, name = full.rpartition("::")
        home = schema.setdefault(namespace, {"entityTypes": {}, "actions": {}})
        members: list[JsonValue] = list(types.parents[full])
        _object(home["entityTypes"], "`entityTypes`")[name] = {
            "shape": type_json(attributes),
            "memberOfTypes": members,
        }
    actions = _object(
        schema.setdefault(NAMESPACE, {"entityTypes": {}, "actions": {}})["actions"], "`actions`"
    )
    for action in declared:
        above: list[JsonValue] = [{"id": group} for group in sorted(action.ancestors - {action.name})]
        for group in action.ancestors - {action.name}:
            actions.setdefault(group, {})
        actions[action.name] = {
            "memberOf": above,
            "appliesTo": {
                "principalTypes": list[JsonValue](sorted(action.principals)),
                "resourceTypes": list[JsonValue](sorted(action.resources)),
                "context": type_json(action.context),
            },
        }
    return dict(schema.items())
