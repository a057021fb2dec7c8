"""One document on many back-ends: the comparison that `remit backends compare` prints."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from remit import Caller
from remit.document.revision import genesis
from remit.errors import DocumentError, EvaluationError
from remit.host.models import catalogue, models_folder
from remit.workbench.comparison import Plan, compare
from remit.workbench.transcript import Said, closed, heard, read_transcript

if TYPE_CHECKING:
    from remit import Document
    from remit.workbench.comparison import Comparison

WEIGHTS = models_folder(os.environ) / f"{catalogue()[0].sha256}.gguf"
ANN = Caller(id="ann", roles=("clerk",), attributes={})
NETWORK = ("openai-chat", "openai-responses", "openai-assistants", "anthropic", "google")
LOOKUP: dict[str, Any] = {
    "type": "object",
    "properties": {"order_id": {"type": "string"}},
    "required": ["order_id"],
    "additionalProperties": False,
}
SAID = (
    Said(text="I look.", calls=(("lookup_order", '{"order_id":"A-1002"}'),), stop="tool_calls"),
    Said(
        calls=(
            ("refund", '{"order_id":"A-1002"}'),
            ("lookup_order", '{"order_id":7}'),
            ("drop_tables", "{}"),
        ),
        stop="tool_calls",
    ),
    Said(text="It is lost, and nothing can be refunded."),
)


def entry(adapter: str, region: str = "EU", **config: Any) -> dict[str, Any]:
    base = {} if adapter in ("scripted", "llama-cpp") else {"base_url": "https://vendor.invalid"}
    if adapter == "scripted":
        base = {"script": [{"say": "x"}]}
    return {
        "name": adapter.replace("openai-", ""),
        "adapter": adapter,
        "provider": "p",
        "region": region,
        "model": "local-default",
        "config": {**base, **config},
    }


def document(*backends: dict[str, Any], dispatch: list[dict[str, Any]] | None = None) -> Document:
    tools = [
        {
            "name": name,
            "description": "Look up an order by its order id: amount paid, status and item.",
            "parameters": LOOKUP,
            "effect": "read",
            "source": {"python": f"tools:{name}"},
            "rules": rules,
        }
        for name, rules in (
            ("lookup_order", [{"id": "lookup", "effect": "permit"}]),
            ("refund", [{"id": "no-refunds", "effect": "forbid", "because": "refunds are closed"}]),
        )
    ]
    return genesis(
        {
            "memory": {"blocks": []},
            "governance": {
                "attributes": {"jurisdiction": "EU", "risk_tier": "limited", "owner": "o"},
                "activation": [{"id": "clerks"}],
                "mutation": [],
                "termination": [],
            },
            "capabilities": {
                "instructions": "You are the refund desk of a web shop. You look up orders.",
                "tools": tools,
                "backends": list(backends),
                "dispatch": dispatch or [{"id": "models"}],
            },
            "execution_state": {"lifecycle": "ready", "usage": {}, "pending": []},
        },
        nonce="ef" * 16,
    )


def compared(agent: Document, tmp_path: Path, **more: Any) -> Comparison:
    plan = Plan(document=agent, folder=tmp_path, text="How is A-1002?", caller=ANN, environment={}, **more)
    return asyncio.run(compare(plan))


def test_the_traces_of_six_back_ends_are_equal_line_by_line_and_no_wire_is_violated(tmp_path: Path) -> None:
    agent = document(*(entry(adapter) for adapter in (*NETWORK, "scripted")))
    found = compared(agent, tmp_path, said=SAID, truth=True)
    assert [item.status for item in found.backends] == ["completed"] * 6
    assert found.equal
    assert [item.violations for item in found.backends] == [()] * 6
    first = found.lines()
    assert [line[0].verdict for line in first if line[0] is not None].count("deny") == 3
    for line in first:
        assert (
            len({(s.principal, s.action, s.resource, s.context, s.verdict, s.rules) for s in line if s}) == 1
        )


def test_a_call_with_malformed_arguments_is_denied_alike_wherever_a_wire_can_carry_it(tmp_path: Path) -> None:
    said = (Said(calls=(("lookup_order", '{"order_id": "A-1'),), stop="tool_calls"), Said(text="no"))
    # Gemini's wire carries objects, so that such a call never leaves the vendor there.
    agent = document(*(entry(adapter) for adapter in (*NETWORK[:4], "scripted")))
    found = compared(agent, tmp_path, said=said)
    assert found.equal
    assert "invalid_arguments" in [step.kind for step in found.backends[0].steps]


def test_a_rule_about_regions_makes_the_traces_differ_and_that_is_said(tmp_path: Path) -> None:
    rules = [{"id": "eu-only", "when": 'resource.region == "EU"', "because": "inference stays in the EU"}]
    agent = document(entry("openai-chat"), entry("anthropic", region="US"), dispatch=rules)
    found = compared(agent, tmp_path, said=SAID)
    assert not found.equal
    assert [item.status.partition(":")[0] for item in found.backends] == ["completed", "denied"]
    assert found.lines()[-1][1] is None


def test_a_back_end_that_can_be_given_no_words_is_not_compared_and_that_is_said(tmp_path: Path) -> None:
    agent = document(entry("llama-cpp", model_sha256="0" * 64), entry("openai-chat"))
    found = compared(agent, tmp_path, said=SAID)
    assert [item.how for item in found.backends] == ["not compared", "loopback"]
    assert "make it the lead" in found.backends[0].status
    assert not found.equal  # one trace is no comparison


def test_only_the_named_back_ends_are_run(tmp_path: Path) -> None:
    agent = document(entry("openai-chat"), entry("openai-responses"), entry("anthropic"))
    found = compared(agent, tmp_path, said=SAID, backends=("chat", "anthropic"))
    assert [item.name for item in found.backends] == ["chat", "anthropic"]


def test_somebody_must_say_what_the_model_says(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="give a transcript or a lead"):
        compared(document(entry("openai-chat")), tmp_path)
    with pytest.raises(DocumentError, match="no back-end `nobody`"):
        compared(document(entry("openai-chat")), tmp_path, said=SAID, backends=("nobody",))


def test_nothing_is_left_of_a_comparison_and_no_tool_runs(tmp_path: Path) -> None:
    compared(document(entry("openai-chat"), entry("scripted")), tmp_path, said=SAID)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.model
@pytest.mark.skipif(
    not WEIGHTS.is_file(), reason="the embedded model's weights are not in the cache: remit models pull"
)
def test_what_a_real_model_asks_for_is_decided_alike_on_every_wire(tmp_path: Path) -> None:
    lead = entry("llama-cpp", model_sha256=catalogue()[0].sha256)
    agent = document(lead, *(entry(adapter) for adapter in NETWORK))
    plan = Plan(
        document=agent,
        folder=tmp_path,
        text="What is the status of order A-1002?",
        caller=ANN,
        environment={},
        lead="llama-cpp",
        truth=True,
    )
    found = asyncio.run(compare(plan))
    assert found.equal
    assert found.said[0].calls == (("lookup_order", '{"order_id": "A-1002"}'),)
    assert [item.violations for item in found.backends] == [()] * 6


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("[]", "at least one", 1),
        ("- {}", "a step holds some of", 1),
        ("- say: x\n- shout: y", "`shout` is none of", 2),
        ("- call: {name: x, args: {}}", "a call is an object of", 1),
        ("- say: 5", "`say` is not a text", 1),
        ("- say: x\n  stop: later", "`stop` is none of", 2),
        ("- raw_call: {name: x}", "a raw call is an object of two texts", 1),
    ],
)
def test_a_transcript_that_is_not_acceptable_names_its_place(
    text: str, message: str, line: int, tmp_path: Path
) -> None:
    path = tmp_path / "said.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DocumentError, match=message) as caught:
        read_transcript(path)
    assert caught.value.faults[0].line == line


def test_a_transcript_of_the_examples_is_read(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "examples" / "refund-desk" / "transcripts"
    assert read_transcript(folder / "too-large.yaml")[0].calls[0][0] == "refund"
    assert closed(()) == (Said(),)
    assert heard([]) == ()
