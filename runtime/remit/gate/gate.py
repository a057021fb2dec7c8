"""The gate: the only door between a proposal and an effect.

Rules
1. The control state is read before anything else and again after the record is durable; unreadable means no.
2. Arguments that break their JSON Schema are denied before any rule sees them.
3. The engine decides with nothing fulfilled; obligations are settled as `remit.gate.obligations` says.
4. An approval counts once, for exactly the request that was shown (`remit.gate.approvals`).
   Two processes that present the same approval both write their claim; the first claim in the log wins.
5. Decision and intent are durable before a permit exists. A ledger that fails in any way is a denial.
6. A permit is minted last, bound to the digest of exactly the content that remains after redaction.
7. `authorize` answers with a value for every ask and never raises; a doubt is a `Denial` that says which.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from remit import permit as permits
from remit.document.instants import instant_after
from remit.document.model import PendingApproval
from remit.document.values import Canonical, JsonObject, JsonValue, canonical, canonical_with_first
from remit.errors import GovernanceError, LedgerError
from remit.gate.answers import (
    Answer,
    Ask,
    AwaitingApproval,
    Bound,
    Content,
    Denial,
    DenialKind,
    Granted,
    digest_of,
    request_digest,
)
from remit.gate.approvals import ApprovalGrant, judge
from remit.gate.claims import first_claims
from remit.gate.obligations import Settlement, mask_arguments, settle
from remit.gate.possession import own_copy, shape_faults
from remit.gate.recorded import data_subject, request_content
from remit.ports import (
    Advance,
    Batch,
    Clock,
    ControlState,
    Invocation,
    Ledger,
    PromptLedger,
    RunState,
    Stop,
)
from remit.records import Draft, Receipt, RecordKind
from remit.value import Value

if TYPE_CHECKING:
    from concurrent.futures import Future

    from remit.engine.image import PolicyImage
    from remit.engine.port import Engine
    from remit.engine.request import Decision

__all__ = ["Answer", "Ask", "AwaitingApproval", "Content", "Denial", "Gate", "Granted", "OutcomeStatus"]

OutcomeStatus = Literal["ok", "failed", "abandoned", "unknown"]

_Receipts = tuple[Receipt, ...]
_Steps = Generator[Batch, _Receipts, Answer]


class _Verdict(Value, frozen=True, kw_only=True):
    """What the gate concluded, before it is written down."""

    verdict: str
    kind: str
    message: str
    rules: tuple[str, ...] = ()
    decision: Decision | None = None
    stop: Stop | None = None


class Gate:
    """Authorize → record → permit, for one run of one agent under one policy image.

    Args:
        engine: prepared from `image`.
        image: the policy image; an engine that answers for another image is not believed.
        ledger: where decisions, intents and outcomes become durable.
        control: kill and suspend orders.
        clock: time of the records.
        agent: agent id.
        run: run id.
        scopes: whose orders concern the agent besides, such as those of its tenant.
        new_id: makes a fresh id for a pending approval; 128 random bits where it is left out.
        ledger_timeout_s: seconds to wait for the ledger before denying.
        permit_lifetime_s: seconds after which an unused permit is void.
    """

    def __init__(
        self,
        engine: Engine,
        image: PolicyImage,
        ledger: Ledger,
        control: ControlState,
        clock: Clock,
        *,
        agent: str,
        run: str,
        scopes: tuple[str, ...] = (),
        new_id: Callable[[], str] | None = None,
        ledger_timeout_s: float = 30.0,
        permit_lifetime_s: float = 300.0,
    ) -> None:
        self._engine = engine
        self._image = image
        self._ledger = ledger
        self._control = control
        self._clock = clock
        self._agent = agent
        self._run = run
        self._scopes = ("all", f"agent:{agent}", f"run:{run}", *scopes)
        self._new_id = new_id or (lambda: secrets.token_hex(16))
        self._ledger_timeout_s = ledger_timeout_s
        # Asked once: a protocol's `isinstance` takes longer than a decision.
        self._prompt = ledger if isinstance(ledger, PromptLedger) else None
        self._permit_lifetime_s = permit_lifetime_s

    def authorize(self, ask: Ask) -> Answer:
        """Answer `ask`; never raises, every doubt is a `Denial`."""
        steps = self._steps(ask)
        try:
            batch = next(steps)
            while True:
                batch = self._resume(steps, self._wait, batch)
        except StopIteration as done:
            return _answer(done)
        except Exception as error:  # noqa: BLE001  # rule 7: whatever fails here is a denial
            return _unavailable(ask, f"the gate failed: {_why(error)}")

    async def aauthorize(self, ask: Ask) -> Answer:
        """Like `authorize`, without blocking the event loop while the ledger commits."""
        steps = self._steps(ask)
        try:
            batch = next(steps)
            while True:
                try:
                    receipts = await self._await(batch)
                except Exception as error:  # noqa: BLE001  # rule 5: handed to the steps, which deny
                    batch = steps.throw(error)
                else:
                    batch = steps.send(receipts)
        except StopIteration as done:
            return _answer(done)
        except Exception as error:  # noqa: BLE001  # rule 7
            return _unavailable(ask, f"the gate failed: {_why(error)}")

    def outcome(
        self,
        granted: Granted,
        status: OutcomeStatus,
        *,
        result: JsonValue = None,
        detail: str = "",
        advance: Advance | None = None,
        run_state: RunState | None = None,
    ) -> Receipt:
        """Record what became of a granted effect, and withdraw its permit if nobody redeemed it.

        Args:
            granted: what `authorize` returned.
            status: ok, failed, abandoned (it certainly did not happen) or unknown.
            result: what came back, already masked; erasable content of the record.
            detail: one readable clause for failures, without a traceback.
            advance: head move that belongs to the outcome.
            run_state: the run's state to save with it.

        Raises:
            LedgerError: the record cannot be written; `HeadMovedError` where `advance` lost.
        """
        try:
            return self._wait(
                self._outcome(
                    granted, status, result=result, detail=detail, advance=advance, run_state=run_state
                )
            )[0]
        except GovernanceError:
            raise
        except Exception as error:
            raise LedgerError(f"the outcome cannot be recorded: {_why(error)}") from error

    async def aoutcome(
        self,
        granted: Granted,
        status: OutcomeStatus,
        *,
        result: JsonValue = None,
        detail: str = "",
        advance: Advance | None = None,
        run_state: RunState | None = None,
    ) -> Receipt:
        """Like `outcome`, without blocking the event loop."""
        try:
            batch = self._outcome(
                granted, status, result=result, detail=detail, advance=advance, run_state=run_state
            )
            return (await self._await(batch))[0]
        except GovernanceError:
            raise
        except Exception as error:
            raise LedgerError(f"the outcome cannot be recorded: {_why(error)}") from error

    # The decision procedure. It yields what must become durable and is resumed with the receipts, so that one
    # procedure serves both callers; a ledger failure is thrown in at the yield.

    def _steps(self, ask: Ask) -> _Steps:
        now = self._clock.now()
        stop = self._standing_order(ask)
        try:
            # INVARIANT (one content): JSON objects can be changed by whoever else holds them, also while the
            # ledger commits. What is decided, recorded, permitted and handed back is this copy alone.
            ask = own_copy(ask)
            bound = Bound.of(ask.content) if isinstance(ask.content, Invocation) else None
            digest = request_digest(
                ask.request,
                content=bound or ask.content,
                image=self._image.digest,
                agent=self._agent,
                basis=ask.basis,
            )
        except Exception as error:  # noqa: BLE001  # what has no digest cannot be recorded exactly, so it cannot happen
            return (
                yield from self._deny(ask, now, "", _invalid(f"the request has no digest: {_why(error)}"))
            )
        if isinstance(stop, _Verdict):
            return (yield from self._deny(ask, now, digest, stop))
        faults = shape_faults(ask)
        if faults:
            return (yield from self._deny(ask, now, digest, _invalid("; ".join(faults))))
        settlement = self._settle(ask)
        if isinstance(settlement, _Verdict):
            return (yield from self._deny(ask, now, digest, settlement))
        used = self._used_approvals(ask.approvals)
        waiting: dict[str, tuple[str, ...]] = {}
        consumed: list[ApprovalGrant] = []
        for role, rules in settlement.approvals().items():
            grant, refusal = self._grant_for(ask, role, digest, used)
            if refusal is not None:
                names = tuple(rule.id for rule in rules)
                verdict = replace(refusal, rules=names, decision=settlement.decision)
                return (yield from self._deny(ask, now, digest, verdict))
            if grant is None:
                waiting[role] = tuple(rule.id for rule in rules)
            else:
                consumed.append(grant)
        if waiting:
            return (yield from self._await_people(ask, now, digest, settlement, waiting))
        return (yield from self._grant(ask, now, digest, settlement, tuple(consumed), proposed=bound))

    def _grant(
        self,
        ask: Ask,
        now: str,
        digest: str,
        settlement: Settlement,
        consumed: tuple[ApprovalGrant, ...],
        *,
        proposed: Bound | None,
    ) -> _Steps:
        content = ask.content
        masked = settlement.masked_arguments()
        if isinstance(content, Invocation):
            plain = content
            masked = tuple(name for name in masked if mask_arguments(plain, (name,)) != plain)
            content = mask_arguments(content, masked) if masked else content
        elif masked:
            verdict = _Verdict(
                verdict="deny",
                kind="error",
                message="a rule asks to mask arguments of something that has none",
                rules=tuple(rule.id for rule in settlement.rules),
            )
            return (yield from self._deny(ask, now, digest, verdict))
        bound = proposed.digest() if proposed and content is ask.content else digest_of(content)
        verdict = _Verdict(
            verdict="allow", kind="allowed", message="", decision=settlement.decision, rules=()
        )
        body = self._body(ask, digest, verdict, settlement, consumed)
        written = proposed.arguments if proposed and content is ask.content else None
        drafts = [self._decision(ask, now, body, _content(ask, content, written))]
        key = ""
        if ask.effect is not None:
            key = content.key if isinstance(content, Invocation) else self._key(ask, digest)
            plan: JsonObject = {
                "effect": ask.effect,
                "target": ask.target,
                "content": bound,
                "key": key,
                "request": digest,
                "revision": ask.revision,
                "step": ask.step,
            }
            drafts.append(self._draft("intent", now, plan, None))
        try:
            receipts = yield Batch(records=tuple(drafts))
        except Exception as error:  # noqa: BLE001  # rule 5
            return _unavailable(ask, f"the ledger cannot record the decision: {_why(error)}", digest)
        if len(receipts) != len(drafts):
            return _unavailable(ask, "the ledger did not confirm every record", digest)
        intent = receipts[1] if ask.effect is not None else None
        late = self._lost_claim(consumed, receipts[0]) or self._standing_order(ask)
        permit = None
        if late is None and ask.effect is not None:
            # Rule 6.
            permit = permits.mint(  # noqa: TID251  # this is the gate: the one place that may
                effect=ask.effect,
                target=ask.target,
                digest=bound,
                decision=receipts[0].digest,
                lifetime_s=self._permit_lifetime_s,
            )
        granted = Granted(
            permit=permit,
            content=content,
            decision=settlement.decision,
            request=digest,
            receipt=receipts[0],
            intent=intent,
            key=key,
            redacted_arguments=masked,
            redact_result=settlement.masked_result(),
            approvals=tuple(grant.id for grant in consumed),
            step=ask.step,
            target=ask.target,
        )
        return granted if late is None else (yield from self._abandon(ask, granted, late))

    def _abandon(self, ask: Ask, granted: Granted, verdict: _Verdict) -> _Steps:
        """Deny after the record: say in the ledger that nothing happened."""
        denial = self._denial(ask, granted.request, verdict, granted.receipt)
        try:
            yield self._outcome(granted, "abandoned", detail=verdict.message)
        except Exception:  # noqa: BLE001  # without the outcome the intent stays `unknown`, which is never retried: still safe
            return denial
        return denial

    def _await_people(
        self,
        ask: Ask,
        now: str,
        digest: str,
        settlement: Settlement,
        waiting: dict[str, tuple[str, ...]],
    ) -> _Steps:
        rules = tuple(sorted({rule for names in waiting.values() for rule in names}))
        verdict = _Verdict(
            verdict="awaiting_approval",
            kind="awaiting_approval",
            message="people must approve this request",
            rules=rules,
            decision=settlement.decision,
        )
        try:
            pending = tuple(
                PendingApproval(
                    id=self._new_id(),
                    run=self._run,
                    action=ask.request.action,
                    rules=names,
                    by=role,
                    request=digest,
                    because="; ".join(self._because(names)),
                    until=_until(now, settlement.within_ms(role)),
                )
                for role, names in waiting.items()
            )
        except ValueError as error:  # a clock that gives no time: no limit could be kept
            late = _Verdict(
                verdict="deny", kind="unavailable", message=f"no time limit can be set: {_why(error)}"
            )
            return (yield from self._deny(ask, now, digest, late))
        body = self._body(ask, digest, verdict, settlement, ())
        wanted: list[JsonValue] = [
            {"id": p.id, "by": p.by, "rules": list(p.rules), **({"until": p.until} if p.until else {})}
            for p in pending
        ]
        body["pending"] = wanted
        try:
            receipts = yield Batch(records=(self._decision(ask, now, body, _content(ask, ask.content)),))
        except Exception as error:  # noqa: BLE001  # rule 5
            return _unavailable(ask, f"the ledger cannot record the decision: {_why(error)}", digest)
        return AwaitingApproval(
            pending=pending,
            action=ask.request.action,
            rules=rules,
            request=digest,
            because=self._because(rules),
            receipt=receipts[0],
        )

    def _deny(self, ask: Ask, now: str, digest: str, verdict: _Verdict) -> _Steps:
        body = self._body(ask, digest, verdict, None, ())
        try:
            receipts = yield Batch(records=(self._decision(ask, now, body, _content(ask, ask.content)),))
        except Exception as error:  # noqa: BLE001  # rule 5: a denial that cannot be recorded is a denial all the same
            message = f"{verdict.message}; the ledger cannot record the denial: {_why(error)}"
            return self._denial(ask, digest, replace(verdict, message=message), None)
        return self._denial(ask, digest, verdict, receipts[0])

    # What the steps look at.

    def _standing_order(self, ask: Ask) -> _Verdict | None:
        scopes: tuple[str, ...] = self._scopes
        if ask.effect == "call_tool":
            scopes = (*scopes, f"tool:{ask.target}")
        elif ask.effect == "dispatch":
            scopes = (*scopes, f"backend:{ask.target}")
        try:
            stop = self._control.in_force((*scopes, *ask.scopes))
        except Exception as error:  # noqa: BLE001  # rule 1: a control state that cannot be read denies
            return _Verdict(
                verdict="deny",
                kind="unavailable",
                message=f"the control state cannot be read: {_why(error)}",
            )
        if stop is None:
            return None
        return _Verdict(
            verdict="deny",
            kind="stopped",
            message=f"`{stop.scope}` is under a {stop.order} order of `{stop.by}`: {stop.reason}",
            stop=stop,
        )

    def _settle(self, ask: Ask) -> Settlement | _Verdict:
        try:
            settlement = settle(self._engine, self._image, ask.request)
        except Exception as error:  # noqa: BLE001  # an engine that breaks its promise is a denial
            return _Verdict(
                verdict="deny", kind="unavailable", message=f"the engine cannot decide: {_why(error)}"
            )
        decision = settlement.decision
        if decision.image != self._image.digest:
            return _Verdict(
                verdict="deny", kind="unavailable", message="the engine answered for another policy image"
            )
        if decision.allowed and not decision.errors:
            return settlement
        if decision.errors or decision.kind == "error":
            rules = sorted({failure.rule for failure in decision.errors if failure.rule})
            message = "; ".join(
                f"`{failure.rule}`: {failure.message}" if failure.rule else failure.message
                for failure in decision.errors
            )
            return _Verdict(
                verdict="deny", kind="error", message=message, rules=tuple(rules), decision=decision
            )
        named = ", ".join(f"`{rule}`" for rule in decision.reasons)
        message = f"forbidden by {named}" if named else f"no rule permits `{ask.request.action}`"
        return _Verdict(
            verdict="deny", kind=decision.kind, message=message, rules=decision.reasons, decision=decision
        )

    def _grant_for(
        self, ask: Ask, role: str, digest: str, used: frozenset[str]
    ) -> tuple[ApprovalGrant | None, _Verdict | None]:
        """Return the approval that counts for `role`, or neither; a refusal outweighs every approval."""
        caller = ask.request.context.get("caller")
        caller_id = caller.get("id") if isinstance(caller, dict) else None
        counting: ApprovalGrant | None = None
        for grant in ask.approvals:
            judgement = judge(
                grant,
                role=role,
                request=digest,
                run=self._run,
                caller=caller_id if isinstance(caller_id, str) else "",
                principal=ask.request.principal.ref.id,
            )
            if judgement.standing == "counts" and grant.id not in used and counting is None:
                counting = grant
            if judgement.standing == "refused_by_person":
                return None, _Verdict(
                    verdict="deny",
                    kind="approval_refused",
                    message=grant.refusal(),
                )
        return counting, None

    def _used_approvals(self, grants: tuple[ApprovalGrant, ...]) -> frozenset[str]:
        """Return the ids of presented approvals that an earlier decision of this agent consumed."""
        names = {grant.id for grant in grants}
        return frozenset(first_claims(self._ledger, self._agent, names))

    def _lost_claim(self, consumed: tuple[ApprovalGrant, ...], receipt: Receipt) -> _Verdict | None:
        """Rule 4: after the commit the log says whose claim on an approval came first."""
        if not consumed:
            return None
        try:
            claims = first_claims(self._ledger, self._agent, {grant.id for grant in consumed})
        except Exception as error:  # noqa: BLE001  # a log that cannot be read leaves the claim in doubt
            return _Verdict(
                verdict="deny", kind="unavailable", message=f"the ledger cannot be read: {_why(error)}"
            )
        lost = [grant.id for grant in consumed if claims.get(grant.id) != receipt.index]
        if not lost:
            return None
        return _Verdict(
            verdict="deny", kind="unavailable", message=f"the approval `{lost[0]}` was used elsewhere"
        )

    # What is written down.

    def _body(
        self,
        ask: Ask,
        digest: str,
        verdict: _Verdict,
        settlement: Settlement | None,
        consumed: tuple[ApprovalGrant, ...],
    ) -> JsonObject:
        decision = verdict.decision
        errors: list[JsonValue] = [
            {"rule": f.rule, "message": f.message} for f in (decision.errors if decision else ())
        ]
        fulfilled = settlement.fulfilled if settlement else ()
        obligations: list[JsonValue] = [
            {"rule": rule.id, "fulfilled": rule.id in fulfilled}
            for rule in (settlement.rules if settlement else ())
        ]
        body: JsonObject = {
            "action": _printable(ask.request.action),
            "principal": _printable(str(ask.request.principal.ref)),
            "resource": _printable(str(ask.request.resource.ref)),
            "verdict": verdict.verdict,
            "kind": verdict.kind,
            "message": _printable(verdict.message),
            "rules": list(verdict.rules),
            "reasons": list(decision.reasons) if decision else [],
            "errors": errors,
            "obligations": obligations,
            "engine": self._engine.name,
            "image": self._image.digest,
            "revision": ask.revision,
            "step": ask.step,
            "request": digest,
        }
        if consumed:
            approvals: list[JsonValue] = [grant.to_json() for grant in consumed]
            body["approvals"] = approvals
        return body

    def _decision(self, ask: Ask, at: str, body: JsonObject, content: Canonical) -> Draft:
        draft = self._draft("decision", at, body, content)
        subject = data_subject(ask.request)
        return replace(draft, subject=subject) if subject else draft

    def _draft(self, kind: RecordKind, at: str, body: JsonObject, content: Canonical | None) -> Draft:
        return Draft(kind=kind, agent=self._agent, run=self._run, at=at, body=body, content=content)

    def _outcome(
        self,
        granted: Granted,
        status: OutcomeStatus,
        *,
        result: JsonValue = None,
        detail: str = "",
        advance: Advance | None = None,
        run_state: RunState | None = None,
    ) -> Batch:
        if granted.permit is not None:
            permits.void(granted.permit)
        content, digest = _recordable({"result": result}), ""
        if result is not None:
            digest = "sha256:" + hashlib.sha256(content.data).hexdigest()
        body: JsonObject = {
            "status": status,
            "decision": granted.receipt.digest,
            "intent": granted.intent.digest if granted.intent else "",
            "key": granted.key,
            "target": granted.target,
            "request": granted.request,
            "result": digest,
            "detail": _printable(detail),
            "step": granted.step,
        }
        draft = self._draft("outcome", self._clock.now(), body, None if result is None else content)
        return Batch(records=(draft,), advance=advance, run_state=run_state)

    def _denial(self, ask: Ask, digest: str, verdict: _Verdict, receipt: Receipt | None) -> Denial:
        kind: DenialKind = "error"
        for known in _KINDS:
            if known == verdict.kind:
                kind = known
        return Denial(
            kind=kind,
            action=ask.request.action,
            rules=verdict.rules,
            because=self._because(verdict.rules),
            errors=verdict.decision.errors if verdict.decision else (),
            message=verdict.message,
            request=digest,
            decision=verdict.decision,
            stop=verdict.stop,
            receipt=receipt,
        )

    def _because(self, rules: tuple[str, ...]) -> tuple[str, ...]:
        known = (self._image.rules.get(rule) for rule in rules)
        return tuple(dict.fromkeys(rule.because for rule in known if rule is not None and rule.because))

    def _key(self, ask: Ask, digest: str) -> str:
        value = f"{self._agent}\x00{self._run}\x00{ask.step}\x00{digest}"
        return hashlib.sha256(value.encode()).hexdigest()

    # Waiting for the ledger.

    def _wait(self, batch: Batch) -> _Receipts:
        if self._prompt is not None:
            return self._prompt.commit(batch, timeout_s=self._ledger_timeout_s)
        return self._ledger.submit(batch).result(timeout=self._ledger_timeout_s)

    @staticmethod
    def _resume(steps: _Steps, wait: Callable[[Batch], _Receipts], batch: Batch) -> Batch:
        try:
            receipts = wait(batch)
        except Exception as error:  # noqa: BLE001  # rule 5: handed to the steps, which deny
            return steps.throw(error)
        return steps.send(receipts)

    async def _await(self, batch: Batch) -> _Receipts:
        # INVARIANT (no cancelled commit): cancelling a run ends this wait, never a commit that is under way.
        future: Future[_Receipts] = self._ledger.submit(batch)
        if not future.done():
            loop = asyncio.get_running_loop()
            landed: asyncio.Future[None] = loop.create_future()

            def land() -> None:
                if not landed.done():
                    landed.set_result(None)

            def wake(_: Future[_Receipts]) -> None:
                # A loop that is closed has nobody left who waits.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(land)

            future.add_done_callback(wake)
            timer = loop.call_later(self._ledger_timeout_s, land)
            try:
                await landed
            finally:
                timer.cancel()
        if future.cancelled():
            raise LedgerError("the ledger dropped the batch")
        # Done, or late: then this says so.
        return future.result(timeout=0)


_KINDS: tuple[DenialKind, ...] = (
    "forbidden",
    "not_permitted",
    "error",
    "invalid_arguments",
    "approval_refused",
    "stopped",
    "unavailable",
)


def _invalid(message: str) -> _Verdict:
    return _Verdict(verdict="deny", kind="invalid_arguments", message=message)


def _unavailable(ask: Ask, message: str, digest: str = "") -> Denial:
    return Denial(
        kind="unavailable",
        action=ask.request.action,
        rules=(),
        because=(),
        errors=(),
        message=message,
        request=digest,
    )


def _content(ask: Ask, content: Content, written: bytes | None = None) -> Canonical:
    """What a decision's record holds beside its leaf; `written` are the arguments, where they are encoded."""
    value = request_content(ask.request)
    if written is not None:
        with contextlib.suppress(Exception):
            return canonical_with_first("arguments", written, value)
    if isinstance(content, Invocation):
        value["arguments"] = content.arguments
    return _recordable(value)


def _recordable(value: JsonObject) -> Canonical:
    """Return the bytes of `value`, or of why it has none: a denial of nonsense must be recorded too."""
    try:
        return canonical(value)
    except Exception as error:  # noqa: BLE001  # whatever the canonical form refuses
        return canonical({"unrecordable": _printable(_why(error))})


def _printable(text: str) -> str:
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


_SHOWN = 300


def _until(now: str, within_ms: int) -> str:
    return instant_after(now, within_ms) if within_ms else ""


def _why(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _answer(done: StopIteration) -> Answer:
    answer: Answer = done.value
    return answer
