//! A cluster: a connection to each primary, and who holds which slots.
//!
//! The keys of one slot are one command, so that a state and its sentinel are of one answer. A slot that has moved is
//! followed where the store says (`MOVED`, `ASK`), and the map of all slots is asked for anew: then, after every
//! failure, and every few seconds. Slots whose primary does not answer fail alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::link::{self, Connection};
use super::nodes::{self, Nodes, Place};
use super::{Address, Answer, Fetched, MultiGet, Shared, Unanswered};

/// How often a map is asked for when nothing seems to have changed.
const EVERY: Duration = Duration::from_secs(10);
/// The least time between two maps.
const GAP: Duration = Duration::from_millis(100);
/// How long a slot that is on its way is waited for before it is asked for again.
const ON_ITS_WAY: Duration = Duration::from_millis(10);
/// How often a command is sent elsewhere.
const MOST_HOPS: u32 = 4;

/// The primaries of a cluster, for one runtime.
#[derive(Debug)]
pub(crate) struct Cluster {
    address: Address,
    shared: Shared,
    nodes: watch::Sender<Arc<Nodes>>,
    connections: Mutex<HashMap<Place, Arc<Connection>>>,
    /// Somebody found the map to be wrong.
    doubts: Notify,
}

/// A command that was sent, and the places of its keys in the request.
struct Sent {
    slot: u16,
    wire: Vec<u8>,
    places: Vec<usize>,
    answer: Option<oneshot::Receiver<Answer>>,
}

impl Cluster {
    /// Starts to ask for the map, on the current runtime, until the handle is gone.
    pub(super) fn start(address: Address, shared: Shared) -> Arc<Self> {
        let cluster = Arc::new(Self {
            address,
            shared,
            nodes: watch::Sender::default(),
            connections: Mutex::default(),
            doubts: Notify::new(),
        });
        tokio::spawn(follow(Arc::downgrade(&cluster)));
        cluster
    }

    /// Reads all keys of a request in one round trip. Bounded by the store's timeout.
    pub(super) async fn fetch(&self, keys: &MultiGet) -> Fetched {
        let deadline = Instant::now() + self.shared.timeout;
        let mut known = self.nodes.subscribe();
        // Without a map every key is unanswered.
        let _ = timeout_at(deadline, known.wait_for(|nodes| nodes.is_whole())).await;
        let nodes = Arc::clone(&known.borrow());
        let sent: Vec<Sent> = keys
            .by_slot()
            .into_iter()
            .map(|(slot, (wire, places))| {
                let answer = nodes
                    .primary(slot)
                    .and_then(|place| self.connection(place).send(wire.clone(), 0));
                Sent {
                    slot,
                    wire,
                    places,
                    answer,
                }
            })
            .collect();
        let mut fetched = Fetched::with_places(keys.count);
        for command in sent {
            match self
                .answer(&nodes, command.slot, &command.wire, command.answer, deadline)
                .await
            {
                Ok(cells) if cells.len() == command.places.len() => {
                    for (place, cell) in command.places.into_iter().zip(cells) {
                        fetched.cells[place] = cell;
                    }
                }
                Ok(_) | Err(_) => {
                    self.doubts.notify_one();
                    fetched.lose(&command.places);
                }
            }
        }
        fetched
    }

