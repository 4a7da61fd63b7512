//! The read path: from the bytes of a request to the bytes of its answer.
//!
//! request → checked → vector of the plan → rows → one fetch of all states → request time → values per view and
//! row → on-demand values → answer and served record.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use prost::Message;
use skewless_core::status::Status;
use skewless_core::token::{self, Token};
use tonic::Code;

use crate::answer::{self, Cell, Circumstances, Head};
use crate::catalogue::Catalogue;
use crate::check;
use crate::compute;
use crate::partial;
use crate::refusal::Refusal;
use crate::rows::Rows;
use crate::served::Served;
use crate::server::Shared;
use crate::stages::{Stage, Stages};
use crate::states::States;
use crate::store::{Fetched, MultiGet, Store};
use crate::traces::{self, Traced};
use crate::ulid::{self, Ulids};
use crate::vector::Vector;
use crate::wire::online::{GetOnlineFeaturesRequest, LogPredictionRequest, LogPredictionResponse};
use crate::wire::{Reason, events};

/// How long a request waits at most for the revision that it asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// What is left of a caller's patience when the waiting ends, for the answer to arrive.
const ANSWER_TIME: Duration = Duration::from_millis(100);

/// A request on its way.
struct Asked<'a> {
    raw: &'a Bytes,
    request: &'a GetOnlineFeaturesRequest,
    traced: Option<&'a Traced<'a>>,
}

/// The read path of one runtime.
#[derive(Debug)]
pub(crate) struct ReadPath {
    pub(crate) shared: Arc<Shared>,
    store: Store,
    ids: Mutex<Ulids>,
}

impl ReadPath {
    pub(crate) fn new(shared: Arc<Shared>, store: Store) -> Self {
        Self {
            shared,
            store,
            ids: Mutex::new(Ulids::new()),
        }
    }

    /// Answers a request for features, within the caller's patience if it has a limit.
    pub(crate) async fn get_online_features(
        &self,
        raw: Bytes,
        patience: Option<Duration>,
        traced: Option<&Traced<'_>>,
        timed: &mut Stages,
    ) -> Result<Bytes, Refusal> {
        let request = GetOnlineFeaturesRequest::decode(raw.clone())
            .map_err(|error| not_a_message("GetOnlineFeaturesRequest", &error))?;
        let count = check::features_request(&request)?;
        timed.end(Stage::Check);
        let catalogue = self.catalogue_at(request.min_revision, patience).await?;
        let vector = catalogue.vector(&request.project, &request.feature_service, &request.features)?;
        let rows = Rows::read(&vector, &request, count)?;
        if self.shared.settings.served_log && self.shared.served.is_full() {
            return Err(self.served_log_is_full());
        }
        timed.end(Stage::Resolve);
        let fetched = match States::keys(&vector, &rows, self.store.has_slots()) {
            Some(keys) => {
                let fetched = self.fetch(keys, traced).await;
                timed.end(Stage::Fetch);
                fetched
            }
            None => None,
        };
        let states = States::new(&vector, rows.count, self.store.has_slots(), fetched);
        let asked = Asked {
            raw: &raw,
            request: &request,
            traced,
        };
        self.compose(&asked, &catalogue, &vector, &rows, &states, timed)
            .await
    }

    /// The cells of these keys; absent if the store does not answer.
    async fn fetch(&self, keys: MultiGet, traced: Option<&Traced<'_>>) -> Option<Fetched> {
        let began = traced.map(|_| traces::now_ns());
        let fetched = self.store.fetch(keys).await;
        if let (Some(traced), Some(began)) = (traced, began) {
            traced.step(traces::STORE_READ, began, fetched.is_some());
        }
        fetched
    }

    async fn compose(
        &self,
        asked: &Asked<'_>,
        catalogue: &Catalogue,
        vector: &Vector,
        rows: &Rows,
        states: &States<'_>,
        timed: &mut Stages,
    ) -> Result<Bytes, Refusal> {
        let (shared, request) = (&self.shared, asked.request);
        let now = now_us();
        let knowledge = states.knowledge();
        // The server's own time must not lie before what a state can answer.
        let request_time = request
            .request_time_us
            .unwrap_or_else(|| knowledge.earliest.map_or(now, |earliest| now.max(earliest)));
        let mut cells = vec![Cell::without(Status::Unavailable); vector.slots * rows.count];
        let unreadable = states.read(request_time, &mut cells);
        timed.end(Stage::Read);
        let called = compute::on_demand(shared, vector, rows, request_time, &mut cells).await?;
        timed.end(Stage::Compute);

        let columns = || {
            vector.outputs.iter().map(|slot| {
                let failure = called.failures.get(slot).map_or("", String::as_str);
                (&cells[slot * rows.count..(slot + 1) * rows.count], failure)
            })
        };
        let mut tally = [0_u32; Status::ALL.len() + 1];
        for cell in columns().flat_map(|(cells, _)| cells) {
            tally[usize::from(cell.status.code())] += 1;
        }
        let not_answerable = tally[usize::from(Status::NotAnswerable.code())] > 0;
        if let Some(fault) = unreadable {
            shared.counters.unreadable_states.fetch_add(1, Ordering::Relaxed);
            shared.store_health.unreadable(fault);
        }
        if partial::is_refused(request, &tally) {
            let earliest = knowledge.earliest.filter(|_| not_answerable);
            return Err(partial::refusal(vector, rows.count, &cells, earliest));
        }
        let token = token::write(&Token {
            request_time,
            views: knowledge.views,
            rows: rows.count,
            known: knowledge.per_row,
        })
        .map_err(|error| Refusal::new(Code::InvalidArgument, Reason::TooLarge, error.to_string()))?;
        let request_id = self.ids.lock().unwrap_or_else(PoisonError::into_inner).next(now);
        let head = Head {
            request_id: &request_id,
            request_time,
            names: &vector.names,
            earliest_answerable: knowledge.earliest.filter(|_| not_answerable),
        };
        let body = answer::body(&head, columns());
        if let Some(traced) = asked.traced {
            traced.answered(request_id, shared.settings.served_log);
        }
        if shared.settings.served_log {
            let circumstances = Circumstances {
                served_at: now,
                revision: catalogue.revision,
                service_meaning: vector.meaning.as_ref().map_or(&[], |meaning| meaning.as_slice()),
                functions: &self.functions(called.arguments),
            };
            let record = answer::served(asked.raw, &body, &token, &circumstances);
            self.queue(Served { request_id, record })?;
        }
        shared.counters.add_values(&tally);
        shared
            .counters
            .rows
            .fetch_add(rows.count as u64, Ordering::Relaxed);
        let answer = answer::finish(&body, &token);
        timed.end(Stage::Answer);
        Ok(answer)
    }

