"""A replay for people and for programs: the denominator first, then what flips, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.workbench.replay.changes import FLIPS
from remit.workbench.replay.timeline import over_time
from remit.workbench.report.model import Bars, Paragraph, Report, Section, Table, number

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.workbench.replay.changes import Flip, Side, Tally
    from remit.workbench.replay.replay import Replay
    from remit.workbench.report.model import Part

MAX_BARS = 40
MAX_EXAMPLES = 60
_SHORT = 12


def sentence(found: Replay) -> str:
    """Return what a replay came to in one sentence."""
    tally = found.tally
    flipped = tally.flipped()
    what = f"{number(flipped)} of {number(tally.replayed)} replayed decisions flip"
    if not tally.replayed:
        return "no decision could be replayed"
    if not flipped:
        return f"none of {number(tally.replayed)} replayed decisions flips"
    changes = tally.changes()
    parts = [f"{number(changes[name])} {name}" for name in FLIPS if changes[name]]
    return f"{what}: {', '.join(parts)}"


def to_json(found: Replay) -> JsonObject:
    """Return a replay as a JSON object with stable keys."""
    tally = found.tally
    changes = tally.changes()
    examples: list[JsonValue] = [flip.to_json() for flip in tally.ordered_flips()]
    cells: list[JsonValue] = [
        {"action": action, "before": before, "after": after, "count": count}
        for (action, before, after), count in sorted(_by_action(tally).items())
    ]
    reads: JsonObject = {rule: [*sorted(names)] for rule, names in sorted(found.reads_counters.items())}
    return {
        "agent": found.agent,
        "candidate": found.candidate,
        "revision": found.revision,
        "baseline": found.baseline,
        "engine": found.engine,
        "processes": found.processes,
        "records": found.records,
        "decisions": tally.decisions,
        "replayed": tally.replayed,
        "not_replayed": dict(sorted(tally.skipped.items())),
        "flips": tally.flipped(),
        "changes": {name: changes[name] for name in ("same", "other rules", *FLIPS)},
        "follow_a_flip": tally.follows,
        "on_other_counters": tally.moved,
        "reads_counters": reads,
        "checked_by_the_reference": tally.checked,
        "divergences": [*tally.divergences],
        "by_rule": {
            rule: {"before": before, "after": after, "flips": flips}
            for rule, (before, after, flips) in tally.by_rule().items()
        },
        "coverage": [rule.to_json() for rule in found.reach],
        "flips_by_rule": {name: dict(counts) for name, counts in tally.flips_by("rule").items()},
        "flips_by_action": {name: dict(counts) for name, counts in tally.flips_by("action").items()},
        "flips_by_caller": _callers_json(tally),
        "by_action": cells,
        "by_hour": {
            hour: {"decisions": decided, "flips": flips}
            for hour, (decided, flips) in sorted(tally.hours.items())
        },
        "examples": examples,
        "notes": [*found.notes],
    }


def _by_action(tally: Tally) -> dict[tuple[str, str, str], int]:
    found: dict[tuple[str, str, str], int] = {}
    for (action, before, _, _, after, _, _), count in tally.cells.items():
        key = (action, before, after)
        found[key] = found.get(key, 0) + count
    return found


def _callers_json(tally: Tally) -> JsonObject:
    found: dict[str, JsonValue] = {}
    for (change, name, value), count in sorted(tally.callers.items(), key=lambda item: (-item[1], item[0])):
        values = found.setdefault(name, {})
        if isinstance(values, dict):
            counts = values.setdefault(value, {})
            if isinstance(counts, dict):
                counts[change] = count
    return found


def replay_report(found: Replay, *, ledger: str, candidate: str, baseline: str = "") -> Report:
    """Make the report of a replay.

    Args:
        found: what it came to.
        ledger: how the user called the ledger.
        candidate: how they called the candidate.
        baseline: how they called what it was compared with; empty for what was recorded.
    """
    tally = found.tally
    flipped = tally.flipped()
    facts = [
        ("Ledger", ledger),
        ("Agent", found.agent),
        ("Candidate", f"{candidate}, image {found.candidate}"),
    ]
    if baseline:
        facts.append(("Compared with", f"{baseline}, image {found.baseline}"))
    processes = "one process" if found.processes == 1 else f"{found.processes} processes"
    facts.append(("Engine", f"{found.engine}, {processes}"))
    return Report(
        title=f"Replay of {number(tally.replayed)} decisions against {candidate}",
        verdict=sentence(found),
        tone="bad" if tally.divergences else "neutral" if flipped or not tally.replayed else "good",
        facts=tuple(facts),
        sections=sections(found),
    )


def sections(found: Replay) -> tuple[Section, ...]:
    """Return a replay's sections, for its own report or as part of another one."""
    tally = found.tally
    parts = [
        Section(title="What was replayed", parts=tuple(_denominator(found))),
        Section(title="What flips", parts=tuple(flip_parts(tally))),
        Section(title="By rule", parts=(_by_rule(tally), *_reach(found))),
    ]
    if tally.flips:
        parts.append(Section(title="Examples", parts=(examples_table(tally),)))
    return tuple(parts)


def _denominator(found: Replay) -> list[Part]:
    tally = found.tally
    rows = [
        ("records in the ledger", number(found.records)),
        ("of these, decisions", number(tally.decisions)),
        ("replayed", number(tally.replayed)),
        *((f"not replayed: {reason}", number(count)) for reason, count in sorted(tally.skipped.items())),
        ("questions decided by the reference engine, too", number(tally.checked)),
    ]
    parts: list[Part] = [Table(head=("", "count"), rows=tuple(rows), numbers=frozenset({1}))]
    parts.extend(Paragraph(text=text) for text in remarks(found))
    return parts


