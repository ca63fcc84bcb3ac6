//! Answers that came before they were asked for.

use serde_json::Value;

/// The answer to request `id`, from `early` or from `receive`. Other answers that come first are kept in `early`;
/// notifications are passed over.
pub(crate) fn answer(
    early: &mut Vec<Value>,
    id: &Value,
    mut receive: impl FnMut() -> Option<Value>,
) -> Value {
    if let Some(at) = early.iter().position(|message| message.get("id") == Some(id)) {
        return early.remove(at);
    }
    loop {
        let message = receive().expect("the connection ended before the answer");
        if message.get("method").is_some() {
            continue;
        }
        if message.get("id") == Some(id) {
            return message;
        }
        early.push(message);
    }
}
