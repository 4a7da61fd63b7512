//! What the server counts, by fixed names.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use skewless_core::functions::Outcome;
use skewless_core::status::Status;

use crate::refusal::name_of;
use crate::stages::{STAGES, Stages};
use crate::wire::Reason;

/// The calls that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rpc {
    /// `GetOnlineFeatures`.
    GetOnlineFeatures = 0,
    /// `LogPrediction`.
    LogPrediction = 1,
}

const RPCS: [(Rpc, &str); 2] = [
    (Rpc::GetOnlineFeatures, "get_online_features"),
    (Rpc::LogPrediction, "log_prediction"),
];
/// Reasons are small integers; place 0 (never sent) counts answers.
const REASONS: usize = 32;

/// Upper ends of the classes of latency, in microseconds; a last class is without one.
const LATENCIES: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 20_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000,
];

/// Upper ends of the classes of how long stages took, in microseconds; a last class is without one.
const STAGE_LATENCIES: [u64; 14] = [
    5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000,
];

/// How long calls took.
#[derive(Debug, Default)]
struct Latency {
    classes: [AtomicU64; LATENCIES.len() + 1],
    sum_us: AtomicU64,
    /// By class the newest traced call.
    exemplars: Mutex<[Option<Traced>; LATENCIES.len() + 1]>,
}

/// How long a stage took.
#[derive(Debug, Default)]
struct StageLatency {
    classes: [AtomicU64; STAGE_LATENCIES.len() + 1],
    sum_ns: AtomicU64,
}

/// A traced call in a class of latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Traced {
    trace_id: [u8; 16],
    took_us: u64,
    ended_ns: u64,
}

/// An example of a class of latency: a call that was traced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemplar {
    /// The call, as counters name it.
    pub call: &'static str,
    /// The place of the class, from 0; the last one is without an upper end.
    pub class: usize,
    /// Its trace.
    pub trace_id: [u8; 16],
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// When it ended, in nanoseconds since 1970.
    pub ended_ns: u64,
}

/// Counts since the server was made. Reading and writing need no lock.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    answers: [[AtomicU64; REASONS]; RPCS.len()],
    latency: [Latency; RPCS.len()],
    stages: [StageLatency; STAGES.len()],
    values: [AtomicU64; Status::ALL.len() + 1],
    /// Rows answered.
    pub(crate) rows: AtomicU64,
    /// Requests being worked on.
    pub(crate) in_flight: AtomicU64,
    /// Requests refused because the runtimes were late.
    pub(crate) shed: AtomicU64,
    /// Fetches that the store did not answer.
    pub(crate) store_failures: AtomicU64,
    /// Requests in which a state could not be read.
    pub(crate) unreadable_states: AtomicU64,
    /// Connections to the store that were made.
    pub(crate) store_connections: AtomicU64,
    /// Records put on the served queue.
    pub(crate) served_queued: AtomicU64,
    /// Requests refused because the served queue was full.
    pub(crate) served_refused: AtomicU64,
    /// Calls of Python functions that were queued.
    function_calls: AtomicU64,
    /// Calls of Python functions that could not be queued.
    functions_unasked: AtomicU64,
    /// Rows that a Python function failed for.
    functions_failed: AtomicU64,
    /// Rows that a Python function was not computed for.
    functions_not_computed: AtomicU64,
}

impl Counters {
    /// Counts a call that was answered (`None`) or refused.
    pub(crate) fn answered(&self, rpc: Rpc, refused: Option<Reason>) {
        let place = refused.map_or(0, |reason| reason as usize);
        if let Some(count) = self.answers[rpc as usize].get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts how long a call took, answered or refused. traced: its trace, and when it ended, if it was traced.
    pub(crate) fn took(&self, rpc: Rpc, time: Duration, traced: Option<([u8; 16], u64)>) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let latency = &self.latency[rpc as usize];
        let class = LATENCIES.partition_point(|&end| end < micros);
        latency.classes[class].fetch_add(1, Ordering::Relaxed);
        latency.sum_us.fetch_add(micros, Ordering::Relaxed);
        if let Some((trace_id, ended_ns)) = traced {
            let mut exemplars = latency.exemplars.lock().unwrap_or_else(PoisonError::into_inner);
            exemplars[class] = Some(Traced {
                trace_id,
                took_us: micros,
                ended_ns,
            });
        }
    }

