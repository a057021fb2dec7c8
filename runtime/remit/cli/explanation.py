"""How `remit decide --explain` shows an explanation: as a tree for people, as a value for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cedarpy import pst

from remit.cli.output import compact, shortened
from remit.document.rules import Approve
from remit.engine.compiled.goals import Absent
from remit.engine.evaluation.nodes import is_path
from remit.engine.evaluation.shown import value_json, value_text
from remit.engine.evaluation.source import member_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.cli.output import Session
    from remit.document.values import JsonObject, JsonValue
    from remit.engine.evaluation.evaluator import ClauseStep, PolicyEvaluation
    from remit.engine.evaluation.needs import Need
    from remit.engine.evaluation.walk import Step
    from remit.engine.image import PolicyImage
    from remit.engine.reads import Path
    from remit.workbench.explanation import Change, Explanation, Missing, Suggestion

_APPLIES = {
    "satisfied": ("✓", "applies"),
    "unsatisfied": ("✗", "does not apply"),
    "error": ("!", "errs"),
    "out of scope": ("-", "is about something else"),
}
_TURNS = {"apply": "would apply if", "not apply": "would not apply if", "not err": "would not err if"}
_STYLES = {"✓": "green", "✗": "red", "!": "bold red", "-": "dim"}
_EFFECTS = {"permit": "green", "forbid": "red"}
_SHOWN = 80
"""Characters of a value that people are shown."""


def show_explanation(session: Session, explanation: Explanation, image: PolicyImage) -> None:
    """Write an explanation for people."""
    session.say()
    evaluation = explanation.evaluation
    if evaluation is None:
        session.say(f"not explained: {explanation.note}", style="yellow")
        return
    if evaluation.faults:
        session.say("no rule was looked at, because the request cannot be asked", style="bold")
        for fault in evaluation.faults:
            session.say(f"  ! {fault}", style="red")
        return
    looked_at = [policy for policy in evaluation.policies if policy.applies != "out of scope"]
    beside = len(evaluation.policies) - len(looked_at)
    session.say("why", style="bold")
    for policy in sorted(looked_at, key=lambda one: _rank(one, evaluation.reasons)):
        _show_policy(session, policy, image)
    if beside:
        words = "rules are" if beside > 1 else "rule is"
        session.say(f"  - {beside} other {words} about something else", style="dim")
    _show_missing(session, explanation, image)


def _rank(policy: PolicyEvaluation, reasons: tuple[str, ...]) -> int:
    """Order rules: those that decided, those that erred, those that applied, the rest."""
    if policy.rule in reasons:
        return 0
    return {"error": 1, "satisfied": 2}.get(policy.applies, 3)


def _show_policy(session: Session, policy: PolicyEvaluation, image: PolicyImage) -> None:
    mark, words = _APPLIES[policy.applies]
    info = image.rules.get(policy.rule)
    place = "" if info is None else info.origin or info.pointer
    style = _EFFECTS[policy.effect] if policy.applies == "satisfied" else _STYLES["!" if mark == "!" else "-"]
    session.parts(
        (f"  {mark} ", style),
        (f"{policy.effect} ", ""),
        (policy.rule, "bold"),
        (f" {words}", ""),
        (f"  {place}", "dim"),
    )
    for clause in policy.clauses:
        word = "unless" if clause.unless else "when"
        _show_step(session, clause.step, f"{word} ", indent=6)


def _show_step(session: Session, step: Step, lead: str, *, indent: int) -> None:
    """Write a condition; conditions that it joins are written beneath it."""
    mark = {"error": "!", "skipped": "-"}.get(step.status, "✓" if step.value is True else "✗")
    beneath = _joined(step)
    remark = "not evaluated" if step.status == "skipped" else step.error
    values = "" if beneath else ", ".join(f"{text} = {value}" for text, value in _values(step))
    note = "; ".join(part for part in (values, "" if beneath else remark) if part)
    session.parts(
        (" " * indent + f"{mark} ", _STYLES[mark]),
        (f"{lead}{step.node.text}", "dim" if step.status == "skipped" else ""),
        (f"    {note}" if note else "", "dim"),
    )
    for inner in beneath:
        _show_step(session, inner, "", indent=indent + 2)


def _joined(step: Step) -> tuple[Step, ...]:
    """Return the conditions that a condition joins, to be written beneath it."""
    if step.status == "skipped" or not step.inner:
        return ()
    if step.node.connective or isinstance(step.node.expr, pst.IfThenElse):
        return step.inner
    negated = isinstance(step.node.expr, pst.UnaryOp) and step.node.expr.op == "not"
    return step.inner if negated and _joined(step.inner[0]) else ()


def _values(step: Step) -> Iterator[tuple[str, str]]:
    """Yield what a condition reads, with its value; each path once."""
    seen: set[str] = set()
    for part in _within(step):
        node = part.node
        if part.status != "value" or not is_path(node.expr) or node.text in seen:
            continue
        seen.add(node.text)
        if not (part is step and isinstance(part.value, bool)):
            yield node.text, shortened(value_text(part.value))


def _within(step: Step) -> Iterator[Step]:
    yield step
    for inner in step.inner:
        yield from _within(inner)


def _show_missing(session: Session, explanation: Explanation, image: PolicyImage) -> None:
    session.say("for the other answer", style="bold")
    if explanation.decision.kind == "not_permitted" and not explanation.missing:
        session.say("  no rule permits this action at all")
        return
    for missing in explanation.missing:
        words = _TURNS[missing.turn]
        if missing.scope:
            session.say(f"  {missing.rule} is for other requests: {' and '.join(missing.scope)}")
            continue
        if not missing.needs:
            session.say(f"  {missing.rule}: no other value would change what it says")
            continue
        conditions = " and ".join(_condition(need) for need in missing.needs)
        session.parts(("  ", ""), (missing.rule, "bold"), (f" {words} {conditions}", ""))
    suggestion = explanation.suggestion
    if suggestion is None:
        session.say("  no request was found that gives it")
        return
    verdict = "allowed" if suggestion.decision.allowed else "denied"
    changes = "; ".join(_change(one, image) for one in suggestion.changes)
    session.parts((f"  {verdict} with ", "bold"), (changes, ""))
    rules = ", ".join(suggestion.decision.reasons) or "no rule permits it"
    session.say(f"    as {suggestion.decision.engine} decides: {rules}", style="dim")


def _condition(need: Need) -> str:
    values = ", ".join(f"{text} is {value}" for text, value in _values(need.step))
    shown = "; ".join(part for part in (values, need.step.error) if part)
    return f"{need.text} ({shown})" if shown else need.text


def _change(change: Change, image: PolicyImage) -> str:
    if change.path == ("context", "fulfilled") and isinstance(change.after, list):
        return "; ".join(_fulfilled(str(rule), image) for rule in change.after)
    after = "left out" if isinstance(change.after, Absent) else f"= {_json(change.after)}"
    before = "not given" if isinstance(change.before, Absent) else _json(change.before)
    return f"{path_text(change.path)} {after} (it is {before})"


def _fulfilled(rule: str, image: PolicyImage) -> str:
    info = image.rules.get(rule)
    roles = [duty.by for duty in info.obligations if isinstance(duty, Approve)] if info is not None else []
    return f"{rule} fulfilled" + (f" by an approval of {', '.join(roles)}" if roles else "")


def _json(value: JsonValue) -> str:
    return compact(value, limit=_SHOWN)


def path_text(path: Path) -> str:
    """Return a path as a policy writes it."""
    text = path[0]
    for name in path[1:]:
        text = member_text(text, name)
    return text


def explanation_value(explanation: Explanation, image: PolicyImage) -> JsonObject:
    """Return an explanation as a JSON object with stable keys."""
    evaluation = explanation.evaluation
    suggestion = explanation.suggestion
    policies = () if evaluation is None else evaluation.policies
    return {
        "note": explanation.note,
        "faults": [] if evaluation is None else [*evaluation.faults],
        "policies": [_policy_value(policy, image) for policy in policies],
        "missing": [_missing_value(missing) for missing in explanation.missing],
        "suggestion": None if suggestion is None else _suggestion_value(suggestion),
    }


def _policy_value(policy: PolicyEvaluation, image: PolicyImage) -> JsonObject:
    info = image.rules.get(policy.rule)
    scope: list[JsonValue] = [
        {"text": part.text, "holds": part.holds, "value": value_text(part.value)} for part in policy.scope
    ]
    return {
        "rule": policy.rule,
        "effect": policy.effect,
        "applies": policy.applies,
        "origin": "" if info is None else info.origin,
        "because": "" if info is None else info.because,
        "scope": scope,
        "clauses": [_clause_value(clause) for clause in policy.clauses],
    }


def _clause_value(clause: ClauseStep) -> JsonObject:
    return {
        "clause": "unless" if clause.unless else "when",
        "holds": clause.holds,
        "expression": _step_value(clause.step),
    }


def _step_value(step: Step) -> JsonObject:
    has_value = step.status == "value"
    return {
        "text": step.node.text,
        "place": step.node.place,
        "status": step.status,
        "value": value_json(step.value) if has_value else None,
        "cedar": value_text(step.value) if has_value else "",
        "error": step.error,
        "inner": [_step_value(inner) for inner in step.inner],
    }


def _missing_value(missing: Missing) -> JsonObject:
    needs: list[JsonValue] = [
        {
            "condition": need.step.node.text,
            "wanted": need.wanted,
            "is": need.step.truth,
            "text": need.text,
            "error": need.step.error,
            "values": dict(_values(need.step)),
        }
        for need in missing.needs
    ]
    return {"rule": missing.rule, "turn": missing.turn, "scope": [*missing.scope], "needs": needs}


def _suggestion_value(suggestion: Suggestion) -> JsonObject:
    changes: list[JsonValue] = [
        {
            "path": path_text(change.path),
            "given": not isinstance(change.before, Absent),
            "from": None if isinstance(change.before, Absent) else change.before,
            "to": None if isinstance(change.after, Absent) else change.after,
            "left_out": isinstance(change.after, Absent),
        }
        for change in suggestion.changes
    ]
    decision = suggestion.decision
    return {
        "changes": changes,
        "decision": decision.verdict,
        "kind": decision.kind,
        "rules": [*decision.reasons],
        "engine": decision.engine,
    }
