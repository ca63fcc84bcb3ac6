#!/bin/sh
# Asks one question over the socket of codex-oauth and prints the answer as it comes: ask.sh QUESTION
# Needs socat and jq.
set -eu
question=${1:?usage: ask.sh QUESTION}
uid=$(id -u)
ours() { [ -n "$(find "$1" -prune -type d -user "$uid" 2>/dev/null)" ]; }
closed() { [ -n "$(find "$1" -prune -perm 700)" ]; }

# Where the daemon listens.
caches="$HOME/Library/Caches/codex-oauth"
if [ -n "${CODEX_OAUTH_RUNTIME_DIR:-}" ]; then dir=$CODEX_OAUTH_RUNTIME_DIR
elif ours "/run/user/$uid"; then dir=/run/user/$uid/codex-oauth
elif [ "$(uname)" = Darwin ] && [ ${#caches} -le 91 ]; then dir=$caches
else dir=/tmp/codex-oauth-$uid
fi
if ! [ -S "$dir/daemon.sock" ]; then
  echo "ask.sh: no daemon is running; start it with 'codex-oauth daemon start'" >&2
  exit 1
fi
# A question is for our own daemon only: the directory must be ours, a real one, and closed to others.
if ! ours "$dir" || ! closed "$dir"; then
  echo "ask.sh: $dir is not a directory of yours alone" >&2
  exit 1
fi

jq -cn --arg text "$question" --argjson pid "$$" --arg cwd "$PWD" \
  --arg nonce "$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')" \
  --arg auth_file "$(readlink -f "${CODEX_OAUTH_AUTH_FILE:-$HOME/.claude/auth.json}")" '
  {hello: {protocol: {min: 1, max: 2}, build: "ask.sh", role: "api", $pid, $cwd, $nonce, next: 1, $auth_file}},
  {jsonrpc: "2.0", id: 1, method: "turn/start", params: {input: [{type: "text", $text}]}}' |
  socat -t 3600 - "UNIX-CONNECT:$dir/daemon.sock" |
  jq -nRj --unbuffered '
    def fail: "\nask.sh: \(.message)\n" | halt_error(1);
    (inputs | select(startswith("@") | not) | fromjson |
      if .method == "item/agentMessage/delta" then .params.delta
      elif .method == "turn/completed" and .params.status == "completed" then "\n", halt
      elif .method == "turn/completed" then .params.error | fail
      elif .refusal then .refusal.error | fail
      elif .error then .error | fail
      else empty end),
    ({message: "the connection ended before the answer did"} | fail)'
