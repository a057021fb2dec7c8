"""Telemetry as OpenTelemetry spans and metrics, through the API alone (`opentelemetry-api` 1.30 or newer).

Rules
1. Names are those of the GenAI semantic conventions in the release that `SCHEMA_URL` pins; what the
   conventions have no word for is called `remit.…`.
2. A run is a span `invoke_agent`; under it lie `decide {action}`, `chat {model}` and `execute_tool {tool}`.
3. Each span carries `remit.decision.id`, the digest of the record of the decision that allowed it, or that
   it is: with it `remit ledger show` finds what was decided. Traces are sampled and are no evidence.
4. A denial is no error of a span; a decision that could not be made is one.
5. Exporters, sampling and shutting down are the embedder's, who configures the SDK.

Sources: OpenTelemetry semantic conventions 1.41.0, docs/gen-ai: gen-ai-agent-spans, gen-ai-spans and
gen-ai-metrics (status: development).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit_adapters.otel_metrics import Metrics
from remit_adapters.otel_names import PROVIDERS, SCHEMA_URL, SCOPE, version

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, SpanKind, Tracer, TracerProvider
    from opentelemetry.util.types import AttributeValue

    from remit.observations import Observation, Scalar

_EVENTS = frozenset(
    ("approval_requested", "backend_skipped", "memory_changed", "outcome_unknown", "stop_noticed")
)
"""Observations that have no extent and belong to their run's span."""
_UNDECIDED = frozenset(("error", "unavailable"))
"""Kinds of denials that mean that something is broken, and not that a rule said no."""
_DECISION = {
    "decision": "remit.decision.id",
    "verdict": "remit.decision",
    "policies": "remit.policy.ids",
    "image": "remit.image.digest",
}


