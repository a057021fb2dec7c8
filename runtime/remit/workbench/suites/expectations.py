"""Reading what a case expects, and refusing what can never fail or never hold.

Rules
1. A decision is expected of every request; what else is said narrows it.
2. `rules` is exact; `rules: {includes: […]}` names some of them.
3. No error is expected unless one is named: `errors`, or `num_errors` where only their number is known.
4. Members that contradict one another are faults: such a case would fail whatever the rules say.
5. With a matrix, `expect` may be a list: each combination takes the first entry whose `when` fits it; one
   that no entry fits, and an entry that fits none, are faults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.project.source import kind_of, listing, nearest
from remit.workbench.suites import matrix
from remit.workbench.suites.members import Members
from remit.workbench.suites.model import DECISIONS, KINDS, Expectation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from remit.project.source import FaultList, Node
    from remit.workbench.suites.matrix import Combination

    Read = TypeVar("Read")

_Check = tuple[bool, str, str, str]
_KEYS = ("decision", "rules", "kind", "errors", "num_errors", "obligations")
_KINDS_OF = {
    "allow": ("allowed",),
    "deny": ("forbidden", "not_permitted", "error"),
    "awaiting_approval": ("forbidden",),
}


def read_expectation(
    node: Node, *, plain: bool, faults: FaultList, more: Sequence[str] = ()
) -> Expectation | None:
    """Read one expectation.

    Args:
        node: the mapping.
        plain: whether the suite is one of plain Cedar policies: no approvals, and errors do not deny.
        faults: where faults go.
        more: keys that stand here for others to read.
    """
    members = Members(node, faults, what="an expectation", known=(*_KEYS, *more), required=("decision",))
    if not members.readable or not members.has("decision"):
        return None
    before = len(faults.faults)
    rules, exact = _rules(members, faults)
    obligations = _obligations(members, faults)
    expectation = Expectation(
        decision=members.text("decision", choices=DECISIONS[:2] if plain else DECISIONS),
        rules=rules,
        exact=exact,
        kind=members.text("kind", choices=KINDS),
        errors=members.texts("errors"),
        error_count=members.count("num_errors"),
        approve=obligations.get("approve"),
        redact_arguments=obligations.get("arguments"),
        redact_result=obligations.get("result"),
        written=node,
    )
    if len(faults.faults) == before:
        _consistent(expectation, members, plain=plain)
    return expectation if len(faults.faults) == before else None


def _rules(members: Members, faults: FaultList) -> tuple[tuple[str, ...] | None, bool]:
    if not members.has("rules"):
        return None, True
    node = members.at("rules")
    if node.object() is None:
        rules = members.texts("rules")
        exact = True
    else:
        inner = Members(node, faults, what="`rules`", known=("includes",), required=("includes",))
        rules = inner.texts("includes") if inner.has("includes") else ()
        exact = False
        if inner.value.get("includes") == []:
            hint = "name at least one rule, or write `rules: []` where none may decide"
            inner.wrong("includes", "`includes: []` holds whatever decides, so it can never fail", hint)
    twice = sorted({rule for rule in rules if rules.count(rule) > 1})
    if twice:
        members.wrong("rules", f"`rules` names {listing(twice)} twice", "name each rule once")
    return rules, exact


def _obligations(members: Members, faults: FaultList) -> dict[str, tuple[str, ...]]:
    if not members.has("obligations"):
        return {}
    inner = Members(members.at("obligations"), faults, what="`obligations`", known=("approve", "redact"))
    if inner.readable and not inner.value:
        inner.wrong_all(
            "`obligations` says nothing, so it can never fail", "write such as `{approve: [role]}`"
        )
    found: dict[str, tuple[str, ...]] = {}
    if inner.has("approve"):
        found["approve"] = inner.texts("approve", single=True)
    if inner.has("redact"):
        parts = Members(inner.at("redact"), faults, what="`redact`", known=("arguments", "result"))
        if parts.readable and not parts.value:
            parts.wrong_all("`redact` says nothing, so it can never fail", "write such as `{result: [iban]}`")
        found |= {part: parts.texts(part) for part in ("arguments", "result") if parts.has(part)}
    return found


def _consistent(expect: Expectation, members: Members, *, plain: bool) -> None:
    """Apply rule 4."""
    for holds, key, message, hint in (*_of_kind(expect, plain=plain), *_of_duties(expect, plain=plain)):
        if holds and members.has(key):
            members.wrong(key, message, hint)


def _of_kind(expect: Expectation, *, plain: bool) -> tuple[_Check, ...]:
    """Return what kind, errors and rules contradict, each as (whether, key, message, hint)."""
    decision, kind = expect.decision, expect.kind
    erring, nobody = bool(expect.errors or expect.error_count), expect.rules == () and expect.exact
    kinds = " or ".join(f"`{word}`" for word in _KINDS_OF[decision])
    cannot = f"an error always denies, so `decision: {decision}` cannot hold"
    name_rules = "name the rules, or leave the key out"
    return (
        (
            bool(kind) and kind not in _KINDS_OF[decision],
            "kind",
            f"`kind: {kind}` contradicts `decision: {decision}`",
            f"with `{decision}` it is {kinds}",
        ),
        (
            bool(expect.errors) and expect.error_count is not None,
            "num_errors",
            "`errors` and `num_errors` say the same thing twice",
            "keep `errors`",
        ),
        (
            bool(expect.errors) and decision != "deny" and not plain,
            "errors",
            cannot,
            "write `decision: deny`",
        ),
        (
            bool(expect.error_count) and decision != "deny" and not plain,
            "num_errors",
            cannot,
            "write `decision: deny`",
        ),
        (
            kind == "error" and not erring,
            "kind",
            "`kind: error` without `errors` cannot hold",
            "name the rule that errs: `errors: [rule]`",
        ),
        (
            erring and kind not in ("", "error", *(("allowed",) if plain else ())),
            "kind",
            f"`kind: {kind}` contradicts the expected errors",
            "write `kind: error`",
        ),
        (
            nobody and decision != "deny",
            "rules",
            f"`decision: {decision}` without any rule cannot hold",
            name_rules,
        ),
        (
            nobody and kind == "forbidden",
            "rules",
            "`kind: forbidden` without any rule cannot hold",
            name_rules,
        ),
        (
            bool(expect.rules) and kind == "not_permitted",
            "rules",
            "`kind: not_permitted` means that no rule decided",
            "write `rules: []`",
        ),
    )


def _of_duties(expect: Expectation, *, plain: bool) -> tuple[_Check, ...]:
    """Return what obligations contradict, each as (whether, key, message, hint)."""
    decision = expect.decision
    redacts = expect.redact_arguments is not None or expect.redact_result is not None
    return (
        (plain, "obligations", "plain Cedar policies have no obligations", "leave the key out"),
        (
            bool(expect.approve) and decision != "awaiting_approval" and not plain,
            "obligations",
            f"nobody must approve where the decision is `{decision}`",
            "write `decision: awaiting_approval`",
        ),
        (
            expect.approve == () and decision == "awaiting_approval",
            "obligations",
            "`awaiting_approval` without anybody to approve cannot hold",
            "name the role",
        ),
        (
            redacts and decision == "deny",
            "obligations",
            "nothing is redacted where the request is denied",
            "leave `redact` out",
        ),
    )


def read_expectations(
    node: Node,
    combinations: Sequence[Combination],
    read: Callable[[Node, Sequence[str]], Read | None],
    *,
    faults: FaultList,
) -> tuple[Read | None, ...]:
    """Return what each combination expects (rule 5).

    Args:
        node: the value of `expect`.
        combinations: those of the matrix; one without values where there is none.
        read: reads one expectation, given further keys that may stand there.
        faults: where faults go.
    """
    if not isinstance(node.value, list):
        found = read(node, ())
        return (found,) * len(combinations)
    if not node.value:
        faults.add(node.fault("`expect` is an empty list, so it can never fail", "say what must come out"))
        return (None,) * len(combinations)
    entries = [(item, *_when(item, combinations, faults), read(item, ("when",))) for item in node.items()]
    chosen: list[Read | None] = []
    used: set[int] = set()
    for combination in combinations:
        index = next(
            (i for i, (_, ok, when, _) in enumerate(entries) if ok and matrix.fits(when, combination)), -1
        )
        if index < 0:
            if all(ok for _, ok, _, _ in entries):
                name = matrix.suffix(combination).strip()
                faults.add(
                    node.fault(f"no entry of `expect` fits {name}", "add an entry without `when` at the end")
                )
            chosen.append(None)
            continue
        used.add(index)
        chosen.append(entries[index][3])
    for index, (item, ok, _, _) in enumerate(entries):
        if ok and index not in used:
            faults.add(
                item.fault(
                    "no combination comes to this entry of `expect`, so it can never fail",
                    "remove it, or move it up",
                )
            )
    return tuple(chosen)


def _when(item: Node, combinations: Sequence[Combination], faults: FaultList) -> tuple[bool, Combination]:
    value = (item.object() or {}).get("when", {})
    if not isinstance(value, dict):
        faults.add(
            item.member("when").fault(
                f"`when` is {kind_of(value)}, not a mapping", "write such as `{input.amount: 40}`"
            )
        )
        return False, {}
    known = tuple(combinations[0]) if combinations else ()
    for path in value:
        if path not in known:
            hint = nearest(path, known) or (
                f"the matrix has {listing(known)}" if known else "there is no matrix"
            )
            faults.add(
                item.member("when")
                .member(path)
                .fault(f"`when` names `{path}`, which the matrix does not vary", hint)
            )
            return False, {}
    return True, value
