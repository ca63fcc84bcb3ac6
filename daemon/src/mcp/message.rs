//! A client's line as a message of the SDK.
//!
//! The SDK's own type tries 14 kinds of request on a buffered copy of the line before it comes to `tools/call`, which costs
//! more than everything else that is done for a call. So a call is read as one at once; whatever is not plainly one goes
//! the SDK's way, and a test holds both to the same result.

use rmcp::model::{
    CallToolRequest, CallToolRequestMethod, CallToolRequestParams, ClientJsonRpcMessage, ClientRequest,
    JsonRpcRequest, JsonRpcVersion2_0, RequestId,
};
use serde::Deserialize;

/// Reads a line.
///
/// # Errors
/// The SDK's, when it is no message of MCP.
pub(super) fn read(line: &[u8]) -> serde_json::Result<ClientJsonRpcMessage> {
    serde_json::from_slice::<Call>(line).map_or_else(|_| serde_json::from_slice(line), |call| Ok(call.into()))
}

/// A `tools/call` and nothing else: one more member, and what kind of message it is becomes a question for the SDK.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    jsonrpc: JsonRpcVersion2_0,
    id: RequestId,
    method: CallToolRequestMethod,
    params: CallToolRequestParams,
}

impl From<Call> for ClientJsonRpcMessage {
    fn from(call: Call) -> Self {
        let Call { jsonrpc, id, method, mut params } = call;
        // The SDK looks for a request's metadata beside its parameters, not in them.
        let meta = params.meta.take();
        let mut request = CallToolRequest::new(params);
        request.method = method;
        if let Some(meta) = meta {
            request.extensions.insert(meta);
        }
        Self::Request(JsonRpcRequest { jsonrpc, id, request: ClientRequest::CallToolRequest(request) })
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::{JsonRpcMessage, RequestMetaObject};

    use super::*;

    fn by_the_sdk(line: &str) -> Option<ClientJsonRpcMessage> {
        serde_json::from_str(line).ok()
    }

    /// Everything in a message that can be compared: its printed form, and the metadata, which that leaves out.
    fn all_of(message: Option<&ClientJsonRpcMessage>) -> String {
        let meta = match message {
            Some(JsonRpcMessage::Request(JsonRpcRequest {
                request: ClientRequest::CallToolRequest(call),
                ..
            })) => call.extensions.get::<RequestMetaObject>().cloned(),
            _ => None,
        };
        format!("{message:?} {meta:?}")
    }

    #[test]
    fn a_call_is_read_as_the_sdk_reads_it() {
        for params in [
            r#"{"name":"codex_query","arguments":{"prompt":"a \u00e9 \ud83d\ude00","temperature":0.1,"n":18446744073709551615}}"#,
            r#"{"arguments":{"a":[1,-2,3e300,null,{"b":true}],"a":1},"name":"x","further":{"deep":[{}]}}"#,
            r#"{"name":"x"}"#,
            r#"{"name":"x","arguments":null,"_meta":null}"#,
            r#"{"name":"x","_meta":{"progressToken":7,"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#,
            r#"{"name":"x","inputResponses":{},"requestState":"s"}"#,
        ] {
            for line in [
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#),
                format!(
                    r#" {{ "params" : {params} , "method":"tools\u002fcall","id":"a","jsonrpc":"2.0"}} "#
                ),
                format!(r#"{{"jsonrpc":"2.0","id":2.0,"method":"tools/call","params":{params}}}"#),
            ] {
                assert!(serde_json::from_str::<Call>(&line).is_ok(), "not at once: {line}");
                assert_eq!(
                    all_of(read(line.as_bytes()).ok().as_ref()),
                    all_of(by_the_sdk(&line).as_ref()),
                    "{line}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_plainly_a_call_is_left_to_the_sdk() {
        for line in [
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"},"result":null}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"},"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"},"further":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":[]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"tools/call","params":{"name":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"x"}}"#,
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"x"}}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"tools/call","params":{"name":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/call","params":{"name":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            "[]",
            "{",
        ] {
            assert!(serde_json::from_str::<Call>(line).is_err(), "{line}");
            assert_eq!(
                all_of(read(line.as_bytes()).ok().as_ref()),
                all_of(by_the_sdk(line).as_ref()),
                "{line}"
            );
        }
    }
}
