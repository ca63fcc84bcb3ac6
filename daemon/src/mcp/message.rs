//! A client's line as a message of the SDK.
//!
//! The SDK's own type tries 14 kinds of request on a buffered copy of the line before it comes to `tools/call`, which costs
//! more than everything else that is done for a call. So calls, and what every session begins with, are read as what they are
//! at once; whatever is not plainly one of them goes the SDK's way, and a test holds both to the same result.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use rmcp::model::{
    CallToolRequest, CallToolRequestMethod, CallToolRequestParams, ClientJsonRpcMessage, ClientNotification,
    ClientRequest, Extensions, InitializeRequest, InitializeRequestParams, InitializeResultMethod,
    InitializedNotification, InitializedNotificationMethod, JsonRpcMessage, JsonRpcNotification,
    JsonRpcRequest, JsonRpcResponse, JsonRpcVersion2_0, ListToolsRequest, ListToolsRequestMethod,
    PaginatedRequestParams, RequestId, RequestMetaObject, ServerJsonRpcMessage, ServerResult,
};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::tools::{self, Name, QueryArguments};

/// Reads a line.
///
/// # Errors
/// The SDK's, when it is no message of MCP.
pub(super) fn read(line: &[u8]) -> serde_json::Result<ClientJsonRpcMessage> {
    // Asked once of the line, and not of each string in it.
    let Ok(line) = std::str::from_utf8(line) else { return serde_json::from_slice(line) };
    match call(line).or_else(|| opening(line)) {
        Some(message) => Ok(message),
        None => serde_json::from_str(line),
    }
}

/// A question, from a client whose requests need nothing of the SDK: the call that this program is for.
pub(super) struct Asked {
    pub(super) id: RequestId,
    pub(super) arguments: QueryArguments,
    pub(super) meta: Option<RequestMetaObject>,
}

/// What is an object in JSON. A derived reader takes an array of its members too, which the SDK refuses.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }

        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

/// Reads a line as that; `None`: it is another message, or one that the SDK has to refuse.
pub(super) fn question(line: &[u8]) -> Option<Asked> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
        arguments: Object<QueryArguments>,
        #[serde(default, rename = "_meta")]
        meta: Option<RequestMetaObject>,
    }
    let line = std::str::from_utf8(line).ok()?;
    let Request::<CallToolRequestMethod, Object<Params<'_>>> { id, params: Object(params), .. } =
        serde_json::from_str(line).ok()?;
    (Name::of(&params.name) == Some(Name::Query)).then_some(())?;
    Some(Asked { id, arguments: params.arguments.0, meta: params.meta })
}

/// Writes a message, without a newline. The list of tools, which the handler leaves empty, is put in here.
///
/// # Errors
/// When the SDK cannot write it.
pub(super) fn write(message: &ServerJsonRpcMessage) -> serde_json::Result<Vec<u8>> {
    /// How the SDK ends an answer with an empty list: a test compares what comes of it.
    const EMPTY: (&[u8], &[u8]) = (b"\"tools\":", b"[]}}");
    let mut line = serde_json::to_vec(message)?;
    let is_list = matches!(
        message,
        JsonRpcMessage::Response(JsonRpcResponse { result: ServerResult::ListToolsResult(_), .. })
    );
    if is_list && line.ends_with(&[EMPTY.0, EMPTY.1].concat()) {
        line.truncate(line.len() - EMPTY.1.len());
        line.reserve_exact(tools::list().len() + 3);
        line.extend_from_slice(tools::list());
        line.extend_from_slice(b"}}");
    }
    Ok(line)
}

/// A request and nothing else: one more member, and what kind of message it is becomes a question for the SDK.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request<M, P> {
    jsonrpc: JsonRpcVersion2_0,
    id: RequestId,
    method: M,
    params: P,
}

/// The same for the notification that ends a handshake.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Notification {
    jsonrpc: JsonRpcVersion2_0,
    method: InitializedNotificationMethod,
}

fn call(line: &str) -> Option<ClientJsonRpcMessage> {
    let Request::<CallToolRequestMethod, CallToolRequestParams> { jsonrpc, id, mut params, .. } =
        serde_json::from_str(line).ok()?;
    let meta = params.meta.take();
    let mut request = CallToolRequest::new(params);
    request.extensions = beside(meta);
    Some(asked(jsonrpc, id, ClientRequest::CallToolRequest(request)))
}

