//! The gRPC door: finds the method, keeps the limits, counts, and turns refusals into statuses.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, UnaryService};
use tonic::service::Routes;
use tonic::{Code, Status};
use tower_service::Service;

use crate::access::Place;
use crate::codec::BytesCodec;
use crate::counters::Rpc;
use crate::read::{ReadPath, now_us};
use crate::refusal::Refusal;
use crate::stages::Stages;
use crate::traces::Traced;
use crate::wire::Reason;

/// The service as health and reflection name it.
pub(crate) const SERVICE: &str = "skewless.api.online.v1.OnlineService";
/// The name under which health says that the process lives, whether or not it can answer anything.
pub(crate) const LIVE: &str = "live";
const GET_ONLINE_FEATURES: &str = "/skewless.api.online.v1.OnlineService/GetOnlineFeatures";
const LOG_PREDICTION: &str = "/skewless.api.online.v1.OnlineService/LogPrediction";

/// The services of one runtime.
#[derive(Clone)]
pub(crate) struct Door {
    path: Arc<ReadPath>,
    /// Health and reflection; what is unknown to them is unimplemented.
    rest: Routes,
}

impl Door {
    pub(crate) fn new(path: Arc<ReadPath>, rest: Routes) -> Self {
        Self { path, rest }
    }
}

type Answering<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Service<Request<Body>> for Door {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let rpc = match request.uri().path() {
            GET_ONLINE_FEATURES => Rpc::GetOnlineFeatures,
            LOG_PREDICTION => Rpc::LogPrediction,
            _ => return Box::pin(self.rest.call(request)),
        };
        let path = Arc::clone(&self.path);
        Box::pin(async move {
            let limit = path.shared.settings.max_message_bytes;
            let mut grpc = Grpc::new(BytesCodec).max_decoding_message_size(limit);
            let response = grpc
                .unary(
                    Method {
                        rpc,
                        path: Arc::clone(&path),
                    },
                    request,
                )
                .await;
            Ok(told_about_size(response, rpc, &path, limit))
        })
    }
}

/// The codec's own answer to a large message says neither the reason nor what to do. Nothing else here gives
/// its code.
fn told_about_size(response: Response<Body>, rpc: Rpc, path: &ReadPath, limit: usize) -> Response<Body> {
    let out_of_range = Code::OutOfRange as i32;
    match response.headers().get(Status::GRPC_STATUS) {
        Some(code) if code.to_str().is_ok_and(|code| code.parse() == Ok(out_of_range)) => {
            path.shared.counters.answered(rpc, Some(Reason::TooLarge));
            let refusal = Refusal::new(
                Code::InvalidArgument,
                Reason::TooLarge,
                format!("the message is larger than {limit} bytes; ask for fewer rows in one request"),
            );
            Status::from(refusal.with("max_message_bytes", limit.to_string())).into_http()
        }
        _ => response,
    }
}

/// One call of one method.
struct Method {
    rpc: Rpc,
    path: Arc<ReadPath>,
}

impl UnaryService<Bytes> for Method {
    type Response = Bytes;
    type Future = Answering<Result<tonic::Response<Bytes>, Status>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let (rpc, path) = (self.rpc, Arc::clone(&self.path));
        let began = Instant::now();
        Box::pin(async move {
            let traced = path.shared.traces.begin(name(rpc), request.metadata());
            let mut timed = Stages::begin(began, traced.is_some());
            let result = answer(rpc, &path, request, traced.as_ref(), &mut timed).await;
            let traced = traced.map(|traced| {
                let code = result
                    .as_ref()
                    .map_or_else(|refusal| refusal.code() as i32, |_| 0);
                traced.end(code, timed.events())
            });
            let counters = &path.shared.counters;
            counters.answered(rpc, result.as_ref().err().map(Refusal::reason));
            counters.took(rpc, began.elapsed(), traced);
            counters.passed(&timed);
            Ok(tonic::Response::new(result?))
        })
    }
}

/// The RPC as spans name it.
fn name(rpc: Rpc) -> &'static str {
    match rpc {
        Rpc::GetOnlineFeatures => &GET_ONLINE_FEATURES[1..],
        Rpc::LogPrediction => &LOG_PREDICTION[1..],
    }
}

async fn answer(
    rpc: Rpc,
    path: &ReadPath,
    request: tonic::Request<Bytes>,
    traced: Option<&Traced<'_>>,
    timed: &mut Stages,
) -> Result<Bytes, Refusal> {
    let shared = &path.shared;
    shared
        .access
        .admit(rpc, request.metadata(), request.get_ref(), now_us())?;
    let _place = Place::take(&shared.counters, &shared.load)?;
    match rpc {
        Rpc::GetOnlineFeatures => {
            let patience = patience(request.metadata());
            path.get_online_features(request.into_inner(), patience, traced, timed)
                .await
        }
        Rpc::LogPrediction => path.log_prediction(&request.into_inner(), traced),
    }
}

/// How long the caller waits, as gRPC writes it: digits and a unit. `None`: without a limit.
fn patience(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u32 = digits.parse().ok()?;
    let one = match unit {
        "H" => Duration::from_secs(3_600),
        "M" => Duration::from_secs(60),
        "S" => Duration::from_secs(1),
        "m" => Duration::from_millis(1),
        "u" => Duration::from_micros(1),
        "n" => Duration::from_nanos(1),
        _ => return None,
    };
    one.checked_mul(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_read_as_grpc_writes_it() {
        let read = |text: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().unwrap());
            patience(&metadata)
        };
        assert_eq!(read("10S"), Some(Duration::from_secs(10)));
        assert_eq!(read("1500m"), Some(Duration::from_millis(1_500)));
        assert_eq!(read("99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
        for wrong in ["", "S", "1x", "-1S", "é"] {
            let value = wrong.parse::<tonic::metadata::AsciiMetadataValue>();
            assert!(value.is_err() || read(wrong).is_none(), "{wrong}");
        }
        assert_eq!(patience(&MetadataMap::new()), None);
    }
}
