//! The few messages that the shim makes itself.

use codex_oauth_proto::jsonrpc::INVALID_REQUEST;
use codex_oauth_proto::{ErrorCode, MAX_LINE_BYTES, NextStep, Retry, Surface, WireError};
use serde_json::{Value, json};

use crate::pending::{Kind, Request};

/// JSON-RPC 2.0, section 5.1, for failures that are not the request's form. MCP 2026-07-28 keeps -32000 to -32019 for
/// itself.
const INTERNAL_ERROR: i32 = -32603;

/// `request` failed: for a call a result that says so, which the model gets to see, else an error.
pub(crate) fn failure(request: &Request, error: &WireError) -> Vec<u8> {
    if request.kind == Kind::Call {
        let text = error.render(Surface::ClaudeCode);
        return result(request, json!({ "content": [{ "type": "text", "text": text }], "isError": true }));
    }
    refusal(&request.id, error)
}

/// A failure as a JSON-RPC error.
pub(crate) fn refusal(id: &Value, error: &WireError) -> Vec<u8> {
    let error =
        json!({ "code": INTERNAL_ERROR, "message": error.render(Surface::ClaudeCode), "data": error });
    to_line(&json!({ "jsonrpc": "2.0", "id": id, "error": error }))
}

/// A result in the form of the request's era: since 2026-07-28 each says that it is complete.
pub(crate) fn result(request: &Request, mut result: Value) -> Vec<u8> {
    if let (true, Some(members)) = (request.params.modern, result.as_object_mut()) {
        members.insert("resultType".to_owned(), "complete".into());
    }
    to_line(&json!({ "jsonrpc": "2.0", "id": request.id, "result": result }))
}

/// A plain JSON-RPC error.
pub(crate) fn error(id: &Value, code: i32, message: &str) -> Vec<u8> {
    to_line(&json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }))
}

/// The client's line was over the cap. Also the answer that the daemon gets in place of a client's over-long response.
pub(crate) fn line_too_long(id: &Value) -> Vec<u8> {
    let message =
        format!("could not read the message: it is longer than the {MAX_LINE_BYTES} bytes that are allowed");
    let error = WireError::caller(ErrorCode::LineTooLong, message).next(NextStep::ShortenPrompt);
    let message = error.render(Surface::ClaudeCode);
    let error = json!({ "code": INVALID_REQUEST, "message": message, "data": error });
    to_line(&json!({ "jsonrpc": "2.0", "id": id, "error": error }))
}

/// Tells the client that nobody waits for its answer to a server's request any more.
pub(crate) fn cancelled(id: &Value) -> Vec<u8> {
    let params = json!({ "requestId": id, "reason": "the connection to the daemon was lost" });
    to_line(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }))
}

/// The call had reached the daemon, in whole or in part, and the daemon is gone.
pub(crate) fn outcome_unknown() -> WireError {
    let message =
        "could not get the answer: the connection to the daemon was lost after the call had been sent";
    WireError::daemon(ErrorCode::OutcomeUnknown, Retry::Unknown, message).next(NextStep::AskAgain)
}

/// The request can be made again, but not by the shim.
pub(crate) fn connection_lost() -> WireError {
    let message = "could not get the answer: the connection to the daemon was lost";
    WireError::daemon(ErrorCode::DaemonUnavailable, Retry::Safe, message).next(NextStep::Retry)
}

/// The daemon ended each time that it was given the request.
pub(crate) fn daemon_keeps_ending(times: u32) -> WireError {
    let message = format!("could not get the answer: the daemon left the connection {times} times in a row");
    WireError::daemon(ErrorCode::DaemonUnavailable, Retry::Safe, message).next(NextStep::RunDaemon)
}

/// The client has as many requests open as the shim remembers.
pub(crate) fn too_many_pending(limit: usize) -> WireError {
    let message = format!("could not take the request: {limit} others wait for their answers");
    WireError::daemon(ErrorCode::Overloaded, Retry::Safe, message).next(NextStep::Retry)
}

fn to_line(message: &Value) -> Vec<u8> {
    message.to_string().into_bytes()
}
