// The TypeScript SDK 2.x: `Client` of @modelcontextprotocol/client. Argument: `auto` or `legacy`.

import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

import { run, versionOf } from "./checks.mjs";

const mode = process.argv[2];

async function connect() {
  const client = new Client({ name: "interop", version: "1.0.0" }, { versionNegotiation: { mode } });
  await client.connect(new StdioClientTransport({ command: process.env.SHIM, env: process.env }));
  return {
    version: client.getNegotiatedProtocolVersion(),
    listTools: async () => (await client.listTools()).tools,
    async call(name, given, options) {
      const result = await client.callTool({ name, arguments: given }, options);
      return { failed: result.isError === true, texts: result.content.map((block) => block.text) };
    },
    close: () => client.close(),
  };
}

await run(`typescript ${versionOf("@modelcontextprotocol/client")} ${mode}`, connect, { auto: "2026-07-28", legacy: "2025-11-25" }[mode]);
