//! JSON-RPC 2.0 as the `api` dialect uses it: one object per line, no batches.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ErrorCode, WireError};

/// JSON-RPC 2.0, section 5.1.
pub const PARSE_ERROR: i32 = -32700;
/// JSON-RPC 2.0, section 5.1.
pub const INVALID_REQUEST: i32 = -32600;
/// JSON-RPC 2.0, section 5.1.
pub const METHOD_NOT_FOUND: i32 = -32601;
/// JSON-RPC 2.0, section 5.1.
pub const INVALID_PARAMS: i32 = -32602;
/// Any failure that is not the request's form: `error.data` holds the [`WireError`].
pub const SERVER_ERROR: i32 = -32000;

/// A request, or a notification when `id` is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Always `2.0`.
    pub jsonrpc: Cow<'static, str>,
    /// A string or a number, echoed in the response. Null is an id too, if an unwise one.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub id: Option<Value>,
    /// The method's name.
    pub method: String,
    /// Its parameters, an object.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub params: Value,
}

impl Request {
    /// A request with a number for its id.
    pub fn new(id: u64, method: &str, params: Value) -> Self {
        Self { jsonrpc: Cow::Borrowed("2.0"), id: Some(id.into()), method: method.to_owned(), params }
    }

    /// A notification.
    pub fn notification(method: &str, params: Value) -> Self {
        Self { jsonrpc: Cow::Borrowed("2.0"), id: None, method: method.to_owned(), params }
    }
}

/// The answer to a request: a result or an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// Always `2.0`.
    pub jsonrpc: Cow<'static, str>,
    /// The request's id; null when it could not be read.
    pub id: Value,
    /// Present on success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Present on failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
}

impl Response {
    /// Success.
    pub fn ok(id: Value, result: Value) -> Self {
        Self { jsonrpc: Cow::Borrowed("2.0"), id, result: Some(result), error: None }
    }

    /// Failure.
    pub fn err(id: Value, error: &WireError) -> Self {
        Self { jsonrpc: Cow::Borrowed("2.0"), id, result: None, error: Some(error.into()) }
    }
}

/// A field that is there, even if it is null; an absent one is left to `default`.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// JSON-RPC 2.0, section 5.1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorObject {
    /// One of the constants of this module.
    pub code: i32,
    /// For people.
    pub message: String,
    /// The [`WireError`], unless the line could not be read at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<WireError>,
}

impl From<&WireError> for ErrorObject {
    fn from(error: &WireError) -> Self {
        let code = match error.code {
            ErrorCode::MethodNotFound => METHOD_NOT_FOUND,
            ErrorCode::InvalidArguments => INVALID_PARAMS,
            ErrorCode::Malformed | ErrorCode::LineTooLong => INVALID_REQUEST,
            _ => SERVER_ERROR,
        };
        Self { code, message: error.message.clone(), data: Some(error.clone()) }
    }
}
