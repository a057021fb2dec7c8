"""Compiled code with a bug is found out before it decides wrongly more than once."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from remit.engine.cedar import CedarEngine
from remit.engine.checked import CheckedEngine, Divergence
from remit.engine.compiled.code import BOOL, FALSE, TRUE, Code
from remit.engine.compiled.emit import Emitter
from remit.engine.compiled.index import Index
from remit.engine.compiled.masks import Ranges, Values
from remit.engine.image import PolicyImage, image_digest
from remit.engine.port import Engine
from remit.engine.request import Entity, EntityRef, Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cedarpy import pst


def typed(name: str, *, required: bool = False) -> dict[str, Any]:
    if name in {"decimal", "datetime", "duration", "ipaddr"}:
        return {"type": "Extension", "name": name, "required": required}
    return {"type": name, "required": required}


TEXTS = {"type": "Set", "element": {"type": "String"}, "required": True}
INPUT: dict[str, Any] = {
    "amount": typed("Long", required=True),
    "fee": typed("Long"),
    "price": typed("decimal"),
    "country": typed("String", required=True),
    "note": typed("String"),
    "flag": typed("Boolean"),
    "ip": typed("ipaddr"),
    "labels": TEXTS,
    "order": {
        "type": "Record",
        "required": False,
        "attributes": {"count": typed("Long"), "paid": typed("Boolean")},
    },
}
SCHEMA: dict[str, Any] = {
    "Remit": {
        "entityTypes": {
            "Team": {"memberOfTypes": ["Team"]},
            "Agent": {
                "memberOfTypes": ["Team"],
                "shape": {"type": "Record", "attributes": {"tier": typed("Long", required=True)}},
            },
            "Caller": {"shape": {"type": "Record", "attributes": {"roles": TEXTS, "kind": typed("String")}}},
            "Tool": {},
        },
        "actions": {
            "call_tool": {},
            "pay": {
                "memberOf": [{"id": "call_tool"}],
                "appliesTo": {
                    "principalTypes": ["Agent", "Caller"],
                    "resourceTypes": ["Tool"],
                    "context": {
                        "type": "Record",
                        "attributes": {
                            "now": typed("datetime", required=True),
                            "caller": {"type": "Entity", "name": "Caller"},
                            "input": {"type": "Record", "attributes": INPUT},
                        },
                    },
                },
            },
        },
    }
}
CONDITIONS = (
    "context.input.amount < 500",
    "context.input.amount >= 9000",
    'context.input.country == "EU" && context.input.amount <= 100',
    'context.input.country == "US" || context.input.amount == 7',
    "!(context.input.amount > 10)",
    "context.input has fee && context.input.fee - context.input.amount > 3",
    "context.input.amount * 3 == 21",
    "context.input.fee == 1",
    'context.input has note && context.input.note like "re*nd*"',
    'context.input.labels.containsAll(["a", "b"])',
    'context.input.labels.contains("urgent") && context.caller.roles.contains("clerk")',
    'context.input has price && context.input.price.lessThan(decimal("12.5"))',
    'principal in Remit::Team::"risk"',
    "principal is Remit::Agent && principal.tier == 2",
    "context.input has flag && (if context.input.flag then context.input.amount > 5 else context.input.amount < 3)",
    "context.input has order && context.input.order has paid && context.input.order.paid",
    "context.input has order && context.input.order == {count: 1}",
    "context.input has order && context.input.order == {count: 1, paid: true}",
    'context.now >= datetime("2026-01-01")',
    'context.now.toTime() < duration("9h")',
    'context.input has ip && context.input.ip.isInRange(ip("10.0.0.0/8"))',
    "[context.input.amount] == [true]",
)


def policies() -> str:
    rules = ['@id("all") permit(principal, action, resource);']
    for number, condition in enumerate(CONDITIONS):
        effect = "forbid" if number % 3 else "permit"
        clause = "unless" if number % 5 == 4 else "when"
        rules.append(
            f'@id("rule-{number}") {effect}(principal, action, resource) {clause} {{ {condition} }};'
        )
    for bound in (10, 20, 30, 40):
        rules.append(
            f'@id("above-{bound}") forbid(principal, action, resource) '
            f"when {{ context.input has fee && context.input.fee > {bound} }};"
        )
        rules.append(
            f'@id("at-most-{bound}") permit(principal, action, resource) when {{ context.input.amount <= {bound} }};'
        )
    rules += [
        f'@id("country-{country}") forbid(principal, action, resource) '
        f'when {{ context.input.country == "{country}" && context.input has flag && context.input.flag }};'
        for country in ("DE", "FR", "IT", "ES", "PT")
    ]
    rules += [
        f'@id("small-{region}-{most}") permit(principal, action, resource) '
        f'when {{ context.input.country != "{region}" && context.input.amount < {most} }};'
        for region in ("CH", "US", "EU")
        for most in (100, 300, 700)
    ]
    rules.append('@id("group") forbid(principal in Remit::Team::"blocked", action, resource);')
    rules.append(
        '@id("named") forbid(principal == Remit::Agent::"a9", action, resource == Remit::Tool::"pay");'
    )
    return "\n".join(rules)


def image(text: str | None = None) -> PolicyImage:
    written = policies() if text is None else text
    return PolicyImage(
        policies=written, schema=SCHEMA, schema_text="", rules={}, digest=image_digest(written, SCHEMA)
    )


def request(**given: Any) -> Request:
    caller = Entity(ref=EntityRef(type="Caller", id="ann"), attributes={"roles": ["clerk"], "kind": "user"})
    parents = tuple(EntityRef(type="Team", id=team) for team in given.pop("teams", ()))
    name = given.pop("agent", "a")
    return Request(
        principal=Entity(
            ref=EntityRef(type="Agent", id=name), attributes={"tier": given.pop("tier", 1)}, parents=parents
        ),
        action="pay",
        resource=Entity(ref=EntityRef(type="Tool", id="pay")),
        context={
            "now": given.pop("now", "2025-06-01T12:00:00.000Z"),
            "caller": {"type": "Caller", "id": "ann"},
            "input": {"amount": 600, "country": "CH", "labels": [], **given},
        },
        entities=(caller,),
    )


def traffic(chance: random.Random) -> Request:
    """What an honest service might ask: mostly dull."""
    given: dict[str, Any] = {
        "amount": chance.choice([1, 3, 7, 10, 20, 99, 500, 600, 9000]),
        "country": chance.choice(["EU", "US", "DE", "CH"]),
    }
    for name, values in {
        "fee": [1, 5, 11, 30, 41], "note": ["refund", "re", "x"], "flag": [True, False], "price": [12.5, 1, 20],
        "ip": ["10.1.1.1", "11.0.0.1"], "labels": [[], ["a"], ["a", "b"], ["urgent"]], "tier": [1, 2],
        "order": [{}, {"count": 1}, {"count": 1, "paid": True}, {"paid": False}], "teams": [(), ("risk",), ("blocked",)],
        "now": ["2026-01-01T00:00:00.000Z", "2025-12-31T08:59:59.999Z"], "agent": ["a", "a9"],
    }.items():  # fmt: skip
        if chance.random() < 0.6:
            given[name] = chance.choice(values)
    return request(**given)


class LessBecomesLessOrEqual(Emitter):
    ORDERS: ClassVar = {**Emitter.ORDERS, "less": "<="}


class AtLeastBecomesMore(Emitter):
    ORDERS: ClassVar = {**Emitter.ORDERS, "greater_eq": ">"}


class UnlessBecomesWhen(Emitter):
    def clause(self, clause: pst.Clause, facts: Any) -> Code:
        return self.condition(clause.expr, facts)


class NotIsDropped(Emitter):
    def negation(self, code: Code) -> Code:
        return code


class AndBecomesOr(Emitter):
    def conjunction(self, codes: Sequence[Code]) -> Code:
        return self.disjunction(codes)


class OrForgetsItsLast(Emitter):
    def disjunction(self, codes: Sequence[Code]) -> Code:
        return super().disjunction(codes[:-1])


class TrueEqualsOne(Emitter):
    def set_of(self, codes: Sequence[Code]) -> Code:
        texts = ", ".join(code.text for code in codes)
        return Code(text=f"frozenset(({texts},))", type=None, safe=all(code.safe for code in codes))


class HasIsAlwaysTrue(Emitter):
    def _has_path(self, base: Code, path: Any) -> Code:
        return TRUE


class HasIsAlwaysFalse(Emitter):
    def _has_path(self, base: Code, path: Any) -> Code:
        return FALSE


class OverflowPasses(Emitter):
    def arithmetic(self, op: str, left: Code, right: Code) -> Code:
        code = super().arithmetic(op, left, right)
        return Code(text=code.text.replace("ranged", ""), type=code.type, safe=True)


class MinusIsSwapped(Emitter):
    def arithmetic(self, op: str, left: Code, right: Code) -> Code:
        return super().arithmetic(op, right, left) if op == "sub" else super().arithmetic(op, left, right)


class LikeLooksAtTheStart(Emitter):
    def like(self, code: Code, parts: tuple[str, ...]) -> Code:
        return super().like(code, (parts[0], ""))


class InForgetsTheHierarchy(Emitter):
    def within(self, left: Code, right: Code) -> Code:
        return self.equality(left, right)


class AllBecomesAny(Emitter):
    def contains_many(self, op: str, left: Code, right: Code) -> Code:
        return super().contains_many("contains_any", left, right)


class MissingIsNoError(Emitter):
    def _path(self, path: Any, facts: Any) -> Code:
        return super()._path(path, facts | {path})


class BranchesAreSwapped(Emitter):
    def choice(self, condition: Code, then: Code, other: Code) -> Code:
        return super().choice(condition, other, then)


class ScopesAreForgotten(Emitter):
    def scope(self, constraint: Any, root: str) -> Code | None:
        return None


class EveryTypeFits(Emitter):
    def of_type(self, code: Code, kind: str) -> Code:
        return TRUE


class EntitiesAreEqual(Emitter):
    def equality(self, left: Code, right: Code) -> Code:
        return TRUE if left.type is None or right.type is None else super().equality(left, right)


class ErrorsAreFalse(Emitter):
    def condition(self, expr: pst.Expr, facts: Any) -> Code:
        code = super().condition(expr, facts)
        return code if code.safe else FALSE


class BoundsAreOffByOne(Index):
    SEARCHES: ClassVar = {">": "bisect_right", "<": "bisect_left"}


class GroupsLoseARule(Index):
    def _group(self, rules: Sequence[int]) -> int:
        return super()._group(rules) - 1

    def _search(self, parts: Any) -> Any:
        return super()._search(parts[1:])


class GuardsAreTooStrong(Index):
    @staticmethod
    def weakest(order: str, bounds: Sequence[int]) -> int:
        return max(bounds) if order == ">" else min(bounds)


class LookupsForgetTheRest(Index):
    def _lookup(self, parts: Any, levels: int) -> Any:
        alone = [
            part._replace(condition=part.condition.without((part.condition.codes[part.place],)), place=0)
            for part in parts
        ]
        return super()._lookup(alone, levels)


class TablesAreOffByOne(Index):
    def _mask(self, conditions: Any, found: Any) -> Any:
        moved = [
            one._replace(bounds=tuple(bound + 1 for bound in one.bounds)) if isinstance(one, Ranges) else one
            for one in found
        ]
        return super()._mask(conditions, moved)


class TablesForgetOtherTexts(Index):
    def _mask(self, conditions: Any, found: Any) -> Any:
        kept = [one._replace(other=0) if isinstance(one, Values) else one for one in found]
        return super()._mask(conditions, kept)


class TablesForgetAVariable(Index):
    def _mask(self, conditions: Any, found: Any) -> Any:
        return super()._mask(conditions, found[1:] or found)


class TablesNameTheNeighbour(Index):
    def _mask(self, conditions: Any, found: Any) -> Any:
        return super()._mask([*conditions[1:], conditions[0]], found)


BUGS: list[type[Emitter | Index]] = [
    LessBecomesLessOrEqual, AtLeastBecomesMore, UnlessBecomesWhen, NotIsDropped, AndBecomesOr, OrForgetsItsLast,
    TrueEqualsOne, HasIsAlwaysTrue, HasIsAlwaysFalse, OverflowPasses, MinusIsSwapped, LikeLooksAtTheStart,
    InForgetsTheHierarchy, AllBecomesAny, MissingIsNoError, BranchesAreSwapped, ScopesAreForgotten, EveryTypeFits,
    EntitiesAreEqual, ErrorsAreFalse, BoundsAreOffByOne, GroupsLoseARule,
    GuardsAreTooStrong, LookupsForgetTheRest, TablesAreOffByOne, TablesForgetOtherTexts, TablesForgetAVariable,
    TablesNameTheNeighbour,
]  # fmt: skip


def with_bug(bug: type[Emitter | Index], on: PolicyImage, **more: Any) -> CheckedEngine:
    return CheckedEngine(on, **more, **({"emitter": bug} if issubclass(bug, Emitter) else {"arranger": bug}))


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_bug_in_the_compiler_is_caught_before_more_than_one_wrong_decision_is_given(
    bug: type[Emitter | Index],
) -> None:
    found: list[Divergence] = []
    on = image()
    engine = with_bug(bug, on, sample=10, on_divergence=found.append)
    reference = CedarEngine(on)
    chance = random.Random(7)
    wrong = 0
    for _ in range(0 if found else 2000):
        asked = traffic(chance)
        decision, wanted = engine.decide(asked), reference.decide(asked)
        if decision.kind != wanted.kind or decision.reasons != wanted.reasons:
            # The deny that reports the difference is not a wrong decision.
            wrong += decision.kind != "error"
        if found:
            break
    assert wrong <= 1
    assert len(found) == 1, "the bug was not found"
    assert engine.name == reference.name
    assert "compiled policies differed" in engine.status


def test_an_image_without_a_difference_runs_compiled_and_says_so() -> None:
    on = image()
    engine = CheckedEngine(on, sample=50, on_divergence=pytest.fail)
    assert isinstance(engine, Engine)
    assert engine.name.startswith("compiled ")
    assert engine.status.startswith("compiled 1: ")
    assert "probes as cedar " in engine.status
    reference = CedarEngine(on)
    chance = random.Random(11)
    for _ in range(1500):
        asked = traffic(chance)
        decision, wanted = engine.decide(asked), reference.decide(asked)
        assert (decision.verdict, decision.kind, decision.reasons, decision.errors) == (
            wanted.verdict,
            wanted.kind,
            wanted.reasons,
            wanted.errors,
        )


def test_the_probes_reach_every_rule_and_depend_on_the_image_alone() -> None:
    from remit.engine.compiled.engine import CompiledEngine

    on = image()
    first, second = list(CompiledEngine(on).probes()), list(CompiledEngine(on).probes())
    assert first == second
    assert len(first) <= 2000
    reference = CedarEngine(on)
    seen = {name for asked in first for name in reference.decide(asked).reasons}
    rules = {f"rule-{number}" for number in range(len(CONDITIONS))} - {"rule-7"}
    assert seen >= {rule for rule in rules if int(rule[5:]) % 3}


class WrongAtOneAmount(Emitter):
    """Wrong where no probe looks."""

    def comparison(self, op: str, left: Code, right: Code) -> Code:
        code = super().comparison(op, left, right)
        if not left.slot:
            return code
        return Code(text=f"({code.text} or {left.text} == 77777)", type=BOOL, safe=code.safe)


def test_a_difference_in_service_is_a_deny_that_says_so_and_the_end_of_compiled_decisions() -> None:
    on = image('@id("low") permit(principal, action, resource) when { context.input.amount < 5 };')
    found: list[Divergence] = []
    engine = CheckedEngine(on, sample=1, on_divergence=found.append, emitter=WrongAtOneAmount)
    assert engine.name == "compiled 1"
    assert engine.decide(request(amount=4)).allowed
    decision = engine.decide(request(amount=77777))
    assert (decision.verdict, decision.kind, decision.reasons) == ("deny", "error", ())
    assert [failure.message for failure in decision.errors] == [
        "the compiled policies decide otherwise than the policy engine: allowed (`low`) instead of not_permitted"
    ]
    assert [(one.when, one.compiled.kind, one.reference.kind) for one in found] == [
        ("service", "allowed", "not_permitted")
    ]
    assert engine.name.startswith("cedar ")
    assert "differed in service" in engine.status
    assert engine.decide(request(amount=77777)).kind == "not_permitted"
    assert len(found) == 1


def test_the_first_occurrence_of_an_outcome_is_checked_whatever_the_sample() -> None:
    on = image('@id("low") permit(principal, action, resource) when { context.input.amount < 5 };')
    found: list[Divergence] = []
    engine = CheckedEngine(on, sample=10**9, on_divergence=found.append, emitter=WrongAtOneAmount)
    assert engine.decide(request(amount=77777)).kind == "error"
    assert len(found) == 1


def test_every_nth_decision_is_checked() -> None:
    on = image('@id("low") permit(principal, action, resource) when { context.input.amount < 5 };')
    found: list[Divergence] = []
    engine = CheckedEngine(on, sample=5, on_divergence=found.append, emitter=WrongAtOneAmount)
    engine.decide(request(amount=1))
    answers = [engine.decide(request(amount=77777)).kind for _ in range(5)]
    assert answers == ["allowed"] * 4 + ["error"]


def test_a_callback_that_fails_does_not_keep_the_deny_from_being_given() -> None:
    def fail(_: Divergence) -> None:
        raise RuntimeError("no")

    on = image('@id("low") permit(principal, action, resource) when { context.input.amount < 5 };')
    engine = CheckedEngine(on, sample=1, on_divergence=fail, emitter=WrongAtOneAmount)
    assert engine.decide(request(amount=77777)).kind == "error"
    assert engine.status.endswith("the callback failed: RuntimeError")
    assert engine.name.startswith("cedar ")


def test_what_the_compiler_does_not_take_runs_on_the_reference_engine_and_says_why() -> None:
    chain = "!(" * 50 + "context.input.amount > 1" + ")" * 50
    on = image(f'@id("deep") permit(principal, action, resource) when {{ {chain} }};')
    engine = CheckedEngine(on, sample=1, on_divergence=pytest.fail)
    assert engine.name.startswith("cedar ")
    assert "not compiled: policy `deep` nests 5" in engine.status
    assert engine.decide(request(amount=2)).allowed


def test_a_sample_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="less than 1"):
        CheckedEngine(image(), sample=0, on_divergence=pytest.fail)
