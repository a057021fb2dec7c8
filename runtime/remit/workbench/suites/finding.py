"""Which files hold cases: what the user named, or what lies below a folder.

Rules
1. A file that is named is read, whatever it is called; one that holds no cases is then a fault.
2. In a folder, a case file is `*.cases.yaml` anywhere, and any YAML file in the `cases` folder of a project.
3. Hidden folders, virtual environments and caches are not searched; nothing is read twice.
4. Finding nothing is a fault: a test run without a case proves nothing.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING

from remit.errors import DocumentError, Fault
from remit.project.source import FaultList, real_path
from remit.workbench.suites.cedar_json import companions, holds_cedar_json, read_integration
from remit.workbench.suites.model import Suite
from remit.workbench.suites.reading import PROJECT_FILE, read_suite

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SUFFIXES = (".cases.yaml", ".cases.yml", ".cases.json")
_YAML = (".yaml", ".yml")
_SKIPPED = frozenset({"__pycache__", "node_modules", "venv", "site-packages"})


def read_suites(paths: Sequence[str | Path]) -> tuple[Suite, ...]:
    """Find and read all suites that the paths name, in a stable order.

    Raises:
        DocumentError: a path does not exist, no suite is found, or a suite is wrong; lists every fault.
    """
    return _read_all(find_files(paths))


def _read_all(paths: Iterable[Path]) -> tuple[Suite, ...]:
    faults, suites = FaultList(), list[Suite]()
    wrong: list[tuple[Path, DocumentError]] = []
    for path in paths:
        try:
            suites.append(read_integration(path) if holds_cedar_json(path) else read_suite(path))
        except DocumentError as error:
            wrong.append((path, error))
    # A pattern for Cedar's tests meets the entities and schemas that they name, too.
    beside = frozenset(path for suite in suites for path in companions(suite))
    for path, fault in wrong:
        if real_path(path) not in beside:
            faults.extend(fault)
    faults.settle()
    return tuple(suites)


def find_files(paths: Sequence[str | Path]) -> tuple[Path, ...]:
    """Find the files that hold cases (rules 1 to 4).

    Raises:
        DocumentError: a path does not exist, or none of them holds a case.
    """
    found: dict[Path, Path] = {}
    faults = FaultList()
    for given in paths or (".",):
        for path in _expanded(str(given)):
            if path.is_dir():
                files = [*_below(path)]
                if not files:
                    hint = f"a case file is called `NAME{SUFFIXES[0]}`, or lies in a project's `cases` folder"
                    faults.add(Fault(message=f"`{path.as_posix()}` holds no case file", hint=hint))
            elif path.exists():
                files = [path]
            else:
                hint = "name case files, or folders that hold them"
                faults.add(Fault(message=f"`{path.as_posix()}` does not exist", hint=hint))
                continue
            for file in files:
                found.setdefault(real_path(file), file)
    faults.settle()
    return tuple(found.values())


def _expanded(given: str) -> tuple[Path, ...]:
    """Expand a pattern that the shell left alone."""
    path = Path(given)
    if path.exists() or not glob.has_magic(given):
        return (path,)
    matches = sorted(glob.glob(given, recursive=True))  # noqa: PTH207  # `Path.glob` takes no absolute pattern
    return tuple(Path(match) for match in matches) or (path,)


def _below(folder: Path) -> Iterator[Path]:
    """Yield the case files below a folder, sorted."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        here = Path(place)
        in_cases = _in_cases(here)
        for name in sorted(names):
            if name.endswith(SUFFIXES) or (in_cases and name.endswith(_YAML)):
                yield here / name


def _in_cases(folder: Path) -> bool:
    """Return whether a folder is the `cases` folder of a project, or lies in one."""
    whole = folder.resolve()
    return any(
        place.name == "cases" and (place.parent / PROJECT_FILE).is_file() for place in (whole, *whole.parents)
    )


def project_suites(folder: str | Path) -> tuple[Suite, ...]:
    """Read the suites of one project folder; none where it has no case file.

    Raises:
        DocumentError: a suite is wrong; lists every fault.
    """
    root = Path(folder)
    return _read_all(
        path for path in _below(root) if path.name.endswith(SUFFIXES) or path.is_relative_to(root / "cases")
    )
