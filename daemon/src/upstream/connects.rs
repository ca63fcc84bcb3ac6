//! How long connections to the backend take. The HTTP client makes them out of sight, in the middle of a request.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

/// The connections that were made; every clone counts the same ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Connects(Arc<Mutex<Made>>);

#[derive(Debug, Default)]
struct Made {
    count: u64,
    /// How long the latest one took: name, TCP, proxy and TLS.
    took: Duration,
}

impl Connects {
    /// How many there were so far.
    pub(super) fn count(&self) -> u64 {
        self.0.lock().count
    }

    /// How long the latest took, if one was made since there were `before`.
    pub(super) fn since(&self, before: u64) -> Option<Duration> {
        let made = self.0.lock();
        (made.count > before).then_some(made.took)
    }
}

impl<S> Layer<S> for Connects {
    type Service = Timed<S>;

    fn layer(&self, connector: S) -> Timed<S> {
        Timed { connector, connects: self.clone() }
    }
}

/// A connector whose connections are timed.
#[derive(Clone, Debug)]
pub(super) struct Timed<S> {
    connector: S,
    connects: Connects,
}

impl<S, R> Service<R> for Timed<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let began = Instant::now();
        let connecting = self.connector.call(target);
        let connects = self.connects.clone();
        Box::pin(async move {
            let connection = connecting.await?;
            let mut made = connects.0.lock();
            made.count += 1;
            made.took = began.elapsed();
            drop(made);
            Ok(connection)
        })
    }
}