    /// Counts how long the stages of a request took, if it is in the sample.
    pub(crate) fn passed(&self, stages: &Stages) {
        for (stage, time) in stages.sample() {
            let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            let latency = &self.stages[stage as usize];
            let class = STAGE_LATENCIES.partition_point(|&end| end * 1_000 < nanos);
            latency.classes[class].fetch_add(1, Ordering::Relaxed);
            latency.sum_ns.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    /// The newest traced call of each class of latency that has one.
    pub(crate) fn exemplars(&self) -> Vec<Exemplar> {
        let mut all = Vec::new();
        for ((_, call), latency) in RPCS.iter().zip(&self.latency) {
            let exemplars = latency.exemplars.lock().unwrap_or_else(PoisonError::into_inner);
            for (class, found) in exemplars.iter().enumerate() {
                let Some(found) = found else { continue };
                all.push(Exemplar {
                    call,
                    class,
                    trace_id: found.trace_id,
                    took_us: found.took_us,
                    ended_ns: found.ended_ns,
                });
            }
        }
        all
    }

    /// Counts the calls of a Python function for a request, which were queued or not.
    pub(crate) fn function_asked(&self, queued: bool) {
        let count = if queued {
            &self.function_calls
        } else {
            &self.functions_unasked
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the rows of a Python function that have no value because of it.
    pub(crate) fn function_settled(&self, outcomes: &[Outcome]) {
        let rows = |status| outcomes.iter().filter(|outcome| outcome.status == status).count() as u64;
        self.functions_failed
            .fetch_add(rows(Status::FunctionFailed), Ordering::Relaxed);
        self.functions_not_computed
            .fetch_add(rows(Status::NotComputed), Ordering::Relaxed);
    }

    /// Adds a tally of values by the integer of their status.
    pub(crate) fn add_values(&self, tally: &[u32; Status::ALL.len() + 1]) {
        for (count, &n) in self.values.iter().zip(tally) {
            if n > 0 {
                count.fetch_add(u64::from(n), Ordering::Relaxed);
            }
        }
    }

    /// All counts by name. Reasons that never occurred are left out. A class of latency is named by its upper end
    /// in microseconds.
    pub(crate) fn snapshot(&self) -> Vec<(String, u64)> {
        let mut all = Vec::with_capacity(176);
        for ((_, name), latency) in RPCS.iter().zip(&self.latency) {
            let ends = LATENCIES.iter().map(u64::to_string).chain(["inf".to_owned()]);
            for (end, count) in ends.zip(&latency.classes) {
                all.push((format!("latency_us.{name}.{end}"), count.load(Ordering::Relaxed)));
            }
            let sum = latency.sum_us.load(Ordering::Relaxed);
            all.push((format!("latency_us.{name}.sum"), sum));
        }
        for ((_, name), latency) in STAGES.iter().zip(&self.stages) {
            let ends = STAGE_LATENCIES
                .iter()
                .map(u64::to_string)
                .chain(["inf".to_owned()]);
            for (end, count) in ends.zip(&latency.classes) {
                all.push((format!("stage_us.{name}.{end}"), count.load(Ordering::Relaxed)));
            }
            let sum = latency.sum_ns.load(Ordering::Relaxed) / 1_000;
            all.push((format!("stage_us.{name}.sum"), sum));
        }
        for (rpc, name) in RPCS {
            for (place, count) in self.answers[rpc as usize].iter().enumerate() {
                let count = count.load(Ordering::Relaxed);
                let reason = i32::try_from(place).ok().and_then(|n| Reason::try_from(n).ok());
                match reason {
                    Some(Reason::Unspecified) | None => {
                        if place == 0 {
                            all.push((format!("requests.{name}.OK"), count));
                        }
                    }
                    Some(reason) if count > 0 => {
                        all.push((format!("requests.{name}.{}", name_of(reason)), count));
                    }
                    Some(_) => {}
                }
            }
        }
        for status in Status::ALL {
            let count = self.values[usize::from(status.code())].load(Ordering::Relaxed);
            all.push((format!("values.{}", name_of_status(status)), count));
        }
        for (name, count) in [
            ("rows", &self.rows),
            ("in_flight", &self.in_flight),
            ("shed", &self.shed),
            ("store.failures", &self.store_failures),
            ("store.unreadable_states", &self.unreadable_states),
            ("store.connections", &self.store_connections),
            ("served.queued", &self.served_queued),
            ("served.refused", &self.served_refused),
            ("functions.calls", &self.function_calls),
            ("functions.unasked", &self.functions_unasked),
            ("functions.failed", &self.functions_failed),
            ("functions.not_computed", &self.functions_not_computed),
        ] {
            all.push((name.to_owned(), count.load(Ordering::Relaxed)));
        }
        all
    }
}

fn name_of_status(status: Status) -> &'static str {
    let name = crate::wire::types::Status::try_from(i32::from(status.code()))
        .map_or("UNSPECIFIED", |status| status.as_str_name());
    name.strip_prefix("STATUS_").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::stages::{SAMPLE, Stage};

    #[test]
    fn a_latency_lies_in_the_class_of_its_upper_end() {
        let counters = Counters::default();
        for micros in [0, 100, 101, 3_000_000] {
            counters.took(Rpc::GetOnlineFeatures, Duration::from_micros(micros), None);
        }
        let all: std::collections::HashMap<_, _> = counters.snapshot().into_iter().collect();
        let class = |end: &str| all[&format!("latency_us.get_online_features.{end}")];
        assert_eq!((class("100"), class("250"), class("inf")), (2, 1, 1));
        assert_eq!(class("sum"), 3_000_201);
        assert_eq!(all["latency_us.log_prediction.100"], 0);
    }

    #[test]
    fn a_class_has_its_newest_traced_call_as_example() {
        let counters = Counters::default();
        for (trace, micros) in [(1, 40), (2, 60), (3, 9_000_000)] {
            counters.took(
                Rpc::LogPrediction,
                Duration::from_micros(micros),
                Some(([trace; 16], u64::from(trace))),
            );
        }
        counters.took(Rpc::LogPrediction, Duration::from_micros(70), None);
        let found: Vec<_> = counters
            .exemplars()
            .iter()
            .map(|one| (one.call, one.class, one.trace_id[0], one.took_us, one.ended_ns))
            .collect();
        assert_eq!(
            found,
            [
                ("log_prediction", 0, 2, 60, 2),
                ("log_prediction", LATENCIES.len(), 3, 9_000_000, 3)
            ]
        );
    }

    #[test]
    fn stages_of_the_sample_are_counted() {
        let counters = Counters::default();
        for _ in 0..SAMPLE {
            let mut stages = Stages::begin(Instant::now(), false);
            stages.end(Stage::Fetch);
            counters.passed(&stages);
        }
        let all: std::collections::HashMap<_, _> = counters.snapshot().into_iter().collect();
        let count = |name: &str| -> u64 {
            let prefix = format!("stage_us.{name}.");
            all.iter()
                .filter(|(key, _)| key.starts_with(&prefix) && !key.ends_with("sum"))
                .map(|(_, count)| count)
                .sum()
        };
        assert_eq!((count("fetch"), count("read")), (1, 0));
    }

    #[test]
    fn every_reason_and_status_has_a_place() {
        for n in 1.. {
            let Ok(reason) = Reason::try_from(n) else { break };
            let counters = Counters::default();
            counters.answered(Rpc::LogPrediction, Some(reason));
            let name = format!("requests.log_prediction.{}", name_of(reason));
            assert!(counters.snapshot().contains(&(name.clone(), 1)), "{name}");
        }
        let names: Vec<String> = Counters::default()
            .snapshot()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert!(names.contains(&"values.NOT_ANSWERABLE".to_owned()));
        assert!(names.contains(&"requests.get_online_features.OK".to_owned()));
        assert!(!names.iter().any(|name| name.contains("UNSPECIFIED")));
    }
}
