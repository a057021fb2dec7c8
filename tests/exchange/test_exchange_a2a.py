from __future__ import annotations

import json
import re

import pytest
from exchange_hostility import (
    broken,
    documents,
    is_read_or_refused,
    read_bytes,
    read_value,
    said,
    shared_file,
)
from hypothesis import HealthCheck, given, settings

from remit.errors import DocumentError
from remit.exchange.a2a import READER

SKILL = {
    "id": "book",
    "name": "Book tickets",
    "description": "Books\nair tickets.",
    "tags": ["air"],
    "examples": ["to Rome", "to  Oslo"],
}


def old_card(**members: object) -> dict[str, object]:
    return {
        "name": "Ticket desk",
        "description": "Sells tickets.",
        "url": "https://tickets.example/a2a",
        "protocolVersion": "0.3.0",
        "preferredTransport": "GRPC",
        "additionalInterfaces": [{"url": "https://tickets.example/rest", "transport": "HTTP+JSON"}],
        "version": "1.2.3",
        "capabilities": {"streaming": True, "pushNotifications": False},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain", "image/png"],
        "provider": {"organization": "Tickets", "url": "https://tickets.example"},
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}},
        "security": [{"key": []}],
        "supportsAuthenticatedExtendedCard": True,
        "skills": [SKILL],
        **members,
    }


def new_card(**members: object) -> dict[str, object]:
    return {
        "name": "Ticket desk",
        "description": "Sells tickets.",
        "supportedInterfaces": [
            {"url": "https://tickets.example/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
            {
                "url": "https://tickets.example/rest",
                "protocolBinding": "HTTP+JSON",
                "protocolVersion": "1.0",
                "tenant": "t",
            },
        ],
        "version": "1.2.3",
        "capabilities": {
            "streaming": True,
            "extendedAgentCard": True,
            "extensions": [{"uri": "https://x.example/ext", "required": True}],
        },
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "securitySchemes": {
            "open": {"openIdConnectSecurityScheme": {"openIdConnectUrl": "https://id.example"}},
            "cert": {"mtlsSecurityScheme": {}},
        },
        "securityRequirements": [{"schemes": {"open": {"list": ["read"]}}}],
        "skills": [SKILL],
        "signatures": [{"protected": "e30", "signature": "c2ln"}],
        **members,
    }


FILES = ("adk_skills_agent_card.json", "adk_currency_agent_card.json", "air_ticketing_agent.json")
DRAFT = """\
You are Ticket desk.

Sells tickets.

What you do:
- Book tickets: Books air tickets. (such as: to Rome; to Oslo)"""


@pytest.mark.parametrize("name", FILES)
def test_a_real_card_becomes_the_draft_of_a_document(name: str) -> None:
    data = shared_file("a2a", name)
    (found,) = read_bytes("a2a", data, file=name)
    assert found.name in found.instructions
    assert found.extensions["interfaces"]
    assert (found.tools, found.backends, found.blocks, found.rules) == ((), (), (), ())
    assert all(remark.line for remark in found.remarks)
    assert len(documents("a2a", data)) == 1


def test_the_new_real_card_names_both_of_its_interfaces() -> None:
    (found,) = read_bytes("a2a", shared_file("a2a", "adk_skills_agent_card.json"))
    assert found.extensions["interfaces"] == [
        {"url": "http://localhost:10999", "protocol_binding": "JSONRPC", "protocol_version": "1.0"},
        {"url": "http://localhost:10999", "protocol_binding": "JSONRPC", "protocol_version": "0.3"},
    ]


@pytest.mark.parametrize(
    "value",
    [
        old_card(),
        new_card(),
        {"name": "x", "supportedInterfaces": [{"url": "https://x"}]},
        {"name": "x", "skills": [], "capabilities": {}, "defaultInputModes": []},
        {"name": "x", "supported_interfaces": []},
        {"jsonrpc": "2.0", "id": 1, "result": new_card()},
    ],
)
def test_a_card_is_found_by_its_content(value: object) -> None:
    assert READER.detects(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "card",
        {},
        {"name": "x"},
        {"name": "x", "skills": [{"name": "images/computer_vision", "id": 1}], "schema_version": "0.7.0"},
        {"name": 3, "url": "https://x", "skills": []},
        {"jsonrpc": "2.0", "result": []},
    ],
)
def test_other_values_are_not_taken_for_a_card(value: object) -> None:
    assert not READER.detects(value)


