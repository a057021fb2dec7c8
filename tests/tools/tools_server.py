"""An MCP server for the tests: two tools that leave a line in a file each time they run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mcp.server.mcpserver import MCPServer


def make_server(log: Path) -> MCPServer:
    server = MCPServer("counter")

    def ran(name: str) -> None:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{name}\n")

    @server.tool()
    def add(n: int) -> dict[str, int]:
        """Add one."""
        ran("add")
        return {"sum": n + 1}

    @server.tool()
    def other(n: int) -> dict[str, int]:
        """Do something else."""
        ran("other")
        return {"other": n}

    @server.tool()
    def fails(n: int) -> dict[str, int]:
        """Fail."""
        ran("fails")
        raise ValueError("secret detail")

    @server.tool()
    async def hangs(n: int) -> dict[str, int]:
        """Hang."""
        import anyio

        ran("hangs")
        await anyio.sleep(30)
        return {}

    @server.tool()
    def floods(n: int) -> str:
        """Return a lot."""
        ran("floods")
        return "x" * n

    return server


if __name__ == "__main__":
    sys.stderr.write("noise on standard error\n")
    assert "REMIT_TEST_SECRET" not in os.environ
    make_server(Path(sys.argv[1])).run("stdio")
