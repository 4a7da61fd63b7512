//! A closed-loop load generator for unary gRPC calls.
//!
//! Keeps a fixed number of calls in flight over a few connections for a fixed time, sending prepared requests
//! in turn, and writes one JSON line: `calls`, `failures` by gRPC code, `seconds`, `req_per_s`, and latencies
//! in milliseconds. Requests come from a file in which each is preceded by its length (four bytes,
//! big-endian). Exits 1 when it could not measure, 2 when it does not understand its arguments.

mod arguments;
// One source for both ends: a generator that decodes would measure itself.
#[path = "../../serve/src/codec.rs"]
mod codec;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::uri::PathAndQuery;
use tonic::Code;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};

use arguments::Arguments;
use codec::BytesCodec;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    match measure(arguments) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("could not measure: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What one caller saw.
struct Tally {
    latencies: Histogram<u64>,
    failures: BTreeMap<String, u64>,
    first_failure: Option<String>,
}

impl Tally {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            // Nanoseconds up to a minute, three digits.
            latencies: Histogram::new_with_bounds(1, 60_000_000_000, 3)?,
            failures: BTreeMap::new(),
            first_failure: None,
        })
    }
}

/// What all callers share.
struct Load {
    path: PathAndQuery,
    requests: Vec<Bytes>,
    next: AtomicUsize,
    warm_until: Instant,
    until: Instant,
}

fn measure(arguments: Arguments) -> Result<String, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> Result<String, Failure> {
    let requests = read_requests(&arguments.requests)?;
    let mut channels = Vec::new();
    for _ in 0..arguments.connections {
        let endpoint = Endpoint::from_shared(format!("http://{}", arguments.target))?
            .tcp_nodelay(true)
            .connect_timeout(Duration::from_secs(5));
        channels.push(
            endpoint
                .connect()
                .await
                .map_err(|error| format!("cannot connect to {}: {error}", arguments.target))?,
        );
    }
    let begin = Instant::now();
    let load = Arc::new(Load {
        path: PathAndQuery::try_from(arguments.method)?,
        requests,
        next: AtomicUsize::new(0),
        warm_until: begin + arguments.warm_up,
        until: begin + arguments.warm_up + arguments.time,
    });
    let mut callers = Vec::new();
    for place in 0..arguments.in_flight {
        let channel = channels[place % channels.len()].clone();
        callers.push(tokio::spawn(call(channel, Arc::clone(&load))));
    }
    let mut total = Tally::new()?;
    for caller in callers {
        let tally = caller.await??;
        total.latencies.add(&tally.latencies)?;
        for (code, count) in tally.failures {
            *total.failures.entry(code).or_default() += count;
        }
        total.first_failure = total.first_failure.or(tally.first_failure);
    }
    if total.latencies.is_empty() {
        let why = total
            .first_failure
            .unwrap_or_else(|| "no call ended in time".to_owned());
        return Err(format!("no call succeeded; {why}").into());
    }
    Ok(report(&total, arguments.time))
}

/// One place in flight: a call after another until the time is over.
async fn call(channel: Channel, load: Arc<Load>) -> Result<Tally, Failure> {
    let mut client = Grpc::new(channel);
    let mut tally = Tally::new()?;
    loop {
        let begin = Instant::now();
        if begin >= load.until {
            return Ok(tally);
        }
        let place = load.next.fetch_add(1, Ordering::Relaxed) % load.requests.len();
        let request = tonic::Request::new(load.requests[place].clone());
        client.ready().await?;
        let answer = client.unary(request, load.path.clone(), BytesCodec).await;
        let end = Instant::now();
        if begin < load.warm_until || end > load.until {
            continue;
        }
        match answer {
            Ok(_) => {
                let nanos = u64::try_from((end - begin).as_nanos()).unwrap_or(u64::MAX);
                tally.latencies.saturating_record(nanos);
            }
            Err(status) => {
                *tally.failures.entry(name_of(status.code())).or_default() += 1;
                tally.first_failure.get_or_insert_with(|| status.to_string());
            }
        }
    }
}

fn name_of(code: Code) -> String {
    format!("{code:?}")
}

#[allow(clippy::cast_precision_loss)] // Rates and latencies need three digits.
fn report(total: &Tally, time: Duration) -> String {
    let calls = total.latencies.len();
    let millis = |quantile: f64| total.latencies.value_at_quantile(quantile) as f64 / 1e6;
    serde_json::json!({
        "calls": calls,
        "failures": total.failures,
        "first_failure": total.first_failure,
        "seconds": time.as_secs_f64(),
        "req_per_s": calls as f64 / time.as_secs_f64(),
        "mean_ms": total.latencies.mean() / 1e6,
        "p50_ms": millis(0.5),
        "p95_ms": millis(0.95),
        "p99_ms": millis(0.99),
        "p999_ms": millis(0.999),
        "max_ms": total.latencies.max() as f64 / 1e6,
    })
    .to_string()
}

/// Requests, each behind its length in four big-endian bytes.
fn read_requests(path: &std::path::Path) -> Result<Vec<Bytes>, Failure> {
    let name = path.display();
    let mut rest = Bytes::from(std::fs::read(path).map_err(|error| format!("cannot read {name}: {error}"))?);
    let mut requests = Vec::new();
    while !rest.is_empty() {
        let Some(head) = rest.get(..4).and_then(|head| <[u8; 4]>::try_from(head).ok()) else {
            return Err(format!("{name} ends in the middle of a length").into());
        };
        let length = usize::try_from(u32::from_be_bytes(head))?;
        if rest.len() < 4 + length {
            return Err(format!("{name} ends in the middle of a request").into());
        }
        requests.push(rest.slice(4..4 + length));
        rest = rest.slice(4 + length..);
    }
    if requests.is_empty() {
        return Err(format!("{name} holds no request").into());
    }
    Ok(requests)
}
