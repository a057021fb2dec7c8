"""Hold the path of a decision to a budget of interpreter instructions: `make budget`.

Run: `python benchmarks/check_budget.py [--record]`. Exit code 1 where a count grew by more than 10 %.

Why instructions: they are the same on a busy machine, so that a slower path shows where a clock would not.
What they do not count is work in C: encoding, hashing, Cedar itself. For that there are the benchmarks.

Rules
1. A count is that of one operation with warm caches, hash seed 0, in one thread.
2. A budget belongs to a minor version of Python; versions without one are printed and pass.
3. `--record` writes the counts of this version as its budget; a change of the file is reviewed as code.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from concurrent.futures import Future
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import bench_engine
import bench_gate

from remit.document.values import canonical_bytes
from remit.engine.cedar import CedarEngine
from remit.gate.answers import Granted
from remit.gate.gate import Gate
from remit.ledger.encoding import SALT_BYTES, leaf_digest, seal_draft
from remit.messages import Message, ToolCall, ToolOffer, Turn, turn_value
from remit.permit import redeem
from remit.records import Draft, Receipt
from remit.testing.memory_ledger import MemoryControlState
from remit_adapters.sqlite_store import open_store

BUDGET = Path(__file__).with_name("budget.json")
TOLERANCE = 0.10
WARM = 20
REPEATS = 5
MAKINGS = 5
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
AT = "2026-01-01T00:00:00.000Z"


class Clock:
    """Stands still."""

    def now(self) -> str:
        return AT

    def monotonic_s(self) -> float:
        return 0.0


class SealingLedger:
    """Encodes and hashes what it is given, as a store does, and keeps nothing."""

    def __init__(self) -> None:
        self._size = 0

    def submit(self, batch: Any) -> Future[tuple[Receipt, ...]]:
        future: Future[tuple[Receipt, ...]] = Future()
        receipts = []
        for draft in batch.records:
            leaf = seal_draft(draft, salt=bytes(SALT_BYTES)).leaf(self._size)
            receipts.append(Receipt(index=self._size, digest=leaf_digest(leaf)))
            self._size += 1
        future.set_result(tuple(receipts))
        return future

    def records(self, **_: Any) -> Any:
        return iter(())


def authorize() -> Any:
    image = bench_gate.policy_image()
    ledger: Any = SealingLedger()
    gate = Gate(
        bench_gate.StandInEngine(image), image, ledger, MemoryControlState(), Clock(), agent="a", run="r"
    )
    ask = bench_gate.tool_call(1)

    def operation() -> None:
        granted: Any = gate.authorize(ask)
        assert isinstance(granted, Granted), granted
        redeem(granted.permit, effect="call_tool", target="tool1", digest=granted.content.digest())

    return operation


def authorize_on_sqlite() -> Any:
    image = bench_gate.policy_image()
    folder = tempfile.TemporaryDirectory()
    store = open_store(Path(folder.name) / "store")
    gate = Gate(bench_gate.StandInEngine(image), image, store, store.control, Clock(), agent="a", run="r")
    ask = bench_gate.tool_call(1)

    def operation() -> None:
        granted: Any = gate.authorize(ask)
        # Names the folder, so that it lives as long as what writes into it.
        assert isinstance(granted, Granted), (granted, folder)
        redeem(granted.permit, effect="call_tool", target="tool1", digest=granted.content.digest())

    return operation


def encode_record() -> Any:
    request = bench_engine.request()
    draft = Draft(
        kind="decision",
        agent="sha256:" + "a" * 64,
        run="0" * 32,
        at=AT,
        body={"action": "tool1", "rules": ["r1", "r2"], "errors": [], "step": 1, "text": "x" * 300},
        content={"context": request.context, "resource": request.resource.attributes},
    )
    return lambda: seal_draft(draft, salt=bytes(SALT_BYTES)).leaf(1)


def canonical_turn() -> Any:
    call = ToolCall(id="c", name="tool1", arguments={"amount": 1}, raw='{"amount": 1}')
    turn = Turn(
        instructions="be brief",
        messages=tuple(
            Message(role="assistant", text=f"words {n} é", tool_calls=(call,) if n % 4 == 0 else ())
            for n in range(24)
        ),
        tools=tuple(
            ToolOffer(name=f"tool{n}", description="pays", parameters=bench_gate.PARAMETERS) for n in range(4)
        ),
        temperature=0.7,
    )
    return lambda: canonical_bytes(turn_value(turn))


def decide() -> Any:
    engine = CedarEngine(bench_gate.policy_image(50))
    request = bench_engine.request()
    return lambda: engine.decide(request)


OPERATIONS = {
    "authorize with a stand-in engine": authorize,
    "authorize and record on SQLite": authorize_on_sqlite,
    "encode a record": encode_record,
    "canonical bytes of a turn": canonical_turn,
    "decide under 50 rules": decide,
}


def instructions(operation: Any) -> int:
    """Count the instructions of the interpreter that one call executes."""
    if sys.version_info >= (3, 12):
        return monitored(operation)
    counted = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal counted
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        counted += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        operation()
    finally:
        sys.settrace(before)
    return counted


def monitored(operation: Any) -> int:
    counted = 0

    def count(_: Any, __: int) -> None:
        nonlocal counted
        counted += 1

    monitoring: Any = getattr(sys, "monitoring")  # noqa: B009  # 3.11 has none
    tool, event = monitoring.PROFILER_ID, monitoring.events.INSTRUCTION
    monitoring.use_tool_id(tool, "remit budget")
    monitoring.register_callback(tool, event, count)
    monitoring.set_events(tool, event)
    try:
        operation()
    finally:
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)
    return counted


def counts() -> dict[str, int]:
    found = {}
    for name, make in OPERATIONS.items():
        # Sets of objects are walked in the order of their addresses, which differs between two makings.
        found[name] = min(_least(make()) for _ in range(MAKINGS))
    return found


def _least(operation: Any) -> int:
    for _ in range(WARM):
        operation()
    return min(instructions(operation) for _ in range(REPEATS))


def judge(recorded: dict[str, int], now: dict[str, int]) -> tuple[list[str], list[str]]:
    """Compare counts with a budget.

    Returns:
        The lines of a table, and one sentence for each count that grew too much or has no budget.
    """
    table = [f"{'operation':<36} {'budget':>8} {'now':>8} {'change':>8}"]
    broken = []
    for name, count in now.items():
        budget = recorded.get(name)
        if not budget:
            table.append(f"{name:<36} {'none':>8} {count:>8}")
            if recorded:
                broken.append(f"`{name}` has no budget: run `python benchmarks/check_budget.py --record`")
            continue
        table.append(f"{name:<36} {budget:>8} {count:>8} {count / budget - 1:>+8.1%}")
        if count > budget * (1 + TOLERANCE):
            broken.append(
                f"`{name}` takes {count} instructions, {count / budget - 1:.0%} over its budget of {budget}: "
                "make it cheaper, or record the new count and say why in the commit"
            )
    return table, broken


def main() -> int:
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets and dictionaries of texts are walked in the same order only under a fixed seed.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    parser = argparse.ArgumentParser(description="hold the path of a decision to its budget of instructions")
    parser.add_argument("--record", action="store_true", help="write the counts as this version's budget")
    given = parser.parse_args()
    budgets: dict[str, dict[str, int]] = json.loads(BUDGET.read_text()) if BUDGET.exists() else {}
    now = counts()
    table, broken = judge(budgets.get(VERSION, {}), now)
    print(f"Python {VERSION}, interpreter instructions an operation")
    print("\n".join(table))
    if given.record:
        BUDGET.write_text(json.dumps({**budgets, VERSION: now}, indent=2, sort_keys=True) + "\n")
        print(f"recorded in {BUDGET.name}")
        return 0
    for sentence in broken:
        print(sentence)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
