"""A telling request kept as a case of its project.

Rules
1. The case is appended as text, so that comments and the form of what stands there stay.
2. The file is replaced as a whole or not at all, and only by a text that holds its cases of before and the
   new one.
3. A file that cannot be appended to (cases in one line, no cases yet) is left alone, and the case goes into
   `cases/accepted.yaml`.
4. A case that asks and expects what an accepted one does is not written again.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.document.carriers import read_value
from remit.errors import DocumentError, Fault
from remit.project.build import write_whole
from remit.project.questions import question_members
from remit.project.source import files_in

if TYPE_CHECKING:
    from pathlib import Path

    from remit.document.values import JsonObject, JsonValue
    from remit.project.answers import Verdict
    from remit.project.questions import Question

ACCEPTED_FILE = "cases/accepted.yaml"
_HEAD = "# Requests that told a changed rule from the original; written by `remit mutate --accept`.\ncases:\n"
_ITEM = re.compile(r"^( *)- ", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A case that was written.

    Args:
        file: as a path within the folder.
        before: the file's content before; None where there was none.
    """

    file: str
    before: bytes | None

    def take_back(self, folder: Path) -> None:
        """Make the file what it was."""
        path = folder / self.file
        if self.before is None:
            path.unlink(missing_ok=True)
        else:
            write_whole(path, self.before)


def accept_case(folder: Path, *, name: str, question: Question, verdict: Verdict) -> Accepted:
    """Append a case to a project's cases.

    Args:
        folder: the project.
        name: what the case promises.
        question: what is asked.
        verdict: the answer that the rules give, which the case expects.

    Raises:
        DocumentError: no file can take it.
    """
    expect: JsonObject = {
        "decision": verdict.decision,
        "rules": [*verdict.rules],
        "kind": verdict.kind,
    }
    if verdict.engine.errors:
        erring: list[JsonValue] = [*sorted({error.rule or error.message for error in verdict.engine.errors})]
        expect["errors"] = erring
    case: JsonObject = {"name": name, "request": question_members(question), "expect": expect}
    there = _already(folder, case)
    if there is not None:
        return there
    for relative in _files(folder, question.action):
        path = folder / relative
        data = path.read_bytes() if path.exists() else None
        before = _HEAD if data is None else data.decode()
        after = _appended(before, case)
        if after is not None and _cases(after) == [*_cases(before), case]:
            path.parent.mkdir(exist_ok=True)
            write_whole(path, after.encode())
            return Accepted(file=relative, before=data)
    raise DocumentError(
        Fault(message=f"`{ACCEPTED_FILE}` cannot be appended to", hint="write its cases one below the other")
    )


def _files(folder: Path, action: str) -> tuple[str, ...]:
    """Return the files to try: the one with most cases of this action first, the file made for it last."""
    counts: dict[str, int] = {}
    for relative in files_in(folder, "cases", ".yaml", ".yml"):
        listed = _cases((folder / relative).read_bytes().decode())
        counts[relative] = sum(_action(case) == action for case in listed)
    ranked = sorted(counts, key=lambda relative: -counts[relative])
    return tuple(dict.fromkeys((*(relative for relative in ranked if counts[relative]), ACCEPTED_FILE)))


def _already(folder: Path, case: JsonObject) -> Accepted | None:
    for relative in files_in(folder, "cases", ".yaml", ".yml"):
        data = (folder / relative).read_bytes()
        for one in _cases(data.decode()):
            if isinstance(one, dict) and all(one.get(key) == case[key] for key in ("request", "expect")):
                return Accepted(file=relative, before=data)
    return None


def _action(case: JsonValue) -> JsonValue:
    request = case.get("request") if isinstance(case, dict) else None
    return request.get("action") if isinstance(request, dict) else None


def _cases(text: str) -> list[JsonValue]:
    """Return the cases of a file; none where it cannot be read as one."""
    if text == _HEAD:
        return []
    try:
        value = read_value(text.removeprefix("\ufeff").encode(), format="yaml").value
    except DocumentError:
        return []
    listed = value.get("cases") if isinstance(value, dict) else value
    return listed if isinstance(listed, list) else []


def _appended(text: str, case: JsonObject) -> str | None:
    """Return the text with a case behind its last, indented as its first is; nothing where it has no list."""
    found = _ITEM.search(text)
    indent = found[1] if found else "  "
    if found is None and text != _HEAD:
        return None
    members = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in case.items()]
    lines = [f"{indent}{'- ' if not number else '  '}{member}" for number, member in enumerate(members)]
    end = "\r\n" if "\r\n" in text else "\n"
    ended = text if text.endswith("\n") else f"{text}{end}"
    return ended + end.join(lines) + end
