"""What must hold of a store and its worker's files, however often the worker was killed.

no effect without a decision    each effect has an intent, durable before it, under a decision that allowed it
nothing twice                   no run paid twice, and no intent has two effects
nothing confirmed is lost       what the runtime confirmed is in the agent's memory, or has its outcome
one lineage                     the log, its tree, its checkpoints and every head verify, and nothing forks
every start is clean            what was left open is settled as `unknown` by the next run, and by that alone
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torture_world import ANN, document

from remit import Runtime

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from remit.records import Record


@dataclass
class Found:
    """Counts, and every fault in words."""

    counts: Counter[str] = field(default_factory=Counter[str])
    faults: list[str] = field(default_factory=list)


def lines(path: Path) -> list[str]:
    """Return the whole lines of a worker's file."""
    text = path.read_text() if path.exists() else ""
    return text.splitlines() if text.endswith("\n") or not text else text.splitlines()[:-1]


def check(store: str, folder: Path, epoch: int) -> Found:
    """Open the store as the next process would, run once, and compare all of it with the worker's files."""
    found = Found()

    def pay(amount: int) -> dict[str, int]:
        return {"paid": amount}

    with Runtime.open(document(epoch), store=store, backend="script", tools=[pay]) as runtime:
        ledger: Any = runtime.store
        left = {record.digest for record in ledger.unfinished()}
        result = runtime.run("pay", caller=ANN)
        if result.status != "completed":
            found.faults.append(f"the first run after a kill {result.status}: {result.reason}")
        still = [record for record in ledger.unfinished() if record.digest in left]
        if still:
            found.faults.append(f"{len(still)} intents are open after the next run")
        records = list(ledger.records())
        _effects(records, lines(folder / "effects"), found)
        _outcomes(records, left, found)
        acks = [line.split() for line in lines(folder / "acks")]
        _confirmed(records, [run for what, run in acks if what == "paid"], found)
        recalled = runtime.recall("notes", by=ANN)
        if not recalled.allowed:
            found.faults.append(f"memory cannot be read: {recalled.message}")
        kept = Counter(_values(recalled.value))
        for what, text in acks:
            if what == "refused":
                found.counts[f"refused with {text}"] += 1
            elif what == "remembered":
                found.counts["memory confirmed"] += 1
                if kept[text] != 1:
                    found.faults.append(f"memory `{text}` was confirmed and is there {kept[text]} times")
        report = ledger.verify()
        found.faults += [f"record {finding.index}: {finding.problem}" for finding in report.findings]
        found.counts["records"] += report.size
    return found


def _values(entries: object) -> Iterable[str]:
    for entry in entries if isinstance(entries, list) else []:
        yield str(entry["value"] if isinstance(entry, dict) else entry)


def _effects(records: list[Record], effects: list[str], found: Found) -> None:
    intents: dict[str, int] = {}
    allowed: dict[str, int] = {}
    for record in records:
        body: Any = record.value["body"]
        run = str(record.value["run"])
        if record.value["kind"] == "decision" and body.get("action") == "pay" and body["verdict"] == "allow":
            allowed.setdefault(run, record.index)
        elif record.value["kind"] == "intent" and body["target"] == "pay":
            intents[run] = record.index
    by_run = Counter(line.split()[0] for line in effects)
    found.counts["effects"] += len(effects)
    for run, times in by_run.items():
        if times > 1:
            found.faults.append(f"run {run} paid {times} times")
        if run not in intents or run not in allowed or allowed[run] > intents[run]:
            found.faults.append(f"run {run} paid without a decision that allowed it")


def _outcomes(records: list[Record], left: set[str], found: Found) -> None:
    settled: Counter[str] = Counter()
    for record in records:
        body: Any = record.value["body"]
        found.counts[f"{record.value['kind']} records"] += 1
        if record.value["kind"] == "outcome":
            found.counts[f"outcomes {body['status']}"] += 1
            settled[body["intent"]] += 1
    twice = [intent for intent, times in settled.items() if times > 1]
    if twice:
        found.faults.append(f"{len(twice)} intents have more than one outcome")
    for intent in left - set(settled):
        found.faults.append(f"intent {intent} was left open and has no outcome")


def _confirmed(records: list[Record], runs: list[str], found: Found) -> None:
    done = set()
    for record in records:
        body: Any = record.value["body"]
        if record.value["kind"] == "outcome" and body.get("target") == "pay" and body["status"] == "ok":
            done.add(str(record.value["run"]))
    found.counts["payments confirmed"] += len(runs)
    found.faults += [f"run {run} was confirmed and has no outcome" for run in runs if run not in done]
