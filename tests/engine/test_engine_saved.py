"""A proven engine is saved as bytes and decides the same when it is made again; damage is never used."""

from __future__ import annotations

import marshal
import random
from typing import Any

import pytest
from test_engine_checked import CONDITIONS, WrongAtOneAmount, image, request, traffic

from remit.engine.cedar import CedarEngine
from remit.engine.checked import CheckedEngine, saved_index
from remit.engine.compiled.engine import CompiledEngine
from remit.engine.compiled.extensions import Datetime, Decimal, Duration, Ip
from remit.engine.compiled.frozen import pack, unpack
from remit.engine.compiled.program import ProgramWriter
from remit.engine.compiled.recipes import Lift, Match
from remit.engine.compiled.values import FALSE_KEY, TRUE_KEY, key
from remit.engine.policy_index import PolicyIndex
from remit.engine.schema import Attribute, EntityType, Primitive, RecordType, SetType

ENTITY = ("Remit::Caller", "ann")
CONSTANTS: list[Any] = [
    None, True, 0, -(2**63), 2**63 - 1, "", "é\ud800", ENTITY,
    Decimal(15), Datetime(15), Duration(-15), Ip(4, 10, 8), Ip(6, 2**128 - 1, 0),
    frozenset({1, 2}), frozenset({key(True), key(1), key("1")}), frozenset({key(False)}), frozenset(),
    frozenset({key({"a": True, "b": {"c": Decimal(1)}}), key(Datetime(1)), key(Duration(1)), key(frozenset({ENTITY}))}),
    [1, 2, 3], [], {(ENTITY): frozenset({ENTITY})}, (), (1, (2, "x")),
    Match(("a", "", "b")),
    Lift(RecordType({"a": Attribute(SetType(Primitive("ipaddr")), required=True), "b": Attribute(EntityType("Remit::Caller"), required=False)})),
]  # fmt: skip


@pytest.mark.parametrize("value", CONSTANTS, ids=[f"constant {n}" for n in range(len(CONSTANTS))])
def test_a_constant_is_the_same_when_it_comes_back_also_in_its_class(value: Any) -> None:
    back = unpack(marshal.loads(marshal.dumps(pack(value))))
    assert back == value
    assert type(back) is type(value)
    if isinstance(value, frozenset):
        assert {type(item) for item in back} == {type(item) for item in value}


def test_true_false_and_one_stay_apart() -> None:
    assert unpack(pack(TRUE_KEY)) is TRUE_KEY
    assert unpack(pack(FALSE_KEY)) is FALSE_KEY
    assert TRUE_KEY not in unpack(pack(frozenset({key(False), key(1)})))  # type: ignore[operator]  # a set, as packed


def test_what_has_no_plain_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        pack(object())


def checked(on: Any, **more: Any) -> CheckedEngine:
    return CheckedEngine(on, sample=10**9, on_divergence=pytest.fail, **more)


def test_an_engine_that_was_saved_decides_as_before_without_writing_a_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on = image()
    first = checked(on)
    saved = first.save()
    assert saved is not None
    assert first.save() == saved

    def never(*_: Any) -> Any:
        raise AssertionError("a program was written")

    monkeypatch.setattr(ProgramWriter, "write", never)
    again = checked(on, saved=saved)
    assert (again.name, again.status, again.probes) == (first.name, first.status, first.probes)
    chance = random.Random(3)
    for _ in range(800):
        asked = traffic(chance)
        assert again.decide(asked) == first.decide(asked)
    assert again.save() == saved


def test_the_saved_engine_finds_by_itself_what_the_first_one_found() -> None:
    on = image()
    first = CompiledEngine(on)
    before = [first.outcome(asked) for asked in first.probes()]
    saved = first.save()
    assert saved is not None
    again = CompiledEngine(on, index=PolicyIndex.of(on), saved=saved)
    assert [first.outcome(asked) for asked in first.probes()] == before
    assert [again.outcome(asked) for asked in first.probes()] == before
    assert sum(found is not None for found in before) > 100


def test_what_was_saved_for_another_image_or_version_or_is_damaged_is_not_used() -> None:
    on, other = (
        image(),
        image('@id("low") permit(principal, action, resource) when { context.input.amount < 5 };'),
    )
    saved = checked(other).save()
    assert saved is not None
    assert saved_index(other, saved) == PolicyIndex.of(other)
    assert saved_index(on, saved) is None
    assert checked(on, saved=saved).decide(request(amount=4)).reasons != ("low",)
    version, *rest = marshal.loads(saved)
    for bad in (b"", b"x", saved[:-9], marshal.dumps((f"{version} ", *rest)), marshal.dumps(1)):
        engine = checked(other, saved=bad)
        assert engine.decide(request(amount=4)).reasons == ("low",)
        assert engine.probes > 0
        assert saved_index(other, bad) is None


def test_an_engine_with_a_bug_of_a_test_is_not_saved_and_one_that_differed_neither() -> None:
    on = image('@id("low") permit(principal, action, resource) when { context.input.amount < 5 };')
    assert checked(on, emitter=WrongAtOneAmount).save() is None
    found: list[Any] = []
    engine = CheckedEngine(on, sample=1, on_divergence=found.append, emitter=WrongAtOneAmount)
    engine.decide(request(amount=77777))
    assert found
    assert engine.save() is None


def test_that_an_image_is_not_compiled_is_saved_too() -> None:
    on = image(
        '@id("deep") permit(principal, action, resource) when { ' + "!(" * 60 + "true" + ")" * 60 + " };"
    )
    first = checked(on)
    assert first.refused
    again = checked(on, saved=first.save())
    assert (again.status, again.refused) == (first.status, first.refused)
    assert again.decide(request()) == CedarEngine(on).decide(request())


def test_progress_is_told_for_every_probe() -> None:
    told: list[tuple[int, int]] = []
    engine = checked(image(), progress=lambda done, whole: told.append((done, whole)))
    assert [done for done, _ in told] == list(range(1, engine.probes + 1))
    assert all(done <= whole for done, whole in told)


def test_one_policy_of_each_shape_is_probed_before_the_second_of_any() -> None:
    alike = "\n".join(
        f'@id("n{n}") permit(principal, action, resource) when {{ context.input.amount == {n} }};'
        for n in range(3000)
    )
    rare = "\n".join(
        f'@id("r{n}") forbid(principal, action, resource) when {{ {condition} }};'
        for n, condition in enumerate(CONDITIONS)
    )
    engine = CompiledEngine(image(f"{alike}\n{rare}"))
    reasons = {
        rule for asked in engine.probes() if (found := engine.outcome(asked)) for rule in found.reasons
    }
    assert len([rule for rule in reasons if rule.startswith("r")]) > len(CONDITIONS) // 2
