"""Run the runtime on a disk that fails, and see whether the ledger holds: part of `make torture`.

    python tests/torture/torture_disk.py [--rounds N] [--one-in N]

In each round a worker (`torture_world`) runs for a while in a process in which writes and syncs of the store's
files fail at random, with EIO in one round and ENOSPC in the next; see `failing_files.c`, which is compiled
when it is needed. What the runtime confirmed must be there afterwards, on a disk that is sound again.
"""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from torture_world import READY, work

from torture import checked, report

SOURCE = Path(__file__).with_name("failing_files.c")
CODES = (errno.EIO, errno.ENOSPC)


def compiled(folder: Path) -> Path | None:
    """Compile the failing file system; nothing where this is not Linux, or has no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    library = folder / "failing_files.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl"], check=True)
    return library


def worker(folder: Path, library: Path, code: int, *, one_in: int, seconds: float) -> int:
    """Run one worker on a failing disk; return its exit status."""
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "REMIT_FAIL_PATH": str(folder / "store"),
        "REMIT_FAIL_ERRNO": str(code),
        "REMIT_FAIL_ONE_IN": str(one_in),
        "REMIT_FAIL_AFTER": str(folder / READY),
    }
    command = [sys.executable, __file__, "--worker", str(folder), "--seconds", str(seconds)]
    return subprocess.run(command, env=environment, timeout=seconds + 120, check=False).returncode


def torture(rounds: int, *, one_in: int, seconds: float) -> tuple[Counter[str], list[str]]:
    """Return counts and faults, of the first round that has any."""
    total: Counter[str] = Counter()
    for number in range(rounds):
        folder = Path(tempfile.mkdtemp(prefix="torture-disk-"))
        library = compiled(folder)
        if library is None:
            return total, ["a failing file system needs Linux and a C compiler"]
        code = CODES[number % len(CODES)]
        status = worker(folder, library, code, one_in=one_in, seconds=seconds)
        if status:
            return total, [f"the worker ended with status {status} on {errno.errorcode[code]}"]
        counts, faults = checked(str(folder / "store"), folder, 0)
        total += counts
        total[f"rounds with {errno.errorcode[code]}"] += 1
        if faults:
            print(f"the store is left in {folder}")
            return total, faults
        shutil.rmtree(folder)
    return total, []


def main() -> int:
    """Read the arguments, torture, print the counts."""
    parser = argparse.ArgumentParser(description="run the runtime on a disk that fails")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--one-in", type=int, default=60, help="one in so many writes and syncs fails")
    parser.add_argument("--seconds", type=float, default=3.0, help="a round lasts so long")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker is not None:
        work(str(given.worker / "store"), given.worker, 0, seconds=given.seconds)
        return 0
    total, faults = torture(given.rounds, one_in=given.one_in, seconds=given.seconds)
    return report(total, faults)


if __name__ == "__main__":
    sys.exit(main())
