"""Tamper with a log as its owner, who has the signing key, and see who finds it: part of `make torture`.

    python tests/torture/torture_tamper.py [--attempts N] [--seed S]

An auditor holds one checkpoint that was taken away at a random size. Each attempt changes something of what it
signs: records, contents, their order, their number, checkpoints. Then the owner makes the whole log agree with
itself again, with the tree, the checkpoints and everything that cites a changed record, and signs it.
Every attempt must be found with the held checkpoint. As many logs that nobody tampered with, or that only grew or
had content erased on the record, must verify with it. What is found without it is counted, too.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from tamper import Owner, public_key

from remit.ports import Batch
from remit.records import Draft
from remit_adapters.sqlite_store import open_store
from torture import report

if TYPE_CHECKING:
    from collections.abc import Callable

    from remit.ledger.report import LogReport

AT = "2026-01-01T00:00:00.000Z"
AGENT = "sha256:" + "a" * 64
ROUNDS = 14
"""Each is a decision, an intent, its outcome and an order: 4 records in one to three commits."""


def make_log(folder: Path, random_of: random.Random) -> list[tuple[int, str]]:
    """Make a log like that of real runs; return every checkpoint by its size, as taken away at that moment."""
    held: list[tuple[int, str]] = []
    with open_store(folder) as store:

        def commit(*drafts: Draft) -> str:
            receipts = store.submit(Batch(records=drafts)).result()
            held.append((store.size(), store.checkpoint()))
            return receipts[-1].digest

        for number in range(ROUNDS):
            run = f"run-{number % 3}"
            request = f"sha256:{number:064x}"
            verdict = random_of.choice(("allow", "deny"))
            body = {"verdict": verdict, "request": request, "rules": [f"rule-{number}"], "number": number}
            content = {"context": {"input": {"amount": number * 10}}}
            decision = Draft(kind="decision", agent=AGENT, run=run, at=AT, body=body, content=content)
            plan = {"effect": "call_tool", "target": "pay", "request": request}
            intent = commit(decision, Draft(kind="intent", agent=AGENT, run=run, at=AT, body=plan))
            done = {"status": "ok", "intent": intent, "request": request}
            commit(Draft(kind="outcome", agent=AGENT, run=run, at=AT, body=done, content={"result": number}))
            order = {"operation": "note", "number": number}
            commit(Draft(kind="control", agent="", run="", at=AT, body=order))
    return held


def other(text: str) -> str:
    """Return another text of the same kind."""
    return {"allow": "deny", "deny": "allow", "ok": "failed", "failed": "ok"}.get(text, f"{text}!")


# Each act changes something below `size`, the size of the held checkpoint, and says what.


def edit(owner: Owner, size: int, random_of: random.Random) -> str:
    index = random_of.randrange(size)

    def turn(value: dict) -> None:
        texts = [name for name, member in value["body"].items() if isinstance(member, str)]
        name = random_of.choice(texts)
        value["body"][name] = other(value["body"][name])

    owner.change(index, turn)
    return "records edited"


def backdate(owner: Owner, size: int, random_of: random.Random) -> str:
    index = random_of.randrange(size)
    owner.change(index, lambda value: value.__setitem__("at", "2025-12-31T23:59:59.999Z"))
    return "records moved in time"


def another_agent(owner: Owner, size: int, random_of: random.Random) -> str:
    index = random_of.randrange(size)
    owner.change(index, lambda value: value.__setitem__("agent", "sha256:" + "b" * 64))
    return "records given to another agent"


def edit_content(owner: Owner, size: int, random_of: random.Random) -> str:
    index = random_of.choice([n for n in range(size) if owner.rows[n][2] is not None])
    owner.change_content(index, {"context": {"input": {"amount": random_of.randrange(10**6, 10**7)}}})
    return "contents edited, with their commitments"


def salt_again(owner: Owner, size: int, random_of: random.Random) -> str:
    index = random_of.choice([n for n in range(size) if owner.rows[n][2] is not None])
    owner.rows[index][1] = random_of.randbytes(16)
    import json

    owner.change_content(index, json.loads(owner.rows[index][2]))
    return "commitments made anew"


def delete(owner: Owner, size: int, random_of: random.Random) -> str:
    del owner.rows[random_of.randrange(size)]
    owner.renumber()
    return "records deleted, the rest renumbered"


def insert(owner: Owner, size: int, random_of: random.Random) -> str:
    index = random_of.randrange(size)
    owner.rows.insert(index, list(owner.rows[random_of.randrange(len(owner.rows))]))
    owner.renumber()
    return "records inserted"


def swap(owner: Owner, size: int, random_of: random.Random) -> str:
    one = random_of.randrange(size)
    two = random_of.choice([n for n in range(len(owner.rows)) if n != one])
    owner.rows[one], owner.rows[two] = owner.rows[two], owner.rows[one]
    owner.renumber()
    return "records swapped"


def cut(owner: Owner, size: int, random_of: random.Random) -> str:
    del owner.rows[random_of.randrange(size) :]
    return "tails dropped, with their checkpoints"


def cut_and_grow(owner: Owner, size: int, random_of: random.Random) -> str:
    whole = [list(row) for row in owner.rows]
    start = random_of.randrange(size)
    del owner.rows[start:]
    # Another history of at least the old length: records of the old one, in another order.
    rest = whole[start:]
    turned = rest[1:] + rest[:1] if len(rest) > 1 else [list(whole[max(start - 1, 0)])]
    owner.rows += turned
    owner.renumber()
    return "tails replaced by another history"


def begin_anew(owner: Owner, size: int, random_of: random.Random) -> str:
    index = random_of.randrange(size)
    owner.change(index, lambda value: value["body"].__setitem__("added", "later"))
    owner.sizes = [0]
    return "histories signed anew as one checkpoint"


ACTS: tuple[Callable[[Owner, int, random.Random], str], ...] = (
    edit,
    backdate,
    another_agent,
    edit_content,
    salt_again,
    delete,
    insert,
    swap,
    cut,
    cut_and_grow,
    begin_anew,
)


def verify(folder: Path, key: str, held: tuple[str, ...]) -> LogReport:
    with open_store(folder, read_only=True) as store:
        return store.verify(keys=[key], held=held)


def attempt(
    template: Path, work: Path, held: list[tuple[int, str]], random_of: random.Random
) -> tuple[str, bool, bool]:
    """Tamper with a copy; return what was done, and whether it is found with and without the held checkpoint."""
    folder = work / "store"
    shutil.copytree(template, folder)
    try:
        size, note = random_of.choice([one for one in held if one[0] > 1])
        owner, before = Owner(folder), [bytes(row[0]) for row in Owner(folder).rows]
        done = random_of.choice(ACTS)(owner, size, random_of)
        for _ in range(random_of.choice((0, 0, 1, 2))):
            if len(owner.rows) >= size:
                random_of.choice((edit, backdate, edit_content))(owner, size, random_of)
        owner.write()
        assert [bytes(row[0]) for row in owner.rows][:size] != before[:size], f"{done}: nothing was changed"
        key = public_key(folder)
        return done, not verify(folder, key, (note,)).intact, not verify(folder, key, ()).intact
    finally:
        shutil.rmtree(folder)


def control(
    template: Path, work: Path, held: list[tuple[int, str]], random_of: random.Random
) -> tuple[str, bool]:
    """Let an honest owner do something with a copy; return what, and whether the log verifies."""
    folder = work / "store"
    shutil.copytree(template, folder)
    try:
        _, note = random_of.choice(held)
        what = random_of.choice(("untouched", "grown", "erased on the record"))
        if what != "untouched":
            with open_store(folder) as store:
                draft = Draft(kind="control", agent="", run="", at=AT, body={"operation": "note"})
                for _ in range(random_of.randrange(1, 4)):
                    store.submit(Batch(records=(draft,))).result()
                if what.startswith("erased"):
                    store.erase_content(4 * random_of.randrange(ROUNDS), by="dpo", reason="art. 17")
        return what, verify(folder, public_key(folder), (note,)).intact
    finally:
        shutil.rmtree(folder)


def tampered(attempts: int, controls: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Make so many attempts and controls; return the counts and what did not hold."""
    random_of = random.Random(seed)
    total: Counter[str] = Counter()
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="remit-tamper-") as name:
        work = Path(name)
        held = make_log(work / "template", random_of)
        for number in range(attempts):
            done, found, alone = attempt(work / "template", work, held, random_of)
            total["attempts"] += 1
            total[done] += 1
            total["found with a held checkpoint"] += found
            total["found without one"] += alone
            if not found:
                faults.append(f"attempt {number}: {done}, and nothing was found")
        for number in range(controls):
            what, intact = control(work / "template", work, held, random_of)
            total["controls"] += 1
            total[f"controls {what}"] += 1
            total["controls that verify"] += intact
            if not intact:
                faults.append(f"control {number}: {what}, and it does not verify")
    return total, faults


def main() -> int:
    """Read the arguments, tamper, print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--attempts", type=int, default=1000)
    parser.add_argument("--controls", type=int, default=None, help="default: a fifth of the attempts")
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if given.seed is None else given.seed
    print(f"seed {seed}")
    controls = max(given.attempts // 5, 1) if given.controls is None else given.controls
    return report(*tampered(given.attempts, controls, seed))


if __name__ == "__main__":
    sys.exit(main())
