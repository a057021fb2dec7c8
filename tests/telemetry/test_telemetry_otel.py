"""Spans and metrics, read back from the real OpenTelemetry SDK's in-memory exporters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import SpanKind, StatusCode
from telemetry_support import ANA, open_desk, recorded

from remit import Caller
from remit.ports import Stop
from remit.testing import telemetry_contract
from remit_adapters.otel_names import SCHEMA_URL
from remit_adapters.otel_telemetry import OtelSink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

    from remit.ports import TelemetrySink

SMALL = "Refund 40 euros for order A-1001."
LARGE = "Refund 900 euros for order A-1002, it does not work."


class Measured:
    """A sink on the SDK, whose spans and metrics can be read."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.traces = TracerProvider()
        self.traces.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.sink = OtelSink(
            tracer_provider=self.traces, meter_provider=MeterProvider(metric_readers=[self.reader])
        )

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def named(self, beginning: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name.startswith(beginning)]

    def points(self) -> dict[str, list]:
        data = self.reader.get_metrics_data()
        return {
            metric.name: list(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


def test_every_decision_has_a_span_with_the_id_under_which_the_ledger_knows_it(tmp_path: Path) -> None:
    measured = Measured()
    with open_desk(tmp_path / "store", measured.sink) as runtime:
        runtime.run(SMALL, caller=ANA)
    known = {record.digest: record for record in recorded(tmp_path / "store", "decision")}
    decided = measured.named("decide ")
    assert [span.attributes["remit.decision.id"] for span in decided] == list(known)
    for span in decided:
        record = known[span.attributes["remit.decision.id"]]
        body = record.value["body"]
        assert span.name == f"decide {body['action']}"
        assert span.attributes["remit.decision"] == body["verdict"]
        assert span.attributes["remit.decision.index"] == record.index
        assert span.attributes["remit.image.digest"] == body["image"]
        assert span.end_time > span.start_time


def test_every_span_of_a_run_carries_a_decision_that_the_ledger_allowed_it_by(tmp_path: Path) -> None:
    measured = Measured()
    with open_desk(tmp_path / "store", measured.sink) as runtime:
        runtime.run(SMALL, caller=ANA)
    bodies = {record.digest: record.value["body"] for record in recorded(tmp_path / "store", "decision")}
    wanted = {"invoke_agent": "activate", "chat transcript": "dispatch", "execute_tool refund": "refund"}
    found = {
        span.name: bodies[span.attributes["remit.decision.id"]]
        for span in measured.spans
        if not span.name.startswith("decide ")
    }
    assert {name: body["action"] for name, body in found.items()} == wanted
    for span in measured.spans:
        assert span.attributes["remit.decision"] == "allow"
        assert span.attributes["remit.policy.ids"]
        assert span.attributes["remit.image.digest"].startswith("sha256:")


def test_spans_of_a_run_lie_under_it_and_it_lies_under_the_span_of_the_embedder(tmp_path: Path) -> None:
    measured = Measured()
    tracer = measured.traces.get_tracer("embedder")
    with open_desk(tmp_path / "store", measured.sink) as runtime, tracer.start_as_current_span("request"):
        runtime.run(SMALL, caller=ANA)
    (request,) = measured.named("request")
    (run,) = measured.named("invoke_agent")
    assert run.parent.span_id == request.context.span_id
    below = [span for span in measured.spans if span not in (request, run)]
    assert {span.parent.span_id for span in below} == {run.context.span_id}
    assert {span.context.trace_id for span in measured.spans} == {request.context.trace_id}
    assert all(run.start_time <= span.start_time <= span.end_time <= run.end_time for span in below)


def test_names_are_those_of_the_pinned_release_of_the_conventions(tmp_path: Path) -> None:
    measured = Measured()
    with open_desk(tmp_path / "store", measured.sink, content=True) as runtime:
        runtime.run(SMALL, caller=ANA)
    attributes = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    metrics = {value for name, value in vars(gen_ai_metrics).items() if name.startswith("GEN_AI_")}
    used = {name for span in measured.spans for name in span.attributes if name.startswith("gen_ai.")}
    measures = {name for name in measured.points() if name.startswith("gen_ai.")}
    assert used - attributes == set()
    assert measures == {"gen_ai.client.token.usage", "gen_ai.client.operation.duration"} <= metrics
    assert SCHEMA_URL in {schema.value for schema in Schemas}
    assert {span.instrumentation_scope.schema_url for span in measured.spans} == {SCHEMA_URL}
    assert {span.attributes.get("gen_ai.operation.name") for span in measured.spans} - {None} == {
        "chat",
        "execute_tool",
        "invoke_agent",
    }
    assert {span.kind for span in measured.named("chat")} == {SpanKind.CLIENT}


def test_no_span_holds_arguments_results_or_the_caller_unless_asked_for(tmp_path: Path) -> None:
    plain, asked = Measured(), Measured()
    for measured, content in ((plain, False), (asked, True)):
        with open_desk(tmp_path / str(content), measured.sink, content=content) as runtime:
            runtime.run(SMALL, caller=ANA)
    said = " ".join(span.to_json() for span in plain.spans)
    told = " ".join(span.to_json() for span in asked.spans)
    assert [word for word in ("ana-the-clerk", "A-1001") if word in said] == []
    assert [word for word in ("ana-the-clerk", "A-1001") if word in told] == ["ana-the-clerk", "A-1001"]
    (call,) = asked.named("execute_tool")
    assert "A-1001" in call.attributes["gen_ai.tool.call.arguments"]
    assert "A-1001" in call.attributes["gen_ai.tool.call.result"]


def test_a_denial_is_a_decision_and_no_error(tmp_path: Path) -> None:
    measured = Measured()
    with open_desk(tmp_path / "store", measured.sink) as runtime:
        runtime.run(SMALL, caller=Caller(id="bob", roles=("clerk",), attributes={"jurisdiction": "US"}))
    (decided,) = measured.named("decide ")
    (run,) = measured.named("invoke_agent")
    assert decided.attributes["remit.decision"] == "deny"
    assert run.attributes["remit.run.status"] == "denied"
    assert {decided.status.status_code, run.status.status_code} == {StatusCode.UNSET}


def test_a_run_that_waits_ends_its_span_and_goes_on_in_another(tmp_path: Path) -> None:
    measured = Measured()
    rita = Caller(id="rita", roles=("risk-officer",), attributes={"jurisdiction": "EU"})
    with open_desk(tmp_path / "store", measured.sink, transcript="large-refund") as runtime:
        result = runtime.run(LARGE, caller=ANA)
        runtime.approve(result.pending.id, by=rita, reason="seen")
        runtime.resume_run(result.run)
    runs = measured.named("invoke_agent")
    assert [(span.attributes["remit.run.status"], span.attributes["remit.run.resumed"]) for span in runs] == [
        ("awaiting_approval", False),
        ("completed", True),
    ]
    assert [event.name for event in runs[0].events] == ["remit.approval_requested"]


def test_a_stopped_run_is_an_error_of_its_span_and_says_which_order_it_met(tmp_path: Path) -> None:
    measured = Measured()
    with open_desk(tmp_path / "store", measured.sink) as runtime:
        runtime.store.control.stop(
            Stop(scope="tool:refund", order="kill", by="otto", reason="a leak", at="2026-01-01T00:00:00.000Z")
        )
        runtime.run(SMALL, caller=ANA)
    (run,) = measured.named("invoke_agent")
    assert (run.status.status_code, run.attributes["error.type"]) == (StatusCode.ERROR, "terminated")
    assert [(event.name, event.attributes["remit.order"]) for event in run.events] == [
        ("remit.stop_noticed", "kill")
    ]
    assert measured.named("execute_tool") == []


def test_metrics_count_what_the_ledger_holds(tmp_path: Path) -> None:
    measured = Measured()
    with open_desk(tmp_path / "store", measured.sink) as runtime:
        result = runtime.run(SMALL, caller=ANA)
    points = measured.points()
    actions = [record.value["body"]["action"] for record in recorded(tmp_path / "store", "decision")]
    counted = {point.attributes["remit.action"]: point.value for point in points["remit.decisions"]}
    assert counted == {action: actions.count(action) for action in actions}
    assert sum(point.count for point in points["remit.decision.duration"]) == len(actions)
    assert sum(point.sum for point in points["gen_ai.client.token.usage"]) == result.usage["tokens"]
    assert {point.attributes["gen_ai.token.type"] for point in points["gen_ai.client.token.usage"]} == {
        "input",
        "output",
    }
    assert [
        (point.attributes["gen_ai.tool.name"], point.count) for point in points["remit.tool.duration"]
    ] == [("refund", 1)]
    assert points["remit.ledger.append.duration"][0].count >= len(actions)
    assert [(point.attributes["remit.run.status"], point.value) for point in points["remit.runs"]] == [
        ("completed", 1)
    ]


def test_a_divergence_and_a_failed_commit_are_counted() -> None:
    measured = Measured()
    for name in ("engine_diverged", "ledger_failed", "ledger_failed"):
        measured.sink.observe(telemetry_contract.sample(name))
    points = measured.points()
    assert [point.value for point in points["remit.engine.divergences"]] == [1]
    assert [point.value for point in points["remit.ledger.failures"]] == [2]


def test_closing_ends_the_spans_of_runs_whose_end_was_not_told() -> None:
    measured = Measured()
    for name in ("run_started", "inference_started", "tool_started"):
        measured.sink.observe(telemetry_contract.sample(name))
    assert measured.spans == ()
    measured.sink.close()
    assert len(measured.spans) == 3


@pytest.mark.parametrize("case", telemetry_contract.CASES, ids=lambda case: case.__name__)
def test_opentelemetry_keeps_the_contract(case: Callable[[Callable[[], TelemetrySink]], None]) -> None:
    case(lambda: Measured().sink)
