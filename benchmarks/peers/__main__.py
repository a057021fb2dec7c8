"""Measure: `PYTHONPATH=benchmarks python -m peers --help`."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
from pathlib import Path

from peers.catalogue import BASE_LINE, chosen
from peers.environments import REPOSITORY, find_interpreter
from peers.findings import Findings
from peers.plot import draw
from peers.report import check_page, markdown, write_page, write_whole
from peers.runner import DISAGREES, Runner

_PICTURE = "performance-peers.svg"
_LIMIT_S = 540.0


def main(arguments: list[str]) -> int:
    """Measure, and write what was found; returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        sizes = _sizes(given.sizes)
        names = f"{given.peers},{BASE_LINE}" if given.peers else ""
        entries = chosen(names)
        interpreter = find_interpreter(given.python)
        if given.page:
            check_page(given.page)
    except ValueError as error:
        print(f"bench-peers: {error}", file=sys.stderr)
        return 2
    runner = Runner(
        entries=entries,
        interpreter=interpreter,
        environments=given.environments,
        rounds=given.rounds,
        requests=given.requests,
        limit_s=_LIMIT_S,
    )
    try:
        runner.run(sizes)
    except KeyboardInterrupt:
        print("bench-peers: interrupted; every worker is ended, nothing is written", file=sys.stderr)
        return 130
    except RuntimeError as error:
        print(f"bench-peers: {error}", file=sys.stderr)
        return 1
    findings = Findings(
        command=" ".join(["make bench-peers", *_options(arguments, interpreter.version)]),
        machine=_machine(interpreter.version),
        sizes=sizes,
        rounds=given.rounds,
        versions=runner.versions,
        spoilt=runner.spoilt,
        measured=tuple(runner.measured),
        left_out=tuple(runner.left_out),
    )
    text = markdown(findings, _PICTURE)
    print(text)
    if given.page:
        write_whole(given.page.parent / _PICTURE, draw(findings))
        write_page(given.page, text)
    ours = [left for left in findings.left_out if left.entry.needs_remit]
    return 1 if any(left.reason.startswith(DISAGREES) for left in ours) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench-peers", description="Measure Remit's engines beside others.")
    parser.add_argument("--sizes", default="5,50,500,5000", help="numbers of rules, comma-separated")
    parser.add_argument("--peers", default="", help="names of peers, comma-separated; all if not given")
    parser.add_argument("--rounds", type=_count, default=40, help="turns of each peer at each size")
    parser.add_argument("--requests", type=_count, default=2000, help="decisions compared before timing")
    parser.add_argument("--python", default=sys.executable, help="the interpreter of every environment")
    kept = REPOSITORY / ".bench"
    parser.add_argument("--environments", type=Path, default=kept, help="the folder that keeps them")
    parser.add_argument("--page", type=Path, help="a page with the markers, to write the result into")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a whole number of at least 1")
    return int(text)


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(size) for size in text.split(","))
    except ValueError as error:
        raise ValueError(f"`--sizes {text}`: give numbers of rules with commas between them") from error
    if min(sizes) < 1 or max(sizes) > 50_000:
        raise ValueError(f"`--sizes {text}`: a number of rules is 1 to 50,000")
    return tuple(sorted(set(sizes)))


def _options(arguments: list[str], version: str) -> list[str]:
    """Return the options that change what is measured, as the make verb takes them."""
    kept: list[str] = []
    names = iter(arguments)
    for name in names:
        value = next(names, "") if "=" not in name else ""
        if name.partition("=")[0] in {"--sizes", "--peers", "--rounds", "--requests"}:
            kept += [name, value] if value else [name]
        elif name.partition("=")[0] == "--python":
            kept += ["--python", "python" + version.rpartition(".")[0]]
    return [f"BENCH_OPTIONS={shlex.quote(' '.join(kept))}"] if kept else []


def _machine(python: str) -> str:
    model = ""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        model = platform.processor()
    return f"{os.cpu_count()} cores, {model or platform.machine()}, {platform.system()}, CPython {python}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
