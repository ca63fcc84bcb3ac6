//! Who listens to a turn: nobody, its asker, or several, when a client that lost its connection asks again.

use std::sync::Arc;

use codex_oauth_proto::WireError;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::{Outcome, TurnEvent};

/// Events between a turn and its asker. One event is all text of one network read, so this holds a few hundred KiB at
/// most; a slower asker slows the stream down.
const EVENTS: usize = 16;

/// Listeners of one turn. A client that loses its connection again and again is forgotten each time it does.
const MOST: usize = 16;

/// The listeners; every clone is the same list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Askers(Arc<Mutex<Listeners>>);

/// What a listener is told of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hears {
    /// Everything, the text as it comes.
    Text,
    /// Everything else: it has no use for pieces of an answer, and would be woken by each.
    Progress,
}

#[derive(Debug, Default)]
struct Listeners {
    senders: Vec<(Hears, mpsc::Sender<TurnEvent>)>,
    /// The turn has ended; whoever comes now finds its outcome, if it was sent.
    ended: bool,
    /// The turn is being sent; whoever comes later has to know that too.
    sent: bool,
}

impl Askers {
    /// One more. `None`: the turn has ended.
    ///
    /// # Errors
    /// When as many listen as may.
    pub(crate) fn join(&self, hears: Hears) -> Result<Option<mpsc::Receiver<TurnEvent>>, WireError> {
        let mut listeners = self.0.lock();
        if listeners.ended {
            return Ok(None);
        }
        listeners.senders.retain(|(_, sender)| !sender.is_closed());
        if listeners.senders.len() >= MOST {
            return Err(crate::service::overloaded("listeners of this turn", MOST));
        }
        let (sender, events) = mpsc::channel(EVENTS);
        if listeners.sent {
            // The channel is new, so there is room.
            let _told = sender.try_send(TurnEvent::Sent(oneshot::channel().0));
        }
        listeners.senders.push((hears, sender));
        drop(listeners);
        Ok(Some(events))
    }

    /// Tells everybody who hears of such. With several, the slowest sets the pace.
    pub(super) async fn tell(&self, event: TurnEvent) {
        let is_text = matches!(event, TurnEvent::Delta(_));
        let hears = |(hears, _): &&(Hears, _)| !is_text || *hears == Hears::Text;
        let mut senders: Vec<_> =
            self.0.lock().senders.iter().filter(hears).map(|(_, sender)| sender.clone()).collect();
        let Some(last) = senders.pop() else { return };
        for sender in senders {
            if let Some(copy) = event.copy() {
                // Whoever is gone is forgotten when the next one comes.
                let _gone = sender.send(copy).await;
            }
        }
        let _gone = last.send(event).await;
    }

    /// Tells everybody that the turn is about to be sent, and waits until they know it. False: nobody does.
    pub(super) async fn tell_sent(&self) -> bool {
        let senders = {
            let mut listeners = self.0.lock();
            listeners.sent = true;
            listeners.senders.clone()
        };
        let mut told = false;
        for (_, sender) in senders {
            let (knows, wait) = oneshot::channel();
            told |= sender.send(TurnEvent::Sent(knows)).await.is_ok() && wait.await.is_ok();
        }
        told
    }

    /// Lets nobody join any more, unless somebody listens.
    pub(super) fn close_if_alone(&self) -> bool {
        let mut listeners = self.0.lock();
        listeners.senders.retain(|(_, sender)| !sender.is_closed());
        listeners.ended = listeners.senders.is_empty();
        listeners.ended
    }

    /// Whether anybody listens.
    pub(super) fn is_heard(&self) -> bool {
        self.0.lock().senders.iter().any(|(_, sender)| !sender.is_closed())
    }

    /// The last word. Nobody can join after this.
    pub(super) async fn end(&self, outcome: Box<Outcome>) {
        let senders = {
            let mut listeners = self.0.lock();
            listeners.ended = true;
            std::mem::take(&mut listeners.senders)
        };
        let Some(((_, last), others)) = senders.split_last() else { return };
        for (_, sender) in others {
            let _gone = sender.send(TurnEvent::Ended(outcome.clone())).await;
        }
        let _gone = last.send(TurnEvent::Ended(outcome)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::Progress;
    use super::*;

    #[tokio::test]
    async fn a_turn_is_sent_once_somebody_knows_and_whoever_comes_later_is_told() {
        let askers = Askers::default();
        let mut events = askers.join(Hears::Progress).unwrap().unwrap();
        let deaf = askers.join(Hears::Progress).unwrap().unwrap();
        drop(deaf);
        let (told, ()) = tokio::join!(askers.tell_sent(), async {
            let Some(TurnEvent::Sent(knows)) = events.recv().await else { panic!("it is told") };
            knows.send(()).unwrap();
        });
        assert!(told && !askers.close_if_alone());
        let mut late = askers.join(Hears::Progress).unwrap().unwrap();
        assert!(matches!(late.recv().await, Some(TurnEvent::Sent(_))));
    }

    #[tokio::test]
    async fn only_those_who_show_the_text_are_told_each_piece_of_it() {
        let askers = Askers::default();
        let mut shows = askers.join(Hears::Text).unwrap().unwrap();
        let mut waits = askers.join(Hears::Progress).unwrap().unwrap();
        askers.tell(TurnEvent::Delta("a".to_owned())).await;
        let progress = Progress { message: "m".to_owned(), elapsed_ms: 1 };
        askers.tell(TurnEvent::Progress(Box::new(progress))).await;
        assert!(matches!(shows.recv().await, Some(TurnEvent::Delta(text)) if text == "a"));
        for hears in [&mut shows, &mut waits] {
            assert!(matches!(hears.recv().await, Some(TurnEvent::Progress(_))));
        }
    }

    #[tokio::test]
    async fn a_turn_of_which_nobody_can_be_told_is_given_up_unless_somebody_joins_in_time() {
        let askers = Askers::default();
        let mut lost = askers.join(Hears::Progress).unwrap().unwrap();
        // Its session is over: the word cannot be passed on.
        let (told, ()) = tokio::join!(askers.tell_sent(), async {
            drop(lost.recv().await);
            drop(lost);
        });
        assert!(!told);
        let joined = askers.join(Hears::Progress).unwrap().unwrap();
        assert!(!askers.close_if_alone());
        drop(joined);
        assert!(askers.close_if_alone());
        assert!(
            askers.join(Hears::Progress).unwrap().is_none(),
            "whoever asks again is not given a turn that is not sent"
        );
    }
}
