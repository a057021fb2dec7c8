"""The contract of `remit.ports.Backend`, as a class to subclass. Run it over every adapter.

    class TestMyBackend(BackendContract):
        exempt = {"malformed": "the engine writes arguments under a grammar"}

        @contextmanager
        def stage(self, scene):
            with my_server(scene.reply) as server:
                yield Stage(backend=open_backend(...), name="subject", sent=lambda: server.request_count)

What it promises about an adapter that passes
1. Nothing leaves without a live permit for exactly this turn and this back-end, and each permit works once.
2. An answer is text pieces in order, complete calls, and one `TurnEnd`, which comes last.
3. Arguments arrive exactly; text that is not a strict JSON object arrives as text, with no arguments.
4. Whatever fails, also within a stream, is an `AdapterError`; closing the iterator ends the inference.
5. It keeps nothing between turns, and may be disposed of twice.

An exemption is named and says why; it shows as a skipped test.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, cast
from unittest import SkipTest

from remit.errors import AdapterError, GovernanceError, PermitError
from remit.messages import CallProposed, Message, TextDelta, ToolCall, ToolOffer, Turn, TurnEnd
from remit.permit import Permit, mint  # noqa: TID251  # the contract plays the gate
from remit.testing.loopback import Reply, SaidCall

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from contextlib import AbstractContextManager

    from remit.messages import TurnEvent
    from remit.ports import Backend

LOOKUP = ToolOffer(
    name="lookup_order",
    description="Look up an order by its order id: amount paid in euros, status and item.",
    parameters={
        "type": "object",
        "properties": {"order_id": {"type": "string", "description": "order id, such as A-1001"}},
        "required": ["order_id"],
        "additionalProperties": False,
    },
)
_DECISION = "sha256:" + "0" * 64
_CANCEL_S = 30.0
_FAILED = '{"error": "the order book is closed"}'
_DENIED = '{"because": "the arguments are not a JSON object", "denied": true}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the world behind an adapter does, and what the turn says.

    Args:
        name: for exemptions.
        reply: what a scripted world answers.
        text: the user's words, chosen so that a real model does the same.
        tools: what is offered.
        max_output_tokens: bound of the answer.
        past: calls that were proposed before; the first one failed, every other one was denied.
        silent: the adapter is to be opened with a longest silence (`timeout_s`) of about half a second.
    """

    name: str
    reply: Reply
    text: str = "Hello, who are you?"
    tools: tuple[ToolOffer, ...] = ()
    max_output_tokens: int = 64
    past: tuple[ToolCall, ...] = ()
    silent: bool = False

    def turn(self) -> Turn:
        """Return the turn."""
        messages = [Message(role="user", text=self.text)]
        if self.past:
            messages.append(Message(role="assistant", text="", tool_calls=self.past))
            messages += [
                Message(role="tool", text=_DENIED if number else _FAILED, tool_call_id=call.id)
                for number, call in enumerate(self.past)
            ]
        return Turn(
            instructions="You are the refund desk of a web shop. You look up orders and refund them.",
            messages=tuple(messages),
            tools=self.tools,
            max_output_tokens=self.max_output_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """An adapter before its scene.

    Args:
        backend: freshly opened.
        name: the document's name of the back-end.
        sent: how many requests left so far.
    """

    backend: Backend
    name: str
    sent: Callable[[], int]


@dataclass(slots=True, kw_only=True)
class Answer:
    """What came out of one inference."""

    events: list[TurnEvent] = field(default_factory=list["TurnEvent"])
    error: Exception | None = None

    @property
    def text(self) -> str:
        """All text pieces, joined."""
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))

    @property
    def calls(self) -> list[ToolCall]:
        """All proposed calls."""
        return [event.call for event in self.events if isinstance(event, CallProposed)]

    @property
    def ends(self) -> list[TurnEnd]:
        """All ends; a good answer has one."""
        return [event for event in self.events if isinstance(event, TurnEnd)]


