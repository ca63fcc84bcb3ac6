// The TypeScript SDK 1.x: `Client` of @modelcontextprotocol/sdk.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { CallToolResultSchema } from "@modelcontextprotocol/sdk/types.js";

import { run, versionOf } from "./checks.mjs";

async function connect() {
  const client = new Client({ name: "interop", version: "1.0.0" });
  const transport = new StdioClientTransport({ command: process.env.SHIM, env: process.env });
  // The transport is told the revision that was settled on; the client itself does not tell it.
  let version;
  transport.setProtocolVersion = (settled) => (version = settled);
  await client.connect(transport);
  return {
    version,
    listTools: async () => (await client.listTools()).tools,
    async call(name, given, options) {
      const result = await client.callTool({ name, arguments: given }, CallToolResultSchema, options);
      return { failed: result.isError === true, texts: result.content.map((block) => block.text) };
    },
    close: () => client.close(),
  };
}

await run(`typescript ${versionOf("@modelcontextprotocol/sdk")}`, connect, "2025-11-25");
