"""Permissions of a Docker agent file: `deny`, `ask` and `allow` patterns as rules.

What a pattern means there: `tool:argument=value:…` with globs, letters in any case, numbers and truth values
as their text; an absent argument never fits.
`deny` goes before `allow`, `allow` before `ask`; what nothing fits is asked about, except read-only tools.

Rules
1. `deny` becomes a forbid in force, `ask` a forbid in force that a person's approval lifts.
   Both stay in force beside `allow`, although the file lets `allow` win over `ask`.
2. `allow` becomes a permit that is only proposed; what it covers is left out of what is asked about anyway.
3. A condition that Cedar cannot say exactly is said wider in a forbid: every letter (Cedar tells capitals
   apart), `?` and `[…]` becomes `*`. In a permit letters count as written; with `?` or `[…]` there is none.
4. Tool names are matched here, for the tools of a document are known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from remit.document.json_text import printable
from remit.exchange.document import REVIEWER
from remit.exchange.foreign import ForeignRule
from remit.policy.cedar_text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from remit.document.values import JsonObject
    from remit.exchange.foreign import ForeignTool
    from remit.exchange.members import Findings, ForeignObject

MAX_PATTERNS = 512
"""How many patterns one file may hold: each becomes a rule at every tool that it fits."""

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset(("true", "false", "if", "then", "else", "in", "is", "like", "has", "__cedar"))
_ALWAYS = ("", "true")
_SMALL_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,5}")
"""Integers whose text is their digits there as here; from a million on an exponent is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One pattern, taken apart.

    Args:
        text: as it is written.
        pointer: where.
        tool: glob for the tool's name.
        arguments: glob for the value of each argument that must be there.
        unsure: arguments whose value the versions of the format read differently.
    """

    text: str
    pointer: str
    tool: str
    arguments: dict[str, str]
    unsure: frozenset[str]


def parse_pattern(text: str, pointer: str = "") -> Pattern:
    """Take a pattern apart: the first part that holds `name=` begins the arguments."""
    first, *parts = text.split(":")
    tool = [first]
    arguments: dict[str, str] = {}
    unsure: set[str] = set()
    last = ""
    for part in parts:
        key, mark, value = part.partition("=")
        if mark and _KEY.fullmatch(key):
            arguments[key], last = value, key
        elif last:
            # Early versions drop such a part, later ones count it to the value.
            arguments[last] += f":{part}"
            unsure.add(last)
        else:
            tool.append(part)
    return Pattern(
        text=text, pointer=pointer, tool=":".join(tool), arguments=arguments, unsure=frozenset(unsure)
    )


def glob_fits(glob: str, name: str) -> bool:
    """Whether a glob fits a whole name, letters in any case; one that is malformed fits nothing."""
    try:
        tests = [_test(kind, text) for kind, text in _tokens(glob.lower())]
    except re.error:
        return False
    lowered = name.lower()
    # The last `*` alone is tried again: an earlier one that took more could not help.
    position = index = 0
    star, mark = -1, 0
    while position < len(lowered):
        if index < len(tests) and tests[index] is None:
            star, mark = index, position
            index += 1
        elif index < len(tests) and _fits(tests[index], lowered[position]):
            index, position = index + 1, position + 1
        elif star >= 0:
            mark += 1
            index, position = star + 1, mark
        else:
            return False
    return all(test is None for test in tests[index:])


def _test(kind: str, text: str) -> re.Pattern[str] | None:
    """Return what one character must fit; None for `*`."""
    if kind == "any":
        return None
    if kind == "one":
        return re.compile(".", re.DOTALL)
    if kind == "text":
        return re.compile(re.escape(text))
    inverted, members = text.startswith("^"), text.removeprefix("^")
    plain = re.sub(r"\\(.)", r"\1", members)
    escaped = "".join(mark if mark == "-" else re.escape(mark) for mark in plain)
    return re.compile(f"[{'^' if inverted else ''}{escaped}]")


def _fits(test: re.Pattern[str] | None, character: str) -> bool:
    return test is not None and test.fullmatch(character) is not None


def _tokens(glob: str) -> Iterator[tuple[Literal["any", "one", "class", "text"], str]]:
    """Yield the parts of a glob: `*`, `?`, the body of `[…]`, and single characters."""
    index = 0
    while index < len(glob):
        mark = glob[index]
        if mark == "*":
            yield "any", mark
        elif mark == "?":
            yield "one", mark
        elif mark == "\\" and index + 1 < len(glob):
            index += 1
            yield "text", glob[index]
        elif mark == "[" and (end := _class_end(glob, index)) > 0:
            yield "class", glob[index + 1 : end]
            index = end
        else:
            yield "text", mark
        index += 1


def _class_end(glob: str, start: int) -> int:
    index = start + 1
    while index < len(glob):
        if glob[index] == "\\":
            index += 1
        elif glob[index] == "]":
            return index
        index += 1
    return -1


def wider_condition(pattern: Pattern, tool: ForeignTool) -> tuple[str, bool]:
    """Return a Cedar condition that holds wherever a pattern's arguments fit, and whether it is exact.

    The condition is empty where only an unconditional one is wide enough.
    """
    parts: list[str] = []
    exact = True
    for name, glob in pattern.arguments.items():
        found = None if name in pattern.unsure else _argument(tool, name, glob, wider=True)
        if found is None:
            exact = False
            continue
        text, sure = found
        parts.append(text)
        exact = exact and sure
    return " && ".join(part for part in parts if part), exact


def narrower_condition(pattern: Pattern, tool: ForeignTool) -> str | None:
    """Return a Cedar condition that holds only where a pattern's arguments fit; None where there is none."""
    parts: list[str] = []
    for name, glob in pattern.arguments.items():
        found = None if name in pattern.unsure else _argument(tool, name, glob, wider=False)
        if found is None:
            return None
        parts.append(found[0])
    return " && ".join(parts)


