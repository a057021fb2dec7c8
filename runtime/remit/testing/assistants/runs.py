"""The life of a run.

Rules
1. A run is queued, then in progress while the model is asked, then requires action, or is over: completed,
   incomplete, failed, cancelled or expired. Submitted outputs queue it again.
2. A run acts in a thread of its own; requests only queue it, cancel it, or look at it. It goes on when nobody
   listens, also when its stream was cut.
3. Whatever changes a run also says so in its feed, in the order of the description's events: steps and
   messages inside the run's own events. A feed rests when the run waits for outputs or is over.
4. A queued or running run is `cancelling` until its thread notices; one that waits for outputs is cancelled
   at once. A run over its deadline is expired as soon as somebody looks, or its thread does.
5. What was begun when a run is interrupted ends with it: the message as incomplete, the step as cancelled or
   expired.
6. Usage is told when the run is over, as the sum over its turns; a turn's tokens stand in its last step.
"""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, cast

from remit.testing.assistants.endings import CANCELLED, ERRORS, EXPIRED, Ending, turn_ending
from remit.testing.assistants.faults import WireFault
from remit.testing.assistants.objects import run_message, step_object, text_part, usage_object
from remit.testing.assistants.turns import turn_request
from remit.testing.assistants.uses import use_delta, use_object
from remit.testing.loopback import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from remit.document.values import JsonObject, JsonValue
    from remit.testing.assistants.store import Store, StoredRun
    from remit.testing.assistants.turns import TurnSource
    from remit.testing.loopback import SaidCall, SaidUse

_PIECES = 3
_JOIN_S = 5.0
_OVER = object()
_TIMES = {"completed": "completed_at", "failed": "failed_at", "cancelled": "cancelled_at"}
_STEP_TIMES = {**_TIMES, "expired": "expired_at"}


