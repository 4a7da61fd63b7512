//! How much is worked on at once.
//!
//! A runtime that gets to its tasks late has more to do than it can: every request waits as long, and those that come on
//! top make all of them wait longer. Then less is let in, step by step, until it is in time again. A store or a function
//! that is slow makes nothing late, and costs nobody his place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tonic::Code;

use crate::counters::Counters;
use crate::refusal::Refusal;
use crate::wire::Reason;

/// So many are always let in; fewer would not use the processors.
const LEAST: u64 = 64;
const TICK: Duration = Duration::from_millis(5);
/// So many ticks are judged together: late is who was late at each of them.
const TICKS: u32 = 16;

/// The limit of requests that are worked on at once.
#[derive(Debug)]
pub(crate) struct Load {
    most: u64,
    target: Duration,
    limit: AtomicU64,
}

impl Load {
    /// most: the limit while nothing is late; target: what counts as late, zero: nothing does.
    pub(crate) fn new(most: usize, target: Duration) -> Self {
        let most = most as u64;
        Self {
            most,
            target,
            limit: AtomicU64::new(most),
        }
    }

    /// The limit as it is now.
    pub(crate) fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Takes note of how late a runtime was, at the least, for some time.
    fn judge(&self, late: Duration) {
        let before = self.limit();
        let after = if late > self.target {
            (before - before / 8).max(LEAST.min(self.most))
        } else {
            (before + before / 16 + 1).min(self.most)
        };
        // Another runtime that judges at the same time is as right.
        self.limit.store(after, Ordering::Relaxed);
    }
}

/// Measures how late the current runtime is, as long as it lives.
pub(crate) async fn watch_runtime(load: Arc<Load>) {
    if load.target.is_zero() {
        return;
    }
    loop {
        let mut least = Duration::MAX;
        for _ in 0..TICKS {
            let due = Instant::now() + TICK;
            sleep_until(due).await;
            least = least.min(due.elapsed());
        }
        load.judge(least);
    }
}

/// A place among the requests in flight; given back when dropped, also when the caller goes away.
pub(crate) struct Place<'a>(&'a Counters);

impl<'a> Place<'a> {
    /// Refused when there is none.
    pub(crate) fn take(counters: &'a Counters, load: &Load) -> Result<Self, Refusal> {
        let before = counters.in_flight.fetch_add(1, Ordering::Relaxed);
        let place = Self(counters);
        let limit = load.limit();
        if before < limit {
            return Ok(place);
        }
        let why = if limit < load.most {
            counters.shed.fetch_add(1, Ordering::Relaxed);
            "the most this server can take in time"
        } else {
            "the most this server takes"
        };
        Err(Refusal::new(
            Code::ResourceExhausted,
            Reason::Overloaded,
            format!("{limit} requests are in flight, {why}; retry later"),
        )
        .with("max_in_flight", limit.to_string()))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: Duration = Duration::from_millis(9);

    #[test]
    fn less_is_let_in_while_late_and_more_again_afterwards() {
        let load = Load::new(1_024, Duration::from_millis(5));
        assert_eq!(load.limit(), 1_024);
        load.judge(LATE);
        assert_eq!(load.limit(), 896);
        for _ in 0..100 {
            load.judge(LATE);
        }
        assert_eq!(load.limit(), LEAST);
        load.judge(Duration::ZERO);
        assert_eq!(load.limit(), 69);
        for _ in 0..100 {
            load.judge(Duration::ZERO);
        }
        assert_eq!(load.limit(), 1_024);
    }

    #[test]
    fn a_small_limit_stays() {
        let load = Load::new(3, Duration::from_millis(5));
        load.judge(LATE);
        assert_eq!(load.limit(), 3);
    }

    #[test]
    fn places_are_given_back() {
        let (counters, load) = (Counters::default(), Load::new(2, Duration::ZERO));
        let held = [
            Place::take(&counters, &load).unwrap(),
            Place::take(&counters, &load).unwrap(),
        ];
        assert!(Place::take(&counters, &load).is_err());
        drop(held);
        assert!(Place::take(&counters, &load).is_ok());
        assert_eq!(counters.in_flight.load(Ordering::Relaxed), 0);
    }
}