/// What a client says first: its handshake, and the question for the tools.
fn opening(line: &str) -> Option<ClientJsonRpcMessage> {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        method: Cow<'a, str>,
    }
    match &*serde_json::from_str::<Head<'_>>(line).ok()?.method {
        "initialize" => {
            let Request::<InitializeResultMethod, InitializeRequestParams> {
                jsonrpc, id, mut params, ..
            } = serde_json::from_str(line).ok()?;
            let meta = params.meta.take();
            let mut request = InitializeRequest::new(params);
            request.extensions = beside(meta);
            Some(asked(jsonrpc, id, ClientRequest::InitializeRequest(request)))
        }
        "tools/list" => {
            let Request::<ListToolsRequestMethod, Option<PaginatedRequestParams>> {
                jsonrpc,
                id,
                method,
                mut params,
            } = serde_json::from_str(line).ok()?;
            let extensions = beside(params.as_mut().and_then(|params| params.meta.take()));
            let request = ListToolsRequest { method, params, extensions };
            Some(asked(jsonrpc, id, ClientRequest::ListToolsRequest(request)))
        }
        "notifications/initialized" => {
            let Notification { jsonrpc, method } = serde_json::from_str(line).ok()?;
            let notification = InitializedNotification { method, extensions: Extensions::new() };
            let notification = ClientNotification::InitializedNotification(notification);
            Some(JsonRpcMessage::Notification(JsonRpcNotification { jsonrpc, notification }))
        }
        _ => None,
    }
}

fn asked(jsonrpc: JsonRpcVersion2_0, id: RequestId, request: ClientRequest) -> ClientJsonRpcMessage {
    JsonRpcMessage::Request(JsonRpcRequest { jsonrpc, id, request })
}

/// The SDK looks for a request's metadata beside its parameters, not in them.
fn beside(meta: Option<RequestMetaObject>) -> Extensions {
    let mut extensions = Extensions::new();
    if let Some(meta) = meta {
        extensions.insert(meta);
    }
    extensions
}

#[cfg(test)]
mod tests {
    use rmcp::model::{ListToolsResult, ProgressToken, Tool};

    use super::*;
    use crate::service::Question;

    fn by_the_sdk(line: &str) -> Option<ClientJsonRpcMessage> {
        serde_json::from_str(line).ok()
    }

