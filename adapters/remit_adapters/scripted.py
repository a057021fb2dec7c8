"""Back-end `scripted`: replays a written transcript. For tests, dry runs and documentation; needs no package.

Config
    script   the assistant's turns, in order; each is an object of
             say      text, streamed in pieces
             call     {name, arguments}: one proposed call
             calls    [{name, arguments}, …]: several at once
             raw_call {name, raw}: a call whose argument text is given as the model would write it
             raw_calls [{name, raw}, …]: several of those
             fail     text, or {message, retryable}: the back-end fails, after what the step says
             stop     end, tool_calls, length, refused or paused; by default tool_calls with a call, else end
             used     [{name, detail}, …]: uses of built-ins, as a vendor would report them; one that was not
                      offered fails the step
             carry    opaque text that is given back with the answer
             hang_s   seconds to wait before anything is said
             usage    {input_tokens, output_tokens, cost_microusd}
    path     a YAML or JSON file with a member `script`, relative to the project folder, instead of `script`
    on_end   after the last step: stop (an empty answer, the default) or repeat (from the first step)

It keeps nothing between turns: the position is the number of assistant messages in the turn's own thread,
so a run goes on in another process where it stood.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from remit.document.carriers import format_of, read_value
from remit.document.values import JsonObject, JsonValue, canonical_bytes
from remit.errors import AdapterError, FaultsError
from remit.messages import (
    BuiltinUse,
    CallProposed,
    StopReason,
    TextDelta,
    TokenUsage,
    ToolCall,
    TurnEnd,
    turn_value,
)
from remit_adapters.calls import strict_arguments
from remit_adapters.config import ConfigReader
from remit_adapters.dispatch import backend_info, redeem_dispatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from remit.document.model import BackendEntry
    from remit.messages import Turn, TurnEvent
    from remit.permit import Permit
    from remit.ports import BackendContext, BackendInfo

VERSION = "1"
BUILTINS = ("code_interpreter", "file_search", "web_search")
_STOPS: tuple[StopReason, ...] = ("end", "tool_calls", "length", "refused", "paused")
_MAX_HANG_S = 3600.0
_BYTES_PER_TOKEN = 4
"""A transcript has no tokenizer; four bytes a token is the usual estimate, equal in every process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedCall:
    """A call of the transcript; `arguments` is None where the text is not a JSON object."""

    name: str
    arguments: JsonObject | None
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The step ends in an `AdapterError`."""

    message: str
    retryable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One assistant turn of the transcript.

    Args:
        say: text, streamed first.
        calls: proposed calls, after the text.
        fail: how the back-end fails after that, or None.
        stop: why the answer ended.
        hang_s: seconds to wait first.
        usage: tokens and cost, or None to estimate them.
        used: uses of built-ins.
        carry: opaque text that is given back with the answer.
    """

    say: str = ""
    calls: tuple[ScriptedCall, ...] = ()
    fail: Failure | None = None
    stop: StopReason = "end"
    hang_s: float = 0.0
    usage: TokenUsage | None = None
    used: tuple[BuiltinUse, ...] = ()
    carry: str = ""


class ScriptedBackend:
    """Replays steps; see the module's docstring."""

    def __init__(
        self, entry: BackendEntry, steps: tuple[Step, ...], *, on_end: Literal["stop", "repeat"]
    ) -> None:
        self._entry = entry
        self._steps = steps
        self._on_end = on_end

    @property
    def info(self) -> BackendInfo:
        """What it is."""
        return backend_info(self._entry, {"version": VERSION, "steps": str(len(self._steps))})

    async def infer(self, permit: Permit, turn: Turn) -> AsyncIterator[TurnEvent]:
        """Redeem the permit and replay the step that the thread stands at.

        Raises:
            PermitError: no valid permit.
            AdapterError: the step says `fail`.
        """
        redeem_dispatch(permit, backend=self._entry.name, turn=turn)
        position = sum(1 for message in turn.messages if message.role == "assistant")
        step = self._step(position)
        if step.hang_s:
            await asyncio.sleep(step.hang_s)
        offered = {item.name for item in turn.builtins}
        for use in step.used:
            if use.name not in offered:
                raise AdapterError(
                    f"back-end `{self._entry.name}`: the transcript uses `{use.name}`, which was not offered"
                )
        for piece in re.findall(r"\s*\S+\s*|\s+", step.say):
            yield TextDelta(text=piece)
        for number, call in enumerate(step.calls):
            yield CallProposed(
                call=ToolCall(
                    id=f"call_{position}_{number}", name=call.name, arguments=call.arguments, raw=call.raw
                )
            )
        if step.fail is not None:
            raise AdapterError(
                f"back-end `{self._entry.name}`: {step.fail.message}", retryable=step.fail.retryable
            )
        yield TurnEnd(
            stop=step.stop,
            usage=step.usage or _estimate(turn, step),
            model=self._entry.model,
            detail={"step": str(position)},
            used=step.used,
            carried=step.carry,
        )

    async def dispose(self) -> None:
        """Release nothing: it holds nothing."""

    def _step(self, position: int) -> Step:
        if position < len(self._steps):
            return self._steps[position]
        if self._on_end == "repeat":
            return self._steps[position % len(self._steps)]
        return Step()


