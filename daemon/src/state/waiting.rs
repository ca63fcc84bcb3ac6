//! What waits for the disk and may be let go of when much comes at once.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// Items that wait; of more only the last are written. A person makes a few in an hour, so only a flood of hundreds within one
/// [`super::worker::LINGER`] meets it.
pub(super) const MOST: usize = 200;

/// A list that waits; every clone is the same. While the database cannot be used it goes on waiting. A transaction that fails
/// takes its items along.
pub(super) struct Waiting<T>(Arc<Mutex<List<T>>>);

struct List<T> {
    items: VecDeque<T>,
    /// Somebody is on the way to write them.
    is_awaited: bool,
}

/// Whoever holds it is to write them.
pub(super) struct Ticket<T>(Waiting<T>);

impl<T> Waiting<T> {
    /// One more. A ticket, where nobody has one.
    pub(super) fn push(&self, item: T) -> Option<Ticket<T>> {
        let mut list = self.0.lock();
        let let_go = if list.items.len() >= MOST { list.items.pop_front() } else { None };
        list.items.push_back(item);
        let is_awaited = std::mem::replace(&mut list.is_awaited, true);
        drop(list);
        drop(let_go);
        (!is_awaited).then(|| Ticket(self.clone()))
    }
}

impl<T> Ticket<T> {
    /// All that wait.
    pub(super) fn take(self) -> VecDeque<T> {
        let mut list = self.0.0.lock();
        list.is_awaited = false;
        std::mem::take(&mut list.items)
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        self.0.0.lock().is_awaited = false;
    }
}

impl<T> Clone for Waiting<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(List { items: VecDeque::new(), is_awaited: false })))
    }
}

impl<T> fmt::Debug for Waiting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("items", &self.0.lock().items.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_the_last_are_left_and_one_ticket_is_out_at_a_time() {
        let waiting = Waiting::default();
        let ticket = waiting.push(0).unwrap();
        assert!((1..MOST + 5).all(|n| waiting.push(n).is_none()));
        assert!(ticket.take().into_iter().eq(5..MOST + 5));
        // One that comes to nothing leaves what waits to the next.
        drop(waiting.push(7).unwrap());
        let ticket = waiting.push(8).unwrap();
        assert_eq!(ticket.take(), [7, 8]);
    }
}
