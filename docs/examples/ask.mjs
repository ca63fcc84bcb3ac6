#!/usr/bin/env node
// Asks one question over the socket of codex-oauth and prints the answer as it comes: ask.mjs QUESTION

import crypto from "node:crypto";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";

function fail(message) {
  throw new Error(message);
}

// Where the daemon listens.
function endpoint() {
  const uid = process.geteuid();
  const runUser = fs.lstatSync(`/run/user/${uid}`, { throwIfNoEntry: false });
  const caches = path.join(os.homedir(), "Library/Caches/codex-oauth");
  let folder = `/tmp/codex-oauth-${uid}`;
  if (process.env.CODEX_OAUTH_RUNTIME_DIR) folder = process.env.CODEX_OAUTH_RUNTIME_DIR;
  else if (runUser?.isDirectory() && runUser.uid === uid) folder = `/run/user/${uid}/codex-oauth`;
  else if (process.platform === "darwin" && Buffer.byteLength(caches) <= 91) folder = caches;
  const found = fs.lstatSync(folder, { throwIfNoEntry: false });
  if (!found) fail("no daemon is running; start it with `codex-oauth daemon start`");
  // A question is for our own daemon only: the directory must be ours, a real one, and closed to others.
  if (!found.isDirectory() || found.uid !== uid || found.mode & 0o077) {
    fail(`${folder} is not a directory of yours alone`);
  }
  return path.join(folder, "daemon.sock");
}

// The path with its links resolved, as far as it exists.
function canonical(file) {
  if (fs.existsSync(file)) return fs.realpathSync(file);
  return path.join(canonical(path.dirname(file)), path.basename(file));
}

function hello() {
  const authFile = process.env.CODEX_OAUTH_AUTH_FILE || path.join(os.homedir(), ".claude/auth.json");
  return {
    protocol: { min: 1, max: 2 },
    build: "ask.mjs",
    role: "api",
    pid: process.pid,
    cwd: process.cwd(),
    nonce: crypto.randomBytes(16).toString("hex"),
    next: 1,
    auth_file: canonical(authFile),
  };
}

// Messages, one a line. Not `node:readline`: it also splits at U+2028, which may stand inside a JSON string.
async function* messages(connection) {
  let rest = "";
  connection.setEncoding("utf8");
  for await (const chunk of connection) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    for (const line of lines) if (!line.startsWith("@")) yield JSON.parse(line);
  }
}

async function ask(question) {
  const connection = net.connect(endpoint());
  const send = (message) => connection.write(`${JSON.stringify(message)}\n`);
  send({ hello: hello() });
  for await (const { welcome, refusal, error, method, params } of messages(connection)) {
    if (refusal) fail(refusal.error.message);
    if (error) fail(error.message);
    if (welcome) {
      const input = [{ type: "text", text: question }];
      send({ jsonrpc: "2.0", id: 1, method: "turn/start", params: { input } });
    } else if (method === "item/agentMessage/delta") {
      process.stdout.write(params.delta);
    } else if (method === "turn/completed") {
      if (params.status !== "completed") fail(params.error.message);
      process.stdout.write("\n");
      return;
    }
  }
  fail("the connection ended before the answer did");
}

if (process.argv.length !== 3) {
  console.error("usage: ask.mjs QUESTION");
  process.exitCode = 2;
} else {
  ask(process.argv[2]).catch((error) => {
    const absent = ["ENOENT", "ECONNREFUSED"].includes(error.code);
    const why = absent ? "no daemon is running; start it with `codex-oauth daemon start`" : error.message;
    console.error(`\nask.mjs: ${why}`);
    process.exitCode = 1;
  });
}
