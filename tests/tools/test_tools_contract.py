"""Every tool source keeps the published contract; MCP over all three transports."""

from __future__ import annotations

import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tools_server import make_server

from remit.document.model import Tool
from remit.errors import AdapterError
from remit.permit import mint  # noqa: TID251  # the test plays the gate's part
from remit.ports import Invocation, ToolContext
from remit.testing import tool_contract
from remit.testing.tool_contract import Subject
from remit_adapters import mcp_tools, python_tools

HERE = Path(__file__).parent
PARAMETERS = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
WORDS = {
    "add": "Add one.",
    "other": "Do something else.",
    "fails": "Fail.",
    "hangs": "Hang.",
    "floods": "Return a lot.",
}


def document_tool(name: Any, source: Any, **more: Any) -> Tool:
    return Tool(
        name=name,
        description=WORDS.get(name, name),
        parameters=PARAMETERS,
        effect="write",
        source=source,
        **more,
    )


def context(folder: Any = None, functions: Any = None, servers: Any = None) -> ToolContext:
    return ToolContext(folder=folder, environment={}, functions=functions or {}, servers=servers or {})


def lines(log: Any) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture
def http_url(tmp_path: Path) -> Any:
    import uvicorn

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = make_server(tmp_path / "log").streamable_http_app()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}/mcp"
    server.should_exit = True
    thread.join(10)


def mcp_source(kind: Any, tmp_path: Path, http_url: Any = "") -> dict[str, Any]:
    if kind == "stdio":
        return {"command": [sys.executable, str(HERE / "tools_server.py"), str(tmp_path / "log")]}
    return {"url": http_url} if kind == "http" else {"server": "counter"}


def mcp_subject(kind: Any, tmp_path: Path, http_url: Any = "") -> Subject:
    log = tmp_path / "log"
    config = mcp_source(kind, tmp_path, http_url)
    tools = [document_tool(name, {"mcp": config}) for name in ("add", "other")]
    return Subject(
        open=lambda: mcp_tools.open_tools(tools, context=context(servers={"counter": make_server(log)})),
        tool="add",
        other="other",
        arguments={"n": 1},
        changed={"n": 2},
        runs=lambda: lines(log),
        result={"sum": 2},
    )


def python_subject(tmp_path: Path) -> Subject:
    ran = []

    def add(n: int) -> dict[str, int]:
        ran.append(n)
        return {"sum": n + 1}

    async def other(n: int) -> dict[str, int]:
        ran.append(n)
        return {"other": n}

    functions = {"add": add, "other": other}
    tools = [document_tool(name, {"python": f"tools:{name}"}) for name in functions]
    return Subject(
        open=lambda: python_tools.open_tools(tools, context=context(functions=functions)),
        tool="add",
        other="other",
        arguments={"n": 1},
        changed={"n": 2},
        runs=lambda: len(ran),
        result={"sum": 2},
    )


@pytest.mark.parametrize("case", tool_contract.CASES, ids=lambda case: case.__name__)
async def test_python_functions_act_only_under_a_permit(case: Any, tmp_path: Path) -> None:
    await case(python_subject(tmp_path))


@pytest.mark.parametrize("case", tool_contract.CASES, ids=lambda case: case.__name__)
async def test_an_mcp_server_in_memory_acts_only_under_a_permit(case: Any, tmp_path: Path) -> None:
    await case(mcp_subject("memory", tmp_path))


@pytest.mark.parametrize("case", tool_contract.CASES, ids=lambda case: case.__name__)
async def test_an_mcp_server_over_standard_input_acts_only_under_a_permit(
    case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMIT_TEST_SECRET", "must not reach the server")
    await case(mcp_subject("stdio", tmp_path))


async def test_an_mcp_server_over_http_acts_only_under_a_permit(tmp_path: Path, http_url: Any) -> None:
    for case in tool_contract.CASES:
        await case(mcp_subject("http", tmp_path, http_url))


async def run(source: Any, name: Any, n: Any = 1) -> Any:
    invocation = Invocation(tool=name, arguments={"n": n}, key="k")
    permit = mint(effect="call_tool", target=name, digest=invocation.digest(), decision="sha256:0")
    try:
        return await source.call(permit, invocation)
    finally:
        await source.close()


def memory_source(tmp_path: Path, tool: Any) -> Any:
    return mcp_tools.open_tools([tool], context=context(servers={"counter": make_server(tmp_path / "log")}))


async def test_an_mcp_tool_that_fails_is_an_error_result(tmp_path: Path) -> None:
    result = await run(
        memory_source(tmp_path, document_tool("fails", {"mcp": {"server": "counter"}})), "fails"
    )
    assert not result.ok
    assert "Traceback" not in str(result.value)


async def test_an_mcp_tool_that_hangs_has_an_unknown_outcome(tmp_path: Path) -> None:
    tool = document_tool("hangs", {"mcp": {"server": "counter"}}, timeout_s=0.2)
    with pytest.raises(AdapterError, match="outcome is unknown"):
        await run(memory_source(tmp_path, tool), "hangs")


async def test_an_mcp_result_over_the_size_cap_is_refused(tmp_path: Path) -> None:
    tool = document_tool("floods", {"mcp": {"server": "counter"}}, max_result_bytes=1000)
    result = await run(memory_source(tmp_path, tool), "floods", n=100_000)
    assert (result.ok, "1000" in str(result.value)) == (False, True)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"description": "Add two."}, "description"),
        ({"parameters": {**PARAMETERS, "properties": {"n": {"type": "string"}}}}, "parameters"),
        ({"parameters": {**PARAMETERS, "required": []}}, "parameters"),
    ],
)
async def test_a_tool_that_drifted_is_refused_by_name_before_anything_runs(
    tmp_path: Path, change: Any, word: Any
) -> None:
    from dataclasses import replace

    tool = replace(document_tool("add", {"mcp": {"server": "counter"}}), **change)
    source = memory_source(tmp_path, tool)
    with pytest.raises(AdapterError, match=f"`add` has drifted: the server's {word}"):
        await source.describe()
    with pytest.raises(AdapterError, match="drifted"):
        await run(source, "add")
    assert lines(tmp_path / "log") == 0


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"url": "ftp://x"},
        {"server": "none"},
        {"command": []},
        {"command": "ls"},
        {"url": "http://x", "command": ["y"]},
        {"command": ["x"], "env": ["NOT_SET"]},
    ],
)
def test_a_source_that_cannot_be_opened_is_named(config: Any) -> None:
    with pytest.raises(AdapterError, match="tool `add`"):
        mcp_tools.open_tools([document_tool("add", {"mcp": config})], context=context())


async def test_a_server_that_does_not_start_or_answer_is_an_adapter_error() -> None:
    for config in (
        {"command": ["/nonexistent/program"]},
        {"command": [sys.executable, "-c", "pass"]},
        {"url": "http://127.0.0.1:9/mcp"},
    ):
        source = mcp_tools.open_tools([document_tool("add", {"mcp": config})], context=context())
        with pytest.raises(AdapterError):
            await source.describe()
        await source.close()
