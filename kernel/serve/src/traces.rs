//! Which requests are traced, and their finished spans until the host exports them.
//!
//! A caller that sends a sampled W3C `traceparent` has its request traced; of the others a share is. Nothing is kept
//! of a request that is not traced. Both queues are bounded: what finds no room is counted and dropped, since a
//! trace is worth less than an answer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::Rng;
use rand::rngs::SmallRng;
use tonic::metadata::MetadataMap;

use crate::ulid;

/// The length of a `traceparent`: version, trace, span and flags.
const TRACEPARENT: usize = 55;
const SAMPLED: u8 = 1;

/// The name of the span around a read of the store.
pub(crate) const STORE_READ: &str = "store.read";

/// A finished span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What was done: the RPC as `package.Service/Method`, or a step of it.
    pub name: &'static str,
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span within the trace.
    pub span_id: [u8; 8],
    /// The span that caused it; absent for the first of a trace.
    pub parent_id: Option<[u8; 8]>,
    /// When it began, in nanoseconds since 1970.
    pub start_ns: u64,
    /// When it ended, likewise.
    pub end_ns: u64,
    /// The gRPC status code it ended with; 0 is OK.
    pub code: i32,
    /// The id of the answer, of a span around a whole request that was answered.
    pub request_id: Option<[u8; ulid::LENGTH]>,
    /// Stages of the request, each with when it ended, in nanoseconds since 1970.
    pub events: Vec<(&'static str, u64)>,
}

/// The trace context of the record of an answer: its request id, and the `traceparent` to send with it.
pub type Context = ([u8; ulid::LENGTH], String);

/// What a server traces. Without `open` it traces nothing, at the cost of one look.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    open: OnceLock<Open>,
}

#[derive(Debug)]
struct Open {
    most: usize,
    /// A root is traced if its random number is below.
    share: u64,
    random: Mutex<SmallRng>,
    spans: Mutex<VecDeque<Span>>,
    contexts: Mutex<VecDeque<Context>>,
    dropped: AtomicU64,
}

/// A request that is traced.
#[derive(Debug)]
pub(crate) struct Traced<'a> {
    open: &'a Open,
    name: &'static str,
    trace_id: [u8; 16],
    span_id: [u8; 8],
    parent_id: Option<[u8; 8]>,
    start_ns: u64,
    request_id: OnceLock<[u8; ulid::LENGTH]>,
}

impl Traces {
    /// Traces from now on: a queue of at most so many spans, and a share (0 to 1) of the requests whose callers say
    /// nothing. Only the first call counts.
    pub(crate) fn open(&self, most: usize, share: f64) {
        const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;
        let scaled = share.clamp(0.0, 1.0) * TWO_TO_64;
        self.open.get_or_init(|| Open {
            most,
            // A cast of a float saturates, so that a share of 1 takes all but one number of 2^64.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            share: scaled as u64,
            random: Mutex::new(rand::make_rng()),
            spans: Mutex::default(),
            contexts: Mutex::default(),
            dropped: AtomicU64::new(0),
        });
    }

    /// The trace of a request that begins now, if it is to be traced.
    pub(crate) fn begin(&self, name: &'static str, metadata: &MetadataMap) -> Option<Traced<'_>> {
        let open = self.open.get()?;
        let told = metadata
            .get("traceparent")
            .and_then(|value| parse(value.as_bytes()));
        let (trace_id, parent_id) = match told {
            Some((_, _, flags)) if flags & SAMPLED == 0 => return None,
            Some((trace_id, parent_id, _)) => (trace_id, Some(parent_id)),
            None => {
                if open.share == 0 || lock(&open.random).next_u64() >= open.share {
                    return None;
                }
                (open.random_id(), None)
            }
        };
        Some(Traced {
            open,
            name,
            trace_id,
            span_id: open.random_id(),
            parent_id,
            start_ns: now_ns(),
            request_id: OnceLock::new(),
        })
    }

    /// Takes up to `most` finished spans.
    pub(crate) fn drain(&self, most: usize) -> Vec<Span> {
        self.open
            .get()
            .map_or_else(Vec::new, |open| take(&open.spans, most))
    }

    /// Takes the contexts of all records that were queued up to now; of those that had one.
    pub(crate) fn drain_contexts(&self) -> Vec<Context> {
        self.open
            .get()
            .map_or_else(Vec::new, |open| take(&open.contexts, usize::MAX))
    }

    /// How many spans found no room.
    pub(crate) fn dropped(&self) -> u64 {
        self.open
            .get()
            .map_or(0, |open| open.dropped.load(Ordering::Relaxed))
    }
}

impl Open {
    /// Random bytes, not all zero.
    fn random_id<const N: usize>(&self) -> [u8; N] {
        let mut id = [0; N];
        let mut random = lock(&self.random);
        while id == [0; N] {
            random.fill_bytes(&mut id);
        }
        id
    }

