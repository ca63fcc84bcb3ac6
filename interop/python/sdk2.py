"""The Python SDK 2.x: `mcp.Client`. Argument: `auto` or `legacy`."""

import os
import sys
from contextlib import asynccontextmanager
from importlib import metadata

import anyio
import checks
import mcp

REVISION = {"auto": "2026-07-28", "legacy": "2025-11-25"}


class Adapter:
    TIMED_OUT = mcp.MCPError

    def __init__(self, client):
        self.client = client
        self.version = client.protocol_version

    async def list_tools(self):
        listed = await self.client.list_tools()
        return [tool.model_dump(by_alias=True, exclude_none=True) for tool in listed.tools]

    async def call(self, name, arguments, progress=None, timeout=None):
        async def shown(value, _total, message):
            progress(value, message)

        result = await self.client.call_tool(
            name, arguments, read_timeout_seconds=timeout, progress_callback=progress and shown
        )
        return bool(result.is_error), [block.text for block in result.content]

    async def cancel_during(self, name, arguments, until):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.call, name, arguments)
            await until()
            tasks.cancel_scope.cancel()


def connect(mode):
    @asynccontextmanager
    async def connected():
        server = mcp.StdioServerParameters(command=os.environ["SHIM"], env=dict(os.environ))
        async with mcp.Client(server, mode=mode) as client:
            assert client.server_info.name == "codex-oauth", client.server_info
            yield Adapter(client)

    return connected


mode = sys.argv[1]
anyio.run(checks.run, f"python mcp {metadata.version('mcp')} {mode}", connect(mode), REVISION[mode])
