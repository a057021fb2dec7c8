"""Random worlds for the engines: schemas, policies and requests, each adversarial in its own way."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import cedarpy

from remit.engine.compiled.flat import all_forbids
from remit.engine.image import PolicyImage, image_digest
from remit.engine.request import Entity, EntityRef, Request
from remit.engine.schema import EntityType, Primitive, RecordType, SetType, Type, resolve_schema

if TYPE_CHECKING:
    import random

IDENTIFIERS = ("a", "b", "count", "kind", "type", "id", "name", "x")
ODD_NAMES = ("b c", "é", 'q"uote', "class", "__extra", "", "if")
LONGS = (0, 1, -1, 2, 5, 500, 501, 2**31, 3037000500, 2**63 - 1, 2**63 - 2, -(2**63), -(2**63) + 1)
STRINGS = (
    "",
    "a",
    "b",
    "EU",
    "US",
    "abc",
    "a*b",
    "a**",
    "*",
    "é",
    "e\u0301",
    "line\nbreak",
    'q"uote',
    "\\",
    "\x00",
    "😀",
    "1",
    "true",
    "İ",
    "ß",
    "\u2028",
    "\u202eabc",
    "\U0010ffff",
    "a" * 300,
)
PATTERNS = (
    "",
    "*",
    "**",
    "a*",
    "*a",
    "*b*",
    "a*b",
    "a\\*b",
    "\\**",
    "*\\*",
    "E*U",
    "é",
    "?",
    "*é*",
    "a*b*c",
    "*a*a*",
    "😀*",
    "\\u{2a}",
    "a\\u{2a}*",
    "\\x41*",
    "\\u{e9}*",
    "\\\\*",
    "*\\n*",
    "\\*\\**\\*",
    "*" * 20 + "a",
)
DECIMALS = (
    "0.0",
    "-0.0",
    "0.1",
    "0.10",
    "12.5",
    "500.0",
    "500.0001",
    "-0.5",
    "-3.25",
    "922337203685477.5807",
    "-922337203685477.5808",
)
BAD_DECIMALS = ("1.23456", "922337203685477.5808", "1", "+1.0", ".5", "1.", "", "٣.0", "1e3", " 1.0")
TIMES = (
    "2026-01-01",
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00.000Z",
    "2025-12-31T23:59:59.999Z",
    "1970-01-01T00:00:00Z",
    "0000-02-29T00:00:00.001Z",
    "9999-12-31T23:59:59.999Z",
    "2026-01-01T01:00:00+0100",
    "2026-01-01T01:00:00.500-2359",
    "1969-12-31T23:59:59.999Z",
)
BAD_TIMES = (
    "2026-02-30",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:00:60.000Z",
    "2026-01-01T00:00:00",
    "2026-01-01T00:00:00.1Z",
    "2026-13-01T00:00:00.000Z",
    "2026-01-01 00:00:00.000Z",
    "+026-01-01T00:00:00.000Z",
    "2026-W01-1T00:00:00.000Z",
    "2026-01-01T00:00:00.0000Z",
    "",
    "2026-01-01T00:00:00+2400",
)
MORE_TIMES = (
    "2026-01-01t00:00:00z",
    "2026-01-01T00:00:00+01:00",
    "2026-01-01T00:00:00.123000Z",
    "2026-01-01T00:00:00.5Z",
)
DURATIONS = (
    "0ms",
    "1ms",
    "-1ms",
    "1h",
    "60m",
    "-1d",
    "1d2h3m4s5ms",
    "9223372036854775807ms",
    "-9223372036854775808ms",
    "90s",
    "-90s",
    "000001h",
)
BAD_DURATIONS = (
    "",
    "-",
    "1h1d",
    "9223372036854775808ms",
    "106751991168d",
    "1",
    "1.5h",
    "18446744073709551616ms",
    "--1s",
    "1ms\n",
)
IPS = (
    "10.0.0.1",
    "10.0.0.1/32",
    "10.0.0.0/8",
    "10.0.0.1/8",
    "192.168.0.0/16",
    "0.0.0.0/0",
    "127.0.0.1",
    "127.0.0.0/7",
    "224.0.0.1",
    "224.0.0.0/3",
    "::1",
    "::1/127",
    "ff02::1",
    "ff00::/7",
    "::/0",
    "2001:DB8::1",
    "2001:db8:0:0:0:0:0:1",
)
BAD_IPS = (
    "10.0.0.1/33",
    "010.0.0.1",
    "::ffff:1.2.3.4",
    "fe80::1%eth0",
    "10.0.0.1/08",
    "10.0.0.1/",
    "1::2::3",
    "nope",
    "",
    "10.0.0.0/255.0.0.0",
    "::1/129",
    "1:2:3:4:5:6:7:8:9",
)
IDS = ("a1", "a2", "t1", "t2", "o1", "ann", "bob", "refund", 'q"uote', "é", "", "e\u0301", "\x00", "😀")
_LONG, _STRING, _BOOL = Primitive("Long"), Primitive("String"), Primitive("Bool")
_SCALARS = ("Long", "String", "Bool", "decimal", "datetime", "duration", "ipaddr")
_TEXTS = {
    "decimal": (DECIMALS, BAD_DECIMALS, "decimal"),
    "datetime": (TIMES, BAD_TIMES, "datetime"),
    "duration": (DURATIONS, BAD_DURATIONS, "duration"),
    "ipaddr": (IPS, BAD_IPS, "ip"),
}


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\x00", "\\0")
    return f'"{escaped}"'


def escaped(text: str) -> str:
    """Write a text with every character as a number."""
    return '"' + "".join(f"\\u{{{ord(character):x}}}" for character in text) + '"'


def member(base: str, name: str) -> str:
    return f"{base}.{name}" if name in IDENTIFIERS else f"{base}[{quoted(name)}]"


def has(base: str, name: str) -> str:
    return f"{base} has {name if name in IDENTIFIERS else quoted(name)}"


class World:
    """A random schema."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        names = [*IDENTIFIERS, *(ODD_NAMES if chance.random() < 0.3 else ())]
        self._names = names
        entities: dict[str, Any] = {
            "Org": {"shape": self._record(0)},
            "Team": {"memberOfTypes": ["Team", "Org"], "shape": self._record(0)},
            "Agent": {"memberOfTypes": ["Team"], "shape": self._record(1)},
            "Caller": {"memberOfTypes": ["Team", "Caller"], "shape": self._record(1)},
            "Tool": {"shape": self._record(1)},
        }
        shared = self._context()

        def action(*groups: str, principals: list[str], resources: list[str]) -> dict[str, Any]:
            context = shared if chance.random() < 0.5 else self._context()
            applies = {"principalTypes": principals, "resourceTypes": resources, "context": context}
            return {"memberOf": [{"id": group} for group in groups], "appliesTo": applies}

        self.schema: dict[str, Any] = {
            "Remit": {
                "entityTypes": entities,
                "actions": {
                    "call_tool": {},
                    "money": {"memberOf": [{"id": "call_tool"}]},
                    "refund": action("money", principals=["Agent"], resources=["Tool"]),
                    "search": action("call_tool", principals=["Agent", "Caller"], resources=["Tool"]),
                    "continue": action(principals=["Agent", "Caller"], resources=["Agent", "Caller"]),
                },
            }
        }
        self.types = resolve_schema(self.schema)

    def _context(self) -> dict[str, Any]:
        record = self._record(2)
        record["attributes"] |= {
            "now": {"type": "Extension", "name": "datetime"},
            "caller": {"type": "Entity", "name": "Caller"},
            "input": self._record(3),
        }
        return record

    def _record(self, depth: int, *, required: bool = True) -> dict[str, Any]:
        names = self.chance.sample(self._names, self.chance.randrange(min(6, len(self._names))))
        return {
            "type": "Record",
            "required": required,
            "attributes": {name: self._type(depth, required=self.chance.random() < 0.5) for name in names},
        }

    def _type(self, depth: int, *, required: bool) -> dict[str, Any]:
        choice = self.chance.random()
        if choice < 0.15 and depth > 0:
            return self._record(depth - 1, required=required)
        if choice < 0.35:
            return {"type": "Set", "element": self._type(depth - 1, required=True), "required": required}
        if choice < 0.45:
            return {
                "type": "Entity",
                "name": self.chance.choice(["Caller", "Agent", "Team"]),
                "required": required,
            }
        kind = self.chance.choice(("Long", "Long", "String", "String", *_SCALARS))
        if kind in _TEXTS:
            return {"type": "Extension", "name": kind, "required": required}
        return {"type": "Boolean" if kind == "Bool" else kind, "required": required}


