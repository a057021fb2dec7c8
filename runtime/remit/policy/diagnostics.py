"""Cedar's messages in plain words: cause, way forward, and what to look for in the author's text.

The engine's parser and validator name no positions (cedarpy 4.12); each finding therefore carries patterns
that find the offending token in the text. A message that is not known here is passed on as Cedar worded it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.engine.request import NAMESPACE
from remit.policy.vocabulary import FUNCTIONS, METHODS, Vocabulary, suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_NAMESPACED = f"{NAMESPACE}::"
_DECIMAL_METHODS = {">": "greaterThan", ">=": "greaterThanOrEqual", "<": "lessThan", "<=": "lessThanOrEqual"}
_COMPARISON = re.compile(r"(context(?:\s*\.\s*\w+)+|\w+(?:\.\w+)+)\s*(>=|<=|>|<|==|!=)\s*(-?\d+(?:\.\d+)?)")
_WORDS = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!"}
_CONTEXT = re.compile(r'(.*)attribute `(.+)` in context for Remit::Action::"(.+?)"( not found)?')
_INTERNAL = {
    "__cedar::internal::AnyEntity": "an entity",
    "__cedar::internal::OpenRecord{}": "a record",
    "Set<__cedar::internal::AnyEntity>": "a set of entities",
    "Set<__cedar::internal::Any>": "a set",
}
_SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with a policy.

    Args:
        message: see `Fault`.
        hint: see `Fault`.
        patterns: regular expressions that find the token concerned; the first that matches counts.
    """

    message: str
    hint: str = ""
    patterns: tuple[str, ...] = ()


TOO_DEEP = Finding(
    message="not valid Cedar: an expression nests deeper than 100 levels",
    hint="split the rule, or write `[…].contains(…)` for a long chain of `||`",
)


def syntax_finding(message: str, code: str) -> Finding:
    """Explain a parse error.

    Args:
        message: the parser's message.
        code: the author's text with strings and comments blanked out.
    """
    for pattern, explain in _SYNTAX:
        match = re.search(pattern, message)
        if match:
            return explain(match, code)
    return Finding(message=f"not valid Cedar: {message}")


_CLOSING = "}"


def _unexpected_token(match: re.Match[str], code: str) -> Finding:
    token = match[1]
    number = re.search(r"(?<![\w.])\d+\.\d+", code)
    if number is not None and token == number.group().partition(".")[2]:
        return Finding(
            message=f"unexpected number `{number.group()}`: Cedar has no decimal literals",
            hint=f'write `decimal("{number.group()}")` and compare with `.greaterThan(…)` and the like',
            patterns=(re.escape(number.group()),),
        )
    negation = re.search(rf"\b(not|NOT)\s+{re.escape(token)}", code)
    if negation is not None:
        token = negation[1]
    if token in _WORDS:
        return Finding(
            message=f"unexpected word `{token}`: Cedar's operator is `{_WORDS[token]}`",
            hint=f"write `{_WORDS[token]}`",
            patterns=(rf"\b{token}\b",),
        )
    if token == _CLOSING and _CLOSING not in code:
        # The brace that stands behind a condition in the policy, not in what its author wrote.
        return Finding(
            message="not valid Cedar: the condition ends too early",
            hint="close every `(` and `[`" if _open(code) else "write what stands behind the last operator",
            patterns=(r"\S(?=\s*\Z)",),
        )
    word = re.escape(token)
    return Finding(
        message=f"not valid Cedar: unexpected `{token}`",
        hint="an operator, a comma or a bracket is missing before it, or it is one too many",
        patterns=(rf"\b{word}\b" if re.fullmatch(r"\w+", token) else word,),
    )


def _open(code: str) -> bool:
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", code)
    return bare.count("(") > bare.count(")") or bare.count("[") > bare.count("]")


def _invalid_token(match: re.Match[str], code: str) -> Finding:
    if "'" in code:
        return Finding(
            message="not valid Cedar: a text in single quotes", hint='write it in `"`', patterns=("'",)
        )
    if code.count('"') % 2:
        return Finding(
            message="not valid Cedar: a text is not closed", hint='end it with `"`', patterns=('"',)
        )
    foreign = re.search(r"[^\x00-\x7f]|[#$^`~]", code)
    if foreign is not None:
        return Finding(
            message=f"not valid Cedar: character `{foreign.group()}`",
            hint="a comment begins with `//`"
            if foreign.group() == "#"
            else "Cedar's own words and operators are ASCII; text stands in double quotes",
            patterns=(re.escape(foreign.group()),),
        )
    return Finding(message=f"not valid Cedar: {match.group()}")


