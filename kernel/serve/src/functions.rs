//! Calls of Python functions: queued here for the host, whose processes make them. No request waits for the host
//! longer than its limit, and no thread of the server runs Python.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// Where the host's functions run; their values depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionEnvironment {
    /// The interpreter and its minor version.
    pub interpreter: String,
    /// The machine's architecture.
    pub machine: String,
    /// SHA-256 over what the functions load.
    pub lock: Vec<u8>,
}

/// A function to be called for the rows of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionCall {
    /// Names the call when it is finished.
    pub ticket: u64,
    /// The dotted name of the module.
    pub module: String,
    /// The function's name in the module.
    pub name: String,
    /// SHA-256 of the module's source file.
    pub source: [u8; 32],
    /// The names of the parameters, in the order of the cells of a row.
    pub arguments: Vec<String>,
    /// The type of the result.
    pub kind: &'static str,
    /// How long the call for one row may take, in microseconds.
    pub budget_us: i64,
    /// When the request does not wait for it any more.
    pub until: Instant,
    /// The rows as JSON.
    pub rows: String,
}

/// The results of all rows as JSON, or why there are none.
pub(crate) type Results = Result<Vec<u8>, String>;

/// A bounded queue of calls, and those that are being made.
#[derive(Debug)]
pub(crate) struct FunctionQueue {
    inner: Mutex<Inner>,
    filled: Condvar,
    most: usize,
}

#[derive(Debug, Default)]
struct Inner {
    environment: Option<FunctionEnvironment>,
    waiting: VecDeque<FunctionCall>,
    /// Those who wait for the results, by ticket.
    asked: HashMap<u64, oneshot::Sender<Results>>,
    tickets: u64,
    closed: bool,
}

impl FunctionQueue {
    /// A queue of at most so many calls that wait; closed until it is opened.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            inner: Mutex::default(),
            filled: Condvar::new(),
            most,
        }
    }

    /// Takes calls from now on, which are made there.
    pub(crate) fn open(&self, environment: FunctionEnvironment) {
        self.lock().environment = Some(environment);
    }

    /// Where calls are made; absent before the queue is opened.
    pub(crate) fn environment(&self) -> Option<FunctionEnvironment> {
        self.lock().environment.clone()
    }

    /// Queues a call, whose ticket is given here; tells why not if it cannot be.
    pub(crate) fn ask(&self, mut call: FunctionCall) -> Result<oneshot::Receiver<Results>, String> {
        let mut inner = self.lock();
        if inner.environment.is_none() || inner.closed {
            return Err(
                "no process for Python functions runs here, or not yet; see SKEWLESS_FUNCTION_MODULES"
                    .to_owned(),
            );
        }
        if inner.waiting.len() >= self.most {
            return Err(format!(
                "{} calls of Python functions wait, the most that may",
                self.most
            ));
        }
        let (to, from) = oneshot::channel();
        inner.tickets += 1;
        call.ticket = inner.tickets;
        inner.asked.insert(call.ticket, to);
        inner.waiting.push_back(call);
        self.filled.notify_one();
        Ok(from)
    }

    /// The next call that somebody still waits for, waited for up to `timeout`.
    pub(crate) fn next(&self, timeout: Duration) -> Option<FunctionCall> {
        let deadline = Instant::now() + timeout;
        let mut inner = self.lock();
        loop {
            while let Some(call) = inner.waiting.pop_front() {
                let waited_for = inner.asked.get(&call.ticket).is_some_and(|to| !to.is_closed());
                if waited_for && call.until > Instant::now() {
                    return Some(call);
                }
                inner.asked.remove(&call.ticket);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || inner.closed {
                return None;
            }
            inner = self
                .filled
                .wait_timeout(inner, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Hands the results of a call to the request, if it still waits.
    pub(crate) fn finish(&self, ticket: u64, results: Results) {
        if let Some(to) = self.lock().asked.remove(&ticket) {
            // A request that waited for too long has its answer.
            let _ = to.send(results);
        }
    }

    /// How many calls wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Wakes those who wait: nothing more will come.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// No code that runs under the lock can leave the queue half changed, so poison says nothing.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> FunctionCall {
        FunctionCall {
            ticket: 0,
            module: "m".into(),
            name: "f".into(),
            source: [0; 32],
            arguments: Vec::new(),
            kind: "int64",
            budget_us: 1_000,
            until: Instant::now() + Duration::from_secs(60),
            rows: "[[]]".into(),
        }
    }

    fn open(most: usize) -> FunctionQueue {
        let queue = FunctionQueue::new(most);
        queue.open(FunctionEnvironment {
            interpreter: "cpython-3.11".into(),
            machine: "x86_64".into(),
            lock: vec![0; 32],
        });
        queue
    }

    #[test]
    fn results_find_the_request_that_waits() {
        let queue = open(2);
        let mut first = queue.ask(call()).unwrap();
        let mut second = queue.ask(call()).unwrap();
        assert!(queue.ask(call()).unwrap_err().contains("2 calls"));
        let tickets =
            [queue.next(Duration::ZERO), queue.next(Duration::ZERO)].map(|call| call.unwrap().ticket);
        queue.finish(tickets[1], Ok(b"b".to_vec()));
        queue.finish(tickets[0], Err("no".into()));
        queue.finish(99, Ok(Vec::new()));
        assert_eq!(first.try_recv().unwrap(), Err("no".into()));
        assert_eq!(second.try_recv().unwrap(), Ok(b"b".to_vec()));
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_call_that_nobody_waits_for_is_not_made() {
        let queue = open(3);
        drop(queue.ask(call()).unwrap());
        let late = FunctionCall {
            until: Instant::now(),
            ..call()
        };
        let mut waiting = queue.ask(late).unwrap();
        assert_eq!(queue.next(Duration::ZERO), None);
        assert!(waiting.try_recv().is_err());
        assert!(queue.lock().asked.is_empty());
    }

    #[test]
    fn a_queue_takes_calls_from_its_opening_to_its_close() {
        let queue = FunctionQueue::new(1);
        assert!(
            queue
                .ask(call())
                .unwrap_err()
                .contains("SKEWLESS_FUNCTION_MODULES")
        );
        let queue = open(1);
        queue.close();
        assert!(queue.ask(call()).is_err());
        assert_eq!(queue.next(Duration::from_secs(60)), None);
    }
}
