"""The published contract of the port `TelemetrySink`: every sink passes every case.

    @pytest.mark.parametrize("case", telemetry_contract.CASES, ids=lambda case: case.__name__)
    def test_it_keeps_the_contract(case): case(open_my_sink)

Rules
1. A sink takes every observation that the runtime makes, whole or with members missing, in any order.
2. It ignores names that it does not know: a newer runtime has more of them.
3. `close` is idempotent, also after nothing was observed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.observations import NAMES, Observation

if TYPE_CHECKING:
    from collections.abc import Callable

    from remit.observations import Named, Scalar
    from remit.ports import TelemetrySink

_SECOND_NS = 1_000_000_000
_START_NS = 1_700_000_000 * _SECOND_NS
_COUNTS = frozenset(("index", "turn", "step", "records", "input_tokens", "output_tokens", "cost_microusd"))
_FLAGS = frozenset(("approved", "dry_run", "resumed", "in_flight"))


def sample(name: str, *, run: str = "run-1", at_ns: int = _START_NS) -> Observation:
    """Return an observation of a name with a value of the right kind for each of its members."""
    named = NAMES[name]
    return Observation(
        name=name,
        agent="sha256:" + "a" * 64,
        run=run,
        at_ns=at_ns + _SECOND_NS,
        began_ns=at_ns,
        values={member: _value(member) for member in named.members},
        private=_private(named),
    )


def _private(named: Named) -> dict[str, str]:
    return dict.fromkeys(named.private, "a person's own words")


def _value(member: str) -> Scalar:
    if member in _COUNTS:
        return 3
    if member in _FLAGS:
        return True
    return ("rule-1", "rule-2") if member == "policies" else f"a {member}"


def takes_every_observation_in_the_order_of_a_run(open_sink: Callable[[], TelemetrySink]) -> None:
    """Rule 1."""
    sink = open_sink()
    for number, name in enumerate(NAMES):
        sink.observe(sample(name, at_ns=_START_NS + number * _SECOND_NS))
    sink.close()


def takes_every_observation_alone(open_sink: Callable[[], TelemetrySink]) -> None:
    """Rule 1: a run that ended before the sink was opened, or that never began."""
    for name in NAMES:
        sink = open_sink()
        sink.observe(sample(name))
        sink.close()


def takes_observations_whose_members_are_not_known(open_sink: Callable[[], TelemetrySink]) -> None:
    """Rule 1."""
    sink = open_sink()
    for name in (*NAMES, *reversed(tuple(NAMES))):
        sink.observe(Observation(name=name, agent="", run="", at_ns=_START_NS, began_ns=_START_NS))
    sink.close()


def takes_the_observations_of_runs_at_once(open_sink: Callable[[], TelemetrySink]) -> None:
    """Rule 1."""
    sink = open_sink()
    for name in NAMES:
        for run in ("run-1", "run-2", "operation-1"):
            sink.observe(sample(name, run=run))
    sink.close()


def ignores_names_of_a_newer_runtime(open_sink: Callable[[], TelemetrySink]) -> None:
    """Rule 2."""
    sink = open_sink()
    sink.observe(
        Observation(name="of_a_newer_runtime", agent="a", run="r", at_ns=_START_NS, began_ns=_START_NS)
    )
    sink.close()


def closes_more_than_once(open_sink: Callable[[], TelemetrySink]) -> None:
    """Rule 3."""
    sink = open_sink()
    sink.close()
    sink.close()


CASES: tuple[Callable[[Callable[[], TelemetrySink]], None], ...] = (
    takes_every_observation_in_the_order_of_a_run,
    takes_every_observation_alone,
    takes_observations_whose_members_are_not_known,
    takes_the_observations_of_runs_at_once,
    ignores_names_of_a_newer_runtime,
    closes_more_than_once,
)
"""Every case, to be parametrized over."""