    /// The answer to a command, followed to where its slot has gone.
    async fn answer(
        &self,
        nodes: &Nodes,
        slot: u16,
        wire: &[u8],
        first: Option<oneshot::Receiver<Answer>>,
        deadline: Instant,
    ) -> Answer {
        let mut answer = first;
        let mut place = nodes.primary(slot).cloned();
        for _ in 0..MOST_HOPS {
            let Some(due) = answer else { break };
            let refusal = match timeout_at(deadline, due).await {
                Ok(Ok(Err(Unanswered::Refused(text)))) => text,
                Ok(Ok(answer)) => return answer,
                Ok(Err(_)) | Err(_) => break,
            };
            let words: Vec<&str> = refusal.split(' ').collect();
            let asked = place.as_ref().map_or("", |(host, _)| host.as_str());
            let mut skip = 0;
            match words[..] {
                ["MOVED", _, address] => {
                    self.doubts.notify_one();
                    place = nodes::split(address, asked);
                }
                ["ASK", _, address] => {
                    skip = 1;
                    place = nodes::split(address, asked);
                }
                ["TRYAGAIN", ..] => sleep(ON_ITS_WAY).await,
                _ => break,
            }
            let Some(place) = &place else { break };
            let mut again = Vec::with_capacity(wire.len() + 16);
            if skip > 0 {
                again.extend_from_slice(b"*1\r\n$6\r\nASKING\r\n");
            }
            again.extend_from_slice(wire);
            answer = self.connection(place).send(again, skip);
        }
        Err(Unanswered::Silent)
    }

    fn connection(&self, place: &Place) -> Arc<Connection> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = connections.get(place) {
            return Arc::clone(connection);
        }
        let connection = Arc::new(Connection::start(self.address.member(place), self.shared.clone()));
        connections.insert(place.clone(), Arc::clone(&connection));
        connection
    }

    /// The map that knows the latest change, of those that members and seeds give.
    async fn ask(&self) -> Result<Nodes, String> {
        let mut asked: Vec<Place> = self.nodes.borrow().members.clone();
        for seed in self.address.seeds() {
            if !asked.contains(seed) {
                asked.push(seed.clone());
            }
        }
        let mut answers = tokio::task::JoinSet::new();
        for place in asked {
            let (member, limit) = (self.address.member(&place), self.shared.timeout);
            answers.spawn(async move {
                let text = timeout(limit, link::ask(&member, &[b"CLUSTER", b"NODES"])).await;
                let cells = text
                    .map_err(|_| "timed out".to_owned())?
                    .map_err(|error| error.to_string())?;
                let text = cells.into_iter().next().flatten().unwrap_or_default();
                let nodes = Nodes::read(&String::from_utf8_lossy(&text), &place.0)?;
                if nodes.is_whole() {
                    Ok(nodes)
                } else {
                    Err("slots are without a primary".to_owned())
                }
            });
        }
        let mut best: Result<Nodes, String> = Err("none was asked".to_owned());
        while let Some(answer) = answers.join_next().await {
            let answer = answer.unwrap_or_else(|error| Err(error.to_string()));
            match (&best, answer) {
                (Ok(before), Ok(nodes)) if nodes.epoch <= before.epoch => {}
                (Ok(_), Err(_)) => {}
                (_, answer) => best = answer,
            }
        }
        best
    }

    fn take(&self, found: Result<Nodes, String>) {
        match found {
            Ok(nodes) => {
                self.shared.health.well(&self.address);
                self.connections
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .retain(|place, _| nodes.members.contains(place));
                self.nodes.send_replace(Arc::new(nodes));
            }
            Err(error) => self.shared.health.failed(
                &self.address,
                format!(
                    "the cluster {} does not say who holds what: {error}",
                    self.address
                ),
            ),
        }
    }
}

/// Keeps the map of a cluster true while the cluster is there.
async fn follow(cluster: Weak<Cluster>) {
    loop {
        let Some(held) = cluster.upgrade() else { return };
        let next = Instant::now() + GAP;
        let found = held.ask().await;
        held.take(found);
        // Not held while waiting, so that it can end.
        sleep_until(next).await;
        let doubted = async {
            let limit = Instant::now() + EVERY;
            while Instant::now() < limit && cluster.strong_count() > 1 {
                if timeout(Duration::from_secs(1), held.doubts.notified())
                    .await
                    .is_ok()
                {
                    return;
                }
            }
        };
        doubted.await;
        if cluster.strong_count() == 1 {
            return;
        }
    }
}
