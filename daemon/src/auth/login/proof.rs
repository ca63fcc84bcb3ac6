//! How a new login is proven before the old one is given up, by whoever knows the backend.

use std::error::Error;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::grant::Grant;

/// Shows a new grant to the backend, without a paid turn.
pub type Prover = Arc<dyn Fn(Grant) -> BoxFuture<'static, Proof> + Send + Sync>;

/// What came of it.
#[derive(Clone, Debug)]
pub enum Proof {
    /// The backend accepts the grant.
    Proven,
    /// Nothing was learned about the grant. It is kept, with this note for the person: the issuer has just given it, and a
    /// backend that cannot be asked would lock everybody out.
    Unknown(String),
    /// The backend refuses the grant.
    Refused(Arc<dyn Error + Send + Sync>),
}
