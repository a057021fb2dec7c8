"""The documentation's pages and their code blocks, with the directives that stand before them.

A directive is an HTML comment on a line of its own before the fence:

    <!-- skip: reason -->        the block is not run; the reason must be one of `SKIP_REASONS`
    <!-- agent: NAME -->         the example whose document the block's rules are compiled into
    <!-- fails: text -->         the block must be refused with a message that contains the text
    <!-- exit: N -->             the last command of a console block ends with this code
    <!-- page: rules -->         a YAML block that is no rule and no case: parsed only
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
EXAMPLES = ("refund-desk", "care-navigator")
SKIP_REASONS = (
    "needs the embedded model's weights",
    "makes a fresh virtual environment",
    "runs the whole test suite",
    "takes half an hour",
    "needs a model server",
    "needs a clone of the repository's address",
    "a fragment that shows a shape",
)
RUN = ("python", "console", "cedar", "yaml", "json")
SHOWN = ("text", "sql", "mermaid", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    text: str
    directives: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(REPO).as_posix()}:{self.line}"


def pages() -> tuple[Path, ...]:
    found = [REPO / "README.md", REPO / "CONTRIBUTING.md", REPO / "SECURITY.md"]
    found += sorted((REPO / "docs").rglob("*.md"))
    found += sorted((REPO / "policies" / "packs").glob("*/README.md"))
    found += [REPO / "examples" / name / "README.md" for name in EXAMPLES]
    return tuple(page for page in found if page.exists())


def blocks_of(page: Path) -> tuple[Block, ...]:
    found: list[Block] = []
    directives: dict[str, str] = {}
    fence = ""
    language = ""
    start = 0
    body: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        opening = re.match(r"^(`{3,})([\w+-]*)\s*$", line)
        if fence:
            if line.strip() == fence:
                text = "\n".join(body) + "\n"
                found.append(
                    Block(page=page, line=start, language=language, text=text, directives=directives)
                )
                fence, directives = "", {}
            else:
                body.append(line)
            continue
        if opening:
            fence, language, start, body = opening.group(1), opening.group(2), number, []
            continue
        directive = re.match(r"^<!-- (\w+): (.*?) -->$", line.strip())
        if directive:
            directives[directive.group(1)] = directive.group(2)
        elif line.strip():
            directives = {}
    assert not fence, f"{page}: the block that begins in line {start} is never closed"
    return tuple(found)


def all_blocks() -> tuple[Block, ...]:
    return tuple(block for page in pages() for block in blocks_of(page))


def prose_of(page: Path) -> list[tuple[int, str]]:
    """The lines outside of code blocks, with their numbers."""
    inside = False
    found: list[tuple[int, str]] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            found.append((number, line))
    return found


def matches(expected: str, actual: str) -> bool:
    """Whether `actual` is `expected`, where `…` stands for anything and a line `…` for any lines."""
    pattern = ""
    for line in expected.rstrip("\n").split("\n"):
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += "[^\n]*?".join(re.escape(part) for part in line.rstrip().split("…"))
            pattern += r"[ \t]*\n"
    return re.fullmatch(pattern, actual.rstrip("\n") + "\n") is not None
