"""Deciding a suite and comparing: what was expected, what came out, and what differs.

`run_suite` is pure but for whole-run cases, which run the host's own loop in a temporary store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from remit.project.answers import Verdict, settle
from remit.workbench.suites.cedar_world import CedarWorld
from remit.workbench.suites.model import RunCase
from remit.workbench.suites.results import CaseResult, Difference

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from remit.engine.port import Engine
    from remit.engine.request import PolicyFailure
    from remit.workbench.suites.agent_world import AgentWorld
    from remit.workbench.suites.binding import Bound
    from remit.workbench.suites.model import AnyCase, CedarQuestion, Expectation


def run_suite(
    bound: Bound, *, engine: Engine | None = None, wanted: Callable[[AnyCase], bool] = lambda _: True
) -> Iterator[CaseResult]:
    """Decide the cases of a suite, one after the other, and compare.

    Args:
        bound: the suite and what it is decided under.
        engine: prepared from the agent's image; a suite of plain policies is decided by Cedar itself.
        wanted: whether a case is decided.
    """
    for case in bound.suite.cases:
        if wanted(case):
            yield run_case(case, bound, engine=engine)


def run_case(case: AnyCase, bound: Bound, *, engine: Engine | None = None) -> CaseResult:
    """Decide one case of a bound suite and compare; see `run_suite`."""
    if case.skip:
        return CaseResult(case=case)
    if isinstance(case, RunCase):
        from remit.workbench.suites.rehearsing import rehearse_case

        return rehearse_case(case, cast("AgentWorld", bound.world))
    if isinstance(bound.world, CedarWorld):
        verdict = bound.world.decide(cast("CedarQuestion", case.question))
        return CaseResult(
            case=case, verdict=verdict, differences=compare(case.expect, verdict, rules=bound.world.rules)
        )
    assert engine is not None  # an agent's suite is decided by an engine that its caller chose
    verdict = settle(engine, bound.world.image, bound.requests[case.name])
    differences = compare(case.expect, verdict, rules=bound.world.image.rules)
    return CaseResult(case=case, verdict=verdict, differences=differences)


def compare(expect: Expectation, verdict: Verdict, *, rules: Container[str] = ()) -> tuple[Difference, ...]:
    """Return what of a verdict is not as expected.

    Args:
        expect: what was expected.
        verdict: what came out.
        rules: ids of all rules; an expected error of this name is an error of that rule and of no other.
    """
    return tuple(_differences(expect, verdict, rules))


def _differences(expect: Expectation, verdict: Verdict, rules: Container[str]) -> Iterator[Difference]:
    if verdict.decision != expect.decision:
        yield Difference(what="decision", expected=expect.decision, got=verdict.decision)
    if expect.rules is not None:
        wanted, got = sorted(expect.rules), sorted(verdict.rules)
        if expect.exact and wanted != got:
            yield Difference(what="rules", expected=_names(wanted), got=_names(got))
        elif not set(wanted) <= set(got):
            yield Difference(what="rules that include", expected=_names(wanted), got=_names(got))
    if expect.kind and expect.kind != verdict.kind:
        yield Difference(what="kind", expected=expect.kind, got=verdict.kind)
    yield from _errors(expect, verdict, rules)
    if expect.approve is not None and sorted(expect.approve) != sorted(verdict.by):
        yield Difference(
            what="approval by", expected=_names(expect.approve, "nobody"), got=_names(verdict.by, "nobody")
        )
    for part, wanted_names, got_names in (
        ("arguments", expect.redact_arguments, verdict.redact_arguments),
        ("result", expect.redact_result, verdict.redact_result),
    ):
        if wanted_names is not None and sorted(wanted_names) != sorted(got_names):
            expected, got_text = _names(wanted_names, "nothing"), _names(got_names, "nothing")
            yield Difference(what=f"redacted {part}", expected=expected, got=got_text)


def _errors(expect: Expectation, verdict: Verdict, rules: Container[str]) -> Iterator[Difference]:
    if expect.error_count is not None:
        if expect.error_count != len(verdict.errors):
            got = f"{len(verdict.errors)}{_told(verdict)}"
            yield Difference(what="number of errors", expected=str(expect.error_count), got=got)
        return
    failures, wanted = verdict.engine.errors, expect.errors
    unmet = any(not any(_means(text, failure, rules) for failure in failures) for text in wanted)
    stray = any(not any(_means(text, failure, rules) for text in wanted) for failure in failures)
    if unmet or stray:
        got = "; ".join(verdict.errors) or "none"
        yield Difference(what="errors", expected=_names(expect.errors, "none"), got=got)


def _told(verdict: Verdict) -> str:
    return f": {'; '.join(verdict.errors)}" if verdict.errors else ""


def _means(text: str, failure: PolicyFailure, rules: Container[str]) -> bool:
    """Return whether an expected error is this one: by the rule's id, or by a part of the message."""
    return text == failure.rule if text in rules else text in failure.message


def _names(names: list[str] | tuple[str, ...], none: str = "no rule") -> str:
    return ", ".join(f"`{name}`" for name in names) or none
