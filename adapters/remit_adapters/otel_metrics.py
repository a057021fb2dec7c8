"""OpenTelemetry metrics of observations.

Rule: every attribute is of few values.
Ids, digests, runs and names that are not declared are never among them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit_adapters.otel_names import DURATION_BUCKETS_S, FAST_BUCKETS_S, PROVIDERS, TOKEN_BUCKETS

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, Meter
    from opentelemetry.util.types import AttributeValue

    from remit.observations import Observation


class Metrics:
    """The instruments of one meter."""

    def __init__(self, meter: Meter) -> None:
        def duration(name: str, description: str, buckets: tuple[float, ...] = FAST_BUCKETS_S) -> Histogram:
            return meter.create_histogram(
                name, unit="s", description=description, explicit_bucket_boundaries_advisory=buckets
            )

        self._decisions = meter.create_counter(
            "remit.decisions", unit="{decision}", description="Decisions by verdict, kind and action."
        )
        self._decision_s = duration("remit.decision.duration", "From a question to its durable answer.")
        self._tool_s = duration(
            "remit.tool.duration", "From a durable intent to a durable outcome.", DURATION_BUCKETS_S
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=TOKEN_BUCKETS,
        )
        self._inference_s = duration(
            "gen_ai.client.operation.duration", "GenAI operation duration.", DURATION_BUCKETS_S
        )
        self._append_s = duration(
            "remit.ledger.append.duration", "From handing over records to their being durable."
        )
        self._ledger_failures = meter.create_counter(
            "remit.ledger.failures", unit="{failure}", description="Commits that failed; each one denied."
        )
        self._divergences = meter.create_counter(
            "remit.engine.divergences",
            unit="{divergence}",
            description="Images on which compiled policies differed from the reference engine.",
        )
        self._runs = meter.create_counter(
            "remit.runs", unit="{run}", description="Runs that stopped, by status."
        )
        self._stops = meter.create_counter(
            "remit.stops", unit="{stop}", description="Kill and suspend orders that reached a run."
        )

    def observe(self, observation: Observation) -> None:
        """Count and measure one observation."""
        name, seconds = observation.name, observation.duration_s
        if name.startswith("decision_"):
            decided = _labels(
                observation,
                {
                    "verdict": "remit.decision",
                    "kind": "remit.decision.kind",
                    "action": "remit.action",
                    "dry_run": "remit.run.dry_run",
                },
            )
            self._decisions.add(1, decided)
            self._decision_s.record(seconds, decided)
        elif name == "tool_finished":
            self._tool_s.record(
                seconds, _labels(observation, {"tool": "gen_ai.tool.name", "outcome": "remit.tool.outcome"})
            )
        elif name in ("inference_finished", "inference_failed"):
            self._inferred(observation)
        elif name == "ledger_appended":
            self._append_s.record(seconds)
        elif name == "ledger_failed":
            self._ledger_failures.add(1, _labels(observation, {"error": "error.type"}))
        elif name == "engine_diverged":
            self._divergences.add(1, _labels(observation, {"when": "remit.engine.when"}))
        elif name == "run_ended":
            self._runs.add(
                1, _labels(observation, {"status": "remit.run.status", "dry_run": "remit.run.dry_run"})
            )
        elif name == "stop_noticed":
            self._stops.add(1, _labels(observation, {"order": "remit.order", "scope": "remit.order.scope"}))

    def _inferred(self, observation: Observation) -> None:
        labels = {
            "gen_ai.operation.name": "chat",
            **_labels(
                observation,
                {"model": "gen_ai.request.model", "response_model": "gen_ai.response.model"},
            ),
        }
        provider = str(observation.values.get("provider", ""))
        if provider:
            labels["gen_ai.provider.name"] = PROVIDERS.get(provider, provider)
        if observation.name == "inference_failed":
            labels["error.type"] = "inference_failed"
        self._inference_s.record(observation.duration_s, labels)
        for kind in ("input", "output"):
            count = observation.values.get(f"{kind}_tokens")
            if isinstance(count, int):
                self._tokens.record(count, {**labels, "gen_ai.token.type": kind})


def _labels(observation: Observation, names: dict[str, str]) -> dict[str, AttributeValue]:
    values = observation.values
    return {name: values[member] for member, name in names.items() if values.get(member, "") != ""}
