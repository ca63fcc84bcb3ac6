// What any MCP client must find: the same promises as python/checks.py, for the TypeScript SDKs.
//
// An adapter has `listTools()`, `call(name, arguments, { onprogress, signal, timeout })`, `close()` and `version`;
// results are `{ failed, texts }`.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

import Ajv from "ajv/dist/2020.js";

// Longer than anything takes on a busy machine, so that it ends only what would hang.
const PATIENCE_MS = 20_000;
// No single check takes longer, so that a hang names itself.
const CHECK_MS = 30_000;
// The SDKs end a server by force when it has not gone this long after its input ended (MCP.md §0 point 3).
const GRACE_MS = 2_000;

const TOOLS = ["codex_clear", "codex_login", "codex_models", "codex_query", "codex_status"];

async function admin(path, body) {
  const options = body && { method: "POST", body: JSON.stringify(body) };
  const answer = await fetch(`${process.env.FAKE_ADMIN}/${path}`, options);
  assert.equal(answer.status, 200, `${path}: ${answer.status}`);
  return answer.json();
}

const script = (effect, times = 1) => admin("script", { on: "responses", times, effect });
const release = (gate) => admin(`release/${gate}`, {});

/** The turns whose input holds a text, as soon as they satisfy a condition. */
async function turns(text, condition) {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const { entries } = await admin("journal");
    const asked = entries.filter((entry) => entry.endpoint === "responses" && JSON.stringify(entry.body).includes(text));
    if (condition(asked)) return asked;
    assert.ok(performance.now() < deadline, `waited for "${text}"; seen: ${JSON.stringify(asked)}`);
    await sleep(20);
  }
}

/** Opens a link as a browser's address bar would, without the `Sec-Fetch-Mode: cors` of `fetch`; the last status. */
async function follow(link) {
  const answer = await new Promise((resolve, reject) => get(link, resolve).on("error", reject));
  answer.resume();
  const { location } = answer.headers;
  return location ? follow(new URL(location, link).href) : answer.statusCode;
}

const held = (gate) => ({ action: { kind: "stream", fault: { kind: "hold", after_events: 4, gate } } });
const flowing = (asked) => asked.some((entry) => entry.events === 4);