    fn push(&self, span: Span) {
        let mut spans = lock(&self.spans);
        if spans.len() < self.most {
            spans.push_back(span);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Traced<'_> {
    /// Takes note of a step that began at `start_ns` and ends now.
    pub(crate) fn step(&self, name: &'static str, start_ns: u64, ok: bool) {
        self.open.push(Span {
            name,
            trace_id: self.trace_id,
            span_id: self.open.random_id(),
            parent_id: Some(self.span_id),
            start_ns,
            end_ns: now_ns(),
            code: if ok { 0 } else { tonic::Code::Unavailable as i32 },
            request_id: None,
            events: Vec::new(),
        });
    }

    /// The request got this id. `logged`: its record will be sent, with the context of this request.
    pub(crate) fn answered(&self, request_id: [u8; ulid::LENGTH], logged: bool) {
        self.request_id.get_or_init(|| request_id);
        if logged {
            let mut contexts = lock(&self.open.contexts);
            if contexts.len() < self.open.most {
                contexts.push_back((request_id, write(self.trace_id, self.span_id)));
            }
        }
    }

    /// The request has ended with this gRPC code, after these stages. Gives its trace, and when it ended.
    pub(crate) fn end<I>(self, code: i32, stages: I) -> ([u8; 16], u64)
    where
        I: Iterator<Item = (&'static str, Duration)>,
    {
        let end_ns = now_ns().max(self.start_ns);
        // The two clocks may differ by little; an event is never after the end.
        let at = |after: Duration| {
            let nanos = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
            self.start_ns.saturating_add(nanos).min(end_ns)
        };
        let events = stages.map(|(name, after)| (name, at(after))).collect();
        self.open.push(Span {
            name: self.name,
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent_id: self.parent_id,
            start_ns: self.start_ns,
            end_ns,
            code,
            request_id: self.request_id.into_inner(),
            events,
        });
        (self.trace_id, end_ns)
    }
}

/// The clock of spans.
pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Trace, span and flags of a `traceparent`; absent if it is none. Later versions may be longer.
fn parse(text: &[u8]) -> Option<([u8; 16], [u8; 8], u8)> {
    let head = text.get(..TRACEPARENT)?;
    let version = hex::<1>(&head[..2])?[0];
    let rest = &text[TRACEPARENT..];
    let fits = version == 0 && rest.is_empty()
        || version != 0xff && version > 0 && rest.first().is_none_or(|c| *c == b'-');
    if !fits || head[2] != b'-' || head[35] != b'-' || head[52] != b'-' {
        return None;
    }
    let (trace_id, span_id) = (hex::<16>(&head[3..35])?, hex::<8>(&head[36..52])?);
    let flags = hex::<1>(&head[53..])?[0];
    (trace_id != [0; 16] && span_id != [0; 8]).then_some((trace_id, span_id, flags))
}

fn write(trace_id: [u8; 16], span_id: [u8; 8]) -> String {
    format!(
        "00-{:032x}-{:016x}-{SAMPLED:02x}",
        u128::from_be_bytes(trace_id),
        u64::from_be_bytes(span_id)
    )
}

fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn take<T>(queue: &Mutex<VecDeque<T>>, most: usize) -> Vec<T> {
    let mut queue = lock(queue);
    let taken = queue.len().min(most);
    queue.drain(..taken).collect()
}

/// No code that runs under these locks can leave a queue half changed, so poison says nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn metadata(traceparent: Option<&str>) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        if let Some(text) = traceparent {
            metadata.insert("traceparent", text.parse().unwrap());
        }
        metadata
    }

    #[test]
    fn a_sampled_caller_is_continued_and_its_steps_are_children() {
        let traces = Traces::default();
        traces.open(10, 0.0);
        let request = traces.begin("a/b", &metadata(Some(CALLER))).unwrap();
        request.step(STORE_READ, now_ns(), true);
        request.answered([b'1'; ulid::LENGTH], true);
        let stages = [("check", Duration::ZERO), ("answer", Duration::from_secs(3_600))];
        let (trace_id, ended) = request.end(0, stages.into_iter());
        let spans = traces.drain(10);
        assert_eq!((spans[1].trace_id, spans[1].end_ns), (trace_id, ended));
        assert_eq!(spans[1].events, [("check", spans[1].start_ns), ("answer", ended)]);
        assert!(spans[0].events.is_empty());
        assert_eq!(
            spans.iter().map(|span| span.name).collect::<Vec<_>>(),
            [STORE_READ, "a/b"]
        );
        assert_eq!(
            spans[1].parent_id,
            Some([0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31])
        );
        assert_eq!(spans[0].parent_id, Some(spans[1].span_id));
        assert_eq!(spans[0].trace_id, spans[1].trace_id);
        assert_eq!(spans[1].request_id, Some([b'1'; ulid::LENGTH]));
        let (request_id, context) = traces.drain_contexts().pop().unwrap();
        assert_eq!(request_id, [b'1'; ulid::LENGTH]);
        let (trace_id, span_id, flags) = parse(context.as_bytes()).unwrap();
        assert_eq!(
            (trace_id, span_id, flags),
            (spans[1].trace_id, spans[1].span_id, 1)
        );
    }

    #[test]
    fn others_are_traced_by_share() {
        let traces = Traces::default();
        assert!(traces.begin("a/b", &metadata(Some(CALLER))).is_none());
        traces.open(10, 0.0);
        assert!(traces.begin("a/b", &metadata(None)).is_none());
        let all = Traces::default();
        all.open(10, 1.0);
        let root = all.begin("a/b", &metadata(None)).unwrap();
        assert_eq!(root.parent_id, None);
        let unsampled = CALLER.replace("-01", "-00");
        assert!(all.begin("a/b", &metadata(Some(&unsampled))).is_none());
    }

    #[test]
    fn what_is_no_context_counts_as_none() {
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert!(parse(CALLER.replace("00-0", "01-0").as_bytes()).is_some());
        assert!(parse(format!("{}-more", CALLER.replace("00-0", "01-0")).as_bytes()).is_some());
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let traces = Traces::default();
        traces.open(1, 0.0);
        for _ in 0..3 {
            traces
                .begin("a/b", &metadata(Some(CALLER)))
                .unwrap()
                .end(0, std::iter::empty());
        }
        assert_eq!((traces.drain(10).len(), traces.dropped()), (1, 2));
    }
}
