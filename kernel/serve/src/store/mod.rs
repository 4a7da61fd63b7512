//! The store client: reads only, one pipelined connection per runtime.
//!
//! Requests of many callers leave in one write and are answered in order. A fetch that is not answered in
//! time fails alone; a connection that stays silent is given up and made again with growing pauses. While
//! there is none, fetches fail at once: values are then `UNAVAILABLE`, never taken for absent.

mod address;
mod cluster;
mod keys;
mod link;
mod nodes;
mod resp;
mod stream;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::counters::Counters;

pub(crate) use address::Address;
use cluster::Cluster;
pub(crate) use keys::MultiGet;
use link::Connection;

/// A read has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Unanswered {
    /// The store did not answer, or not with what it was asked for; [`StoreHealth`] says why.
    Silent,
    /// A member of a cluster answered with this error, which says where or when the keys are to be had.
    Refused(String),
}

/// A cell per key, in order, absent where there is no such key.
type Cells = Vec<Option<Bytes>>;

type Answer = Result<Cells, Unanswered>;

/// What the store answered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// A cell per key, in order, absent where there is no such key.
    pub(crate) cells: Cells,
    /// Per key whether it is unanswered; empty if none is.
    unanswered: Vec<bool>,
}

impl Fetched {
    fn with_places(count: usize) -> Self {
        Self {
            cells: vec![None; count],
            unanswered: Vec::new(),
        }
    }

    fn lose(&mut self, places: &[usize]) {
        self.unanswered.resize(self.cells.len(), false);
        for &place in places {
            self.unanswered[place] = true;
        }
    }

    /// Whether the store answered for the key in this place.
    pub(crate) fn has(&self, place: usize) -> bool {
        !self.unanswered.get(place).copied().unwrap_or(false)
    }

    /// Whether the store answered for any key.
    pub(crate) fn has_any(&self) -> bool {
        self.unanswered.is_empty() || self.unanswered.contains(&false)
    }
}

/// What all connections of a runtime share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    /// How long an answer may take.
    pub(crate) timeout: Duration,
    pub(crate) health: Arc<StoreHealth>,
    pub(crate) counters: Arc<Counters>,
}

/// What is wrong with the store, if anything: for logs, shared by all connections.
#[derive(Debug, Default)]
pub(crate) struct StoreHealth {
    ill: AtomicBool,
    /// By server.
    errors: Mutex<BTreeMap<String, String>>,
}

impl StoreHealth {
    /// The last error of a server, naming its address; absent while all answer.
    pub(crate) fn error(&self) -> Option<String> {
        self.errors().values().next().cloned()
    }

    /// Takes note of a state that the store gave and the kernel cannot read.
    pub(crate) fn unreadable(&self, fault: String) {
        self.note(String::new(), fault);
    }

    fn failed(&self, server: &Address, error: String) {
        self.note(server.to_string(), error);
    }

    fn note(&self, server: String, error: String) {
        self.errors().insert(server, error);
        self.ill.store(true, Ordering::Release);
    }

    fn well(&self, server: &Address) {
        if self.ill.load(Ordering::Acquire) {
            let mut errors = self.errors();
            errors.remove(&server.to_string());
            errors.remove("");
            self.ill.store(!errors.is_empty(), Ordering::Release);
        }
    }

    fn errors(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The store, for one runtime.
#[derive(Debug)]
pub(crate) enum Store {
    /// All keys are on one server.
    Single(Connection),
    /// Keys lie in the slots of a cluster.
    Cluster(Arc<Cluster>),
}

impl Store {
    /// Starts to connect to the store on the current runtime, for as long as the handle lives.
    pub(crate) fn start(address: Address, shared: Shared) -> Self {
        if address.is_cluster() {
            Self::Cluster(Cluster::start(address, shared))
        } else {
            Self::Single(Connection::start(address, shared))
        }
    }

    /// Whether keys lie in slots, each with sentinels of its own.
    pub(crate) fn has_slots(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Reads all keys of a request in one round trip. Bounded by the store's timeout; absent if the store does not
    /// answer.
    pub(crate) async fn fetch(&self, keys: MultiGet) -> Option<Fetched> {
        match self {
            Self::Cluster(cluster) => Some(cluster.fetch(&keys).await).filter(Fetched::has_any),
            Self::Single(connection) => {
                let cells = connection.send(keys.finish(), 0)?.await.ok()?.ok()?;
                (cells.len() == keys.count).then_some(Fetched {
                    cells,
                    unanswered: Vec::new(),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests;