const CHECKS = {
  async "lists five tools whose schemas are valid"(client) {
    const tools = await client.listTools();
    assert.deepEqual(tools.map((tool) => tool.name).sort(), TOOLS);
    for (const tool of tools) new Ajv({ strict: true }).compile(tool.inputSchema);
    const query = new Ajv().compile(tools.find((tool) => tool.name === "codex_query").inputSchema);
    assert.ok(query({ prompt: "x", model: "y", temperature: 0.5 }));
    assert.ok(!query({}) && !query({ prompt: 1 }));
  },

  async "an answer contains its prompt"(client) {
    const { failed, texts } = await client.call("codex_query", { prompt: "the colour of the sea" });
    assert.ok(!failed && texts[0].endsWith("to: the colour of the sea") && texts[1].includes("tok"), texts);
  },

  async "four calls run at the same time and get their own answers"(client) {
    await script({ hold: "all-four" }, 4);
    const prompts = [0, 1, 2, 3].map((number) => `parallel ${number}`);
    const answers = Promise.all(prompts.map((prompt) => client.call("codex_query", { prompt })));
    await turns("parallel ", (asked) => asked.length === 4);
    await release("all-four");
    for (const [n, { failed, texts }] of (await answers).entries()) {
      assert.ok(!failed && texts[0].endsWith(`to: ${prompts[n]}`), texts);
    }
  },

  async "progress arrives and rises"(client) {
    const seen = [];
    const { failed, texts } = await client.call(
      "codex_query",
      { prompt: "[[pace 450]] slowly" },
      { onprogress: (progress) => seen.push(progress) },
    );
    assert.ok(!failed, texts);
    assert.ok(seen.length >= 2 && seen.every(({ message }) => message), JSON.stringify(seen));
    assert.ok(seen.every(({ progress }, n) => n === 0 || progress > seen[n - 1].progress), JSON.stringify(seen));
  },

  async "a cancelled call ends upstream, and the next one is answered"(client) {
    await script(held("never"));
    const cancel = new AbortController();
    const call = client.call("codex_query", { prompt: "call this off" }, { signal: cancel.signal });
    const refused = assert.rejects(call);
    await turns("call this off", flowing);
    cancel.abort("user-cancel");
    await refused;
    await turns("call this off", ([turn]) => turn.outcome === "client_gone");
    const { failed, texts } = await client.call("codex_query", { prompt: "after it" });
    assert.ok(!failed && texts[0].endsWith("to: after it"), texts);
  },

  async "a turn whose client stopped waiting goes on to its end"(client) {
    await script(held("late"));
    await assert.rejects(client.call("codex_query", { prompt: "take your time" }, { timeout: 500 }), /timed out/i);
    // A call after it: whatever the client sent about the timeout has been read when this is answered.
    assert.ok(!(await client.call("codex_status", {})).failed);
    await release("late");
    const [turn] = await turns("take your time", ([turn]) => turn && turn.outcome !== "in_progress");
    assert.equal(turn.outcome, "complete");
  },

  async "a wrong argument is an error result that names it"(client) {
    for (const [given, named] of [[{}, "prompt"], [{ prompt: 7 }, "string"], [{ prompt: "x", colour: 1 }, "colour"]]) {
      const { failed, texts } = await client.call("codex_query", given);
      assert.ok(failed && texts[0].includes(named), texts);
    }
    const { failed, texts } = await client.call("codex_query", { prompt: "x", model: "gpt-6.1-soll" });
    assert.ok(failed && texts[0].includes("gpt-6.1-sol"), texts);
  },

  async "codex_status and codex_models tell the account and its models"(client) {
    const status = await client.call("codex_status", {});
    assert.ok(!status.failed && status.texts[0].toLowerCase().includes("ada@example.com (plus)"), status.texts);
    assert.equal(JSON.parse(status.texts[1]).authenticated, true);
    const listed = await client.call("codex_models", {});
    const models = JSON.parse(listed.texts[1]);
    assert.ok(!listed.failed && models.default === "gpt-6.1-sol" && models.models.includes("gpt-5.5"), listed.texts);
  },

  async "codex_clear signs out, codex_login's link signs in again"(client) {
    const cleared = await client.call("codex_clear", {});
    assert.ok(!cleared.failed && cleared.texts[0].includes("revoked"), cleared.texts);
    const refused = await client.call("codex_query", { prompt: "nobody asks this" });
    assert.ok(refused.failed && refused.texts[0].includes("Not authenticated"), refused.texts);
    const login = await client.call("codex_login", {});
    const link = login.texts[0].split("\n").find((line) => line.startsWith("http"));
    assert.ok(!login.failed && link, login.texts);
    assert.equal(await follow(link), 200);
    assert.equal(JSON.parse((await client.call("codex_status", {})).texts[1]).authenticated, true);
    assert.ok(!(await client.call("codex_query", { prompt: "again" })).failed);
  },
};

/** Name and version of an installed package. */
export function versionOf(name) {
  const installed = new URL(`node_modules/${name}/package.json`, import.meta.url);
  return `${name.split("/")[1]} ${JSON.parse(readFileSync(installed, "utf8")).version}`;
}

/** Runs everything with one client; `connect` gives an adapter, `version` is the revision that it must settle on. */
export async function run(name, connect, version) {
  let failures = 0;
  const check = async (promise, body) => {
    const began = performance.now();
    const row = (verdict) => console.log(`${verdict} ${name}: ${promise} ${((performance.now() - began) / 1000).toFixed(1)}`);
    const limit = new AbortController();
    try {
      const late = sleep(CHECK_MS, undefined, { signal: limit.signal }).then(() => assert.fail(`over ${CHECK_MS} ms`));
      await Promise.race([body(), late.catch((error) => (limit.signal.aborted ? undefined : Promise.reject(error)))]);
      row("ok  ");
    } catch (error) {
      failures += 1;
      row("FAIL");
      console.error(`--- ${name}: ${promise}\n`, error);
    } finally {
      limit.abort();
    }
  };

  let client;
  await check(`settles on ${version}`, async () => {
    client = await connect();
    assert.equal(client.version, version);
  });
  if (client) {
    for (const [promise, body] of Object.entries(CHECKS)) await check(promise, () => body(client));
    await check("ends when its input ends", async () => {
      const began = performance.now();
      await client.close();
      assert.ok(performance.now() - began < GRACE_MS, "so late that it was killed");
    });
  }
  process.exit(failures > 0 ? 1 : 0);
}
