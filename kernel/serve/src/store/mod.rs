//! The store client: reads only, one pipelined connection per runtime.
//!
//! Requests of many callers leave in one write and are answered in order. A fetch that is not answered in
//! time fails alone; a connection that stays silent is given up and made again with growing pauses. While
//! there is none, fetches fail at once: values are then `UNAVAILABLE`, never taken for absent.

mod address;
mod link;
mod resp;
mod stream;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::counters::Counters;

pub(crate) use address::Address;

/// The store did not answer; [`StoreHealth`] says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unanswered;

/// What the store answered: a cell per key, in order, absent where there is no such key.
pub(crate) type Cells = Vec<Option<Bytes>>;

/// What is wrong with the store, if anything: for logs, shared by all connections.
#[derive(Debug, Default)]
pub(crate) struct StoreHealth {
    ill: AtomicBool,
    error: Mutex<Option<String>>,
}

impl StoreHealth {
    /// The last error, naming the address; absent while the store answers.
    pub(crate) fn error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of a state that the store gave and the kernel cannot read.
    pub(crate) fn unreadable(&self, fault: String) {
        self.failed(fault);
    }

    fn failed(&self, error: String) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        self.ill.store(true, Ordering::Release);
    }

    fn well(&self) {
        if self.ill.load(Ordering::Acquire) {
            self.ill.store(false, Ordering::Release);
            *self.error.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

/// A fetch on its way to the connection.
#[derive(Debug)]
struct Fetch {
    wire: Vec<u8>,
    answer: oneshot::Sender<Result<Cells, Unanswered>>,
}

/// A handle of one connection; cheap to share within its runtime.
#[derive(Debug)]
pub(crate) struct Store {
    fetches: mpsc::UnboundedSender<Fetch>,
    open: Arc<AtomicBool>,
}

impl Store {
    /// Starts a connection to the store on the current runtime. It lives as long as the handle.
    pub(crate) fn start(
        address: Address,
        timeout: Duration,
        health: Arc<StoreHealth>,
        counters: Arc<Counters>,
    ) -> Self {
        let (fetches, incoming) = mpsc::unbounded_channel();
        // Fetches wait for the first attempt to connect, and for no other.
        let open = Arc::new(AtomicBool::new(true));
        let link = link::Link::new(address, timeout, health, counters, Arc::clone(&open), incoming);
        tokio::spawn(link.run());
        Self { fetches, open }
    }

    /// Reads all keys of a request in one round trip. Bounded by the store's timeout.
    pub(crate) async fn fetch(&self, keys: MultiGet) -> Result<Cells, Unanswered> {
        let count = keys.count;
        if !self.open.load(Ordering::Acquire) {
            return Err(Unanswered);
        }
        let (answer, answered) = oneshot::channel();
        self.fetches
            .send(Fetch {
                wire: keys.finish(),
                answer,
            })
            .map_err(|_| Unanswered)?;
        let cells = answered.await.map_err(|_| Unanswered)??;
        if cells.len() == count {
            Ok(cells)
        } else {
            Err(Unanswered)
        }
    }
}

/// A request for the values of keys, written as it will be sent.
#[derive(Debug)]
pub(crate) struct MultiGet {
    body: Vec<u8>,
    count: usize,
}

impl MultiGet {
    /// Of about so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            body: Vec::with_capacity(bytes),
            count: 0,
        }
    }

    /// Adds a key, given in parts.
    pub(crate) fn key(&mut self, parts: &[&[u8]]) {
        resp::number(&mut self.body, b'$', parts.iter().map(|part| part.len()).sum());
        for part in parts {
            self.body.extend_from_slice(part);
        }
        self.body.extend_from_slice(b"\r\n");
        self.count += 1;
    }

    fn finish(self) -> Vec<u8> {
        let mut wire = Vec::with_capacity(self.body.len() + 32);
        resp::number(&mut wire, b'*', self.count + 1);
        wire.extend_from_slice(b"$4\r\nMGET\r\n");
        wire.extend_from_slice(&self.body);
        wire
    }
}

#[cfg(test)]
mod tests;
