//! The queue between the read path and whoever carries served records to the log.
//!
//! Bounded in records and in bytes. A record that was queued is never dropped: a full queue refuses the
//! request instead, so that what was answered can always be replayed.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::ulid;

/// How long a drain waits for company after its first record: fewer, larger batches for the publisher.
const GATHER: Duration = Duration::from_millis(5);

/// An encoded `ServedRecord` and the id of the request it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The request id, in ASCII.
    pub request_id: [u8; ulid::LENGTH],
    /// The record.
    pub record: Bytes,
}

/// A bounded queue of encoded records.
#[derive(Debug)]
pub(crate) struct ServedQueue {
    inner: Mutex<Inner>,
    filled: Condvar,
    most_records: usize,
    most_bytes: usize,
}

#[derive(Debug, Default)]
struct Inner {
    records: VecDeque<Served>,
    bytes: usize,
    closed: bool,
    waiting: bool,
}

impl ServedQueue {
    /// An empty queue of at most so many records and bytes.
    pub(crate) fn new(most_records: usize, most_bytes: usize) -> Self {
        Self {
            inner: Mutex::default(),
            filled: Condvar::new(),
            most_records,
            most_bytes,
        }
    }

    /// Whether a record would be refused now.
    pub(crate) fn is_full(&self) -> bool {
        self.full(&self.lock())
    }

    /// Queues a record; false if the queue is full.
    pub(crate) fn push(&self, served: Served) -> bool {
        let mut inner = self.lock();
        if self.full(&inner) {
            return false;
        }
        inner.bytes += served.record.len();
        inner.records.push_back(served);
        if inner.waiting {
            self.filled.notify_one();
        }
        true
    }

    /// Takes up to `most` records in order, waiting up to `timeout` for the first. Empty after the timeout,
    /// or at once when the queue is closed and drained.
    pub(crate) fn drain(&self, most: usize, timeout: Duration) -> Vec<Served> {
        let deadline = Instant::now() + timeout;
        let mut inner = self.lock();
        while inner.records.is_empty() && !inner.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            inner.waiting = true;
            inner = self.sleep(inner, left);
            inner.waiting = false;
        }
        if !inner.closed && (1..most).contains(&inner.records.len()) {
            // Nobody is told to wake this sleeper, so records that come meanwhile cost nothing.
            let left = GATHER.min(deadline.saturating_duration_since(Instant::now()));
            inner = self.sleep(inner, left);
        }
        let taken = inner.records.len().min(most);
        let records: Vec<Served> = inner.records.drain(..taken).collect();
        inner.bytes -= records.iter().map(|served| served.record.len()).sum::<usize>();
        records
    }

    /// Wakes those who wait: nothing more will come.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// How many records wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().records.len()
    }

    fn full(&self, inner: &Inner) -> bool {
        inner.records.len() >= self.most_records || inner.bytes >= self.most_bytes
    }

    fn sleep<'a>(&'a self, inner: MutexGuard<'a, Inner>, at_most: Duration) -> MutexGuard<'a, Inner> {
        self.filled
            .wait_timeout(inner, at_most)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    /// No code that runs under the lock can leave the queue half changed, so poison says nothing.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn of(record: &'static [u8]) -> Served {
        Served {
            request_id: [b'0'; ulid::LENGTH],
            record: Bytes::from_static(record),
        }
    }

    fn records(drained: Vec<Served>) -> Vec<Bytes> {
        drained.into_iter().map(|served| served.record).collect()
    }

    #[test]
    fn records_come_out_in_order_and_are_refused_when_full() {
        let queue = ServedQueue::new(2, 1_000);
        assert!(queue.push(of(b"a")));
        assert!(queue.push(of(b"b")));
        assert!(queue.is_full());
        assert!(!queue.push(of(b"c")));
        assert_eq!(records(queue.drain(10, Duration::ZERO)), ["a", "b"]);
        assert!(queue.push(of(b"c")));
        assert_eq!(records(queue.drain(1, Duration::ZERO)), ["c"]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let queue = ServedQueue::new(100, 4);
        assert!(queue.push(of(b"abcdef")));
        assert!(!queue.push(of(b"g")));
        queue.drain(1, Duration::ZERO);
        assert!(queue.push(of(b"g")));
    }

    #[test]
    fn a_drain_waits_for_the_first_record_and_for_the_close() {
        let queue = Arc::new(ServedQueue::new(10, 1_000));
        let drained = {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || queue.drain(10, Duration::from_secs(30)))
        };
        std::thread::sleep(Duration::from_millis(20));
        queue.push(of(b"a"));
        assert_eq!(records(drained.join().unwrap()), ["a"]);
        assert!(queue.drain(10, Duration::from_millis(5)).is_empty());
        queue.close();
        assert!(queue.drain(10, Duration::from_secs(30)).is_empty());
    }
}