class _Run:
    """The open spans of one run, and what is known of its decisions."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.inference: Span | None = None
        self.tool: Span | None = None
        self.decisions: dict[Scalar, dict[str, AttributeValue]] = {}

    def end(self, at_ns: int) -> None:
        """End whatever is open."""
        for span in (self.tool, self.inference, self.span):
            if span is not None:
                span.end(at_ns)


class OtelSink:
    """Turns observations into spans and metrics.

    Args:
        tracer_provider: where spans go; the global one where None.
        meter_provider: where metrics go; the global one where None.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        from opentelemetry import metrics, trace

        self._tracer: Tracer = trace.get_tracer(
            SCOPE, version(), tracer_provider=tracer_provider, schema_url=SCHEMA_URL
        )
        self._metrics = Metrics(
            metrics.get_meter(SCOPE, version(), meter_provider=meter_provider, schema_url=SCHEMA_URL)
        )
        self._runs: dict[str, _Run] = {}
        self._last_ns = 0

    def observe(self, observation: Observation) -> None:
        """Make spans and metrics of one observation."""
        self._last_ns = observation.at_ns
        self._metrics.observe(observation)
        name = observation.name
        run = self._runs.get(observation.run)
        if name == "run_started":
            self._begin(observation)
        elif name.startswith("decision_"):
            self._decision(observation, run)
        elif run is None:
            # Without its run's span nothing else has a place.
            return
        elif name == "run_ended":
            self._end(observation, run)
        elif name == "inference_started":
            self._infer(observation, run)
        elif name in ("inference_finished", "inference_failed"):
            self._inferred(observation, run)
        elif name == "tool_started":
            self._call(observation, run)
        elif name == "tool_finished":
            self._called(observation, run)
        elif name in _EVENTS:
            members = {f"remit.{key}": value for key, value in observation.values.items()}
            run.span.add_event(f"remit.{name}", members, observation.at_ns)

    def close(self) -> None:
        """End the spans of runs whose end was not told."""
        for run in self._runs.values():
            run.end(self._last_ns)
        self._runs.clear()

    # Runs.

    def _begin(self, observation: Observation) -> None:
        left = self._runs.pop(observation.run, None)
        if left is not None:
            left.end(observation.at_ns)
        values = observation.values
        span = self._tracer.start_span(
            "invoke_agent",
            kind=_kind("INTERNAL"),
            attributes=_known(
                {
                    "gen_ai.operation.name": "invoke_agent",
                    "gen_ai.agent.id": observation.agent,
                    "gen_ai.agent.version": values.get("revision"),
                    "gen_ai.conversation.id": observation.run,
                    "remit.run.id": observation.run,
                    "remit.run.dry_run": values.get("dry_run"),
                    "remit.run.resumed": values.get("resumed"),
                    "remit.image.digest": values.get("image"),
                    "enduser.id": observation.private.get("caller"),
                }
            ),
            start_time=observation.at_ns,
        )
        self._runs[observation.run] = _Run(span)

    def _end(self, observation: Observation, run: _Run) -> None:
        status = str(observation.values.get("status", ""))
        run.span.set_attributes(
            _known(
                {
                    "remit.run.status": status,
                    "remit.run.reason": observation.private.get("reason"),
                    "remit.revision": observation.values.get("revision"),
                }
            )
        )
        if status in ("failed", "terminated"):
            _fail(run.span, status)
        run.end(observation.at_ns)
        del self._runs[observation.run]

    # What happens in a run.

    def _decision(self, observation: Observation, run: _Run | None) -> None:
        values, private = observation.values, observation.private
        decided = _known({name: values.get(member) for member, name in _DECISION.items()})
        action = str(values.get("action", ""))
        span = self._span(
            f"decide {action}".rstrip(),
            observation,
            run,
            {
                **decided,
                "gen_ai.agent.id": observation.agent,
                "remit.run.id": observation.run,
                "remit.action": action,
                "remit.decision.kind": values.get("kind"),
                "remit.decision.index": values.get("index"),
                "remit.decision.step": values.get("step"),
                "remit.run.dry_run": values.get("dry_run"),
                "remit.resource.type": values.get("resource"),
                "remit.resource.id": private.get("resource_id"),
                "remit.decision.because": private.get("because"),
            },
        )
        kind = str(values.get("kind", ""))
        if kind in _UNDECIDED:
            _fail(span, kind)
        span.end(observation.at_ns)
        if run is not None and "decision" in values:
            run.decisions[values["decision"]] = decided
            if action == "activate":
                run.span.set_attributes(decided)

    def _infer(self, observation: Observation, run: _Run) -> None:
        values = observation.values
        provider = PROVIDERS.get(str(values.get("provider", "")), values.get("provider"))
        model = str(values.get("model", ""))
        run.inference = self._span(
            f"chat {model}".rstrip(),
            observation,
            run,
            {
                **_behind(observation, run),
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": provider,
                "gen_ai.request.model": model,
                "gen_ai.agent.id": observation.agent,
                "gen_ai.conversation.id": observation.run,
                "remit.backend": values.get("backend"),
                "remit.turn": values.get("turn"),
            },
            kind="CLIENT",
        )
        run.span.set_attributes(_known({"gen_ai.provider.name": provider}))

    def _inferred(self, observation: Observation, run: _Run) -> None:
        span, run.inference = run.inference, None
        if span is None:
            return
        values = observation.values
        if observation.name == "inference_failed":
            _fail(span, "inference_failed")
        span.set_attributes(
            _known(
                {
                    "gen_ai.response.model": values.get("response_model"),
                    "gen_ai.response.finish_reasons": (str(values["stop"]),) if "stop" in values else None,
                    "gen_ai.usage.input_tokens": values.get("input_tokens"),
                    "gen_ai.usage.output_tokens": values.get("output_tokens"),
                    "remit.usage.cost_microusd": values.get("cost_microusd"),
                }
            )
        )
        span.end(observation.at_ns)

    def _call(self, observation: Observation, run: _Run) -> None:
        tool = str(observation.values.get("tool", ""))
        run.tool = self._span(
            f"execute_tool {tool}".rstrip(),
            observation,
            run,
            {
                **_behind(observation, run),
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": tool,
                "gen_ai.tool.type": "function",
                "gen_ai.tool.call.arguments": observation.private.get("arguments"),
                "gen_ai.agent.id": observation.agent,
                "gen_ai.conversation.id": observation.run,
                "remit.turn": observation.values.get("turn"),
            },
        )

    def _called(self, observation: Observation, run: _Run) -> None:
        span, run.tool = run.tool, None
        if span is None:
            return
        outcome = str(observation.values.get("outcome", ""))
        span.set_attributes(
            _known(
                {
                    "remit.tool.outcome": outcome,
                    "gen_ai.tool.call.result": observation.private.get("result"),
                }
            )
        )
        if outcome in ("failed", "unknown"):
            _fail(span, outcome)
        span.end(observation.at_ns)

    def _span(
        self,
        name: str,
        observation: Observation,
        run: _Run | None,
        attributes: dict[str, AttributeValue | None],
        *,
        kind: str = "INTERNAL",
    ) -> Span:
        from opentelemetry.trace import set_span_in_context

        return self._tracer.start_span(
            name,
            context=None if run is None else set_span_in_context(run.span),
            kind=_kind(kind),
            attributes=_known(attributes),
            start_time=observation.began_ns,
        )


def _behind(observation: Observation, run: _Run) -> dict[str, AttributeValue | None]:
    """Return what is known of the decision that allowed something."""
    decision = observation.values.get("decision")
    return {"remit.decision.id": decision, **run.decisions.get(decision or "", {})}


def _known(attributes: dict[str, AttributeValue | None]) -> dict[str, AttributeValue]:
    return {name: value for name, value in attributes.items() if value is not None and value != ""}


def _kind(name: str) -> SpanKind:
    from opentelemetry.trace import SpanKind

    return SpanKind[name]


def _fail(span: Span, kind: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))


def open_sink() -> OtelSink:
    """Open the sink `otel` on the providers that the process has configured.

    Raises:
        ImportError: `opentelemetry-api` is not installed.
    """
    return OtelSink()
