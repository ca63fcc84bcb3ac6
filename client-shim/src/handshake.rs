//! What a new connection has to be told of the older revisions' handshake (`initialize`, then
//! `notifications/initialized`), which the client does only once.

use serde_json::Value;

/// The client's side of the handshake, as far as it went.
#[derive(Debug, Default)]
pub(crate) struct Handshake {
    /// The `initialize` line; none in the stateless era.
    initialize: Option<Vec<u8>>,
    initialized: bool,
}

/// The notification that ends the handshake.
pub(crate) const INITIALIZED: &str = "notifications/initialized";

impl Handshake {
    /// The client begins. A second handshake after a complete one is none that MCP knows, and changes nothing.
    pub(crate) fn begin(&mut self, line: &[u8]) {
        if !self.initialized {
            self.initialize = Some(line.to_vec());
        }
    }

    /// The client got its answer and says so.
    pub(crate) fn complete(&mut self) {
        self.initialized = self.initialize.is_some();
    }

    /// The daemon refused; there is nothing to repeat, unless an earlier one was completed.
    pub(crate) fn refused(&mut self) {
        if !self.initialized {
            self.initialize = None;
        }
    }

    /// The `initialize` line again, under an id of ours.
    pub(crate) fn replay(&self, id: &Value) -> Option<Vec<u8>> {
        let mut line: Value = serde_json::from_slice(self.initialize.as_ref()?).ok()?;
        line.as_object_mut()?.insert("id".to_owned(), id.clone());
        Some(line.to_string().into_bytes())
    }

    /// The closing notification, when the client has sent it.
    pub(crate) fn closing(&self) -> Option<Vec<u8>> {
        self.initialized.then(|| format!(r#"{{"jsonrpc":"2.0","method":"{INITIALIZED}"}}"#).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_replay_differs_in_its_id_only_and_repeats_the_handshake_that_was_completed() {
        let mut handshake = Handshake::default();
        assert_eq!((handshake.replay(&json!("ours")), handshake.closing()), (None, None));
        handshake.complete();
        assert_eq!(handshake.closing(), None, "nothing was begun");
        handshake.begin(br#"{"id":1,"method":"initialize","params":{"b":1,"a":[2]}}"#);
        assert_eq!(handshake.closing(), None);
        handshake.refused();
        assert_eq!(handshake.replay(&json!("ours")), None);
        handshake.begin(br#"{"id":1,"method":"initialize","params":{"b":1,"a":[2]}}"#);
        handshake.complete();
        handshake.begin(br#"{"id":2,"method":"initialize"}"#);
        handshake.refused();
        assert_eq!(
            handshake.replay(&json!("ours")).unwrap(),
            br#"{"id":"ours","method":"initialize","params":{"b":1,"a":[2]}}"#
        );
        assert!(handshake.closing().is_some());
    }
}