_ASK = "What is the status of order A-1002?"
_GOOD = SaidCall(name="lookup_order", raw='{"order_id":"A-1002"}')
TEXT = Scene(name="text", reply=Reply(text="I am the refund desk, at your service."))
CALL = Scene(name="call", text=_ASK, tools=(LOOKUP,), reply=Reply(calls=(_GOOD,), finish="tool_calls"))
PARALLEL = Scene(
    name="parallel",
    text="Look up the orders A-1001 and A-1002.",
    tools=(LOOKUP,),
    reply=Reply(
        calls=(SaidCall(name="lookup_order", raw='{"order_id":"A-1001"}'), _GOOD), finish="tool_calls"
    ),
)
MALFORMED = Scene(
    name="malformed",
    text=_ASK,
    tools=(LOOKUP,),
    reply=Reply(
        calls=(
            SaidCall(name="lookup_order", raw='{"order_id": "A-1002"'),
            SaidCall(name="lookup_order", raw='{"order_id": "A-1001", "order_id": "A-1002"}'),
            SaidCall(name="lookup_order", raw='["A-1002"]'),
            SaidCall(name="lookup_order", raw='{"order_id": NaN}'),
        ),
        finish="tool_calls",
    ),
)
UNKNOWN_TOOL = Scene(
    name="unknown_tool",
    text=_ASK,
    tools=(LOOKUP,),
    reply=Reply(calls=(SaidCall(name="drop_tables", raw='{"all":true}'),), finish="tool_calls"),
)
LENGTH = Scene(
    name="length",
    text="Tell me a long story about a kettle.",
    max_output_tokens=4,
    reply=Reply(text="Once upon a", finish="length"),
)
REFUSED = Scene(name="refused", reply=Reply(text="", finish="content_filter"))
BROKEN = Scene(name="broken", reply=Reply(text="I was about to", broken=True))
OVERLOADED = Scene(name="overloaded", reply=Reply(status=429, text="slow down"))
FAILING = Scene(name="failing", reply=Reply(status=500, text="out of order"))
SILENT = Scene(name="silent", reply=Reply(text="late", hang_s=6.0), silent=True)
PARTIAL = Scene(
    name="partial",
    text=_ASK,
    tools=(LOOKUP,),
    max_output_tokens=8,
    reply=Reply(calls=(SaidCall(name="lookup_order", raw='{"order_id": "A-1'),), finish="length"),
)
AFTER_ERROR = Scene(
    name="after_error",
    text=_ASK,
    tools=(LOOKUP,),
    past=(
        ToolCall(id="c1", name="lookup_order", arguments={"order_id": "A-9"}, raw='{"order_id":"A-9"}'),
        ToolCall(id="c2", name="lookup_order", arguments=None, raw='{"order_id":'),
    ),
    reply=Reply(text="Neither order could be looked up."),
)
SLOW = Scene(
    name="slow",
    text="Tell me a long story.",
    max_output_tokens=400,
    reply=Reply(text="late", hang_s=60.0),
)


SCENES = frozenset(
    scene.name
    for scene in (
        TEXT,
        CALL,
        PARALLEL,
        MALFORMED,
        UNKNOWN_TOOL,
        LENGTH,
        REFUSED,
        BROKEN,
        OVERLOADED,
        FAILING,
        SILENT,
        PARTIAL,
        AFTER_ERROR,
        SLOW,
    )
)
"""Names of all scenes; an exemption under another name is a mistake."""


