"""What must hold for the pages themselves: links, words, decisions, style, and nothing of anybody's machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from docs_blocks import REPO, pages, prose_of

DECISIONS = tuple(sorted((REPO / "docs" / "adr").glob("*.md")))
_TEXT = (".md", ".py", ".toml", ".yaml", ".yml", ".json", ".cedar", ".cedarschema", ".lock", ".txt", "")


def _ids(paths: tuple[Path, ...]) -> list[object]:
    return [pytest.param(path, id=path.relative_to(REPO).as_posix()) for path in paths]


def _anchor(heading: str) -> str:
    kept = re.sub(r"[^\w\s-]", "", heading.strip().lower().replace("`", ""))
    return re.sub(r"\s", "-", kept)


@pytest.mark.parametrize("page", _ids(pages()))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken: list[str] = []
    for number, line in prose_of(page):
        for target in re.findall(r"\]\(([^)\s]+)\)", line):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            place = (page.parent / name).resolve() if name else page
            if not place.exists():
                broken.append(f"{number}: {target}")
            elif anchor:
                headings = {_anchor(text.lstrip("#")) for _, text in prose_of(place) if text.startswith("#")}
                if anchor not in headings:
                    broken.append(f"{number}: {target} has no such heading")
    assert broken == []


@pytest.mark.parametrize("page", _ids(DECISIONS))
def test_every_decision_record_says_context_options_decision_and_what_is_lost(page: Path) -> None:
    headings = [line.removeprefix("## ").strip() for _, line in prose_of(page) if line.startswith("## ")]
    assert [
        heading for heading in headings if heading in {"Context", "Options", "Decision", "What we lose"}
    ] == ["Context", "Options", "Decision", "What we lose"]


def test_decision_records_are_numbered_without_a_gap() -> None:
    assert list(range(1, len(DECISIONS) + 1)) == [int(page.name[:4]) for page in DECISIONS]


def test_every_run_time_dependency_has_its_reason() -> None:
    project = (REPO / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^dependencies = \[(.*?)^\]", project, re.DOTALL | re.MULTILINE)
    extras = re.search(r"^\[project.optional-dependencies\](.*?)^\[", project, re.DOTALL | re.MULTILINE)
    assert listed is not None
    assert extras is not None
    names = set(re.findall(r'"([A-Za-z0-9._-]+)[>=<\[]', listed.group(1) + extras.group(1))) - {"remit"}
    page = (REPO / "docs" / "adr" / "0002-dependencies.md").read_text(encoding="utf-8")
    assert sorted(name for name in names if f"`{name}`" not in page) == []


def test_every_word_of_the_glossary_is_used() -> None:
    glossary = REPO / "docs" / "glossary.md"
    words = [
        match.group(1)
        for _, line in prose_of(glossary)
        if (match := re.match(r"\| ([a-z][a-z -]*) \|", line))
    ]
    words.remove("word")
    others = " ".join(page.read_text(encoding="utf-8") for page in pages() if page != glossary)
    text = re.sub(r"[\s_]+", " ", others.lower())
    assert len(words) > 40
    assert [word for word in words if word not in text] == []
    assert sorted(words) == words


_DENSE = {
    "docs/architecture.md": "a sheet of exact shapes, whose lines belong together",
    "docs/reference/project.md": "a table-like reference, whose lines belong together",
}
"""Pages that may hold several short sentences a line, and why."""


@pytest.mark.parametrize("page", _ids(pages()))
def test_prose_holds_one_sentence_a_line(page: Path) -> None:
    if reason := _DENSE.get(page.relative_to(REPO).as_posix()):
        pytest.skip(reason)
    found: list[str] = []
    for number, line in prose_of(page):
        text = line.strip()
        if text.startswith(("|", "#", "<!--")):
            continue
        plain = re.sub(r"`[^`]*`", "x", re.sub(r"^(\d+\.|[-*]) +", "", text))
        plain = re.sub(r"\b(e\.g|i\.e|etc|vs|cf)\.", "", plain)
        if re.search(r"[a-z0-9)x\"»][.!?] +[A-Z`]", plain):
            found.append(f"{number}: {text}")
    assert found == []


def _tracked() -> tuple[Path, ...]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO,
        capture_output=True,
        check=False,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout: the files that belong to the project are not known")
    found = (REPO / name for name in listed.stdout.split("\0") if name)
    return tuple(path for path in found if path.is_file() and path.suffix in _TEXT)


_MACHINE = re.compile(
    r"/(?:home|Users)/[A-Za-z]\w*|[A-Z]:\\Users|/root/\w"
    r"|py" + r"pi\.org|pythonhosted|index-url|--extra-index|trusted-host|artifactory|devpi",
)


def test_no_file_names_a_machine_path_or_a_package_index() -> None:
    found: list[str] = []
    for path in _tracked():
        if path == Path(__file__).resolve():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if _MACHINE.search(line):
                found.append(f"{path.relative_to(REPO).as_posix()}:{number}: {line.strip()[:100]}")
    assert found == []
