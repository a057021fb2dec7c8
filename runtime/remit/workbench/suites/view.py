"""A test run for people: which cases hold, what decided them, and what they reach."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from remit.workbench.coverage_view import coverage_parts, coverage_sentence
from remit.workbench.report.model import Bars, Listing, Paragraph, Report, Section, Table, number
from remit.workbench.suites.model import AgentSubject
from remit.workbench.suites.reports import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from remit.workbench.report.model import Part
    from remit.workbench.suites.coverage import AgentCoverage
    from remit.workbench.suites.failure import Failure
    from remit.workbench.suites.model import Suite
    from remit.workbench.suites.results import CaseResult

    Outcome = Sequence[tuple[Suite, Sequence[CaseResult]]]

MAX_BARS = 40
MAX_TOLD = 30
"""Failing cases that are told whole; all of them stand in a table."""

_SERIES = {"allow": "allow", "deny": "deny", "awaiting_approval": "awaiting approval"}


def sentence(outcome: Outcome) -> str:
    """Return what a test run came to in one sentence."""
    every = [result for _, results in outcome for result in results]
    failed, skipped = sum(not result.passed for result in every), skipped_in(every)
    count = f"{len(every)} case{'' if len(every) == 1 else 's'}"
    told = f"{count}: {len(every) - failed - skipped} passed, {failed} failed"
    return told + (f", {skipped} skipped" if skipped else "")


def skipped_in(results: Sequence[CaseResult]) -> int:
    """Count the cases that were not decided at all."""
    return sum(result.skipped for result in results)


def run_report(
    outcome: Outcome,
    failures: Mapping[int, Failure],
    coverages: Sequence[AgentCoverage],
    *,
    paths: Sequence[str],
    engine: str,
    chosen: str = "",
    fail_under: float | None = None,
) -> Report:
    """Make the report of a test run.

    Args:
        outcome: every suite with the results of its cases.
        failures: what is told of a failing case, by the identity of its result.
        coverages: what the cases reach, agent by agent.
        paths: what was tested, as the user called it.
        engine: what decided.
        chosen: the expression that chose cases by their names; empty where all were decided.
        fail_under: per cent that each agent's coverage has to reach; None for no bound.
    """
    facts = [("Tested", ", ".join(paths)), ("Engine", engine)]
    facts += [(f"Image of {one.agent}", one.image) for one in coverages]
    if chosen:
        facts.append(("Only cases whose names fit", chosen))
    told, low = [sentence(outcome)], False
    for one in coverages:
        of_which = f" of {one.agent}" if len(coverages) > 1 else ""
        short = fail_under is not None and one.falls_short(fail_under)
        told.append(
            coverage_sentence(one.coverage) + of_which + (f", less than {fail_under:g} %" if short else "")
        )
        low = low or short
    sections = [Section(title="Failures", parts=(*_failures(failures),))] if failures else []
    sections.append(Section(title="Suites", parts=(_suites(outcome),)))
    for subject, results in _by_subject(outcome).items():
        sections.append(Section(title=f"Decisions of {subject}", parts=(_decisions(results),)))
        sections += [
            Section(title=f"Coverage of {subject}", parts=coverage_parts(one.coverage))
            for one in coverages
            if one.agent == subject
        ]
    return Report(
        title=f"Test of {', '.join(paths)}",
        verdict="; ".join(told),
        tone="bad" if failures or low else "good",
        facts=tuple(facts),
        sections=tuple(sections),
    )


def _by_subject(outcome: Outcome) -> dict[str, list[CaseResult]]:
    """Group results by what they were decided under: an agent, or the plain policies of one suite."""
    found: dict[str, list[CaseResult]] = {}
    for suite, results in outcome:
        subject = suite.subject
        name = subject.path.as_posix() if isinstance(subject, AgentSubject) else suite.file
        found.setdefault(name, []).extend(results)
    return found


def _suites(outcome: Outcome) -> Table:
    rows = [
        (
            suite.file,
            number(sum(result.passed and not result.skipped for result in results)),
            number(sum(not result.passed for result in results)),
            number(skipped_in(results)),
        )
        for suite, results in outcome
    ]
    return Table(head=("suite", "hold", "fail", "skipped"), rows=tuple(rows), numbers=frozenset({1, 2, 3}))


def _failures(failures: Mapping[int, Failure]) -> Iterator[Part]:
    yield Table(
        head=("case", "differs", "decided by", "nearest"),
        rows=tuple(
            (
                failure.result.case.name,
                "; ".join(failure.result.problems),
                _deciding(failure),
                "" if failure.nearest is None else str(failure.nearest),
            )
            for failure in failures.values()
        ),
    )
    for failure in [*failures.values()][:MAX_TOLD]:
        place, *lines = lines_of(failure)
        yield Listing(caption=f"✗ {failure.result.case.name} ({place})", text="\n".join(lines))
    if len(failures) > MAX_TOLD:
        yield Paragraph(text=f"The first {MAX_TOLD} of {number(len(failures))} failures are told whole.")


def _deciding(failure: Failure) -> str:
    if failure.asked is None:
        return "see its trace" if failure.trace else ""
    return ", ".join(rule.rule for rule in failure.deciding) or "no rule"


def _decisions(results: Sequence[CaseResult]) -> Bars:
    """Count what each rule determined, in single requests and in the steps of whole runs."""
    counts: dict[str, Counter[str]] = {}
    for result in results:
        taken = [] if result.verdict is None else [(result.verdict.decision, result.verdict.rules)]
        if result.run is not None:
            taken += [(step.verdict, step.rules) for step in result.run.steps]
        for decision, rules in taken:
            for rule in rules or ("(no rule)",):
                counts.setdefault(rule, Counter())[decision] += 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1].total(), item[0]))
    more = f"; the first {MAX_BARS} of {len(ordered)} rules" if len(ordered) > MAX_BARS else ""
    return Bars(
        caption=f"Decisions by rule, in single requests and in the steps of whole runs{more}",
        series=tuple(_SERIES.values()),
        rows=tuple(
            (rule, tuple(float(counted[decision]) for decision in _SERIES))
            for rule, counted in ordered[:MAX_BARS]
        ),
        zeros=False,
        empty="nothing was decided",
    )
