//! Token buckets. One is a single number: the time at which it would be full again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// Holds the tokens of one second, and is full at the start.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    full_at: AtomicU64,
}

impl Bucket {
    /// Takes a token of a bucket that gets `rate` a second; 0: there is no limit. now: nanoseconds since some instant.
    ///
    /// Without a token: how long until there is one.
    pub(super) fn take(&self, rate: u32, now: u64) -> Result<(), Duration> {
        if rate == 0 {
            return Ok(());
        }
        let token = SECOND / u64::from(rate);
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            let next = full_at.max(now) + token;
            let missing = next.saturating_sub(now + SECOND);
            if missing > 0 {
                return Err(Duration::from_nanos(missing));
            }
            match self
                .full_at
                .compare_exchange_weak(full_at, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Ok(()),
                Err(found) => full_at = found,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_tokens_at_once_and_then_one_by_one() {
        let bucket = Bucket::default();
        for _ in 0..100 {
            assert_eq!(bucket.take(100, 5), Ok(()));
        }
        assert_eq!(bucket.take(100, 5), Err(Duration::from_millis(10)));
        assert_eq!(bucket.take(100, 5 + SECOND / 200), Err(Duration::from_millis(5)));
        assert_eq!(bucket.take(100, 5 + SECOND / 100), Ok(()));
        assert!(bucket.take(100, 5 + SECOND / 100).is_err());
        // Time that nobody used fills it, and no more than that.
        let taken = (0..1_000)
            .filter(|_| bucket.take(100, 10 * SECOND).is_ok())
            .count();
        assert_eq!(taken, 100);
    }

    #[test]
    fn without_a_rate_there_is_no_limit() {
        let bucket = Bucket::default();
        assert!((0..100_000).all(|_| bucket.take(0, 0).is_ok()));
        assert_eq!(bucket.take(1, 0), Ok(()));
        assert_eq!(bucket.take(1, 0), Err(Duration::from_secs(1)));
    }

    #[test]
    fn threads_together_get_no_more() {
        let bucket = Bucket::default();
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..10_000).filter(|_| bucket.take(5_000, 7).is_ok()).count()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 5_000);
    }
}
