"""Kill the runtime at random, again and again, and see whether the ledger holds: `make torture`.

    python tests/torture/torture.py [--kills N] [--store postgresql://…] [--seed S]

With `--store`, each store is a schema of its own in that database, and every third worker also has all its
connections cut by the server, in the middle of whatever they were at, before it is killed.

A worker pays and remembers in several threads (`torture_world`) and is killed with SIGKILL somewhere between
its first instruction and a fraction of a second later. After every `--check-every` kills the next process
checks everything (`torture_checks`), and a new agent in a new store begins. Exit code 1 at the first fault.

A worker is forked from a process that has imported everything and opened nothing, so that a restart costs
milliseconds, as one in a container that is kept warm.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from torture_checks import check
from torture_places import Places
from torture_world import work

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_S = 0.6
"""A worker lives no longer than that after it was made; most of it is work under load."""
LONGEST_ON_A_SERVER_S = 1.5
"""There the connections take their time, too."""


def warm() -> None:
    """Import and prepare all that a worker needs, and close it again, before the first fork."""
    with tempfile.TemporaryDirectory() as folder:
        work(str(Path(folder) / "store"), Path(folder), 0, seconds=1)


def forked(do: Callable[[], None]) -> int:
    """Run `do` in a child and return its process id; the child ends with 0, or 1 if it raised."""
    child = os.fork()
    if child:
        return child
    try:
        do()
    except BaseException:  # whatever it is, the child ends here
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def checked(store: str, folder: Path, epoch: int) -> tuple[Counter[str], list[str]]:
    """Check in a child, so that this process never opens a store."""
    answer = folder / "answer.json"

    def do() -> None:
        found = check(store, folder, epoch)
        answer.write_text(json.dumps([found.counts, found.faults]))

    _, status = os.waitpid(forked(do), 0)
    if status:
        return Counter(), [f"the check itself failed with status {status}"]
    counts, faults = json.loads(answer.read_text())
    return Counter(counts), faults


def torture(
    kills: int,
    *,
    check_every: int,
    chance: random.Random,
    places: Places,
    keep: Path | None,
    longest_s: float,
) -> tuple[Counter[str], list[str]]:
    """Kill `kills` workers.

    Args:
        kills: how many.
        check_every: kills between two checks.
        chance: when to kill.
        places: where stores lie.
        keep: folder to work in, kept; a temporary one where None.
        longest_s: a worker lives no longer.

    Returns:
        Counts, and the faults of the first check that found any.
    """
    total: Counter[str] = Counter()
    done = 0
    epoch = 0
    began = time.monotonic()
    while done < kills:
        folder = Path(tempfile.mkdtemp(prefix="torture-", dir=keep))
        store = places.new(folder)
        for number in range(min(check_every, kills - done)):
            child = forked(lambda: work(store, folder, epoch, seconds=60))  # noqa: B023  # used at once
            lives_s = chance.random() ** 0.5 * longest_s
            if places.server and number % 3 == 0:
                time.sleep(lives_s / 2)
                total["connections cut"] += places.cut(store)
                lives_s /= 2
            time.sleep(lives_s)
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            if not os.WIFSIGNALED(status):
                return total, [f"the worker ended by itself with status {status}"]
            done += 1
        counts, faults = checked(store, folder, epoch)
        total += counts
        total["kills"] = done
        rate = done / (time.monotonic() - began)
        print(f"{done} of {kills} kills, {total['effects']} effects, {rate:.1f} kills a second", flush=True)
        if faults:
            print(f"the store is left in {folder}")
            return total, faults
        places.drop(store)
        shutil.rmtree(folder)
        epoch += 1
    return total, []


def report(total: Counter[str], faults: list[str]) -> int:
    """Print counts and faults, and return the exit code."""
    for name, count in sorted(total.items()):
        print(f"{count:>9,} {name}")
    for fault in faults:
        print(f"fault: {fault}")
    print("held" if not faults else "DID NOT HOLD")
    return 1 if faults else 0


def main() -> int:
    """Read the arguments, torture, print the counts."""
    parser = argparse.ArgumentParser(description="kill the runtime at random and check what it left behind")
    parser.add_argument("--kills", type=int, default=2000)
    parser.add_argument("--check-every", type=int, default=40)
    parser.add_argument("--store", default="", help="a database to work in; a SQLite folder if not given")
    parser.add_argument("--seed", type=int, default=None, help="repeats the moments of the kills")
    parser.add_argument("--keep", type=Path, default=None, help="work in this folder")
    parser.add_argument("--longest", type=float, default=None, help="seconds that a worker lives at most")
    given = parser.parse_args()
    seed = random.randrange(1 << 32) if given.seed is None else given.seed
    print(f"seed {seed}")
    warm()
    total, faults = torture(
        given.kills,
        check_every=given.check_every,
        chance=random.Random(seed),
        places=Places(given.store),
        keep=given.keep,
        longest_s=given.longest or (LONGEST_ON_A_SERVER_S if given.store else LONGEST_S),
    )
    return report(total, faults)


if __name__ == "__main__":
    sys.exit(main())