@pytest.mark.parametrize("value", [old_card(), new_card()], ids=["0.3", "1.0"])
def test_description_and_skills_become_draft_instructions(value: dict[str, object]) -> None:
    (found,) = read_value("a2a", value)
    assert found.instructions == DRAFT
    assert "a card holds no instructions: those of the document are a draft" in said(found, "decide")
    assert found.extensions["skills"] == [{"id": "book", "name": "Book tickets", "tags": ["air"]}]


@pytest.mark.parametrize("value", [old_card(), new_card()], ids=["0.3", "1.0"])
def test_no_back_end_and_no_tool_is_made_of_an_address(value: dict[str, object]) -> None:
    (found,) = read_value("a2a", value)
    assert (found.tools, found.backends, found.builtins) == ((), (), ())
    assert "`https://tickets.example/a2a`, which nothing here contacts" in said(found, "decide")
    assert "`https://tickets.example/rest`, which nothing here contacts" in said(found, "decide")


def test_addresses_are_kept_with_their_protocols() -> None:
    assert read_value("a2a", old_card())[0].extensions["interfaces"] == [
        {"url": "https://tickets.example/a2a", "protocol_binding": "GRPC", "protocol_version": "0.3.0"},
        {"url": "https://tickets.example/rest", "protocol_binding": "HTTP+JSON"},
    ]
    assert read_value("a2a", new_card())[0].extensions["interfaces"][1] == {
        "url": "https://tickets.example/rest",
        "protocol_binding": "HTTP+JSON",
        "protocol_version": "1.0",
        "tenant": "t",
    }


def test_secrets_in_an_address_and_credentials_are_never_carried() -> None:
    value = old_card(
        url="https://user:told@tickets.example/a2a?key=told",
        authentication={"schemes": ["Bearer"], "credentials": "told"},
    )
    (found,) = read_value("a2a", value)
    assert "told" not in repr(found)
    assert found.extensions["interfaces"][0]["url"] == "https://tickets.example/a2a"
    assert "user, password and query of `https://tickets.example/a2a` are left out" in said(found, "lost")
    assert "`credentials`: credentials are never carried" in said(found, "lost")
    assert "callers proved who they are by `Bearer`" in said(found, "decide")


def test_secrets_in_an_address_of_another_scheme_are_not_carried_either() -> None:
    value = new_card(supportedInterfaces=[{"url": "grpcs://user:told@tickets.example:443?key=told#told"}])
    (found,) = read_value("a2a", value)
    assert found.extensions["interfaces"] == [{"url": "grpcs://tickets.example:443"}]
    assert "told" not in repr(found)


def test_security_becomes_no_rule_but_a_decision() -> None:
    (old,) = read_value("a2a", old_card())
    (new,) = read_value("a2a", new_card())
    assert old.extensions["security_schemes"] == {"key": "apiKey"}
    assert new.extensions["security_schemes"] == {"open": "openIdConnect", "cert": "mutualTLS"}
    for found in (old, new):
        assert found.rules == ()
        assert "carried by name alone: write activation rules" in said(found, "decide")
        assert "security requirements: 1, which became no rule" in said(found, "decide")


def test_signatures_are_said_not_to_be_verified() -> None:
    (found,) = read_value("a2a", new_card())
    assert "signatures of the card: 1, none of them verified" in said(found, "decide")
    assert "c2ln" not in repr(found)


def test_abilities_of_the_protocol_are_lost_and_required_extensions_told() -> None:
    (found,) = read_value("a2a", new_card())
    assert "abilities of the protocol, not of an agent" in said(found, "lost")
    assert "callers had to know the extension `https://x.example/ext`" in said(found, "decide")
    assert "there is a fuller card for callers who are known" in said(found, "decide")


def test_forms_other_than_text_are_told() -> None:
    (found,) = read_value("a2a", old_card())
    assert "the agent took or gave `image/png`" in said(found, "decide")