    /// Where Python functions ran and what they were called with, as the served record has it.
    fn functions(&self, arguments: Vec<events::FunctionArguments>) -> Vec<u8> {
        if arguments.is_empty() {
            return Vec::new();
        }
        let environment = self.shared.functions.environment();
        let ran = events::ServedVector {
            function_environment: environment.map(|found| events::FunctionEnvironment {
                interpreter: found.interpreter,
                machine: found.machine,
                lock: found.lock.into(),
            }),
            function_arguments: arguments,
            ..Default::default()
        };
        ran.encode_to_vec()
    }

    /// Takes note of a prediction.
    pub(crate) fn log_prediction(&self, raw: &Bytes, traced: Option<&Traced<'_>>) -> Result<Bytes, Refusal> {
        let mut request = LogPredictionRequest::decode(raw.clone())
            .map_err(|error| not_a_message("LogPredictionRequest", &error))?;
        check::prediction(&request)?;
        self.catalogue()?.check_project(&request.project)?;
        let now = now_us();
        request.predicted_at_us.get_or_insert(now);
        let mut request_id = [b'0'; ulid::LENGTH];
        request_id.copy_from_slice(request.request_id.as_bytes());
        if let Some(traced) = traced {
            traced.answered(request_id, true);
        }
        let prediction = events::Prediction {
            request: Some(request),
            logged_at_us: now,
        };
        let record = events::ServedRecord {
            record: Some(events::served_record::Record::Prediction(prediction)),
        };
        self.queue(Served {
            request_id,
            record: Bytes::from(record.encode_to_vec()),
        })?;
        Ok(Bytes::from(LogPredictionResponse::default().encode_to_vec()))
    }

    /// A catalogue of this revision or a later one, waited for if need be.
    async fn catalogue_at(
        &self,
        revision: i64,
        patience: Option<Duration>,
    ) -> Result<Arc<Catalogue>, Refusal> {
        let late = |catalogue: &Catalogue| catalogue.revision < revision;
        if revision > 0 && self.shared.catalogue.load().as_deref().is_none_or(late) {
            let patience = patience.map_or(LONGEST_WAIT, |limit| {
                LONGEST_WAIT.min(limit.saturating_sub(ANSWER_TIME))
            });
            let mut revisions = self.shared.revision.subscribe();
            // Whether it came is seen below.
            let _ = tokio::time::timeout(patience, revisions.wait_for(|known| *known >= revision)).await;
        }
        let catalogue = self.catalogue()?;
        if late(&catalogue) {
            let (known, what) = (catalogue.revision, self.shared.waiting_for.load());
            return Err(Refusal::new(
                Code::Unavailable,
                Reason::NotReady,
                format!("this server knows revision {known}, {revision} is asked for; it waits for {what}"),
            )
            .with("revision", known.to_string())
            .with("min_revision", revision.to_string())
            .with("waiting_for", what.as_str()));
        }
        Ok(catalogue)
    }

    fn catalogue(&self) -> Result<Arc<Catalogue>, Refusal> {
        self.shared.catalogue.load_full().ok_or_else(|| {
            let what = self.shared.waiting_for.load();
            Refusal::new(
                Code::Unavailable,
                Reason::NotReady,
                format!("this server has no definitions yet; it waits for {what}"),
            )
            .with("waiting_for", what.as_str())
        })
    }

    fn queue(&self, served: Served) -> Result<(), Refusal> {
        let (shared, bytes) = (&self.shared, served.record.len());
        let most = shared.settings.served_record_bytes;
        if bytes > most {
            return Err(Refusal::new(
                Code::InvalidArgument,
                Reason::TooLarge,
                format!(
                    "the answer takes {bytes} bytes in the served log, at most {most} fit; ask for fewer rows"
                ),
            ));
        }
        if !shared.served.push(served) {
            return Err(self.served_log_is_full());
        }
        shared.counters.served_queued.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Every answer can be replayed, so there is none when it could not be logged.
    fn served_log_is_full(&self) -> Refusal {
        self.shared
            .counters
            .served_refused
            .fetch_add(1, Ordering::Relaxed);
        let most = self.shared.settings.served_queue;
        Refusal::new(
            Code::ResourceExhausted,
            Reason::Overloaded,
            format!("{most} served records wait for the served log, the most that may; is the broker there? Retry later"),
        )
        .with("served_queue", most.to_string())
    }
}

fn not_a_message(name: &str, error: &prost::DecodeError) -> Refusal {
    let text = format!("the bytes are no {name}: {error}; generate the client from the current contract");
    Refusal::new(Code::InvalidArgument, Reason::InvalidArgument, text)
}

/// The server's clock, in microseconds since 1970.
pub(crate) fn now_us() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_micros()).ok())
        .unwrap_or(0)
}
