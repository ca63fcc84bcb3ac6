//! The `api` dialect: JSON-RPC 2.0, one object per line, for the command line and for other programs.
//!
//! Method names follow the Codex app-server's (WIRE §12.2); fields are in camel case as there. Every method's parameters
//! are an object, possibly empty; unknown fields are ignored in both directions.

pub mod account;
pub mod config;
pub mod daemon;
pub mod model;
pub mod probe;
pub mod trace;
pub mod turn;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A method: its name with the types that belong to it.
pub trait Method {
    /// The name on the wire.
    const NAME: &'static str;
    /// The `params` object.
    type Params: Serialize + DeserializeOwned;
    /// The `result` object.
    type Result: Serialize + DeserializeOwned;
}

/// Ties a marker type to a method's name, parameters and result.
macro_rules! method {
    ($(#[$doc:meta])* $name:ident = $wire:literal, $params:ty => $result:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}
        impl $crate::api::Method for $name {
            const NAME: &'static str = $wire;
            type Params = $params;
            type Result = $result;
        }
    };
}
pub(crate) use method;

/// Parameters or a result without fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}
