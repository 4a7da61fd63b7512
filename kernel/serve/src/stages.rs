//! Where the time of a request goes, measured for a sample of the requests and for those that are traced.
//!
//! Reading a clock six times costs a few hundred nanoseconds, so that most requests do not.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// What a request goes through, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Access, limits, and the fields of the request.
    Check = 0,
    /// The definitions that it asks for, and its rows.
    Resolve = 1,
    /// All states, from the store.
    Fetch = 2,
    /// Values out of the states.
    Read = 3,
    /// On-demand features.
    Compute = 4,
    /// The bytes of the answer and of the served record.
    Answer = 5,
}

/// All stages, with their names.
pub(crate) const STAGES: [(Stage, &str); 6] = [
    (Stage::Check, "check"),
    (Stage::Resolve, "resolve"),
    (Stage::Fetch, "fetch"),
    (Stage::Read, "read"),
    (Stage::Compute, "compute"),
    (Stage::Answer, "answer"),
];

/// One of so many requests of a thread is in the sample.
pub(crate) const SAMPLE: u32 = 16;

/// The stages of one request that have ended.
#[derive(Debug)]
pub(crate) struct Stages {
    began: Instant,
    /// Absent: it is not measured.
    last: Option<Instant>,
    sampled: bool,
    /// By stage: how long it took, and how long after the beginning it ended.
    ended: [Option<(Duration, Duration)>; STAGES.len()],
}

impl Stages {
    /// Of a request that began just now.
    pub(crate) fn begin(began: Instant, traced: bool) -> Self {
        thread_local! {
            static SEEN: Cell<u32> = const { Cell::new(0) };
        }
        let seen = SEEN.get();
        SEEN.set(seen.wrapping_add(1));
        let sampled = seen % SAMPLE == 0;
        Self {
            began,
            last: (sampled || traced).then_some(began),
            sampled,
            ended: [None; STAGES.len()],
        }
    }

    /// A stage has ended: it took the time since the one before.
    pub(crate) fn end(&mut self, stage: Stage) {
        if let Some(last) = self.last {
            let now = Instant::now();
            self.ended[stage as usize] = Some((now - last, now - self.began));
            self.last = Some(now);
        }
    }

    /// How long stages took; of requests in the sample, since those that are traced are no sample of all.
    pub(crate) fn sample(&self) -> impl Iterator<Item = (Stage, Duration)> + '_ {
        STAGES
            .iter()
            .zip(&self.ended)
            .filter_map(|((stage, _), ended)| self.sampled.then_some((*stage, (*ended)?.0)))
    }

    /// Names of the stages that ended, each with how long after the beginning.
    pub(crate) fn events(&self) -> impl Iterator<Item = (&'static str, Duration)> + '_ {
        STAGES
            .iter()
            .zip(&self.ended)
            .filter_map(|((_, name), ended)| Some((*name, (*ended)?.1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_so_many_is_sampled_and_the_traced_are_measured_besides() {
        let sampled = |traced| {
            let mut stages = Stages::begin(Instant::now(), traced);
            stages.end(Stage::Check);
            (stages.sample().count(), stages.events().count())
        };
        let all: Vec<_> = (0..2 * SAMPLE).map(|_| sampled(false)).collect();
        assert_eq!(all.iter().filter(|found| **found == (1, 1)).count(), 2);
        let others = all.iter().filter(|found| **found == (0, 0));
        assert_eq!(others.count(), all.len() - 2);
        let all: Vec<_> = (0..SAMPLE).map(|_| sampled(true)).collect();
        assert_eq!(all.iter().filter(|found| found.0 == 1).count(), 1);
        assert!(all.iter().all(|found| found.1 == 1));
    }

    #[test]
    fn stages_follow_one_another_and_may_be_left_out() {
        let began = Instant::now();
        let mut stages = Stages::begin(began, true);
        stages.end(Stage::Check);
        std::thread::sleep(Duration::from_millis(2));
        stages.end(Stage::Read);
        let events: Vec<_> = stages.events().collect();
        assert_eq!(
            events.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["check", "read"]
        );
        assert!(events[0].1 <= events[1].1);
        let (took, end) = stages.ended[Stage::Read as usize].unwrap();
        assert!(took >= Duration::from_millis(2) && end >= took);
    }
}
