"""Reports for programs: JUnit XML, GitHub's annotations, JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from remit.document.values import JsonObject, JsonValue
    from remit.workbench.suites.failure import Failure
    from remit.workbench.suites.model import Suite
    from remit.workbench.suites.results import CaseResult

# XML 1.0, section 2.2: what may not stand in a document, not even as a reference.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(outcome: Sequence[tuple[Suite, Sequence[CaseResult]]], failures: Mapping[int, Failure]) -> str:
    """Return a JUnit report.

    Args:
        outcome: every suite with the results of its cases.
        failures: what is told of a failing case, by the identity of its result.
    """
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    every = [result for _, results in outcome for result in results]
    lines.append(f"<testsuites {_counts(every)}>")
    for suite, results in outcome:
        lines.append(
            f"  <testsuite name={_attribute(suite.name)} file={_attribute(suite.file)} {_counts(results)}>"
        )
        lines.extend(line for result in results for line in _testcase(suite, result, failures))
        lines.append("  </testsuite>")
    lines.append("</testsuites>")
    return "\n".join(lines) + "\n"


def _testcase(suite: Suite, result: CaseResult, failures: Mapping[int, Failure]) -> Iterator[str]:
    case = result.case
    head = (
        f"    <testcase name={_attribute(case.name)} classname={_attribute(suite.name)} "
        f"file={_attribute(case.place.file)} line={_attribute(str(case.place.line))} "
        f'time="{result.seconds:.6f}"'
    )
    if result.skipped:
        yield f"{head}><skipped message={_attribute(case.skip)}/></testcase>"
    elif result.passed:
        yield f"{head}/>"
    else:
        failure = failures.get(id(result))
        told = "\n".join(result.problems if failure is None else lines_of(failure))
        message = _attribute("; ".join(result.problems))
        yield f"{head}><failure message={message}>{escape(_clean(told))}</failure></testcase>"


def _counts(results: Sequence[CaseResult]) -> str:
    failed = sum(not result.passed for result in results)
    skipped = sum(result.skipped for result in results)
    seconds = sum(result.seconds for result in results)
    return f'tests="{len(results)}" failures="{failed}" errors="0" skipped="{skipped}" time="{seconds:.6f}"'


def _clean(text: str) -> str:
    return _NO_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _attribute(text: str) -> str:
    return quoteattr(_clean(text), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def lines_of(failure: Failure) -> tuple[str, ...]:
    """Return what is told of a failing case, line by line, without colours."""
    return tuple(text for _, text in parts_of(failure))


def parts_of(failure: Failure) -> Iterator[tuple[str, str]]:
    """Yield what is told of a failing case, as kind of line and text."""
    place = failure.result.case.place
    yield "place", f"{place.file}:{place.line}:{place.column}"
    for problem in failure.result.problems:
        yield "problem", problem
    if failure.asked is not None:
        principal, action, resource = failure.asked
        yield "request", f"request   {principal} {action} {resource}"
        for text in failure.read:
            yield "read", f"          {text}"
    for item in failure.deciding:
        place_text = f" ({item.place})" if item.place else ""
        because = f": {item.because}" if item.because else ""
        yield "rule", f"decided   {item.effect} `{item.rule}`{place_text}{because}".replace("  `", " `")
    for text in failure.result.verdict.errors if failure.result.verdict is not None else ():
        yield "error", f"error     {text}"
    for text in failure.trace:
        yield "trace", f"trace     {text}"
    if failure.nearest is not None:
        yield "nearest", f"nearest   {failure.nearest}"
    if failure.forward:
        yield "forward", f"next      {failure.forward}"


def github_lines(failures: Iterable[Failure]) -> Iterator[str]:
    """Yield one workflow command of GitHub for each failing case."""
    for failure in failures:
        case = failure.result.case
        place, message = case.place, "\n".join(lines_of(failure)[1:])
        yield (
            f"::error file={_property(place.file)},line={place.line},col={place.column},"
            f"title={_property(case.name)}::{_data(message)}"
        )


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def report_value(
    outcome: Sequence[tuple[Suite, Sequence[CaseResult]]], failures: Mapping[int, Failure]
) -> JsonObject:
    """Return the whole outcome as one JSON object with stable keys."""
    suites: list[JsonValue] = []
    for suite, results in outcome:
        cases: list[JsonValue] = []
        for result in results:
            failure = failures.get(id(result))
            cases.append({**result.to_json(), "failure": None if failure is None else failure.to_json()})
        suites.append({"name": suite.name, "file": suite.file, "cases": cases})
    every = [result for _, results in outcome for result in results]
    skipped = sum(result.skipped for result in every)
    failed = sum(not result.passed for result in every)
    return {
        "suites": suites,
        "passed": len(every) - failed - skipped,
        "failed": failed,
        "skipped": skipped,
    }