def _argument(tool: ForeignTool, name: str, glob: str, *, wider: bool) -> tuple[str, bool] | None:
    """Return the condition on one argument and whether it is exact; None where nothing can be said."""
    properties = tool.parameters.get("properties")
    schema = properties.get(name) if isinstance(properties, dict) else None
    required = tool.parameters.get("required")
    if not isinstance(schema, dict):
        return None
    plain = _IDENTIFIER.fullmatch(name) is not None and name not in _RESERVED
    place = f"context.input.{name}" if plain else f"context.input[{quoted(name)}]"
    always = isinstance(required, list) and name in required
    guard = "" if always else f"context.input has {name if plain else quoted(name)} && "
    kind = schema.get("type")
    if kind == "string" and schema.get("format") != "date-time":
        return _text_condition(place, guard, glob, wider=wider)
    if kind == "boolean" and glob.lower() in ("true", "false"):
        return f"{guard}{place} == {glob.lower()}", True
    if kind == "integer" and _SMALL_INTEGER.fullmatch(glob):
        return f"{guard}{place} == {glob}", True
    return None


def _text_condition(place: str, guard: str, glob: str, *, wider: bool) -> tuple[str, bool] | None:
    shape: list[str] = []
    exact = True
    for kind, text in _tokens(glob):
        if kind == "any":
            shape.append("*")
        elif kind != "text":
            if not wider:
                return None
            exact = False
            shape.append("*")
        elif wider and (text.isalpha() or not text.isascii()):
            exact = False
            shape.append("*")
        else:
            shape.append(quoted(text)[1:-1].replace("*", "\\*"))
    like = re.sub(r"(?<!\\)\*{2,}", "*", "".join(shape))
    if like == "*":
        return (guard.removesuffix(" && "), exact) if guard else ("true", exact)
    if "*" in shape:
        return f'{guard}{place} like "{like}"', exact
    return f'{guard}{place} == "{"".join(quoted(text)[1:-1] for _, text in _tokens(glob))}"', exact