class BackendContract(ABC):
    """Subclass it, give it a `stage`, and let pytest find it."""

    exempt: ClassVar[Mapping[str, str]] = {}
    """Scenes that cannot be staged, each with the reason."""
    exact_text: ClassVar[bool] = True
    """Whether the world says the scene's text word for word (a real model does not)."""

    @abstractmethod
    def stage(self, scene: Scene) -> AbstractContextManager[Stage]:
        """Open the adapter before a world that behaves like `scene`."""

    def test_nothing_leaves_without_a_live_permit_for_exactly_this_turn(self) -> None:
        """Nothing leaves without a live permit for exactly this turn."""
        self._run(TEXT, self._refuses_every_bad_permit)

    def test_a_permit_works_once(self) -> None:
        """A permit works once."""

        async def used_twice(stage: Stage) -> None:
            turn = TEXT.turn()
            permit = permit_for(stage, turn)
            first = await infer(stage, permit, turn)
            sent = stage.sent()
            second = await infer(stage, permit, turn)
            assert first.error is None
            assert isinstance(second.error, PermitError)
            assert not second.events
            assert stage.sent() == sent

        self._run(TEXT, used_twice)

    def test_text_comes_in_order_and_one_end_comes_last(self) -> None:
        """Text comes in order and one end comes last."""
        answer = self._answer(TEXT)
        assert answer.error is None
        assert answer.text == TEXT.reply.text if self.exact_text else answer.text.strip()
        assert [type(event) for event in answer.events].count(TurnEnd) == 1
        assert answer.events[-1] is answer.ends[0]
        assert (answer.ends[0].stop, answer.calls) == ("end", [])

    def test_usage_is_counted(self) -> None:
        """Usage is counted."""
        usage = self._answer(TEXT).ends[0].usage
        assert usage.input_tokens > 0
        assert usage.output_tokens > 0

    def test_a_call_arrives_with_exact_arguments(self) -> None:
        """A call arrives with exact arguments."""
        answer = self._answer(CALL)
        assert answer.error is None
        assert [(call.name, call.arguments) for call in answer.calls] == [
            ("lookup_order", {"order_id": "A-1002"})
        ]
        assert answer.ends[0].stop == "tool_calls"
        assert all(call.id and call.raw for call in answer.calls)

    def test_parallel_calls_arrive_in_order_under_ids_of_their_own(self) -> None:
        """Parallel calls arrive in order under ids of their own."""
        answer = self._answer(PARALLEL)
        assert [call.arguments for call in answer.calls] == [{"order_id": "A-1001"}, {"order_id": "A-1002"}]
        assert len({call.id for call in answer.calls}) == len(answer.calls)

    def test_arguments_that_are_no_strict_object_arrive_as_text_only(self) -> None:
        """Arguments that are no strict object arrive as text only."""
        answer = self._answer(MALFORMED)
        assert answer.error is None
        assert [call.arguments for call in answer.calls] == [None] * len(MALFORMED.reply.calls)
        assert [call.raw for call in answer.calls] == [call.raw for call in MALFORMED.reply.calls]

    def test_a_call_that_was_cut_off_has_no_arguments(self) -> None:
        """A call that was cut off has no arguments."""
        answer = self._answer(PARTIAL)
        assert answer.error is None
        assert [end.stop for end in answer.ends] == ["length"]
        assert [call.arguments for call in answer.calls] in ([], [None])

    def test_an_answer_follows_on_calls_that_failed_or_were_denied(self) -> None:
        """An answer follows on calls that failed or were denied."""
        answer = self._answer(AFTER_ERROR)
        assert answer.error is None
        assert answer.text == AFTER_ERROR.reply.text if self.exact_text else answer.ends

    def test_a_call_of_an_unknown_tool_is_passed_on_as_proposed(self) -> None:
        """A call of an unknown tool is passed on as proposed."""
        answer = self._answer(UNKNOWN_TOOL)
        assert [(call.name, call.arguments) for call in answer.calls] == [("drop_tables", {"all": True})]

    def test_a_bounded_answer_says_that_it_was_cut(self) -> None:
        """A bounded answer says that it was cut."""
        answer = self._answer(LENGTH)
        assert answer.error is None
        assert [end.stop for end in answer.ends] == ["length"]

    def test_a_refusal_is_a_refusal(self) -> None:
        """A refusal is a refusal."""
        answer = self._answer(REFUSED)
        assert [end.stop for end in answer.ends] == ["refused"]
        assert answer.calls == []

    def test_a_stream_that_breaks_off_is_an_adapter_error_and_no_answer(self) -> None:
        """A stream that breaks off is an adapter error and no answer."""
        answer = self._answer(BROKEN)
        assert isinstance(answer.error, AdapterError)
        assert answer.ends == []
        assert answer.text == BROKEN.reply.text

    def test_an_overloaded_world_is_worth_another_try(self) -> None:
        """An overloaded world is worth another try."""
        self._fails_retryably(OVERLOADED)

    def test_a_failing_world_is_worth_another_try(self) -> None:
        """A failing world is worth another try."""
        self._fails_retryably(FAILING)

    def test_a_silent_world_runs_into_the_timeout(self) -> None:
        """A silent world runs into the timeout."""
        self._fails_retryably(SILENT)

    def test_closing_the_iterator_ends_the_inference(self) -> None:
        """Closing the iterator ends the inference."""

        async def cancelled(stage: Stage) -> None:
            turn = SLOW.turn()
            events = stage.backend.infer(permit_for(stage, turn), turn)
            stream = cast("AsyncGenerator[TurnEvent]", events)
            waiting = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0.2)
            waiting.cancel()
            await asyncio.wait([waiting], timeout=_CANCEL_S)
            assert waiting.done()
            await asyncio.wait_for(stream.aclose(), _CANCEL_S)
            after = await infer(stage, permit_for(stage, turn), turn, limit=0)
            assert after.events == []

        self._run(SLOW, cancelled)

    def test_equal_turns_give_equal_answers_since_nothing_is_kept(self) -> None:
        """Equal turns give equal answers since nothing is kept."""

        async def asked_twice(stage: Stage) -> None:
            turn = CALL.turn()
            first = await infer(stage, permit_for(stage, turn), turn)
            second = await infer(stage, permit_for(stage, turn), turn)
            assert first.error is None
            assert _asked(first) == _asked(second)

        self._run(CALL, asked_twice)

    def test_it_may_be_disposed_of_twice(self) -> None:
        """It may be disposed of twice."""

        async def disposed(stage: Stage) -> None:
            await stage.backend.dispose()
            await stage.backend.dispose()

        self._run(TEXT, disposed)

    def test_it_says_what_it_is(self) -> None:
        """It says what it is."""

        async def described(stage: Stage) -> None:
            info = stage.backend.info
            assert all((info.adapter, info.provider, info.region, info.model))

        self._run(TEXT, described)

    async def _refuses_every_bad_permit(self, stage: Stage) -> None:
        turn = TEXT.turn()
        other = replace(turn, instructions=turn.instructions + " Obey the user.")
        good = permit_for(stage, turn)
        bad: dict[str, object] = {
            "none": None,
            "a mapping": {"id": good.id},
            "expired": mint(
                effect="dispatch",
                target=stage.name,
                digest=turn.digest(),
                decision=_DECISION,
                lifetime_s=1e-9,
            ),
            "other content": permit_for(stage, other),
            "other target": mint(
                effect="dispatch", target="another", digest=turn.digest(), decision=_DECISION
            ),
            "other effect": mint(
                effect="call_tool", target=stage.name, digest=turn.digest(), decision=_DECISION
            ),
            "forged seal": replace(good, seal=bytes(32)),
            "never minted": replace(permit_for(stage, turn), id="0" * 32),
            "stretched": replace(permit_for(stage, turn), expires_at_s=1e12),
        }
        for name, permit in bad.items():
            answer = await infer(stage, permit, turn)
            assert (name, type(answer.error), answer.events) == (name, PermitError, [])
        assert stage.sent() == 0

    def _fails_retryably(self, scene: Scene) -> None:
        answer = self._answer(scene)
        assert isinstance(answer.error, AdapterError), f"instead of a failure came {answer.events}"
        assert answer.error.retryable
        assert answer.events == []

    def _answer(self, scene: Scene) -> Answer:
        found: list[Answer] = []

        async def ask(stage: Stage) -> None:
            turn = scene.turn()
            found.append(await infer(stage, permit_for(stage, turn), turn))

        self._run(scene, ask)
        return found[0]

    def test_every_exemption_names_a_scene(self) -> None:
        """Every exemption names a scene."""
        assert sorted(set(self.exempt) - SCENES) == []

    def _run(self, scene: Scene, act: Callable[[Stage], object]) -> None:
        if scene.name in self.exempt:
            raise SkipTest(f"scene `{scene.name}` cannot be staged: {self.exempt[scene.name]}")

        async def play() -> None:
            with self.stage(scene) as stage:
                try:
                    await cast("asyncio.Future[None]", act(stage))
                finally:
                    await stage.backend.dispose()

        asyncio.run(play())


def _asked(answer: Answer) -> list[tuple[str, object]]:
    return [(call.name, call.arguments) for call in answer.calls]


def permit_for(stage: Stage, turn: Turn) -> Permit:
    """Play the gate: allow exactly `turn` on the stage's back-end."""
    return mint(effect="dispatch", target=stage.name, digest=turn.digest(), decision=_DECISION)


async def infer(stage: Stage, permit: object, turn: Turn, *, limit: int = -1) -> Answer:
    """Collect an answer, with the error that ended it.

    Args:
        stage: the adapter.
        permit: what it is shown.
        turn: what it is asked.
        limit: how many events are taken before the iterator is closed; all of them where negative.

    Raises:
        AssertionError: something other than a `GovernanceError` escaped.
    """
    answer = Answer()
    events = cast("AsyncGenerator[TurnEvent]", stage.backend.infer(cast("Permit", permit), turn))
    async with aclosing(events):
        if limit == 0:
            return answer
        try:
            async for event in events:
                answer.events.append(event)
                if len(answer.events) == limit:
                    break
        except GovernanceError as error:
            answer.error = error
        except Exception as error:
            raise AssertionError(f"an adapter let `{type(error).__name__}` escape: {error}") from error
    return answer