def test_a_skill_with_requirements_of_its_own_is_told() -> None:
    skill = {**SKILL, "security": [{"key": ["write"]}], "inputModes": ["text/plain"], "novelty": 1}
    (found,) = read_value("a2a", old_card(skills=[skill]))
    assert "skill `Book tickets` has security requirements of its own" in said(found, "decide")
    assert "of the skills, `inputModes`, `novelty`" in said(found, "lost")


@pytest.mark.parametrize(("version", "told"), [("0.2.5", False), ("1.0.1", False), ("2.0", True)])
def test_a_protocol_version_that_is_not_known_is_told(version: str, *, told: bool) -> None:
    (found,) = read_value("a2a", old_card(protocolVersion=version))
    assert (f"protocol version `{version}` is not known" in said(found, "decide")) == told


def test_what_is_not_known_is_lost_by_name() -> None:
    (found,) = read_value("a2a", old_card(pricing={"model": "token"}, humanReadableId="t/desk"))
    assert "`pricing`, `humanReadableId`: not known to this importer" in said(found, "lost")


def test_a_card_spelled_in_snake_case_reads_like_the_other() -> None:
    snake = {
        "name": "Ticket desk",
        "description": "Sells tickets.",
        "supported_interfaces": [
            {"url": "https://tickets.example/a2a", "protocol_binding": "JSONRPC", "protocol_version": "1.0"}
        ],
        "default_input_modes": ["text/plain"],
        "security_schemes": {"open": {"open_id_connect_security_scheme": {}}},
        "capabilities": {"extended_agent_card": True},
        "skills": [SKILL],
    }
    (found,) = read_value("a2a", snake)
    assert found.instructions == DRAFT
    assert found.extensions["security_schemes"] == {"open": "openIdConnect"}
    assert found.extensions["interfaces"][0]["protocol_binding"] == "JSONRPC"
    assert "not known to this importer" not in said(found, "lost")


def test_a_card_in_an_answer_of_the_protocol_is_unwrapped() -> None:
    (found,) = read_value("a2a", {"jsonrpc": "2.0", "id": 1, "result": old_card()})
    assert found.instructions == DRAFT
    assert all(remark.pointer.startswith("/result") for remark in found.remarks)


def test_a_card_of_nothing_but_a_name_and_an_address_is_a_draft_too() -> None:
    value = {"name": "x", "supportedInterfaces": [{"url": "grpc.example:443", "protocolBinding": "GRPC"}]}
    (found,) = read_value("a2a", value)
    assert found.instructions == "You are x."
    assert found.extensions["interfaces"][0]["url"] == "grpc.example:443"
    assert documents("a2a", json.dumps(value).encode())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "the file must be an object, not an array"),
        ({"skills": []}, "`name` is missing"),
        ({"name": "x", "description": "y"}, "this is no agent card: it has none of `skills`, `url`"),
        (old_card(name=3), "`name` must be a string, not a number"),
        (old_card(skills={}), "`skills` must be a list, not an object"),
        (old_card(skills=["x"]), "`/skills/0` must be an object, not a string"),
        (old_card(skills=[{"name": "x", "tags": [1]}]), "`/skills/0/tags/0` must be a string, not a number"),
        (old_card(capabilities=[]), "`/capabilities` must be an object, not an array"),
        (old_card(supportsAuthenticatedExtendedCard="yes"), "must be true or false, not a string"),
        (new_card(securitySchemes={"x": 3}), "`/securitySchemes/x` must be an object, not a number"),
        (new_card(supportedInterfaces=[{"url": 3}]), "`url` must be a string, not a number in `/supportedInterfaces/0`"),
    ],
)  # fmt: skip
def test_what_is_no_card_is_refused_with_place_and_reason(value: object, message: str) -> None:
    with pytest.raises(DocumentError, match=re.escape(message)) as caught:
        read_value("a2a", value, file="card.json")
    assert str(caught.value).startswith("card.json:")


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(broken(old_card()))
def test_a_card_of_03_with_values_of_other_types_is_read_or_refused(value: object) -> None:
    is_read_or_refused("a2a", value)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(broken(new_card()))
def test_a_card_of_10_with_values_of_other_types_is_read_or_refused(value: object) -> None:
    is_read_or_refused("a2a", value)