def open_backend(entry: BackendEntry, *, context: BackendContext) -> ScriptedBackend:
    """Open the transcript that `entry.config` holds or names.

    Raises:
        AdapterError: the config is not acceptable; names the member.
    """
    config = ConfigReader.of_entry(entry)
    config.only("script", "path", "on_end")
    on_end = config.choice("on_end", ("stop", "repeat"), default="stop")
    if ("script" in config.value) == ("path" in config.value):
        raise config.error("", "exactly one of `script` and `path` is needed")
    if "path" in config.value:
        config = _script_file(config, context)
    steps = tuple(_step(item) for item in config.objects("script"))
    if not steps:
        raise config.error("script", "a transcript needs at least one step")
    return ScriptedBackend(entry, steps, on_end=cast("Literal['stop', 'repeat']", on_end))


def _script_file(config: ConfigReader, context: BackendContext) -> ConfigReader:
    path = config.path("path", context)
    try:
        parsed = read_value(path.read_bytes(), format=format_of(path.name), file=str(path))
    except OSError as error:
        raise config.error("path", f"`{path}` cannot be read: {error.strerror or error}") from error
    except FaultsError as error:
        raise config.error("path", f"not a readable transcript: {error}") from error
    value: JsonValue = parsed.value
    if isinstance(value, list):
        value = {"script": value}
    if not isinstance(value, dict) or "script" not in value:
        raise config.error("path", f"`{path}` has no member `script`")
    return ConfigReader(value=value, where=f"{config.where}: `{path.name}`")


def _step(item: ConfigReader) -> Step:
    item.only(
        "say", "call", "calls", "raw_call", "raw_calls", "fail", "stop", "hang_s", "usage", "used", "carry"
    )
    if not item.value:
        raise item.error(
            "", "a step needs at least one of `say`, `call`, `calls`, `raw_call`, `fail`, `stop`"
        )
    calls: list[ScriptedCall] = []
    if "call" in item.value:
        calls.append(_call(item.object("call")))
    if "calls" in item.value:
        calls.extend(_call(call) for call in item.objects("calls"))
    if "raw_call" in item.value:
        calls.append(_raw_call(item.object("raw_call")))
    if "raw_calls" in item.value:
        calls.extend(_raw_call(call) for call in item.objects("raw_calls"))
    default: StopReason = "tool_calls" if calls else "end"
    return Step(
        say=item.text("say", default=""),
        calls=tuple(calls),
        fail=_failure(item) if "fail" in item.value else None,
        stop=cast("StopReason", item.choice("stop", _STOPS, default=default)),
        hang_s=item.number("hang_s", minimum=0.0, maximum=_MAX_HANG_S, default=0.0),
        usage=_usage(item.object("usage")) if "usage" in item.value else None,
        used=tuple(_use(use) for use in item.objects("used")) if "used" in item.value else (),
        carry=item.text("carry", default=""),
    )


def _use(item: ConfigReader) -> BuiltinUse:
    item.only("name", "detail")
    return BuiltinUse(
        name=item.text("name"), detail=item.object("detail").value if "detail" in item.value else {}
    )


def _call(item: ConfigReader) -> ScriptedCall:
    item.only("name", "arguments")
    arguments = item.object("arguments").value if "arguments" in item.value else {}
    return ScriptedCall(
        name=item.text("name"), arguments=arguments, raw=canonical_bytes(arguments).decode("utf-8")
    )


def _raw_call(item: ConfigReader) -> ScriptedCall:
    item.only("name", "raw")
    raw = item.text("raw")
    return ScriptedCall(name=item.text("name"), arguments=strict_arguments(raw), raw=raw)


def _failure(item: ConfigReader) -> Failure:
    if isinstance(item.value["fail"], str):
        return Failure(message=item.text("fail"))
    fail = item.object("fail")
    fail.only("message", "retryable")
    return Failure(message=fail.text("message"), retryable=fail.flag("retryable", default=False))


def _usage(item: ConfigReader) -> TokenUsage:
    item.only("input_tokens", "output_tokens", "cost_microusd")
    return TokenUsage(
        input_tokens=item.integer("input_tokens", default=0),
        output_tokens=item.integer("output_tokens", default=0),
        cost_microusd=item.integer("cost_microusd", default=0),
    )


def _estimate(turn: Turn, step: Step) -> TokenUsage:
    said = len(step.say.encode()) + sum(
        len(call.name.encode()) + len(call.raw.encode()) for call in step.calls
    )
    return TokenUsage(
        input_tokens=-(-len(canonical_bytes(turn_value(turn))) // _BYTES_PER_TOKEN),
        output_tokens=-(-said // _BYTES_PER_TOKEN),
    )
