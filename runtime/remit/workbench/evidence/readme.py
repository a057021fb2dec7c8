"""The README of a bundle: what is in it, what it shows and what it does not, and how to check it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.document.model import Document
    from remit.document.values import JsonObject
    from remit.workbench.evidence.model import Manifest

MAX_ROWS: Final = 1000
"""Decisions that are listed for people; all of them are in `records.jsonl`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """A decision as one row of a table."""

    index: int
    at: str
    principal: str
    action: str
    resource: str
    verdict: str
    rules: str

    @classmethod
    def of(cls, index: int, value: JsonObject) -> DecisionRow:
        """Make the row of the decision's record that has this value at `index`."""
        body = value["body"]
        members = body if isinstance(body, dict) else {}
        rules = members.get("rules") or members.get("reasons")
        return cls(
            index=index,
            at=str(value["at"]),
            principal=str(members.get("principal", "")),
            action=str(members.get("action", "")),
            resource=str(members.get("resource", "")),
            verdict=str(members.get("verdict", "")),
            rules=", ".join(str(rule) for rule in rules) if isinstance(rules, list) else "",
        )


def readme(manifest: Manifest, documents: Sequence[Document], rows: Sequence[DecisionRow]) -> str:
    """Return the README of a bundle as Markdown."""
    parts = (_head(manifest), _shows(manifest), _check(), _inside(manifest, documents), _table(rows))
    return "\n".join(line for part in parts for line in part) + "\n"


def _head(manifest: Manifest) -> list[str]:
    kinds = [f"| {kind} | {count} |" for kind, count in sorted(manifest.counts.items())]
    return [
        "# Evidence",
        "",
        f"Records of the agent `{manifest.agent}`",
        f"from {manifest.since or 'the beginning'} to {manifest.until or 'the end'} (that moment excluded),",
        f"in the log `{manifest.origin}` as its checkpoint of {manifest.size} records signs it.",
        "",
        "| kind of record | in this bundle |",
        "|---|---|",
        *kinds,
        f"| all | {sum(manifest.counts.values())} |",
    ]


def _shows(manifest: Manifest) -> list[str]:
    between = manifest.last - manifest.first + 1 if manifest.last >= manifest.first else 0
    others = max(between - sum(manifest.counts.values()), 0)
    return [
        "",
        "## What it shows",
        "",
        "- Each record is in the log at its index, and is what was signed.",
        "- Each content (context, arguments, results) is what its record committed to when it was written.",
        "- Each decision follows from the policies that its record cites and the request that it commits to:",
        "  Cedar, which others wrote, gives the same answer, the same determining rules, the same errors.",
        "- Each document has the identity that its content gives.",
        *(_disclosed(manifest, between) if manifest.disclosed else []),
        "",
        "## What it does not show",
        "",
        *([] if manifest.disclosed else _withheld(between, others)),
        "- That the log was not rewritten and signed again by who holds its key. Only a checkpoint that was",
        "  kept elsewhere, or witnesses, show that: bring one with `--checkpoint`.",
        "- That nothing happened outside the log, that the clock was right, or that an outcome is what",
        "  happened: an outcome is what the tool said.",
        "- What erased content said. Its digest stays, and the record that erased it is in the bundle.",
    ]


def _disclosed(manifest: Manifest, between: int) -> list[str]:
    if manifest.last == manifest.size - 1 or not manifest.until:
        end = [
            f"  So there are no other records of this agent in this time up to record {manifest.last},",
            f"  the last of the checkpoint of {manifest.size} records, by the clocks that wrote it.",
            "  What was written later is not shown: a newer checkpoint may sign more.",
        ]
    else:
        end = [
            "  So there are no other records of this agent in this time, by the clocks that wrote it:",
            f"  record {manifest.last + 1} lies beyond.",
        ]
    return [
        f"- Completeness: the log holds {between} records from the first to the last of this time, and the",
        "  leaf of each of them is in the bundle, without the contents of those of other agents.",
        *end,
    ]


def _withheld(between: int, others: int) -> list[str]:
    return [
        f"- Completeness: the log holds {between} records from the first to the last of this time. By what",
        f"  the exporter says, {others} of them are not of this agent; only orders about no agent are here.",
        "  That number is proved by the indices; that none of them is of this agent is not.",
        "  A bundle exported with `--disclose-others` holds their leaves too, and shows it.",
    ]


def _check() -> list[str]:
    return [
        "",
        "## How to check it",
        "",
        "Bring the log's verifier key from elsewhere; `log.pub` is what the operator says it is.",
        "",
        "- With Remit, offline: `remit evidence verify BUNDLE.zip --key LOG.PUB --checkpoint HELD.NOTE`.",
        "- With Python 3.11 alone: `python -I verify.py BUNDLE.zip --key LOG.PUB`; in the unpacked folder",
        "  `python -I verify.py --key LOG.PUB`. With `cedarpy` installed it also decides each decision",
        "  again. It ends with what it did not check, such as this file; that is no evidence. Like every",
        "  program that comes with what it checks, read it first, or take it from elsewhere.",
        "  `-I` keeps Python from importing what lies beside it.",
        "- One decision with Cedar's own command line, for a record N whose `expected.json` names image I:",
        "  `cedar authorize --policies images/I/policies.cedar --schema images/I/schema.cedarschema",
        "  --entities decisions/N/entities.json --request-json decisions/N/request.json --verbose`",
        "- Proofs are RFC 9162 (SHA-256), checkpoints C2SP signed notes: any implementation will do.",
        "",
        "Cedar skips a policy that errs; Remit denies then, and the record is of kind `error`.",
        "A request that waits for people, or that they refused, is one that Cedar allows as soon as",
        "`context.fulfilled` holds what `expected.json` says.",
        'Where `expected.json` says `"schema": false`, ask without the schema: an argument that no policy',
        "reads has no form in Cedar and was left out of the request.",
    ]


def _inside(manifest: Manifest, documents: Sequence[Document]) -> list[str]:
    lines = ["", "## Policies and documents", ""]
    for digest, there in sorted(manifest.images.items()):
        lines.append(
            f"- image `{digest}`: " + ("here" if there else "missing; its decisions cannot be decided again")
        )
    lines += [
        f"- document `{document.identity.revision}` (payloads of memory entries are left out)"
        for document in documents
    ]
    reasons: dict[str, int] = {}
    for why in manifest.undecided.values():
        reasons[why] = reasons.get(why, 0) + 1
    if reasons:
        lines += ["", "Decisions that are not decided again:", ""]
        lines += [f"- {count}: {why}" for why, count in sorted(reasons.items())]
    return lines


def _table(rows: Sequence[DecisionRow]) -> list[str]:
    lines = [
        "",
        "## Decisions",
        "",
        "| record | at | principal | action | resource | verdict | rules |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows[:MAX_ROWS]:
        cells = (str(row.index), row.at, row.principal, row.action, row.resource, row.verdict, row.rules)
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    if len(rows) > MAX_ROWS:
        lines += ["", f"{len(rows) - MAX_ROWS} more are in `records.jsonl`."]
    return lines


def _cell(text: str) -> str:
    """Write text that somebody else chose into a table."""
    plain = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return plain.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")