class Permissions:
    """The permissions of a file, for one agent of it.

    Args:
        permissions: the member `permissions`, or None.
        safety: the safety mode that the file asks for.
        tools: the agent's tools.
        findings: where remarks go.
    """

    def __init__(
        self,
        permissions: ForeignObject | None,
        safety: str,
        tools: Sequence[ForeignTool],
        findings: Findings,
    ) -> None:
        self._lists: dict[str, list[Pattern]] = {
            name: [parse_pattern(text, pointer) for pointer, text in permissions.texts(name)]
            if permissions is not None
            else []
            for name in ("deny", "ask", "allow")
        }
        count = sum(map(len, self._lists.values()))
        if permissions is not None and count > MAX_PATTERNS:
            findings.fault(permissions.pointer, f"there are {count} patterns, more than {MAX_PATTERNS}")
            self._lists = {name: [] for name in self._lists}
        self._safety = safety
        self._tools = tools
        self._findings = findings
        self._denied: set[str] = set()

    def rules(self) -> tuple[ForeignRule, ...]:
        """Return the rules: those in force, and those proposed."""
        binding = [rule for name in ("deny", "ask") for rule in self._binding(name)]
        offered: list[ForeignRule] = []
        allowed: dict[str, list[str]] = {tool.name: [] for tool in self._tools}
        for number, pattern in enumerate(self._lists["allow"], start=1):
            for tool in self._matched(pattern, "allow"):
                condition = narrower_condition(pattern, tool)
                said = f"`allow` of `{printable(pattern.text)}`"
                if condition is None:
                    self._findings.decide(
                        pattern.pointer, f"{said} has no exact form at `{tool.name}`: write a permit"
                    )
                    continue
                allowed[tool.name].append(condition)
                offered.append(_permit(pattern, tool, condition, number))
                self._findings.decide(
                    pattern.pointer, f"{said} is proposed at `{tool.name}`; it grants nothing yet"
                )
        return (*binding, *self._unmatched(allowed), *offered)

    def _matched(self, pattern: Pattern, name: str) -> list[ForeignTool]:
        found = [
            tool for tool in self._tools if glob_fits(pattern.tool, tool.name) and _can_fit(pattern, tool)
        ]
        if not found:
            self._findings.decide(
                pattern.pointer,
                f"`{name}` of `{printable(pattern.text)}` fits no tool of this document: write a rule "
                "if you add such a tool",
            )
        return found

    def _binding(self, name: str) -> Iterator[ForeignRule]:
        verb = "forbids" if name == "deny" else "wants a person to confirm"
        for number, pattern in enumerate(self._lists[name], start=1):
            value: JsonObject = {
                "id": f"{name}-{number}",
                "effect": "forbid",
                "because": f"the imported file {verb} `{printable(pattern.text)}`",
            }
            if name == "ask":
                value["obligations"] = [{"approve": {"by": REVIEWER}}]
            if pattern.tool == "*" and not pattern.arguments:
                self._findings.carried(pattern.pointer, f"`{name}` of every tool is rule `{value['id']}`")
                yield ForeignRule(place="rules", value={**value, "on": ["call_tool"]}, in_force=True)
                continue
            for tool in self._matched(pattern, name):
                yield from self._at_tool(pattern, tool, value)

    def _at_tool(self, pattern: Pattern, tool: ForeignTool, value: JsonObject) -> Iterator[ForeignRule]:
        """Yield the forbid at one tool, and where it is wider than the file, the one as written, proposed."""
        name = str(value["id"]).partition("-")[0]
        said = f"`{name}` of `{printable(pattern.text)}`"
        place = f"tool:{tool.name}"
        condition, exact = wider_condition(pattern, tool)
        yield ForeignRule(place=place, value=_when(value, condition), in_force=True)
        self._findings.carried(pattern.pointer, f"{said} is a forbid at `{tool.name}`, in force")
        if exact:
            if name == "deny" and condition in _ALWAYS:
                self._denied.add(tool.name)
            return
        wide = f"`{condition}`" if condition not in _ALWAYS else "every call"
        self._findings.decide(
            pattern.pointer,
            f"{said} has no exact form, so the rule at `{tool.name}` is wider: it applies to {wide}",
        )
        written = narrower_condition(pattern, tool)
        if written is not None:
            named: JsonObject = {**value, "id": f"{value['id']}-as-written"}
            yield ForeignRule(place=place, value=_when(named, written), in_force=False)

    def _unmatched(self, allowed: dict[str, list[str]]) -> Iterator[ForeignRule]:
        """What the file asks about because nothing else is said."""
        for tool in self._tools:
            conditions = allowed[tool.name]
            place = f"tool:{tool.name}"
            free = tool.effect == "read" and self._safety != "strict"
            if free or tool.name in self._denied or any(condition in _ALWAYS for condition in conditions):
                continue
            value: JsonObject = {
                "id": f"otherwise-{tool.name}",
                "effect": "forbid",
                "because": "the imported file wants a person to confirm what it does not allow",
                "obligations": [{"approve": {"by": REVIEWER}}],
            }
            if self._safety == "restricted":
                del value["obligations"]
                value["because"] = "the imported file denies what it does not allow"
            if conditions:
                value["unless"] = " || ".join(f"({condition})" for condition in dict.fromkeys(conditions))
            yield ForeignRule(place=place, value=value, in_force=True)


def _can_fit(pattern: Pattern, tool: ForeignTool) -> bool:
    """Whether a tool takes the arguments that a pattern is about; one that takes any takes them."""
    properties = tool.parameters.get("properties")
    if tool.parameters.get("additionalProperties") is not False or not isinstance(properties, dict):
        return True
    return pattern.arguments.keys() <= properties.keys()


def _when(value: JsonObject, condition: str) -> JsonObject:
    return dict(value) if condition in _ALWAYS else {**value, "when": condition}


def _permit(pattern: Pattern, tool: ForeignTool, condition: str, number: int) -> ForeignRule:
    value: JsonObject = {
        "id": f"allow-{number}",
        "effect": "permit",
        "because": f"the imported file allows `{printable(pattern.text)}`",
    }
    return ForeignRule(place=f"tool:{tool.name}", value=_when(value, condition), in_force=False)
