//! Who may call, how often, and how much is worked on at once.
//!
//! Everything here is decided from what is in memory, before a request is read: keys by their hashes (`keys`), rates by
//! token buckets (`rates`), load by how late the runtimes are (`load`).

mod keys;
mod load;
mod rates;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use prost::Message;
use serde::Deserialize;
use tonic::Code;
use tonic::metadata::MetadataMap;

use crate::counters::Rpc;
use crate::refusal::{Refusal, quoted};
use crate::wire::Reason;
use keys::{Key, KeyDocument};
pub(crate) use load::{Load, Place, watch_runtime};
use rates::Bucket;

/// What is decided at the start.
#[derive(Debug, Clone, Default)]
pub struct AccessSettings {
    /// Whether calls without a valid API key are refused.
    pub keys_required: bool,
    /// Calls a second that a key may make of this server; 0: as many as it likes.
    pub key_rate: u32,
    /// Calls a second that may be made of this server for a project; 0: as many as they like.
    pub project_rate: u32,
    /// How late the runtimes may be before less is worked on at once; zero: whatever they are.
    pub queue_target: Duration,
}

/// Lets calls in, or refuses them.
#[derive(Debug)]
pub(crate) struct Access {
    settings: AccessSettings,
    lists: ArcSwapOption<Lists>,
    /// Of projects that are not known.
    others: Bucket,
    began: Instant,
}

/// Keys and projects as they are now; what they have used is kept from one list to the next.
#[derive(Debug)]
struct Lists {
    keys: HashMap<Box<str>, Arc<Key>>,
    projects: HashMap<Box<str>, Arc<Bucket>>,
}

/// The lists as the host writes them.
#[derive(Debug, Deserialize)]
struct Document {
    projects: Vec<Box<str>>,
    keys: Vec<KeyDocument>,
}

/// What of a request its rights depend on; the other fields are skipped, not read.
#[derive(Clone, PartialEq, Message)]
struct VectorScope {
    #[prost(bytes = "bytes", tag = "1")]
    project: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    feature_service: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct PredictionScope {
    #[prost(bytes = "bytes", tag = "2")]
    project: Bytes,
}

impl Access {
    pub(crate) fn new(settings: AccessSettings) -> Self {
        Self {
            settings,
            lists: ArcSwapOption::empty(),
            others: Bucket::default(),
            began: Instant::now(),
        }
    }

    /// Takes other lists from now on; the error says what is wrong with them, and those before stay.
    pub(crate) fn publish(&self, json: &[u8]) -> Result<(), String> {
        let document: Document = serde_json::from_slice(json)
            .map_err(|error| format!("the lists of access cannot be read: {error}"))?;
        let before = self.lists.load();
        let mut keys = HashMap::with_capacity(document.keys.len());
        for found in document.keys {
            let old = before.as_ref().and_then(|lists| lists.keys.get(&*found.id));
            let id = found.id.clone();
            keys.insert(id, Arc::new(Key::read(found, old.map(Arc::as_ref))?));
        }
        let mut projects = HashMap::with_capacity(document.projects.len());
        for name in document.projects {
            let old = before.as_ref().and_then(|lists| lists.projects.get(&name));
            let bucket = old.cloned().unwrap_or_default();
            projects.insert(name, bucket);
        }
        self.lists.store(Some(Arc::new(Lists { keys, projects })));
        Ok(())
    }

    /// Keys that were used since the last time, each with when, in microseconds since 1970, to about a second.
    pub(crate) fn drain_uses(&self) -> Vec<(String, i64)> {
        let lists = self.lists.load();
        let keys = lists.iter().flat_map(|lists| &lists.keys);
        keys.filter_map(|(id, key)| Some((id.to_string(), key.take_use()?)))
            .collect()
    }

    /// Lets a call in. `now_us`: the clock, in microseconds since 1970.
    pub(crate) fn admit(
        &self,
        rpc: Rpc,
        metadata: &MetadataMap,
        raw: &Bytes,
        now_us: i64,
    ) -> Result<(), Refusal> {
        let settings = &self.settings;
        if !settings.keys_required && settings.project_rate == 0 {
            return Ok(());
        }
        let lists = self.lists.load();
        let key = if settings.keys_required {
            let Some(lists) = lists.as_ref() else {
                return Err(not_heard());
            };
            Some(keys::authenticate(&lists.keys, metadata, now_us)?)
        } else {
            None
        };
        let scope = match scope(rpc, raw) {
            Ok(scope) => scope,
            // What cannot be read is told by who reads it all.
            Err(_) if key.is_none() => return Ok(()),
            Err(error) => {
                return Err(Refusal::new(
                    Code::InvalidArgument,
                    Reason::InvalidArgument,
                    format!(
                        "the bytes are no request: {error}; generate the client from the current contract"
                    ),
                ));
            }
        };
        let project = std::str::from_utf8(&scope.project).unwrap_or_default();
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        if let Some(key) = key {
            key.permit(rpc, project, &scope.feature_service)?;
            key.bucket
                .take(settings.key_rate, now)
                .map_err(|wait| too_often("this API key", settings.key_rate, wait))?;
            key.note_use(now_us);
        }
        let bucket = lists
            .as_ref()
            .and_then(|lists| lists.projects.get(project))
            .map_or(&self.others, Arc::as_ref);
        bucket.take(settings.project_rate, now).map_err(|wait| {
            too_often(
                &format!("project {}", quoted(project)),
                settings.project_rate,
                wait,
            )
        })
    }
}

fn scope(rpc: Rpc, raw: &Bytes) -> Result<VectorScope, prost::DecodeError> {
    match rpc {
        Rpc::GetOnlineFeatures => VectorScope::decode(raw.clone()),
        Rpc::LogPrediction => PredictionScope::decode(raw.clone()).map(|scope| VectorScope {
            project: scope.project,
            feature_service: Bytes::new(),
        }),
    }
}

fn not_heard() -> Refusal {
    let what = "the API keys from the registry";
    Refusal::new(
        Code::Unavailable,
        Reason::NotReady,
        format!("this server knows no API keys yet; it waits for {what}"),
    )
    .with("waiting_for", what)
}

fn too_often(who: &str, rate: u32, wait: Duration) -> Refusal {
    Refusal::new(
        Code::ResourceExhausted,
        Reason::RateLimited,
        format!("{who} may call this server {rate} times a second; wait as long as the details say"),
    )
    .with("rate", rate.to_string())
    .after(wait)
}

#[cfg(test)]
mod tests;