    /// Everything in a message that can be compared: its printed form, and the metadata, which that leaves out.
    fn all_of(message: Option<&ClientJsonRpcMessage>) -> String {
        let extensions = match message {
            Some(JsonRpcMessage::Request(JsonRpcRequest { request, .. })) => match request {
                ClientRequest::CallToolRequest(request) => Some(&request.extensions),
                ClientRequest::InitializeRequest(request) => Some(&request.extensions),
                ClientRequest::ListToolsRequest(request) => Some(&request.extensions),
                _ => None,
            },
            _ => None,
        };
        let meta = extensions.and_then(|extensions| extensions.get::<RequestMetaObject>());
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
                assert!(call(&line).is_some(), "not at once: {line}");
                assert_eq!(
                    all_of(read(line.as_bytes()).ok().as_ref()),
                    all_of(by_the_sdk(&line).as_ref()),
                    "{line}"
                );
            }
        }
    }

    #[test]
    fn a_question_is_read_as_its_call_is_and_nothing_else_is_one() {
        let call =
            |params: &str| format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{params}}}"#);
        for (params, prompt, token) in [
            (r#"{"name":"codex_query","arguments":{"prompt":"a \u00e9"}}"#, "a é", None),
            (
                r#"{"arguments":{"model":"m","prompt":"p"},"_meta":{"progressToken":3},"name":"codex\u005fquery"}"#,
                "p",
                Some(3),
            ),
            (r#"{"name":"codex_query","arguments":{"prompt":"p"},"_meta":null}"#, "p", None),
        ] {
            let asked = question(call(params).as_bytes()).expect(params);
            let given: Question = asked.arguments.into();
            let told = asked.meta.and_then(|meta| meta.get_progress_token());
            assert_eq!((asked.id, given.prompt.as_str()), (RequestId::Number(7), prompt), "{params}");
            assert_eq!(told, token.map(|token| ProgressToken(RequestId::Number(token))), "{params}");
            let Some(JsonRpcMessage::Request(JsonRpcRequest {
                request: ClientRequest::CallToolRequest(by_the_sdk),
                ..
            })) = by_the_sdk(&call(params))
            else {
                panic!("{params}")
            };
            let by_the_sdk =
                tools::arguments::<QueryArguments>(Name::Query, by_the_sdk.params.arguments).unwrap();
            assert_eq!(Question::from(by_the_sdk), given, "{params}");
        }
        for params in [
            r#"{"name":"codex_models","arguments":{"prompt":"p"}}"#,
            r#"{"name":"codex_query"}"#,
            r#"{"name":"codex_query","arguments":null}"#,
            r#"{"name":"codex_query","arguments":{"prompt":1}}"#,
            r#"{"name":"codex_query","arguments":["p"]}"#,
            r#"["codex_query",{"prompt":"p"}]"#,
            r#"{"name":"codex_query","arguments":{"prompt":"p","further":1}}"#,
            r#"{"name":"codex_query","arguments":{"prompt":"p"},"task":{}}"#,
            r#"{"name":"codex_query","arguments":{"prompt":"p"},"requestState":"s"}"#,
        ] {
            assert!(question(call(params).as_bytes()).is_none(), "{params}");
        }
    }

    #[test]
    fn the_begin_of_a_session_is_read_as_the_sdk_reads_it() {
        let client = r#""capabilities":{"roots":{"listChanged":true},"x":{"y":1}},"clientInfo":{"name":"n","version":"1","icons":null}"#;
        for line in [
            format!(r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"2025-11-25",{client}}}}}"#),
            format!(r#"{{"method":"initialize","params":{{"protocolVersion":"1999-01-01",{client},"further":[1],"_meta":{{"a":1}}}},"jsonrpc":"2.0","id":"x"}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"2025-11-25",{client},"_meta":null}}}}"#),
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#.to_owned(),
            r#"{"jsonrpc":"2.0","id":1,"method":"tools\u002flist","params":null}"#.to_owned(),
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#.to_owned(),
            r#"{"params":{"cursor":"c","_meta":{"progressToken":7},"more":{}},"method":"tools/list","jsonrpc":"2.0","id":1.0}"#.to_owned(),
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned(),
        ] {
            assert!(opening(&line).is_some(), "not at once: {line}");
            let by_the_sdk = by_the_sdk(&line);
            assert!(by_the_sdk.is_some(), "{line}");
            assert_eq!(all_of(read(line.as_bytes()).ok().as_ref()), all_of(by_the_sdk.as_ref()), "{line}");
        }
    }

    #[test]
    fn the_list_of_tools_is_written_as_the_sdk_writes_it() {
        let tools = serde_json::from_slice::<Vec<Tool>>(tools::list()).unwrap();
        assert!(!tools.is_empty());
        for old in [false, true] {
            let answer = |tools| {
                let mut list = ListToolsResult::with_all_items(tools);
                if old {
                    list.result_type = None;
                } else {
                    list.ttl_ms = Some(1);
                }
                let result = ServerResult::ListToolsResult(list);
                ServerJsonRpcMessage::response(result, RequestId::Number(7))
            };
            let whole = serde_json::to_string(&answer(tools.clone())).unwrap();
            assert_eq!(String::from_utf8(write(&answer(Vec::new())).unwrap()).unwrap(), whole);
        }
    }

    #[test]
    fn what_is_not_plainly_one_of_them_is_left_to_the_sdk() {
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
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":1}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","result":{}}"#,
            r#"{"jsonrpc":"2.0","method":"tools/list"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized","params":{"_meta":{"a":1}}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            "[]",
            "{",
        ] {
            assert!(call(line).or_else(|| opening(line)).is_none(), "{line}");
            assert_eq!(
                all_of(read(line.as_bytes()).ok().as_ref()),
                all_of(by_the_sdk(line).as_ref()),
                "{line}"
            );
        }
    }
}