@dataclasses.dataclass(frozen=True)
class Path:
    text: str
    type: Type
    guards: tuple[str, ...]


def paths(world: World, action: str) -> list[Path]:
    """List what a policy on an action can read, with the `has` tests that it needs."""
    found: list[Path] = []

    def below(base: Path, attributes: RecordType, hops: int) -> None:
        for name, attribute in attributes.attributes.items():
            guards = base.guards if attribute.required else (*base.guards, has(base.text, name))
            path = Path(member(base.text, name), attribute.type, guards)
            found.append(path)
            if isinstance(attribute.type, RecordType):
                below(path, attribute.type, hops)
            elif isinstance(attribute.type, EntityType) and hops:
                below(path, world.types.entities[attribute.type.name], hops - 1)

    declared = world.types.actions[action]
    for root, kinds in (("principal", declared.principals), ("resource", declared.resources)):
        for kind in sorted(kinds):
            found.append(Path(root, EntityType(kind), ()))
            below(found[-1], world.types.entities[kind], 1)
    found.append(Path("context", declared.context, ()))
    below(found[-1], declared.context, 1)
    return found


class Author:
    """Writes random policies: mostly well typed, often unguarded, sometimes nonsense."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = world.chance
        self._paths = {action: paths(world, action) for action in ("refund", "search", "continue")}
        self._here = self._paths["refund"]

    def pick(self, *options: str) -> str:
        return self.chance.choice(options)

    def path(self, wanted: Type | None = None) -> Path | None:
        fitting = [p for p in self._here if wanted is None or p.type == wanted]
        return self.chance.choice(fitting) if fitting else None

    def literal(self, kind: Type, depth: int) -> str:
        match kind:
            case Primitive("Long"):
                value = self.chance.choice(LONGS)
                return f"({value})" if value < 0 else str(value)
            case Primitive("String"):
                text = self.chance.choice(STRINGS)
                return escaped(text) if self.chance.random() < 0.1 else quoted(text)
            case Primitive("Bool"):
                return self.pick("true", "false")
            case Primitive(name):
                good, bad, function = _TEXTS[name]
                text = self.chance.choice(bad if self.chance.random() < 0.03 else good)
                return f"{function}({quoted(text)})"
            case EntityType(name):
                return f"{name}::{quoted(self.chance.choice(IDS))}"
            case SetType(element):
                items = [self.value(element, depth - 1) for _ in range(self.chance.randrange(4))]
                return f"[{', '.join(items)}]"
            case RecordType(attributes):
                items = [
                    f"{quoted(name)}: {self.value(attribute.type, depth - 1)}"
                    for name, attribute in attributes.items()
                    if attribute.required or self.chance.random() < 0.5
                ]
                return f"{{{', '.join(items)}}}"

    def value(self, kind: Type, depth: int) -> str:
        choice = self.chance.random()
        if choice < 0.03:
            return self.anything(depth - 1)
        if depth <= 0 or choice < 0.3:
            return self.literal(kind, depth)
        if choice < 0.75:
            path = self.path(kind)
            return path.text if path else self.literal(kind, depth)
        deeper = depth - 1
        if choice < 0.82:
            return (
                f"(if {self.boolean(deeper)} then {self.value(kind, deeper)} else {self.value(kind, deeper)})"
            )
        if choice < 0.85:
            return f"{{r: {self.value(kind, deeper)}, s: 1}}.r"
        match kind:
            case Primitive("Long"):
                options = [
                    lambda: (
                        f"({self.value(_LONG, deeper)} {self.pick('+', '-', '*')} {self.value(_LONG, deeper)})"
                    ),
                    lambda: f"(-{self.value(_LONG, deeper)})",
                    lambda: (
                        f"{self.value(Primitive('duration'), deeper)}.{self.pick('toMilliseconds', 'toSeconds', 'toMinutes', 'toHours', 'toDays')}()"
                    ),
                ]
                return self.chance.choice(options)()
            case Primitive("Bool"):
                return self.boolean(deeper)
            case Primitive("datetime"):
                return self.pick(
                    f"{self.value(kind, deeper)}.offset({self.value(Primitive('duration'), deeper)})",
                    f"{self.value(kind, deeper)}.toDate()",
                )
            case Primitive("duration"):
                return self.pick(
                    f"{self.value(Primitive('datetime'), deeper)}.toTime()",
                    f"{self.value(Primitive('datetime'), deeper)}.durationSince({self.value(Primitive('datetime'), deeper)})",
                )
            case Primitive("decimal"):
                return f"decimal({self.value(_STRING, deeper)})"
            case Primitive("ipaddr"):
                return f"ip({self.value(_STRING, deeper)})"
            case _:
                return self.literal(kind, depth)

    def anything(self, depth: int) -> str:
        path = self.path()
        return self.pick(
            "0",
            "3",
            '"x"',
            "true",
            "[]",
            "{}",
            "principal",
            "resource",
            "action",
            "context",
            "context.input",
            "[1]",
            "[1, true]",
            "{a: 1}",
            "context.bogus",
            "principal.bogus",
            'Remit::Action::"call_tool"',
            'Other::Thing::"x"',
            path.text if path else "1",
            self.literal(self.kind(), depth),
            'principal.getTag("x")',
        )

    def kind(self) -> Type:
        path = self.path()
        return path.type if path and self.chance.random() < 0.7 else Primitive(self.chance.choice(_SCALARS))

    def entity(self, depth: int) -> str:
        return self.value(EntityType("Remit::" + self.pick("Agent", "Caller", "Team", "Org", "Tool")), depth)

    def guarded(self, path: Path, test: str) -> str:
        if self.chance.random() < 0.7 and path.guards:
            return f"({' && '.join((*path.guards, test))})"
        return f"({test})"

    def on_path(self, depth: int) -> str:
        path = self.path()
        assert path is not None
        here, deeper = path.text, depth - 1
        if self.chance.random() < 0.15:
            literals = [self.literal(path.type, 0) for _ in range(self.chance.randrange(1, 4))]
            return self.guarded(path, f"[{', '.join(literals)}].contains({here})")
        match path.type:
            case Primitive("Long" | "datetime" | "duration"):
                test = f"{here} {self.pick('<', '<=', '>', '>=', '==', '!=')} {self.value(path.type, deeper)}"
            case Primitive("decimal"):
                test = f"{here}.{self.pick('lessThan', 'lessThanOrEqual', 'greaterThan', 'greaterThanOrEqual')}({self.value(path.type, deeper)})"
            case Primitive("String"):
                test = self.pick(
                    f"{here} == {self.value(_STRING, deeper)}",
                    f"{here} like {self.pattern()}",
                    f"[{self.value(_STRING, 0)}, {self.value(_STRING, 0)}].contains({here})",
                )
            case Primitive("Bool"):
                test = self.pick(here, f"!{here}")
            case Primitive("ipaddr"):
                test = f"{here}.{self.pick('isIpv4()', 'isIpv6()', 'isLoopback()', 'isMulticast()', f'isInRange({self.value(path.type, deeper)})')}"
            case EntityType():
                test = self.pick(
                    f"{here} == {self.value(path.type, deeper)}",
                    f"{here} in {self.entity(deeper)}",
                    f"{here} is Remit::{self.pick('Agent', 'Caller', 'Team')}",
                    f"{here} is Remit::{self.pick('Agent', 'Caller')} in {self.entity(deeper)}",
                    f"{here} in [{self.entity(deeper)}, {self.entity(deeper)}]",
                    has(here, self.pick(*IDENTIFIERS)),
                )
            case SetType(element):
                test = self.pick(
                    f"{here}.contains({self.value(element, deeper)})",
                    f"{here}.isEmpty()",
                    f"{here}.{self.pick('containsAll', 'containsAny')}({self.value(path.type, deeper)})",
                    f"{here} == {self.value(path.type, deeper)}",
                )
            case RecordType():
                test = self.pick(
                    f"{here} == {self.value(path.type, deeper)}",
                    has(here, self.pick(*IDENTIFIERS, "bogus")),
                    f"{here} has {self.pick(*IDENTIFIERS)}.{self.pick(*IDENTIFIERS)}",
                )
        return self.guarded(path, test)

    def pattern(self) -> str:
        return '"' + self.pick(*PATTERNS) + '"'

    def boolean(self, depth: int) -> str:
        deeper = depth - 1
        if depth <= 0 or self.chance.random() < 0.4:
            return self.on_path(max(deeper, 0))
        kind = self.kind()
        makers = [
            lambda: f"({self.boolean(deeper)} {self.pick('&&', '||')} {self.boolean(deeper)})",
            lambda: f"({self.boolean(deeper)} && {self.boolean(deeper)} && {self.boolean(deeper)})",
            lambda: f"!({self.boolean(deeper)})",
            lambda: f"(if {self.boolean(deeper)} then {self.boolean(deeper)} else {self.boolean(deeper)})",
            lambda: f"({self.value(kind, deeper)} {self.pick('==', '!=')} {self.value(kind, deeper)})",
            lambda: f"({self.value(kind, deeper)} == {self.value(self.kind(), deeper)})",
            lambda: (
                f"({self.value(_LONG, deeper)} {self.pick('<', '<=', '>', '>=')} {self.value(_LONG, deeper)})"
            ),
            lambda: (
                f"({self.value(Primitive('datetime'), deeper)} {self.pick('<', '>=')} {self.value(Primitive('datetime'), deeper)})"
            ),
            lambda: f"({self.value(_STRING, deeper)} like {self.pattern()})",
            lambda: (
                f"([{self.value(kind, deeper)}, {self.value(kind, deeper)}].contains({self.value(kind, deeper)}))"
            ),
            lambda: f"({self.entity(deeper)} in {self.entity(deeper)})",
            lambda: f"({self.entity(deeper)} in [{self.entity(deeper)}, {self.value(kind, 0)}])",
            lambda: (
                "(action "
                + self.pick(
                    'in Remit::Action::"call_tool"',
                    'in Remit::Action::"money"',
                    '== Remit::Action::"refund"',
                    "has x",
                    'in [Remit::Action::"money", Remit::Action::"search"]',
                )
                + ")"
            ),
            lambda: '(Remit::Action::"refund" in Remit::Action::"call_tool")',
            lambda: (
                f"((if {self.boolean(deeper)} then context else context.input) has {self.pick('input', 'a', 'count')})"
            ),
            lambda: (
                f"((if {self.boolean(deeper)} then context.input else context).{self.pick(*IDENTIFIERS)} == {self.value(kind, deeper)})"
            ),
            lambda: (
                f"((if {self.boolean(deeper)} then principal else context.caller).{self.pick(*IDENTIFIERS)} == {self.value(kind, deeper)})"
            ),
            lambda: f"({self.entity(deeper)}.hasTag({self.value(_STRING, deeper)}))",
            lambda: f"({self.value(kind, deeper)} {self.pick('==', '<', 'in')} {self.anything(deeper)})",
            lambda: (
                f"([{self.anything(0)}, {self.anything(0)}].{self.pick('containsAny', 'containsAll')}([{self.anything(0)}]))"
            ),
            lambda: self.anything(deeper),
            self.deep,
            self.mixed_sets,
            lambda: (
                f"({self.entity(deeper)}.{self.pick('hasTag', 'getTag')}({self.anything(0)}) == {self.anything(0)})"
            ),
        ]
        return self.chance.choice(makers)()

    def deep(self) -> str:
        """Write an expression that is deep or long; the deepest ones are not compiled."""
        inner = self.on_path(0)
        levels = self.chance.choice([5, 20, 34, 36, 38, 45])
        other = self.on_path(0)
        match self.pick("not", "if", "and", "or", "sum", "negative"):
            case "not":
                return "!(" * levels + inner + ")" * levels
            case "if":
                return f"(if {other} then " * (levels // 2) + inner + f" else {other})" * (levels // 2)
            case "and":
                return "(" + f" {self.pick('&&', '||')} ".join([inner, other] * levels) + ")"
            case "or":
                return "(" * (levels // 2) + inner + f" || {other})" * (levels // 2)
            case "sum":
                sign = self.pick("+", "-", "*")
                return "(" + f" {sign} ".join([self.value(_LONG, 0)] * min(levels, 30)) + " >= 0)"
            case _:
                return f"({'-(' * (levels // 2)}{self.value(_LONG, 0)}{')' * (levels // 2)} < 1)"

    def mixed_sets(self) -> str:
        """Write a comparison of sets in which elements differ in type and depth, and are given twice."""

        def elements() -> str:
            one, two = self.anything(0), self.value(self.kind(), 0)
            items = [
                one,
                f"[{two}]",
                f"[{one}, {one}]",
                "[]",
                "{}",
                f"{{a: {two}}}",
                "[[]]",
                "1",
                "true",
                two,
            ]
            chosen = [self.chance.choice(items) for _ in range(self.chance.randrange(5))]
            self.chance.shuffle(chosen)
            return f"[{', '.join(chosen + chosen[: self.chance.randrange(2)])}]"

        operator = self.pick("containsAll", "containsAny", "contains")
        return self.pick(
            f"({elements()}.{operator}({elements()}))",
            f"({elements()} {self.pick('==', '!=')} {elements()})",
            f"({elements()}.isEmpty())",
            f"({self.anything(0)} in {elements()})",
        )

    def policy(self, rule: str, condition: str | None = None) -> str:
        action = self.pick(
            "action",
            "action",
            'action == Remit::Action::"refund"',
            'action in Remit::Action::"call_tool"',
            'action in [Remit::Action::"money", Remit::Action::"continue"]',
            'action == Remit::Action::"search"',
        )
        self._here = self._paths[self.pick("refund", "refund", "search", "continue")]

        def scope(root: str, kinds: tuple[str, ...]) -> str:
            kind = f"Remit::{self.pick(*kinds)}"
            uid = f"{kind}::{quoted(self.chance.choice(IDS))}"
            group = f"Remit::{self.pick('Team', 'Org')}::{quoted(self.chance.choice(IDS))}"
            return root + self.pick(
                "", "", "", f" is {kind}", f" == {uid}", f" in {group}", f" is {kind} in {group}"
            )

        clauses = "".join(
            f" {self.pick('when', 'when', 'unless')} {{ {self.boolean(self.chance.choice([1, 2, 3]))} }}"
            for _ in range(self.chance.choice([0, 1, 1, 1, 2]))
        )
        if condition is not None:
            clauses = f" when {{ {condition} }}"
        principal = scope("principal", ("Agent", "Caller"))
        resource = scope("resource", ("Tool", "Agent", "Caller"))
        return f'@id("{rule}") {self.pick("permit", "permit", "forbid")}({principal}, {action}, {resource}){clauses};'

    def family(self, first: int) -> list[str]:
        """Write many rules of one shape: what an index is made for."""
        path = self.path()
        assert path is not None
        kind = path.type
        other = self.on_path(0)
        rules: list[str] = []
        for number in range(self.chance.randrange(3, 20)):
            literal = self.literal(kind, 0)
            match kind:
                case Primitive("Long" | "datetime" | "duration"):
                    order = self.pick("<", "<=", ">", ">=", "==")
                    test = (
                        f"{path.text} {order} {literal}"
                        if self.chance.random() < 0.8
                        else f"{literal} {order} {path.text}"
                    )
                case Primitive("decimal"):
                    test = f"{path.text}.{self.pick('lessThan', 'lessThanOrEqual', 'greaterThan', 'greaterThanOrEqual')}({literal})"
                case _:
                    test = f"{path.text} == {literal}"
            if path.guards and self.chance.random() < 0.9:
                test = " && ".join((*path.guards, test))
            if self.chance.random() < 0.5:
                test = self.pick(f"{test} && {other}", f"{other} && {test}")
            rules.append(self.policy(f"rule-{first + number}", test))
        return rules

    def crowd(self, first: int) -> list[str]:
        """Write many rules that only compare a few numbers and texts with constants: what tables are made for."""
        plain = (Primitive("Long"), Primitive("String"), Primitive("Bool"))
        found = [path for path in self._here if path.type in plain and (not path.guards or self._rarely())]
        if not found:
            return []
        paths = [self.chance.choice(found) for _ in range(self.chance.randint(1, 4))]
        rules: list[str] = []
        for number in range(self.chance.randrange(4, 40)):
            tests = [self.plainly(self.chance.choice(paths)) for _ in range(self.chance.choice([1, 1, 2, 3]))]
            rules.append(self.policy(f"rule-{first + number}", " && ".join(tests)))
        return rules

    def _rarely(self) -> bool:
        return self.chance.random() < 0.1

    def plainly(self, path: Path) -> str:
        """Compare one path with constants."""
        literal, other = self.literal(path.type, 0), self.literal(path.type, 0)
        tests = [f"{path.text} == {literal}", f"{path.text} != {literal}"]
        tests += [f"[{literal}, {other}].contains({path.text})", f"!([{literal}].contains({path.text}))"]
        tests.append(f"({path.text} == {literal} || {path.text} == {other})")
        if path.type == Primitive("Bool"):
            tests += [path.text, f"!{path.text}"]
        if path.type == Primitive("Long"):
            order, another = self.pick("<", "<=", ">", ">="), self.pick("<", "<=", ">", ">=")
            tests += 3 * [f"{path.text} {order} {literal}", f"{literal} {order} {path.text}"]
            tests.append(f"({path.text} {order} {literal} && {path.text} {another} {other})")
            tests.append(f"!({path.text} {order} {literal} || {path.text} {another} {other})")
        test = self.pick(*tests)
        return " && ".join((*path.guards, test)) if path.guards and self.chance.random() < 0.9 else test


class Caller:
    """Writes random requests: mostly as declared, sometimes wrong in one place."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = world.chance

    def value(self, kind: Type) -> Any:
        chance = self.chance
        match kind:
            case Primitive("Long"):
                return chance.choice(LONGS)
            case Primitive("String"):
                return chance.choice(STRINGS)
            case Primitive("Bool"):
                return chance.random() < 0.5
            case Primitive("decimal"):
                number = float(chance.choice(DECIMALS[:9]))
                return int(number) if number.is_integer() and chance.random() < 0.5 else number
            case Primitive("datetime"):
                return chance.choice((*TIMES, *MORE_TIMES))
            case Primitive("duration"):
                return chance.choice([text for text in DURATIONS if "808ms" not in text])
            case Primitive("ipaddr"):
                return chance.choice(IPS)
            case Primitive():
                raise AssertionError(kind)
            case EntityType(name):
                return {"type": name.removeprefix("Remit::"), "id": chance.choice(IDS)}
            case SetType(element):
                size = chance.randrange(60) if chance.random() < 0.02 else chance.randrange(4)
                return [self.value(element) for _ in range(size)]
            case RecordType(attributes):
                return {
                    name: self.value(attribute.type)
                    for name, attribute in attributes.items()
                    if attribute.required or chance.random() < 0.6
                }

    def spoiled(self, value: Any) -> Any:
        """Return a value with one thing in it that Cedar, or the schema, does not take (or is odd and fine)."""
        if isinstance(value, dict) and value and self.chance.random() < 0.7:
            name = self.chance.choice(list(value))
            choice = self.chance.random()
            if choice < 0.15:
                return {key: item for key, item in value.items() if key != name}
            if choice < 0.25:
                return {**value, self.chance.choice(["bogus", "a", 1]): 1}
            return {**value, name: self.spoiled(value[name])}
        if isinstance(value, list) and value and self.chance.random() < 0.7:
            place = self.chance.randrange(len(value))
            return [*value[:place], self.spoiled(value[place]), *value[place + 1 :]]
        wrong: list[Any] = [
            None, True, 1, 1.5, 0.1 + 0.2, 2**63, -(2**63) - 1, float("nan"), float("inf"), 1e300, "\ud800", "x",
            [], {}, [None], {"type": "Caller", "id": "ann"}, {"type": "Caller", "id": 1}, {"type": "Tool", "id": "a"},
            {"type": "Caller", "id": "a", "more": 1}, {"__entity": {"type": "Remit::Caller", "id": "ann"}}, (1,),
            *BAD_TIMES, *BAD_IPS, *BAD_DURATIONS, -0.0, "٣",
        ]  # fmt: skip
        return self.chance.choice(wrong)

    def request(self) -> Request:
        chance = self.chance
        action = chance.choice(["refund", "refund", "search", "continue"])
        declared = self.world.types.actions[action]
        entities: dict[tuple[str, str], Entity] = {}

        def entity(full: str, name: str) -> Entity:
            kind = full.removeprefix("Remit::")
            parents: list[EntityRef] = []
            for parent in self.world.types.parents[full]:
                # Ids are ordered, so that most hierarchies have no cycle.
                names = [other for other in IDS if other > name] if chance.random() < 0.9 else list(IDS)
                if names and chance.random() < 0.4:
                    parents.append(EntityRef(type=parent.removeprefix("Remit::"), id=chance.choice(names)))
            value = Entity(
                ref=EntityRef(type=kind, id=name),
                attributes=self.value(self.world.types.entities[full]),
                parents=tuple(parents),
            )
            return entities.setdefault((full, name), value)

        principal = entity(chance.choice(sorted(declared.principals)), chance.choice(IDS))
        resource = entity(chance.choice(sorted(declared.resources)), chance.choice(IDS))
        if action == "continue" and chance.random() < 0.7:
            resource = principal
        context = self.value(declared.context)
        self._references(context, entity)
        for held in list(entities.values()):
            self._references(held.attributes, entity)
        for full in self.world.types.entities:
            if chance.random() < 0.3:
                entity(full, chance.choice(IDS))
        given = list(entities.values())
        chance.shuffle(given)
        if chance.random() < 0.5:
            given = [one for one in given if one not in (principal, resource)]
        if chance.random() < 0.1 and given:
            twice = chance.choice(given)
            given.append(
                twice
                if chance.random() < 0.5
                else dataclasses.replace(twice, attributes=dict(twice.attributes))
            )
        request = Request(
            principal=principal, action=action, resource=resource, context=context, entities=tuple(given)
        )
        return self._spoil(request) if chance.random() < 0.15 else request

    def _references(self, value: Any, entity: Any) -> None:
        if isinstance(value, dict) and value.keys() == {"type", "id"} and isinstance(value["type"], str):
            full = f"Remit::{value['type']}"
            if (
                self.chance.random() < 0.9
                and full in self.world.types.entities
                and isinstance(value["id"], str)
            ):
                entity(full, value["id"])
        elif isinstance(value, dict):
            for inner in value.values():
                self._references(inner, entity)
        elif isinstance(value, list):
            for inner in value:
                self._references(inner, entity)

    def _spoil(self, request: Request) -> Request:
        choice = self.chance.random()
        if choice < 0.5:
            return dataclasses.replace(request, context=self.spoiled(request.context))
        if choice < 0.65:
            principal = dataclasses.replace(
                request.principal, attributes=self.spoiled(request.principal.attributes)
            )
            return dataclasses.replace(request, principal=principal)
        if choice < 0.75:
            return dataclasses.replace(
                request, action=self.chance.choice(["call_tool", "nope", "search", "refund"])
            )
        if choice < 0.85:
            ref = EntityRef(
                type=self.chance.choice(["Tool", "Nope", "Team", "Agent"]),
                id=self.chance.choice([*IDS, "\ud800"]),
            )
            return dataclasses.replace(request, resource=dataclasses.replace(request.resource, ref=ref))
        parents = tuple(
            EntityRef(type=self.chance.choice(["Team", "Org", "Agent", "Nope"]), id=self.chance.choice(IDS))
            for _ in range(self.chance.randrange(1, 3))
        )
        return dataclasses.replace(request, principal=dataclasses.replace(request.principal, parents=parents))


def random_image(chance: random.Random) -> tuple[World, PolicyImage]:
    while True:
        world = World(chance)
        author = Author(world)
        rules = [author.policy(f"rule-{n}") for n in range(chance.randint(1, 7))]
        if chance.random() < 0.35:
            rules += author.family(len(rules))
        if chance.random() < 0.3:
            rules += author.crowd(len(rules))
        good: list[str] = []
        for rule in rules:
            try:
                cedarpy.PolicySet.from_str(rule)
            except ValueError:
                continue
            good.append(rule)
        if not good:
            continue
        text = "\n".join(good)
        image = PolicyImage(
            policies=text,
            schema=world.schema,
            schema_text="",
            rules={},
            digest=image_digest(text, world.schema),
        )
        # Where all are forbids, every policy that applies shows, also permits that a forbid would hide.
        return world, all_forbids(image) if chance.random() < 0.3 else image
