"""Cedar's operators on generated code: what is known of the operands decides how they are combined."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, cast

from msgspec.structs import replace

from remit.engine.compiled.code import (
    BOOL,
    COMPARED,
    FAILS,
    FAILS_AS_BOOL,
    FALSE,
    LONG,
    NO_FACTS,
    STRING,
    TRUE,
    Atom,
    Choice,
    Code,
    Constants,
    Order,
    choice_of,
    chosen,
    is_primitive,
    plain_elements,
)
from remit.engine.compiled.operations import CLASSES, ExtensionCall
from remit.engine.compiled.recipes import Lift, Match
from remit.engine.compiled.slots import ABOVE
from remit.engine.compiled.values import key
from remit.engine.schema import EntityType, Primitive, SetType, Type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_FLIPPED: Mapping[Order, Order] = {"==": "==", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_COMPARES: Mapping[Order, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Operators:
    """Combines expressions.

    Args:
        constants: gets the constants that the text names.

    Attributes:
        shared: variables of the whole request that were named since it was last emptied.
    """

    ORDERS: Mapping[str, Order] = {"less": "<", "less_eq": "<=", "greater": ">", "greater_eq": ">="}
    ARITHMETIC: Mapping[str, tuple[str, str]] = {
        "add": ("+", "added"),
        "sub": ("-", "subtracted"),
        "mul": ("*", "multiplied"),
    }

    def __init__(self, constants: Constants) -> None:
        self.constants = constants
        self.shared: set[str] = set()

    def lifted(self, code: Code) -> str:
        """Return the text of a value, whatever form the expression has."""
        if not code.raw or code.type is None:
            return code.text
        return f"{self.constants.add_object(Lift(code.type))}({code.text})"

    def entity(self, kind: str, name: str) -> Code:
        """Return a named entity."""
        uid = (kind, name)
        return Code(text=self.constants.add(uid), type=EntityType(kind), safe=True, constant=(uid,))

    def negation(self, code: Code) -> Code:
        """Return `!code`."""
        return Code(text=f"(not {code.text})", type=BOOL, safe=code.safe, choice=_negated(choice_of(code)))

    def conjunction(self, codes: Sequence[Code]) -> Code:
        """Return the conjunction of conditions, each written with the facts of those before it."""
        return Code(
            text="(" + " and ".join(code.text for code in codes) + ")",
            type=BOOL,
            safe=all(code.safe for code in codes),
            facts=NO_FACTS.union(*(code.facts for code in codes)),
            choice=_joined(codes, all),
            conjuncts=tuple(codes),
        )

    def disjunction(self, codes: Sequence[Code]) -> Code:
        """Return the disjunction of conditions."""
        text = "(" + " or ".join(code.text for code in codes) + ")"
        safe = all(code.safe for code in codes)
        return Code(text=text, type=BOOL, safe=safe, choice=_joined(codes, any))

    def choice(self, condition: Code, then: Code, other: Code) -> Code:
        """Return `if condition then then else other`."""
        safe = condition.safe and then.safe and other.safe
        if then.type == other.type and then.raw == other.raw:
            text = f"({then.text} if {condition.text} else {other.text})"
            return Code(text=text, type=then.type, safe=safe, raw=then.raw)
        text = f"({self.lifted(then)} if {condition.text} else {self.lifted(other)})"
        return Code(text=text, type=None, safe=safe)

    def equality(self, left: Code, right: Code) -> Code:
        """Return `left == right`."""
        safe = left.safe and right.safe
        if left.type is not None and left.type == right.type:
            if isinstance(left.type, EntityType | Primitive):
                text = f"({left.text} == {right.text})"
                return _with_atom(Code(text=text, type=BOOL, safe=safe), "==", left, right)
        elif isinstance(left.type, Primitive) and isinstance(right.type, Primitive) and safe:
            return FALSE
        return Code(text=f"equal({self.lifted(left)}, {self.lifted(right)})", type=BOOL, safe=safe)

    def comparison(self, op: str, left: Code, right: Code) -> Code:
        """Return `left < right` and its like."""
        if left.type is None or right.type is None:
            return Code(text=f"{op}({self.lifted(left)}, {self.lifted(right)})", type=BOOL, safe=False)
        if left.type != right.type or not is_primitive(left.type, *COMPARED):
            return FAILS_AS_BOOL
        return self._ordered(self.ORDERS[op], left, right)

    def _ordered(self, order: Order, left: Code, right: Code) -> Code:
        text = f"({left.text} {order} {right.text})"
        return _with_atom(Code(text=text, type=BOOL, safe=left.safe and right.safe), order, left, right)

    def negative(self, code: Code) -> Code:
        """Return `-code`."""
        if code.type is None:
            return Code(text=f"negated({code.text})", type=LONG, safe=False)
        return Code(text=f"ranged(-{code.text})", type=LONG, safe=False) if code.type == LONG else FAILS

    def arithmetic(self, op: str, left: Code, right: Code) -> Code:
        """Return `left + right` and its like."""
        sign, function = self.ARITHMETIC[op]
        if left.type == LONG == right.type:
            return Code(text=f"ranged({left.text} {sign} {right.text})", type=LONG, safe=False)
        if _is_not(left, LONG) or _is_not(right, LONG):
            return FAILS
        return Code(text=f"{function}({left.text}, {right.text})", type=LONG, safe=False)

    def within(self, left: Code, right: Code) -> Code:
        """Return `left in right`."""
        if left.type is not None and not isinstance(left.type, EntityType):
            return FAILS_AS_BOOL
        if right.type is not None and not isinstance(right.type, EntityType | SetType):
            return FAILS_AS_BOOL
        self.shared.add(ABOVE)
        plain = bool(left.slot or left.constant) and bool(right.slot or right.constant)
        if plain and isinstance(left.type, EntityType) and isinstance(right.type, EntityType):
            text = f"({left.text} == {right.text} or {right.text} in {ABOVE}.get({left.text}, NONE))"
            return Code(text=text, type=BOOL, safe=True)
        text = f"is_within({left.text}, {self.lifted(right)}, {ABOVE})"
        sure = isinstance(left.type, EntityType) and (
            isinstance(right.type, EntityType)
            or (isinstance(right.type, SetType) and isinstance(right.type.element, EntityType))
        )
        return Code(text=text, type=BOOL, safe=sure and left.safe and right.safe)

    def of_type(self, code: Code, kind: str) -> Code:
        """Return `code is kind`."""
        if code.type is None:
            return Code(text=f"is_of_type({code.text}, {kind!r})", type=BOOL, safe=False)
        if not isinstance(code.type, EntityType):
            return FAILS_AS_BOOL
        if code.safe:
            return TRUE if code.type.name == kind else FALSE
        return Code(text=f"is_of_type({code.text}, {kind!r})", type=BOOL, safe=False)

    def like(self, code: Code, parts: tuple[str, ...]) -> Code:
        """Return `code like pattern`; see `remit.engine.compiled.patterns.pattern_parts`."""
        if _is_not(code, STRING):
            return FAILS_AS_BOOL
        value = code.text if code.type is not None else f"text({code.text})"
        safe = code.safe and code.type is not None
        match parts:
            case (only,):
                text = f"({value} == {only!r})"
            case (first, ""):
                text = f"{value}.startswith({first!r})"
            case ("", last):
                text = f"{value}.endswith({last!r})"
            case ("", inner, ""):
                text = f"({inner!r} in {value})"
            case _:
                text = f"{self.constants.add(Match(parts))}({value})"
        return Code(text=text, type=BOOL, safe=safe)

    def set_of(self, codes: Sequence[Code]) -> Code:
        """Return `[…]`."""
        safe = all(code.safe for code in codes)
        first = codes[0].type if codes else None
        element = first if first is not None and all(code.type == first for code in codes) else None
        declared: Type | None = SetType(element) if element is not None else None
        if all(code.constant for code in codes):
            keys = frozenset(key(code.constant[0]) for code in codes if code.constant)
            return Code(text=self.constants.add(keys), type=declared, safe=True, constant=(keys,))
        if is_primitive(element, "Long", "String"):
            texts = [code.text for code in codes]
        else:
            texts = [f"key({self.lifted(code)})" for code in codes]
        return Code(text=f"frozenset(({', '.join(texts)},))", type=declared, safe=safe)

    def contains(self, left: Code, right: Code) -> Code:
        """Return `left.contains(right)`."""
        if left.type is not None and not isinstance(left.type, SetType):
            return FAILS_AS_BOOL
        safe = left.safe and right.safe
        plain = plain_elements(left.type)
        if plain and is_primitive(right.type, plain):
            text = f"({right.text} in {left.text})"
            return Code(text=text, type=BOOL, safe=safe, choice=_among(left, right))
        if left.type is not None or left.constant:
            text = f"(key({self.lifted(right)}) in {self.lifted(left)})"
            return Code(text=text, type=BOOL, safe=safe)
        return Code(text=f"contains({left.text}, {self.lifted(right)})", type=BOOL, safe=False)

    def contains_many(self, op: str, left: Code, right: Code) -> Code:
        """Return `left.containsAll(right)` or `left.containsAny(right)`."""
        for code in (left, right):
            if code.type is not None and not isinstance(code.type, SetType):
                return FAILS_AS_BOOL
        safe = left.safe and right.safe
        plain = plain_elements(left.type)
        if plain and plain == plain_elements(right.type):
            one = f"set({left.text})" if left.raw else left.text
            if op == "contains_all":
                return Code(text=f"{one}.issuperset({right.text})", type=BOOL, safe=safe)
            if left.raw and not right.raw:
                return Code(text=f"(not {right.text}.isdisjoint({left.text}))", type=BOOL, safe=safe)
            return Code(text=f"(not {one}.isdisjoint({right.text}))", type=BOOL, safe=safe)
        sure = all(code.type is not None or code.constant for code in (left, right))
        text = f"{op}({self.lifted(left)}, {self.lifted(right)})"
        return Code(text=text, type=BOOL, safe=safe and sure)

    def is_empty(self, code: Code) -> Code:
        """Return `code.isEmpty()`."""
        if code.type is None:
            return Code(text=f"is_empty({code.text})", type=BOOL, safe=False)
        if not isinstance(code.type, SetType):
            return FAILS_AS_BOOL
        return Code(text=f"(not {code.text})", type=BOOL, safe=code.safe)

    def has_tag(self, left: Code, right: Code) -> Code:
        """Return `left.hasTag(right)`."""
        typed = isinstance(left.type, EntityType) and right.type == STRING
        text = f"has_tag({self.lifted(left)}, {self.lifted(right)})"
        return Code(text=text, type=BOOL, safe=typed and left.safe and right.safe)

    def call(self, function: ExtensionCall, *arguments: Code) -> Code:
        """Return the call of an extension function."""
        if function.reads is not None and arguments[0].constant:
            (given,) = arguments[0].constant
            try:
                value = function.reads(given) if type(given) is str else None
            except ValueError:
                value = None
            if value is None:
                return FAILS
            return Code(text=self.constants.add(value), type=function.result, safe=True, constant=(value,))
        texts: list[str] = []
        for argument, wanted in zip(arguments, function.parameters, strict=True):
            if argument.type == wanted:
                texts.append(argument.text)
            elif argument.type is not None:
                return FAILS_AS_BOOL if function.result == BOOL else FAILS
            elif wanted == STRING:
                texts.append(f"text({argument.text})")
            else:
                texts.append(f"extension({argument.text}, {CLASSES[wanted.name]})")
        sure = all(argument.type is not None and argument.safe for argument in arguments)
        code = Code(text=function.text.format(*texts), type=function.result, safe=sure and not function.errs)
        return _with_atom(code, function.order, *arguments) if function.order is not None else code


def _is_not(code: Code, wanted: Primitive) -> bool:
    return code.type is not None and code.type != wanted


def _with_atom(code: Code, order: Order, left: Code, right: Code) -> Code:
    if left.constant and right.slot:
        left, right, order = right, left, _FLIPPED[order]
    if not left.slot or not right.constant:
        return code
    constant = right.constant[0]
    atom = Atom(slot=left.slot, order=order, constant=constant, certain=left.certain)
    compares = _COMPARES[order]
    choice = chosen(left, frozenset((constant,)), lambda value: compares(value, constant))
    return replace(code, atom=atom, choice=choice)


def _negated(choice: Choice | None) -> Choice | None:
    if choice is None:
        return None
    inner = choice.holds

    def holds(value: object) -> bool:
        return not inner(value)

    return Choice(slot=choice.slot, type=choice.type, constants=choice.constants, holds=holds)


def _joined(codes: Sequence[Code], join: Callable[[Iterable[bool]], bool]) -> Choice | None:
    """Return the choice that conditions amount to together, if all are about one variable."""
    choices = [choice for code in codes if (choice := choice_of(code)) is not None]
    if not choices or len(choices) < len(codes) or len({choice.slot for choice in choices}) > 1:
        return None
    constants = frozenset[object]().union(*(choice.constants for choice in choices))

    def holds(value: object) -> bool:
        return join(choice.holds(value) for choice in choices)

    return Choice(slot=choices[0].slot, type=choices[0].type, constants=constants, holds=holds)


def _among(constants: Code, code: Code) -> Choice | None:
    """Return the choice that `constants.contains(code)` is, if it is one."""
    if not constants.constant:
        return None
    held = cast("frozenset[object]", constants.constant[0])
    return chosen(code, held, lambda value: value in held)
