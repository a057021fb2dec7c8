"""Every code block of the documentation is executed: compiled, decided, run or compared."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from docs_blocks import EXAMPLES, REPO, RUN, SHOWN, SKIP_REASONS, Block, all_blocks, blocks_of, matches, pages

from remit.document.carriers import read_value
from remit.document.json_text import parse_json
from remit.errors import DocumentError, PolicyError
from remit.policy.compile import compile_governance
from remit.project.build import build_project
from remit.workbench.suites.folder import run_folder

BLOCKS = all_blocks()
SKIPPED = tuple(block for block in BLOCKS if "skip" in block.directives)


def _of(*languages: str) -> list[object]:
    return [
        pytest.param(block, id=block.name)
        for block in BLOCKS
        if block.language in languages and "skip" not in block.directives
    ]


def _copy_examples(folder: Path) -> None:
    for name in EXAMPLES:
        shutil.copytree(
            REPO / "examples" / name,
            folder / "examples" / name,
            ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*", "*.agent.json", ".remit*"),
        )


def _kind(block: Block) -> str:
    value = read_value(block.text.encode(), format="yaml").value
    if isinstance(value, dict) and "cases" in value:
        return "cases"
    if isinstance(value, dict) and ("rules" in value and "spec" not in value):
        return "rules"
    if (
        isinstance(value, list)
        and value
        and all(isinstance(item, dict) and ("id" in item or "cedar" in item) for item in value)
    ):
        return "rules"
    if isinstance(value, dict) and "spec" in value:
        return "agent"
    return "data"


def _project(folder: Path, block: Block) -> Path:
    """Copy the example that the block speaks of, without its own rules and cases."""
    name = block.directives.get("agent", "refund-desk")
    _copy_examples(folder)
    project = folder / "examples" / name
    for part in ("rules", "cases"):
        shutil.rmtree(project / part)
        (project / part).mkdir()
    return project


def _check(project: Path) -> list[str]:
    results = run_folder(project)
    return [f"{result.case.name}: {problem}" for result in results for problem in result.problems]


def test_every_block_is_of_a_language_that_the_tests_know() -> None:
    assert [block.name for block in BLOCKS if block.language not in (*RUN, *SHOWN)] == []


def test_every_block_that_is_not_run_says_why_with_a_known_reason() -> None:
    assert [block.name for block in SKIPPED if block.directives["skip"] not in SKIP_REASONS] == []


@pytest.mark.parametrize("block", [pytest.param(block, id=block.name) for block in SKIPPED])
def test_a_block_that_cannot_run_here_is_listed(block: Block) -> None:
    pytest.skip(block.directives["skip"])


@pytest.mark.parametrize("block", _of("json"))
def test_a_json_block_is_strict_json(block: Block) -> None:
    decoder, rest, values = json.JSONDecoder(), block.text.strip(), 0
    while rest:
        _, end = decoder.raw_decode(rest)
        assert isinstance(parse_json(rest[:end].encode(), file=block.name).value, (dict, list))
        rest, values = rest[end:].lstrip(), values + 1
    assert values


@pytest.mark.parametrize("block", _of("cedar"))
def test_a_cedar_block_compiles_against_the_schema(block: Block, tmp_path: Path) -> None:
    project = _project(tmp_path, block)
    (project / "rules" / "block.cedar").write_text(block.text, encoding="utf-8")
    expected = block.directives.get("fails")
    if expected is None:
        built = build_project(project)
        assert compile_governance(built.document, origins=built.origins).policies
        return
    with pytest.raises((DocumentError, PolicyError), match=expected):
        compile_governance(build_project(project).document)


@pytest.mark.parametrize("block", _of("yaml"))
def test_a_yaml_block_is_a_rule_that_compiles_or_a_case_that_holds(block: Block, tmp_path: Path) -> None:
    kind = _kind(block)
    if kind == "data":
        return
    if kind == "cases":
        rules = [
            other
            for other in blocks_of(block.page)
            if other.line < block.line
            and other.language == "yaml"
            and _kind(other) == "rules"
            and not {"fails", "skip"} & other.directives.keys()
        ]
        assert rules, f"{block.name}: no rules stand before these cases"
        project = _project(tmp_path, rules[-1])
        (project / "rules" / "block.yaml").write_text(rules[-1].text, encoding="utf-8")
        (project / "cases" / "block.yaml").write_text(block.text, encoding="utf-8")
        assert _check(project) == []
        return
    project = _project(tmp_path, block)
    if kind == "agent":
        shutil.rmtree(project / "rules")
        shutil.copytree(REPO / "examples" / "refund-desk" / "rules", project / "rules")
        (project / "rules" / "70-memory.yaml").unlink()
        (project / "rules" / "40-escalate.yaml").unlink()
        (project / "rules" / "60-budget.yaml").unlink()
        (project / "rules" / "80-house.cedar").unlink()
        (project / "agent.yaml").write_text(block.text, encoding="utf-8")
        assert build_project(project).document.identity.agent.startswith("sha256:")
        return
    (project / "rules" / "block.yaml").write_text(block.text, encoding="utf-8")
    expected = block.directives.get("fails")
    if expected is None:
        assert _check(project) == []
        return
    with pytest.raises((DocumentError, PolicyError), match=expected):
        _check(project)


def _environment(home: Path) -> dict[str, str]:
    kept = {
        key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "SYSTEMROOT", "TMPDIR")
    }
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}",
        "HOME": str(home),
        "REMIT_CACHE": str(home / "cache"),
        "COLUMNS": "110",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "PYTHONUTF8": "1",
    }


_RUNNER = textwrap.dedent("""
    import contextlib, io, json, sys
    space = {"__name__": "__main__"}
    for name, line, text in json.load(sys.stdin):
        code = compile("\\n" * line + text, name, "exec")
        exec(code, space)
