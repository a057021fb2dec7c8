"""Tables of conditions: what a look-up for each variable leaves is what the conditions say."""

from __future__ import annotations

import operator
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from test_engine_checked import SCHEMA, image, request

from remit.engine.compiled.code import Choice
from remit.engine.compiled.engine import CompiledEngine
from remit.engine.compiled.masks import Ranges, tables
from remit.engine.image import PolicyImage, image_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NUMBERS = st.integers(-4, 4) | st.sampled_from([-(2**63), 2**63 - 1])
TEXTS = st.sampled_from(["", "a", "b", "true"])
ORDERS: list[Callable[[Any, Any], bool]] = [
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
    operator.eq,
    operator.ne,
]


def compared(slot: str, kind: str, order: Callable[[Any, Any], bool], constant: object) -> Choice:
    return Choice(
        slot=slot,
        type=kind,
        constants=frozenset((constant,)),
        holds=lambda value: order(value, constant),
    )


CHOICES = st.one_of(
    st.builds(compared, st.just("n"), st.just("Long"), st.sampled_from(ORDERS), NUMBERS),
    st.builds(compared, st.just("t"), st.just("String"), st.sampled_from(ORDERS[4:]), TEXTS),
    st.builds(compared, st.just("b"), st.just("Bool"), st.sampled_from(ORDERS[4:]), st.booleans()),
)


def left(conditions: Sequence[Sequence[Choice]], values: Mapping[str, Any]) -> int:
    mask = (1 << len(conditions)) - 1
    for one in tables(conditions):
        value = values[one.slot]
        if isinstance(one, Ranges):
            mask &= one.masks[bisect_left(one.bounds, value)]
        else:
            mask &= one.masks.get(value, one.other)
    return mask


@given(
    st.lists(st.lists(CHOICES, max_size=4), min_size=1, max_size=9),
    st.fixed_dictionaries({"n": NUMBERS, "t": TEXTS | st.just("other"), "b": st.booleans()}),
)
def test_what_tables_leave_is_what_holds(conditions: list[list[Choice]], values: dict[str, Any]) -> None:
    wanted = sum(
        1 << bit
        for bit, some in enumerate(conditions)
        if all(choice.holds(values[choice.slot]) for choice in some)
    )
    assert left(conditions, values) == wanted


def rules(action: str, bounds: Sequence[int]) -> list[str]:
    return [
        f'@id("{action}-{bound}") permit(principal, action == Remit::Action::"{action}", resource) '
        f'when {{ context.input.amount < {bound} && context.input.country != "{country}" }};'
        for bound, country in zip(bounds, ("CH", "US", "EU", "CH", "US", "EU"), strict=True)
    ]


def test_actions_whose_rules_differ_in_constants_alone_share_their_code() -> None:
    actions = SCHEMA["Remit"]["actions"]
    schema = {"Remit": SCHEMA["Remit"] | {"actions": actions | {"give": actions["pay"]}}}
    text = "\n".join([*rules("pay", [5, 10, 15, 20, 25, 30]), *rules("give", [7, 17, 27, 37, 47, 57])])
    on = PolicyImage(
        policies=text, schema=schema, schema_text="", rules={}, digest=image_digest(text, schema)
    )
    engine = CompiledEngine(on)
    programs = [engine._program(name, "Agent", "Tool") for name in ("pay", "give")]
    codes = {getattr(program, "__code__") for program in programs}  # noqa: B009  # a function, whatever its type says
    assert len(codes) == 1
    assert programs[0](request(amount=26)).reasons == ("pay-30",)
    assert programs[1](request(amount=26)).reasons == ("give-27", "give-47", "give-57")


def test_a_text_that_looks_like_a_constant_stays_a_text() -> None:
    conditions = " || ".join(f'context.input.country == "{name}"' for name in ("k0", "o0", "ACTION", "o1"))
    on = image(f'@id("named") permit(principal, action, resource) when {{ {conditions} }};')
    engine = CompiledEngine(on)
    assert [engine.decide(request(country=name)).allowed for name in ("k0", "o0", "ACTION", "o1", "k1")] == [
        True,
        True,
        True,
        True,
        False,
    ]


def test_conditions_with_very_many_constants_are_tested_one_by_one() -> None:
    texts = [f'"{number}-{{0}}"' for number in range(800)]
    named = [", ".join(texts).replace("{0}", str(rule)) for rule in range(6)]
    on = image(
        "\n".join(
            f'@id("r{rule}") permit(principal, action, resource) when {{ [{some}].contains(context.input.country) }};'
            for rule, some in enumerate(named)
        )
    )
    engine = CompiledEngine(on)
    assert engine.decide(request(country="799-3")).reasons == ("r3",)
    (recipe,) = (recipe for key, recipe in engine._recipes.items() if key[0] == "pay")
    assert recipe.source.count(".append(") == len(named)
