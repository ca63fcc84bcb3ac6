//! Who listens to a turn: nobody, its asker, or several, when a client that lost its connection asks again.

use std::sync::Arc;

use codex_oauth_proto::WireError;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::{Outcome, TurnEvent};

/// Events between a turn and its asker. One event is all text of one network read, so this holds a few hundred KiB at
/// most; a slower asker slows the stream down.
pub(super) const EVENTS: usize = 16;

/// Listeners of one turn. A client that loses its connection again and again is forgotten each time it does.
const MOST: usize = 16;

/// The listeners; every clone is the same list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Askers(Arc<Mutex<Listeners>>);

#[derive(Debug, Default)]
struct Listeners {
    senders: Vec<mpsc::Sender<TurnEvent>>,
    /// The turn has ended; whoever comes now finds its outcome in the ledger.
    ended: bool,
    /// The turn is not in the ledger; whoever comes later has to know that too.
    unrecorded: bool,
}

impl Askers {
    /// One more. `None`: the turn has ended.
    ///
    /// # Errors
    /// When as many listen as may.
    pub(crate) fn join(&self) -> Result<Option<mpsc::Receiver<TurnEvent>>, WireError> {
        let mut listeners = self.0.lock();
        if listeners.ended {
            return Ok(None);
        }
        listeners.senders.retain(|sender| !sender.is_closed());
        if listeners.senders.len() >= MOST {
            return Err(crate::service::overloaded("listeners of this turn", MOST));
        }
        let (sender, events) = mpsc::channel(EVENTS);
        if listeners.unrecorded {
            // The channel is new, so there is room.
            let _told = sender.try_send(TurnEvent::Unrecorded(oneshot::channel().0));
        }
        listeners.senders.push(sender);
        drop(listeners);
        Ok(Some(events))
    }

    /// Tells everybody. With several, the slowest sets the pace.
    pub(super) async fn tell(&self, event: TurnEvent) {
        let Some((last, others)) =
            self.0.lock().senders.split_last().map(|(last, others)| (last.clone(), others.to_vec()))
        else {
            return;
        };
        for sender in others {
            if let Some(copy) = event.copy() {
                // Whoever is gone is forgotten when the next one comes.
                let _gone = sender.send(copy).await;
            }
        }
        let _gone = last.send(event).await;
    }

    /// Tells everybody that the turn is not recorded, and waits until they have passed it on.
    pub(super) async fn tell_unrecorded(&self) {
        self.0.lock().unrecorded = true;
        let senders = self.0.lock().senders.clone();
        for sender in senders {
            let (passed_on, wait) = oneshot::channel();
            if sender.send(TurnEvent::Unrecorded(passed_on)).await.is_ok() {
                // It answers by dropping its end.
                let _passed_on = wait.await;
            }
        }
    }

    /// The last word. Nobody can join after this.
    pub(super) async fn end(&self, outcome: Outcome) {
        let senders = {
            let mut listeners = self.0.lock();
            listeners.ended = true;
            std::mem::take(&mut listeners.senders)
        };
        for sender in senders {
            let _gone = sender.send(TurnEvent::Ended(Box::new(outcome.clone()))).await;
        }
    }
}
