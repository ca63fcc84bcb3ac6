"""A model for Claude Code on loopback: it calls Bash once with the command it is given, then ends its turn.

Enough of the Messages API (streaming, https://docs.anthropic.com/en/api/messages-streaming) for `claude -p`.
"""

import contextlib
import http.server
import json
import threading


class Model(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer("text/plain", b"")

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        model = self.server
        if "messages" not in asked or "count_tokens" in self.path:
            self.answer("application/json", b'{"input_tokens":1}')
            return
        blocks = [block for message in asked["messages"] if isinstance(message["content"], list) for block in message["content"]]
        model.seen += [block for block in blocks if block not in model.seen]
        has_bash = any(tool["name"] == "Bash" for tool in asked.get("tools", []))
        if has_bash and not any(block["type"] == "tool_result" for block in blocks):
            block, delta = tool_use(model.command)
            reason = "tool_use"
        else:
            block, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": "done"}
            reason = "end_turn"
        events = [
            {"type": "message_start", "message": message(asked["model"])},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        ]
        text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
        self.answer("text/event-stream", text.encode())

    def answer(self, kind, body):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def tool_use(command):
    block = {"type": "tool_use", "id": "toolu_fake", "name": "Bash", "input": {}}
    arguments = json.dumps({"command": command, "description": "as the command says"})
    return block, {"type": "input_json_delta", "partial_json": arguments}


def message(model):
    return {
        "id": "msg_fake", "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
    }


@contextlib.contextmanager
def model_that_runs(command):
    """The server; `url` is its address and `seen` every content block that Claude Code sent."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
    server.command, server.seen = command, []
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