def _function(match: re.Match[str], _code: str) -> Finding:
    name = match[1]
    bare = name.rpartition("::")[2]
    return Finding(
        message=f"unknown function `{name}`: {suggestion(bare, FUNCTIONS)}",
        patterns=(rf"{re.escape(name)}\s*\(", rf"\b{re.escape(bare)}\b"),
    )


def _method(match: re.Match[str], _code: str) -> Finding:
    name = match[1]
    return Finding(
        message=f"unknown method `{name}`: {suggestion(name, METHODS)}",
        patterns=(rf"\.\s*{re.escape(name)}\b(?<=(?P<token>{re.escape(name)}))", rf"\b{re.escape(name)}\b"),
    )


def _variable(match: re.Match[str], _code: str) -> Finding:
    name = match[1]
    known = ("principal", "action", "resource", "context")
    return Finding(
        message=f"unknown variable `{name}`: {suggestion(name, known)}", patterns=(rf"\b{re.escape(name)}\b",)
    )


def _single_equals(_match: re.Match[str], _code: str) -> Finding:
    return Finding(message="`=` is no operator of Cedar", hint="write `==`", patterns=(r"(?<![=!<>])=(?!=)",))


def _quoted_name(message: str) -> Callable[[re.Match[str], str], Finding]:
    def explain(match: re.Match[str], _code: str) -> Finding:
        return Finding(message=message.format(match[1]), patterns=(re.escape(match[1]),))

    return explain


def _end(_match: re.Match[str], _code: str) -> Finding:
    return Finding(
        message="not valid Cedar: the text ends in the middle of a policy",
        hint="close every bracket, and end a plain Cedar policy with `;`",
        patterns=(r"\S(?=\s*\Z)",),
    )


_SYNTAX: tuple[tuple[str, Callable[[re.Match[str], str], Finding]], ...] = (
    (r"nesting exceeds the supported limit", lambda _match, _code: TOO_DEEP),
    (
        r"number too large to fit",
        lambda _match, _code: Finding(
            message="a whole number is too large: Cedar counts in 64 bits", patterns=(r"\d{19,}",)
        ),
    ),
    (
        r"too many occurrences of `(.)`",
        lambda match, _code: Finding(
            message=f"too many `{match[1]}` in a row: Cedar takes four", patterns=(rf"\{match[1]}{{5,}}",)
        ),
    ),
    (
        r"condition clause cannot be empty",
        lambda _match, _code: Finding(
            message="an expression is empty", hint="write one, or leave the member out"
        ),
    ),
    (r"unexpected token `(.*)`", _unexpected_token),
    (r"unexpected end of input", _end),
    (r"invalid token", _invalid_token),
    (
        r"`(\w+)` is a method, not a function",
        lambda match, _code: Finding(
            message=f"`{match[1]}` is a method, not a function",
            hint=f"write `x.{match[1]}(…)`",
            patterns=(rf"\b{match[1]}\s*\(",),
        ),
    ),
    (r"`([^`]+)` is not a valid function", _function),
    (r"`([^`]+)` is not a valid method", _method),
    (r"`(\w+)` has no fields or methods", _variable),
    (r"invalid variable(?: in the policy scope)?:? `?(\w+)`?", _variable),
    (r"'=' is not a valid operator", _single_equals),
    (
        r"integer literal `(\d+)` is too large",
        _quoted_name("integer `{}` is too large: Cedar counts in 64 bits"),
    ),
    (r"the input `(.+)` is not a valid escape", _quoted_name("`{}` is not a valid escape in a text")),
    (r"duplicate annotation: (@\w+)", _quoted_name("annotation `{}` stands twice at one policy")),
)


def type_findings(
    messages: Iterable[str], code: str, vocabulary: Vocabulary, actions: frozenset[str]
) -> tuple[Finding, ...]:
    """Explain the validator's messages about one policy, each cause once, in a stable order.

    Args:
        messages: the messages, without the policy's name.
        code: the author's text.
        vocabulary: what the schema offers.
        actions: actions that the policy's scope admits.
    """
    known = sorted(set(messages))
    scope = "unable to find an applicable action given the policy scope constraints"
    if scope in known and len(known) > 1:
        known.remove(scope)
    missing: dict[str, list[str]] = {}
    optional: dict[str, list[str]] = {}
    found: list[Finding] = []
    for message in known:
        context = re.fullmatch(
            r'(.*)attribute `(.+)` in context for Remit::Action::"(.+)"( not found)?', message
        )
        if context is not None:
            (missing if context[4] else optional).setdefault(context[2], []).append(context[3])
        else:
            found.append(_type_finding(message, code, vocabulary))
    contexts = [_missing(path, names, vocabulary, actions) for path, names in missing.items()]
    contexts += [_optional(path) for path in optional if not _nested(path, optional)]
    return tuple(dict.fromkeys(contexts + found))


def _nested(path: str, paths: Iterable[str]) -> bool:
    """Whether a shorter path is at fault already; `has` on the longer one would then do both."""
    return any(path.startswith(f"{other}.") for other in paths)