def remarks(found: Replay) -> tuple[str, ...]:
    """Return what a reader of the counts must know, one sentence each."""
    tally = found.tally
    told = [*found.notes]
    if found.reads_counters:
        rules = ", ".join(sorted(found.reads_counters)[:MAX_BARS])
        told.append(
            f"Order matters: {rules} read counters, and {number(tally.moved)} decisions were taken on the "
            "counters that the candidate would have left."
        )
    if tally.follows:
        told.append(
            f"{number(tally.follows)} flips follow an earlier flip of the same run: whether they would have "
            "been asked at all, nobody knows."
        )
    told.extend(
        f"The engines differ, and the reference's word was taken: {text}." for text in tally.divergences
    )
    return tuple(told)


def flip_parts(tally: Tally) -> list[Part]:
    """Return what flips, when, and where: a plot of each change, one over time, and tables."""
    changes = tally.changes()
    rows = [(name, (float(changes[name]),)) for name in FLIPS]
    parts: list[Part] = [
        Bars(caption="Decisions that flip", series=("decisions",), rows=tuple(rows)),
        over_time(tally.hours),
    ]
    if not tally.flipped():
        return parts
    there = tuple(change for change in FLIPS if changes[change])
    for part, counts in (("action", tally.flips_by("action")), ("rule", tally.flips_by("rule"))):
        more = f"; the first {MAX_BARS} of {len(counts)}" if len(counts) > MAX_BARS else ""
        parts.append(
            Table(
                head=(part, *there),
                rows=tuple(
                    (name, *(number(counted[change]) if counted[change] else "" for change in there))
                    for name, counted in list(counts.items())[:MAX_BARS]
                ),
                numbers=frozenset(range(1, len(there) + 1)),
                caption=("Flips by action" if part == "action" else "Flips by rule that takes part") + more,
            )
        )
    callers: dict[tuple[str, str], int] = {}
    for (_, name, value), count in tally.callers.items():
        callers[name, value] = callers.get((name, value), 0) + count
    ordered = sorted(callers.items(), key=lambda item: (-item[1], item[0]))[:MAX_BARS]
    if not callers:
        return parts
    parts.append(
        Table(
            head=("attribute", "value", "flips"),
            rows=tuple((name, value, number(count)) for (name, value), count in ordered),
            numbers=frozenset({2}),
            caption="Flips by attribute of the caller",
        )
    )
    return parts


def _by_rule(tally: Tally) -> Bars:
    rules = list(tally.by_rule().items())
    return Bars(
        caption="Decisions that a rule determined, before and under the candidate"
        + (f"; the first {MAX_BARS} of {len(rules)} rules" if len(rules) > MAX_BARS else ""),
        series=("before", "candidate"),
        rows=tuple((rule, (float(before), float(after))) for rule, (before, after, _) in rules[:MAX_BARS]),
        empty="no rule determined a decision",
    )


def _reach(found: Replay) -> tuple[Part, ...]:
    """Return what the decisions reach of the candidate's rules, those that decide nothing first."""
    # Equals stay in image order, so that a rule stands where its author looks for it.
    rules = sorted(found.reach, key=lambda rule: (rule.decided > 0, -rule.decided))
    idle = sum(not rule.decided for rule in rules)
    more = f"; the first {MAX_BARS} of {len(rules)} rules" if len(rules) > MAX_BARS else ""
    return (
        Paragraph(
            text=f"{number(len(rules) - idle)} of {number(len(rules))} rules of the candidate determined at "
            "least one of these decisions. "
            "How far their conditions are reached is measured on cases, by `remit test --coverage`."
        ),
        Bars(
            caption="Coverage by rule: decisions about a rule's actions, and what it determined under the "
            f"candidate, none first{more}",
            series=("about its actions", "determined"),
            rows=tuple((rule.rule, (float(rule.asked), float(rule.decided))) for rule in rules[:MAX_BARS]),
            empty="the candidate has no rule of its own",
        ),
    )


def examples_table(tally: Tally) -> Table:
    """Return the kept examples, what is newly permitted first."""
    flips = list(tally.ordered_flips())
    return Table(
        head=("record", "when (UTC)", "action", "change", "before", "candidate", "caller"),
        rows=tuple(_example(flip) for flip in flips[:MAX_EXAMPLES]),
        numbers=frozenset({0}),
        caption=f"The first of each kind; {number(len(flips))} are kept"
        + (f", {MAX_EXAMPLES} shown" if len(flips) > MAX_EXAMPLES else ""),
    )


def _example(flip: Flip) -> tuple[str, ...]:
    return (
        str(flip.index),
        flip.at[: len("2026-01-01T00:00:00")].replace("T", " "),
        flip.action,
        flip.change + (" (follows a flip)" if flip.follows else ""),
        side_text(flip.before),
        "; ".join((side_text(flip.after), *flip.errors)),
        ", ".join(f"{name}={value}" for name, value in flip.caller),
    )


def side_text(side: Side) -> str:
    """Return one of two answers as people read it."""
    word = side.verdict.replace("_", " ")
    kind = (
        ""
        if side.kind in ("allowed", "awaiting_approval", "forbidden")
        else f" ({side.kind.replace('_', ' ')})"
    )
    return f"{word}{kind}" + (f" by {', '.join(side.rules)}" if side.rules else "")
