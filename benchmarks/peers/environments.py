"""A virtual environment for each peer, from its pinned and hashed requirements, kept until they change."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
_STAMP = ".installed"
_INSTALL_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python to run with, and what it is."""

    path: str
    version: str


def find_interpreter(path: str) -> Interpreter:
    """Ask an interpreter for its version.

    Raises:
        ValueError: it cannot be run.
    """
    try:
        said = subprocess.run(
            [path, "-c", "import platform; print(platform.python_version())"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise ValueError(f"the interpreter `{path}` cannot be run: {error}") from error
    return Interpreter(path=path, version=said.stdout.strip())


def make_environment(name: str, interpreter: Interpreter, root: Path) -> str:
    """Return the Python of the environment, made now if its requirements or the interpreter changed.

    Raises:
        RuntimeError: it cannot be made; says why in one line.
    """
    requirements = HERE / f"{name}.txt"
    pinned = requirements.read_bytes() if requirements.exists() else b""
    stamp = hashlib.sha256(interpreter.version.encode() + b"\0" + pinned).hexdigest()
    place = root / name
    python = place / "bin" / "python"
    done = place / _STAMP
    if done.exists() and done.read_text(encoding="utf-8") == stamp:
        return str(python)
    shutil.rmtree(place, ignore_errors=True)
    _run([interpreter.path, "-m", "venv", str(place)])
    if pinned:
        quiet = ["--quiet", "--disable-pip-version-check", "--require-hashes"]
        _run([str(python), "-m", "pip", "install", *quiet, "-r", str(requirements)])
    done.write_text(stamp, encoding="utf-8")
    return str(python)


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_S)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"not installed within {_INSTALL_S} s") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        last = lines[-1] if lines else (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(last.removeprefix("ERROR: "))