def _missing(path: str, names: list[str], vocabulary: Vocabulary, actions: frozenset[str]) -> Finding:
    *base, name = path.split(".")
    near = [vocabulary.members_at(vocabulary.context_type(action), base) for action in names]
    where = ".".join(("context", *base))
    members = sorted({member for found in near if found for member in found})
    elsewhere = sorted(actions - set(names) - {"call_tool"})
    of = _listed(names)
    cause = suggestion(name, members) or (f"`{where}` is not there" if base else "it has none")
    hint = ""
    if elsewhere and any(_has(vocabulary, action, path) for action in elsewhere):
        having = [action for action in elsewhere if _has(vocabulary, action, path)]
        cause = f"only {_listed(having)} {'has' if len(having) == 1 else 'have'} it"
        hint = "name these actions with `on`, or in the policy's scope"
    return Finding(
        message=f"attribute `{name}` not found in `{where}` of {of}: {cause}",
        hint=hint,
        patterns=attribute_patterns(name),
    )


def _has(vocabulary: Vocabulary, action: str, path: str) -> bool:
    *base, name = path.split(".")
    return name in (vocabulary.members_at(vocabulary.context_type(action), base) or {})


def _optional(path: str) -> Finding:
    base, _, name = path.rpartition(".")
    whole = f"context.{base}" if base else "context"
    return Finding(
        message=f"attribute `{name}` of `{whole}` may be absent: the rule would fail where it is",
        hint=f"ask for it first: `{whole} has {name} && …`",
        patterns=attribute_patterns(name),
    )


def _type_finding(message: str, code: str, vocabulary: Vocabulary) -> Finding:
    for pattern, explain in _TYPES:
        match = re.search(pattern, message)
        if match:
            return explain(match, code, vocabulary)
    return Finding(message=f"not a valid policy: {message}")


def _entity_attribute(match: re.Match[str], _code: str, vocabulary: Vocabulary) -> Finding:
    name, entity = match[1].rpartition(".")[2], match[2].removeprefix(_NAMESPACED)
    others = [other for other in vocabulary.entity_types if name in vocabulary.entity_members(other)]
    if others:
        return Finding(
            message=f"attribute `{name}` not found on `{entity}`: {_listed(others)} has it",
            hint=f"ask for the type first: `principal is {_NAMESPACED}{others[0]} && …`",
            patterns=attribute_patterns(name),
        )
    cause = suggestion(name, vocabulary.entity_members(entity))
    return Finding(
        message=f"attribute `{name}` not found on `{entity}`: {cause}",
        patterns=attribute_patterns(name),
    )


def _entity_optional(match: re.Match[str], _code: str, _vocabulary: Vocabulary) -> Finding:
    name = match[1].rpartition(".")[2]
    return Finding(
        message=f"attribute `{name}` of `{match[2].removeprefix(_NAMESPACED)}` may be absent: "
        "the rule would fail where it is",
        hint=f"ask for it first with `has {name} && …`",
        patterns=attribute_patterns(name),
    )


def _action(match: re.Match[str], _code: str, vocabulary: Vocabulary) -> Finding:
    kind, name = match[1], match[2]
    patterns = (re.escape(f'{kind}::"{name}"'), re.escape(f'"{name}"'), re.escape(name))
    if kind == "Action" and name in vocabulary.actions:
        return Finding(
            message=f'unknown action `Action::"{name}"`: actions live in the namespace `{NAMESPACE}`',
            hint=f'write `{_NAMESPACED}Action::"{name}"`',
            patterns=patterns,
        )
    return Finding(
        message=f"unknown action `{name}`: {suggestion(name, vocabulary.actions)}", patterns=patterns
    )


def _entity_type(match: re.Match[str], _code: str, vocabulary: Vocabulary) -> Finding:
    name = match[1]
    bare = name.rpartition("::")[2]
    pattern = (rf"(?<![\w:]){re.escape(name)}\b",)
    if name in vocabulary.entity_types:
        return Finding(
            message=f"unknown entity type `{name}`: types live in the namespace `{NAMESPACE}`",
            hint=f"write `{_NAMESPACED}{name}`",
            patterns=pattern,
        )
    known = [f"{_NAMESPACED}{known}" for known in vocabulary.entity_types]
    return Finding(
        message=f"unknown entity type `{name}`: {suggestion(_NAMESPACED + bare, known)}", patterns=pattern
    )


def _scope(_match: re.Match[str], _code: str, _vocabulary: Vocabulary) -> Finding:
    return Finding(
        message="the rule can never apply: no request joins this principal, action and resource",
        hint="see which principals and resources each action has in the rule reference",
    )