class RunEngine:
    """Moves runs.

    Args:
        store: where they are.
        turns: who answers.
        pace_s: seconds between two pieces of an answer.
    """

    def __init__(self, store: Store, turns: TurnSource, *, pace_s: float) -> None:
        self._store = store
        self._turns = turns
        self._pace_s = pace_s
        self._closing = False
        self._threads: list[threading.Thread] = []

    def claim(self) -> Reply | None:
        """Claim the answer of the next turn; the request that causes the turn passes on its refusal.

        Raises:
            WireFault: the reply is an HTTP status.
        """
        reply = self._turns.claim()
        if reply is not None and reply.status != 200:  # noqa: PLR2004  # HTTP's own number
            raise WireFault(reply.status, reply.text, location=reply.location)
        return reply

    def queue(self, run: StoredRun, claimed: Reply | None) -> None:
        """Queue a run for its next turn; the caller holds the store.

        Args:
            run: new, or with its outputs.
            claimed: what `claim` returned.
        """
        run.value["status"] = "queued"
        run.feed.say("thread.run.queued", run.value)
        worker = threading.Thread(target=self._work, args=(run, claimed), daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()] + [worker]
        worker.start()

    def take_outputs(self, run: StoredRun, outputs: Sequence[JsonObject], claimed: Reply | None) -> None:
        """Give a waiting run an output for each pending call, and queue it; the caller holds the store."""
        said = {str(output["tool_call_id"]): output["output"] for output in outputs}
        step = next(reversed(run.steps.values()))
        details = cast("JsonObject", step["step_details"])
        for call in cast("list[JsonObject]", details["tool_calls"]):
            cast("JsonObject", call["function"])["output"] = said[str(call["id"])]
        run.value["required_action"] = None
        self._end_step(run, step, "completed", run.turn_usage)
        self.queue(run, claimed)

    def cancel(self, run: StoredRun) -> JsonObject:
        """Begin to cancel a run and return it as it is then; the caller holds the store.

        Raises:
            WireFault: 400, it is over or being cancelled.
        """
        if not run.active or run.status == "cancelling":
            raise WireFault(400, f"Cannot cancel run with status '{run.status}'.")
        waiting = run.status == "requires_action"
        self._become(run, "cancelling")
        shown = copy.deepcopy(run.value)
        if waiting:
            self._end(run, CANCELLED)
        return shown

    def expire_due(self) -> None:
        """Expire waiting runs that are over their deadline; the caller holds the store."""
        for thread in self._store.threads.values():
            for run in thread.runs.values():
                if run.status == "requires_action" and self._due(run):
                    self._end(run, EXPIRED)

    def forget(self, run: StoredRun) -> None:
        """Let go of a run whose thread is deleted; the caller holds the store."""
        run.gone = True
        run.feed.cut()

    def close(self) -> None:
        """Stop all runs where they are."""
        with self._store.changed:
            self._closing = True
            self._store.changed.notify_all()
        for worker in self._threads:
            worker.join(_JOIN_S)

    def _due(self, run: StoredRun) -> bool:
        return self._store.now() >= run.deadline_s

    def _stopped(self, run: StoredRun) -> bool:
        return self._closing or run.gone or run.status == "cancelling" or self._due(run)

    def _work(self, run: StoredRun, claimed: Reply | None) -> None:
        changed = self._store.changed
        with changed:
            if self._interrupted(run):
                return
            self._become(run, "in_progress")
            request = turn_request(run, stopped=lambda: self._stopped(run))
        try:
            reply = self._turns.answer(claimed, request)
        except Exception as error:  # noqa: BLE001  # whatever a model raises is the run's last error
            reply = Reply(text=str(error) or type(error).__name__, finish="server_error")
        acts = self._acts(run, reply)
        while True:
            with changed:
                if self._interrupted(run) or next(acts, _OVER) is _OVER:
                    return
                if self._pace_s:
                    changed.wait_for(lambda: self._stopped(run), self._pace_s)

    def _interrupted(self, run: StoredRun) -> bool:
        """End an interrupted run; a stream of a closing server is cut."""
        if self._closing or run.gone:
            run.feed.cut()
        elif run.status == "cancelling":
            self._end(run, CANCELLED)
        elif self._due(run):
            self._end(run, EXPIRED)
        else:
            return False
        return True

    def _acts(self, run: StoredRun, reply: Reply) -> Iterator[None]:
        """Say a reply, pausing where the run may be interrupted."""
        run.input_tokens += reply.input_tokens
        run.output_tokens += reply.output_tokens
        run.turn_usage = usage_object(reply.input_tokens, reply.output_tokens)
        ending = turn_ending(run, reply)
        for use in reply.used:
            self._use_builtin(run, use)
            yield
        if reply.finish not in ERRORS and (reply.text or ending.message_reason):
            step, message = self._open_message(run)
            yield
            for piece in pieces(reply.text):
                self._say_piece(run, message, piece, refusal=reply.finish == "refusal")
                yield
            if reply.calls or not reply.broken:
                self._end_message(run, message, ending)
                status = "expired" if ending.status == "expired" else "completed"
                self._end_step(run, step, status, None if reply.calls else run.turn_usage)
        if reply.calls and ending.status != "failed":
            step = self._open_step(run, {"type": "tool_calls", "tool_calls": []})
            yield
            for call in reply.calls:
                self._say_call(run, step, call)
                yield
        if reply.broken:
            run.feed.cut()
        self._end(run, ending)

    def _end(self, run: StoredRun, ending: Ending) -> None:
        """Bring a run to `ending`, with everything that is still open in it."""
        if ending.status == "requires_action":
            self._require(run)
            return
        for message in run.thread.messages.values():
            if message["run_id"] == run.value["id"] and message["status"] == "in_progress":
                self._end_message(run, message, ending)
        for step in run.steps.values():
            if step["status"] == "in_progress":
                self._end_step(run, step, _step_status(step, ending), run.turn_usage)
        run.value["required_action"] = None
        run.value["expires_at"] = None
        run.value["usage"] = usage_object(run.input_tokens, run.output_tokens)
        if ending.status == "incomplete":
            run.value["incomplete_details"] = {"reason": ending.reason} if ending.reason else {}
        if ending.error:
            run.value["last_error"] = {"code": ending.error, "message": ending.error_message}
        self._become(run, ending.status)
        run.feed.rest()

    def _require(self, run: StoredRun) -> None:
        step = next(reversed(run.steps.values()))
        details = cast("JsonObject", step["step_details"])
        calls: list[JsonValue] = []
        for call in cast("list[JsonObject]", details["tool_calls"]):
            function = cast("JsonObject", call["function"])
            shown: JsonObject = {"name": function["name"], "arguments": function["arguments"]}
            calls.append({"id": call["id"], "type": "function", "function": shown})
        run.value["required_action"] = {
            "type": "submit_tool_outputs",
            "submit_tool_outputs": {"tool_calls": calls},
        }
        self._become(run, "requires_action")
        run.feed.rest()

    def _become(self, run: StoredRun, status: str) -> None:
        run.value["status"] = status
        if status == "in_progress" and run.value["started_at"] is None:
            run.value["started_at"] = self._store.at_s()
        if status in _TIMES:
            run.value[_TIMES[status]] = self._store.at_s()
        run.feed.say(f"thread.run.{status}", run.value)

    def _open_step(self, run: StoredRun, details: JsonObject) -> JsonObject:
        step = step_object(self._store.new_id("step_"), run.value, details, at_s=self._store.at_s())
        run.steps[str(step["id"])] = step
        run.feed.say("thread.run.step.created", step)
        run.feed.say("thread.run.step.in_progress", step)
        return step

    def _end_step(
        self, run: StoredRun, step: JsonObject, status: str, usage: JsonObject | None = None
    ) -> None:
        step["status"] = status
        step[_STEP_TIMES[status]] = self._store.at_s()
        step["usage"] = usage or usage_object(0, 0)
        if status == "failed":
            step["last_error"] = {"code": "server_error", "message": "this step did not come to its end"}
        run.feed.say(f"thread.run.step.{status}", step)

    def _open_message(self, run: StoredRun) -> tuple[JsonObject, JsonObject]:
        message = run_message(self._store.new_id("msg_"), run.value, at_s=self._store.at_s())
        created: JsonObject = {"message_id": message["id"]}
        step = self._open_step(run, {"type": "message_creation", "message_creation": created})
        run.thread.messages[str(message["id"])] = message
        run.feed.say("thread.message.created", message)
        run.feed.say("thread.message.in_progress", message)
        return step, message

    def _say_piece(self, run: StoredRun, message: JsonObject, piece: str, *, refusal: bool) -> None:
        content = cast("list[JsonValue]", message["content"])
        delta: JsonObject
        if not content:
            first: JsonObject = {"type": "refusal", "refusal": piece} if refusal else text_part(piece)
            content.append(first)
            delta = {"index": 0, **first}
        elif refusal:
            part = cast("JsonObject", content[0])
            part["refusal"] = str(part["refusal"]) + piece
            delta = {"index": 0, "type": "refusal", "refusal": piece}
        else:
            text = cast("JsonObject", cast("JsonObject", content[0])["text"])
            text["value"] = str(text["value"]) + piece
            delta = {"index": 0, "type": "text", "text": {"value": piece}}
        run.feed.say(
            "thread.message.delta",
            {"id": message["id"], "object": "thread.message.delta", "delta": {"content": [delta]}},
        )

    def _end_message(self, run: StoredRun, message: JsonObject, ending: Ending) -> None:
        if not ending.message_reason:
            message["status"] = "completed"
            message["completed_at"] = self._store.at_s()
        else:
            message["status"] = "incomplete"
            message["incomplete_at"] = self._store.at_s()
            message["incomplete_details"] = {"reason": ending.message_reason}
        run.feed.say(f"thread.message.{message['status']}", message)

    def _use_builtin(self, run: StoredRun, use: SaidUse) -> None:
        members = use_object(use)
        if members is None:
            return
        step = self._open_step(run, {"type": "tool_calls", "tool_calls": []})
        call: JsonObject = {"id": self._store.new_id("call_"), "type": use.name, use.name: members}
        self._calls(step).append(call)
        self._say_delta(run, step, {"index": 0, **call, use.name: use_delta(members)})
        self._end_step(run, step, "failed" if use.failed else "completed")

    def _say_call(self, run: StoredRun, step: JsonObject, call: SaidCall) -> None:
        calls = self._calls(step)
        index = len(calls)
        opening: JsonObject = {"name": call.name, "arguments": "", "output": None}
        opened: JsonObject = {"id": self._store.new_id("call_"), "type": "function", "function": opening}
        calls.append({**opened, "function": {**opening, "arguments": call.raw}})
        self._say_delta(run, step, {"index": index, **opened})
        for piece in pieces(call.raw):
            self._say_delta(run, step, {"index": index, "type": "function", "function": {"arguments": piece}})

    def _say_delta(self, run: StoredRun, step: JsonObject, call: JsonObject) -> None:
        delta: JsonObject = {"step_details": {"type": "tool_calls", "tool_calls": [call]}}
        run.feed.say(
            "thread.run.step.delta", {"id": step["id"], "object": "thread.run.step.delta", "delta": delta}
        )

    @staticmethod
    def _calls(step: JsonObject) -> list[JsonValue]:
        return cast("list[JsonValue]", cast("JsonObject", step["step_details"])["tool_calls"])


def pieces(text: str) -> list[str]:
    """Split a text into at most three pieces; none where it is empty."""
    size = max(1, -(-len(text) // _PIECES))
    return [text[start : start + size] for start in range(0, len(text), size)]


def _step_status(step: JsonObject, ending: Ending) -> str:
    if ending.status == "incomplete":
        # A message may be cut short and is there all the same; calls that are not whole are nothing.
        return "completed" if step["type"] == "message_creation" else "failed"
    return ending.status
