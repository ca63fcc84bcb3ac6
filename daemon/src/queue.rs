//! A bounded queue to a thread that takes what has come in batches. Waking a thread costs more than most of what is said to it,
//! so it is woken once for a batch and not for each item.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// A new queue of `most` items. The thread that takes from it lets them gather for `linger` unless one is urgent.
pub(crate) fn queue<T>(most: usize, linger: Duration) -> (Sender<T>, Receiver<T>) {
    let state = State { items: Vec::new(), is_asleep: false, is_urgent: false, is_closed: false };
    let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), most });
    let open = Arc::new(Open(Arc::clone(&shared)));
    (Sender { open }, Receiver { shared, linger })
}

/// Where items go in; every clone is the same.
pub(crate) struct Sender<T> {
    open: Arc<Open<T>>,
}

/// Where they come out.
pub(crate) struct Receiver<T> {
    shared: Arc<Shared<T>>,
    linger: Duration,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    most: usize,
}

struct State<T> {
    items: Vec<T>,
    /// The thread waits for a first item.
    is_asleep: bool,
    /// Somebody waits for what is in it, or it is filling up.
    is_urgent: bool,
    is_closed: bool,
}

/// Closes the queue with the last of its senders.
struct Open<T>(Arc<Shared<T>>);

impl<T> Sender<T> {
    /// Takes an item, without waiting. False: the queue is full, or nobody takes from it any more.
    pub(crate) fn push(&self, item: T, is_urgent: bool) -> bool {
        let shared = &self.open.0;
        let mut state = shared.state.lock();
        if state.items.len() >= shared.most || state.is_closed {
            return false;
        }
        state.items.push(item);
        let fills_up = state.items.len() * 2 > shared.most;
        let hurries = (is_urgent || fills_up) && !state.is_urgent;
        state.is_urgent |= hurries;
        let wakes = std::mem::take(&mut state.is_asleep) || hurries;
        drop(state);
        if wakes {
            shared.changed.notify_one();
        }
        true
    }

    /// Takes no more, of no sender. What is in it is taken out, and then comes the end.
    pub(crate) fn close(&self) {
        self.open.close();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { open: Arc::clone(&self.open) }
    }
}

impl<T> Receiver<T> {
    /// Waits for items and takes all that are there, in their order. Nothing: none came within `patience`, where there is one.
    /// `None`: none will come any more.
    pub(crate) fn take(&self, patience: Option<Duration>) -> Option<Vec<T>> {
        let Shared { state, changed, .. } = &*self.shared;
        let mut state = state.lock();
        if state.items.is_empty() && !state.is_closed {
            state.is_asleep = true;
            let nothing = |state: &mut State<T>| state.items.is_empty() && !state.is_closed;
            match patience {
                Some(patience) => drop(changed.wait_while_for(&mut state, nothing, patience)),
                None => changed.wait_while(&mut state, nothing),
            }
            state.is_asleep = false;
        }
        if !state.items.is_empty() {
            let _late =
                changed.wait_while_for(&mut state, |state| !state.is_urgent && !state.is_closed, self.linger);
        }
        state.is_urgent = false;
        let items = std::mem::take(&mut state.items);
        (!items.is_empty() || !state.is_closed).then_some(items)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.state.lock().is_closed = true;
    }
}

impl<T> Open<T> {
    fn close(&self) {
        self.0.state.lock().is_closed = true;
        self.0.changed.notify_one();
    }
}

impl<T> Drop for Open<T> {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_gathers_is_taken_in_one_batch_and_an_urgent_item_ends_the_wait() {
        let (sender, receiver) = queue(100, LONG);
        let began = Instant::now();
        let thread = std::thread::spawn(move || receiver.take(None));
        for n in 0..10 {
            assert!(sender.push(n, n == 9));
        }
        assert_eq!(thread.join().unwrap(), Some((0..10).collect::<Vec<_>>()));
        assert!(began.elapsed() < LONG);
    }

    #[test]
    fn a_queue_that_fills_up_is_taken_from_at_once_and_a_full_one_takes_no_more() {
        let (sender, receiver) = queue(4, LONG);
        assert_eq!([0, 1, 2, 3, 4].map(|n| sender.push(n, false)), [true, true, true, true, false]);
        assert_eq!(receiver.take(None), Some(vec![0, 1, 2, 3]));
        assert!(sender.push(5, true));
        assert_eq!(receiver.take(None), Some(vec![5]));
    }

    #[test]
    fn what_was_sent_before_the_last_sender_went_is_taken_and_then_the_end() {
        let (sender, receiver) = queue(4, LONG);
        assert_eq!(receiver.take(Some(Duration::ZERO)), Some(Vec::new()), "none came in time");
        assert!(sender.clone().push(1, false));
        drop(sender);
        assert_eq!((receiver.take(None), receiver.take(None)), (Some(vec![1]), None));
        let (sender, receiver) = queue(4, LONG);
        assert!(sender.push(1, false));
        sender.clone().close();
        assert!(!sender.push(2, true), "it is closed for every sender");
        assert_eq!((receiver.take(None), receiver.take(None)), (Some(vec![1]), None));
        let (sender, receiver) = queue(4, LONG);
        drop(receiver);
        assert!(!sender.push(1, false), "nobody takes it");
    }
}
