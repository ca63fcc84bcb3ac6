"""What any MCP client must find. The two SDK lines differ only in the adapter (`sdk1.py`, `sdk2.py`).

An adapter has `list_tools()`, `call(name, arguments, progress=None, timeout=None)`, `cancel_during(name, arguments,
until)` and `version`; results are `(is_error, [text of each block])`.
"""

import json
import os
import pathlib
import sys
import time

import anyio
import anyio.to_thread
import jsonschema

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from fake import Fake, asked, follow  # noqa: E402
from rows import Rows  # noqa: E402

TOOLS = {"codex_query", "codex_status", "codex_login", "codex_clear", "codex_models"}

# Both SDKs end a server by force when it has not gone this long after its input ended (MCP.md §0 point 3).
GRACE_SECONDS = 2

# No single check takes longer, so that a hang names itself.
CHECK_SECONDS = 30

fake = Fake(os.environ["FAKE_ADMIN"])


async def journal_shows(what, condition):
    return await anyio.to_thread.run_sync(fake.wait, what, condition)


async def lists_tools(client):
    """lists five tools whose schemas are valid"""
    tools = await client.list_tools()
    assert {tool["name"] for tool in tools} == TOOLS, tools
    for tool in tools:
        jsonschema.Draft202012Validator.check_schema(tool["inputSchema"])
    query = next(tool for tool in tools if tool["name"] == "codex_query")
    schema = jsonschema.Draft202012Validator(query["inputSchema"])
    assert schema.is_valid({"prompt": "x", "model": "y", "temperature": 0.5})
    assert not schema.is_valid({}) and not schema.is_valid({"prompt": 1})


async def answers(client):
    """an answer contains its prompt"""
    failed, texts = await client.call("codex_query", {"prompt": "the colour of the sea"})
    assert not failed and texts[0].endswith("to: the colour of the sea"), texts
    assert "tok" in texts[1], texts


async def parallel(client):
    """four calls run at the same time and get their own answers"""
    fake.script("responses", times=4, hold="all-four")
    answers = {}

    async def one(prompt):
        answers[prompt] = await client.call("codex_query", {"prompt": prompt})

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(one, f"parallel {number}")
        await journal_shows("four turns under way", lambda seen: len(asked(seen, "parallel ")) == 4)
        fake.release("all-four")
    for prompt, (failed, texts) in answers.items():
        assert not failed and texts[0].endswith(f"to: {prompt}"), (prompt, texts)


async def progress(client):
    """progress arrives and rises"""
    seen = []
    failed, texts = await client.call("codex_query", {"prompt": "[[pace 450]] slowly"}, progress=lambda *p: seen.append(p))
    assert not failed, texts
    values = [value for value, _ in seen]
    assert len(seen) >= 2 and values == sorted(set(values)), seen
    assert all(message for _, message in seen), seen


async def cancels(client):
    """a cancelled call ends upstream, and the next one is answered"""
    fault = {"kind": "hold", "after_events": 4, "gate": "never"}
    fake.script("responses", action={"kind": "stream", "fault": fault})

    def flowing(seen):
        return any(entry["events"] == 4 for entry in asked(seen, "call this off"))

    async def until():
        await journal_shows("the turn's first events", flowing)

    await client.cancel_during("codex_query", {"prompt": "call this off"}, until)
    await journal_shows(
        "the end of the turn", lambda seen: [e["outcome"] for e in asked(seen, "call this off")] == ["client_gone"]
    )
    failed, texts = await client.call("codex_query", {"prompt": "after it"})
    assert not failed and texts[0].endswith("to: after it"), texts


async def times_out(client):
    """a turn whose client stopped waiting goes on to its end"""
    fault = {"kind": "hold", "after_events": 4, "gate": "late"}
    fake.script("responses", action={"kind": "stream", "fault": fault})
    try:
        await client.call("codex_query", {"prompt": "take your time"}, timeout=0.5)
        raise AssertionError("the call was answered though its stream was held")
    except client.TIMED_OUT as error:
        assert "timed out" in str(error).lower(), error
    # A call after it: whatever the client sent about the timeout has been read when this is answered.
    assert not (await client.call("codex_status", {}))[0]
    fake.release("late")
    ended = await journal_shows(
        "the end of the turn", lambda seen: [e["outcome"] for e in asked(seen, "take your time")] != ["in_progress"]
    )
    assert [e["outcome"] for e in asked(ended, "take your time")] == ["complete"]


async def refuses(client):
    """a wrong argument is an error result that names it"""
    for arguments, named in [({}, "prompt"), ({"prompt": 7}, "string"), ({"prompt": "x", "colour": 1}, "colour")]:
        failed, texts = await client.call("codex_query", arguments)
        assert failed and named in texts[0], (arguments, texts)
    failed, texts = await client.call("codex_query", {"prompt": "x", "model": "gpt-6.1-soll"})
    assert failed and "gpt-6.1-sol" in texts[0], texts


async def tells(client):
    """codex_status and codex_models tell the account and its models"""
    failed, texts = await client.call("codex_status", {})
    assert not failed and "ada@example.com (plus)" in texts[0].lower(), texts
    assert json.loads(texts[1])["authenticated"] is True, texts
    failed, texts = await client.call("codex_models", {})
    models = json.loads(texts[1])
    assert not failed and models["default"] == "gpt-6.1-sol" and "gpt-5.5" in models["models"], texts


async def signs_out_and_in(client):
    """codex_clear signs out, codex_login's link signs in again"""
    failed, texts = await client.call("codex_clear", {})
    assert not failed and "revoked" in texts[0], texts
    failed, texts = await client.call("codex_query", {"prompt": "nobody asks this"})
    assert failed and "Not authenticated" in texts[0], texts
    failed, texts = await client.call("codex_login", {})
    link = next(line for line in texts[0].splitlines() if line.startswith("http"))
    assert not failed and await anyio.to_thread.run_sync(follow, link) == 200
    failed, texts = await client.call("codex_status", {})
    assert json.loads(texts[1])["authenticated"] is True, texts
    assert not (await client.call("codex_query", {"prompt": "again"}))[0]


CHECKS = [lists_tools, answers, parallel, progress, cancels, times_out, refuses, tells, signs_out_and_in]


async def run(name, connect, version):
    """Runs everything with one client; `connect` gives an adapter, `version` is the revision that it must settle on."""
    rows = Rows(name)
    began = time.monotonic()
    try:
        async with connect() as client:
            assert client.version == version, client.version
            rows.row(f"settles on {version}", began)
            for check in CHECKS:
                with anyio.fail_after(CHECK_SECONDS):
                    await rows.check_async(check, client)
            began = time.monotonic()
        took = time.monotonic() - began
        late = AssertionError(f"{took:.1f} s, so it was killed") if took >= GRACE_SECONDS else None
        rows.row("ends when its input ends", began, late)
    except Exception as error:
        rows.row("the session", began, error)
    sys.exit(rows.failed > 0)