""")


def _python_pages() -> list[object]:
    return [
        pytest.param(page, id=page.relative_to(REPO).as_posix())
        for page in pages()
        if any(block.language == "python" and "skip" not in block.directives for block in blocks_of(page))
    ]


@pytest.mark.parametrize("page", _python_pages())
def test_the_python_blocks_of_a_page_run_in_order(page: Path, tmp_path: Path) -> None:
    _copy_examples(tmp_path)
    for name in EXAMPLES:
        _build(tmp_path / "examples" / name)
    blocks = [
        (block.name, block.line, block.text)
        for block in blocks_of(page)
        if block.language == "python" and "skip" not in block.directives
    ]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _RUNNER],
        input=json.dumps(blocks),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=_environment(tmp_path),
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def _build(project: Path) -> None:
    from remit.project.build import default_output, write_document

    write_document(build_project(project).document, default_output(project))


def _commands(text: str) -> list[tuple[str, str]]:
    """Split a console block into commands and the output shown after each."""
    found: list[tuple[str, list[str]]] = []
    for line in text.rstrip("\n").split("\n"):
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.startswith("> ") and found and not found[-1][1]:
            found[-1] = (found[-1][0] + "\n" + line[2:], [])
        else:
            assert found, f"output before the first command: {line}"
            found[-1][1].append(line)
    return [(command, "\n".join(output)) for command, output in found]


def _console_pages() -> list[object]:
    return [
        pytest.param(page, id=page.relative_to(REPO).as_posix())
        for page in pages()
        if any(block.language == "console" and "skip" not in block.directives for block in blocks_of(page))
    ]


@pytest.mark.parametrize("page", _console_pages())
def test_the_console_blocks_of_a_page_do_what_they_show(page: Path, tmp_path: Path) -> None:
    _copy_examples(tmp_path)
    for block in blocks_of(page):
        if block.language != "console" or "skip" in block.directives:
            continue
        commands = _commands(block.text)
        for number, (command, expected) in enumerate(commands):
            done = subprocess.run(
                ["bash", "-c", command],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                cwd=tmp_path,
                env=_environment(tmp_path),
                timeout=120,
            )
            code = int(block.directives.get("exit", "0")) if number == len(commands) - 1 else 0
            assert (code, "") == (done.returncode, "" if code == done.returncode else done.stdout), (
                f"{block.name}: {command}"
            )
            if expected:
                assert matches(expected, done.stdout), (
                    f"{block.name}: {command}\nexpected:\n{expected}\ngot:\n{done.stdout}"
                )
            assert "Traceback" not in done.stdout, f"{block.name}: {command}"


def test_the_ellipsis_of_a_shown_output_stands_for_anything_on_its_line_and_alone_for_any_lines() -> None:
    assert matches("a … c\n…\nend", "a b c\nx\ny\nend\n")
    assert matches("…\nend", "end\n")
    assert not matches("a … c", "a b d\n")
    assert not matches("a", "a\nb\n")
    with contextlib.suppress(AssertionError):
        _commands("no command\n")
        raise RuntimeError("output without a command was taken for one")