def _unexpected_type(match: re.Match[str], code: str, _vocabulary: Vocabulary) -> Finding:
    wanted, seen = match[1], match[2]
    if seen == "decimal" and "Long" in wanted:
        number = _COMPARISON.search(code)
        if number is not None and number[2] in _DECIMAL_METHODS:
            literal = number[3] if "." in number[3] else f"{number[3]}.0"
            method = _DECIMAL_METHODS[number[2]]
            return Finding(
                message=f"`{number[1]}` is a decimal: `{number[2]}` compares whole numbers",
                hint=f'write `{number[1]}.{method}(decimal("{literal}"))`',
                patterns=(re.escape(number[1]),),
            )
        return Finding(
            message="a decimal stands where a whole number is needed",
            hint='compare with `.greaterThan(decimal("500.0"))` and the like; Cedar does not add decimals',
            patterns=(r"\b(?P<token>decimal)\s*\(", r"[<>+*-]"),
        )
    if seen == "String" and wanted in {"datetime", "duration", "decimal"}:
        return Finding(
            message=f"a text stands where a {wanted} is needed",
            hint=f'write `{wanted}("…")`',
            patterns=(r'(?<!\()"',),
        )
    if "AnyEntity" in wanted and re.search(r"\bin\b", code):
        return Finding(
            message="`in` asks whether an entity belongs to another: this is no entity",
            hint='for texts write `["a", "b"].contains(…)`',
            patterns=(r"\bin\b",),
        )
    hints = {
        "`Bool`": "compare it with something, so that it is true or false",
        "a set": 'write `["a", "b"].contains(…)`, or `like "*a*"` for a part of a text',
    }
    needed = _types(wanted)
    return Finding(
        message=f"a value of type {_types(seen)} stands where {needed} is needed",
        hint=hints.get(needed, "compare values of one type; `remit compile` shows the types"),
    )


def _incompatible(match: re.Match[str], _code: str, _vocabulary: Vocabulary) -> Finding:
    left, right = match[1], match[2]
    hint = 'write `decimal("…")`' if {left, right} == {"decimal", "Long"} else ""
    return Finding(
        message=f"`{left}` and `{right}` can never be equal",
        hint=hint or "compare values of one type",
        patterns=(r"==|!=", r"\bcontains\w*"),
    )


def _passed_on(
    message: str, *patterns: str, hint: str = ""
) -> Callable[[re.Match[str], str, Vocabulary], Finding]:
    def explain(match: re.Match[str], _code: str, _vocabulary: Vocabulary) -> Finding:
        groups = match.groups()
        own = tuple(re.escape(group) for group in groups[:1])
        return Finding(message=message.format(*groups), hint=hint, patterns=patterns or own)

    return explain


_TYPES: tuple[tuple[str, Callable[[re.Match[str], str, Vocabulary], Finding]], ...] = (
    (r"optional attribute `(.+)` on entity type `(.+)`", _entity_optional),
    (r"attribute `(.+)` on entity type `(.+)` not found", _entity_attribute),
    (r'unrecognized action `((?:\w+::)*Action)::"(.*)"`', _action),
    (r"unrecognized entity type `(.+)`", _entity_type),
    (r"unable to find an applicable action", _scope),
    (r"unexpected type: expected (.+) but saw (.+)", _unexpected_type),
    (r"the types (.+) and (.+) are not compatible", _incompatible),
    (
        r"empty set literals are forbidden",
        _passed_on("an empty set `[]` has no type", r"\[\s*\]", hint="write `.isEmpty()`"),
    ),
    (
        r"failed to parse as (?:a |an )?(.+?)(?: value)?: `(\"?.*\"?)`",
        _passed_on("`{1}` is not a valid {0}", r"\b(?:decimal|ip|datetime|duration)\s*\("),
    ),
    (
        r"wrong number of arguments in extension function application. Expected (\d+), got (\d+)",
        _passed_on("a function takes {0} arguments, not {1}", r"\b(?:decimal|ip|datetime|duration)\s*\("),
    ),
)


def _types(names: str) -> str:
    kinds = (name.strip() for name in re.split(r",\s*(?:or\s+)?", names))
    plain = (_INTERNAL.get(kind, f"`{kind}`") for kind in kinds)
    return " or ".join(dict.fromkeys(plain))


def _listed(names: list[str]) -> str:
    ordered = sorted(names)
    shown = ", ".join(f"`{name}`" for name in ordered[:_SHOWN])
    return f"{shown} and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else shown


def attribute_patterns(name: str) -> tuple[str, ...]:
    """Return patterns that find the use of an attribute."""
    word = re.escape(name)
    return (
        rf"\.\s*(?P<token>{word})\b",
        rf"\[\s*\"(?P<token>{word})\"",
        rf"\bhas\s+(?P<token>{word})\b",
        rf"\b{word}\b",
    )
