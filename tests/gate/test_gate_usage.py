"""Usage counters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remit.gate.usage import COUNTER_LIMIT, COUNTERS, Usage

AMOUNTS = st.dictionaries(st.sampled_from(COUNTERS), st.integers(0, 2**70))


@given(AMOUNTS, AMOUNTS)
def test_counters_never_go_back_and_never_pass_their_limit(
    first: dict[str, int], second: dict[str, int]
) -> None:
    before = Usage().plus(**first)
    after = before.plus(**second)
    for name in COUNTERS:
        expected = min(before.value_of(name) + second.get(name, 0), COUNTER_LIMIT)
        assert after.value_of(name) == expected


@given(AMOUNTS)
def test_counters_survive_their_json(amounts: dict[str, int]) -> None:
    usage = Usage().plus(**amounts)
    assert Usage.from_json(usage.to_json()) == usage
    assert tuple(usage.to_json()) == COUNTERS


@given(AMOUNTS, AMOUNTS)
def test_adding_a_runs_usage_is_adding_each_counter(first: dict[str, int], second: dict[str, int]) -> None:
    run = Usage().plus(**second)
    assert Usage().plus(**first).with_all(run) == Usage().plus(**first).plus(**run.to_json())


def test_the_limit_leaves_room_for_arithmetic_in_rules() -> None:
    assert COUNTER_LIMIT * 1000 < 2**63


@pytest.mark.parametrize("value", [-1, True, 1.0, "1", None, COUNTER_LIMIT + 1])
def test_what_is_no_counter_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="counter `turns`"):
        Usage.from_json({"turns": value})  # type: ignore[dict-item]  # values as a hostile document may hold them


def test_an_unknown_counter_is_refused() -> None:
    with pytest.raises(ValueError, match="`turn` is not a usage counter"):
        Usage.from_json({"turn": 1})
    with pytest.raises(KeyError):
        Usage().value_of("turn")


@pytest.mark.parametrize("amount", [-1, True, 0.5])
def test_an_amount_that_could_refill_a_budget_is_refused(amount: object) -> None:
    with pytest.raises(ValueError, match="`tokens`"):
        Usage(tokens=5).plus(tokens=amount)  # type: ignore[arg-type]  # an untyped embedder
