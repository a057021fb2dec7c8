"""The wheel that is made from the source distribution holds everything that the program needs to run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "policies", "runtime", "adapters")


def _python(*arguments: str, folder: Path, path: Path | None = None) -> str:
    environment = dict(os.environ) if path is None else {**os.environ, "PYTHONPATH": str(path)}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the installed wheel, and nothing else."""
    pytest.importorskip("hatchling", reason="the build back-end is not installed")
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(REPOSITORY / name, source / name)
    _python("-m", "hatchling", "build", "-t", "sdist", folder=source)
    (archive,) = (source / "dist").glob("*.tar.gz")
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive) as tar:
        tar.extractall(unpacked, filter="data")
    (tree,) = unpacked.iterdir()
    _python("-m", "hatchling", "build", "-t", "wheel", folder=tree)
    (wheel,) = (tree / "dist").glob("*.whl")
    target = tmp_path_factory.mktemp("installed")
    options = ("--quiet", "--no-index", "--no-deps", "--disable-pip-version-check", "--target", str(target))
    _python("-m", "pip", "install", *options, str(wheel), folder=tree)
    return target


def test_the_wheel_from_the_source_distribution_makes_builds_and_checks_an_agent(
    installed: Path, tmp_path: Path
) -> None:
    run = ("-c", "import sys; from remit.cli.main import main; sys.argv[0] = 'remit'; main()")
    where = _python("-c", "import remit; print(remit.__file__)", folder=tmp_path, path=installed)
    assert Path(where.strip()).is_relative_to(installed)
    assert '"Remit agent document"' in _python(*run, "schema", "document", folder=tmp_path, path=installed)
    for verb in ("init", "build", "check"):
        said = _python(*run, verb, "desk", folder=tmp_path, path=installed)
    assert "0 failed; 0 findings" in said
    assert "qwen2.5-coder" in _python(*run, "models", "list", folder=tmp_path, path=installed)
    assert "llama-cpp" in _python(*run, "version", folder=tmp_path, path=installed)
    assert "10 packs" in _python(*run, "packs", "list", folder=tmp_path, path=installed)
    said = _python(*run, "packs", "check", "sensitive-memory", folder=tmp_path, path=installed)
    assert "7 rules, 7 decide in a case" in said


def test_the_wheel_holds_the_policies_that_compliance_reads(installed: Path) -> None:
    for name in ("base.cedar", "base.cedarschema"):
        expected = (REPOSITORY / "policies" / name).read_bytes()
        assert expected == (installed / "remit" / "_policies" / name).read_bytes()
    assert (installed / "remit_adapters" / "chat_templates.json").is_file()
    assert (installed / "remit" / "py.typed").is_file()
