"""The Python SDK 1.x: `ClientSession` over `stdio_client`."""

import datetime
import os
from contextlib import asynccontextmanager
from importlib import metadata

import anyio
import checks
from mcp import ClientSession, McpError, StdioServerParameters, stdio_client, types


class Adapter:
    TIMED_OUT = McpError

    def __init__(self, session, version):
        self.session = session
        self.version = version

    async def list_tools(self):
        listed = await self.session.list_tools()
        return [tool.model_dump(by_alias=True, exclude_none=True) for tool in listed.tools]

    async def call(self, name, arguments, progress=None, timeout=None):
        async def shown(value, _total, message):
            progress(value, message)

        result = await self.session.call_tool(
            name,
            arguments,
            read_timeout_seconds=timeout and datetime.timedelta(seconds=timeout),
            progress_callback=progress and shown,
        )
        return bool(result.isError), [block.text for block in result.content]

    async def cancel_during(self, name, arguments, until):
        # This line of the SDK has no call for it: the notification is the client's own business, and so is the id.
        request_id = self.session._request_id
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.call, name, arguments)
            await until()
            params = types.CancelledNotificationParams(requestId=request_id, reason="AbortError: user-cancel")
            notification = types.CancelledNotification(method="notifications/cancelled", params=params)
            await self.session.send_notification(types.ClientNotification(notification))
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def connect():
    server = StdioServerParameters(command=os.environ["SHIM"], env=dict(os.environ))
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        hello = await session.initialize()
        assert hello.serverInfo.name == "codex-oauth", hello
        yield Adapter(session, hello.protocolVersion)


anyio.run(checks.run, f"python mcp {metadata.version('mcp')}", connect, "2025-11-25")
