//! Refusals: what a caller is told when there is no answer.
//!
//! A refusal carries a stable reason, the places at fault and a text; on the wire it is a gRPC status with
//! `google.rpc.Status` details, as `errors/v1/reason.proto` describes.

use std::time::Duration;

use bytes::Bytes;
use prost::{Message, Name};
use tonic::{Code, Status};

use crate::wire::{Reason, rpc};

/// The domain of every reason.
const DOMAIN: &str = "skewless";
/// Details travel in a header, and clients refuse large headers.
const MOST_FIELDS: usize = 10;
/// Longer texts are cut, at a character.
const LONGEST_TEXT: usize = 400;

/// When a caller may try again that was refused for lack of room or of a plan.
const RETRY_AFTER: prost_types::Duration = prost_types::Duration {
    seconds: 0,
    nanos: 200_000_000,
};

/// Why a request gets no answer.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    code: Code,
    reason: Reason,
    message: String,
    fields: Vec<(String, String)>,
    metadata: Vec<(&'static str, String)>,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal with no place in the request.
    pub(crate) fn new(code: Code, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            fields: Vec::new(),
            metadata: Vec::new(),
            retry_after: None,
        }
    }

    /// A request that is wrong in these places: pairs of field path and what to do about it. The text of
    /// the refusal is that of the first.
    pub(crate) fn fields(reason: Reason, fields: Vec<(String, String)>) -> Self {
        let message = match fields.as_slice() {
            [] => String::new(),
            [(place, text)] => format!("{place}: {text}"),
            [(place, text), rest @ ..] => format!("{place}: {text} (and {} more)", rest.len()),
        };
        Self {
            fields,
            ..Self::new(Code::InvalidArgument, reason, message)
        }
    }

    /// A refusal of another code that is about one place.
    pub(crate) fn at(code: Code, reason: Reason, place: String, text: &str) -> Self {
        Self {
            fields: vec![(place, text.to_owned())],
            ..Self::new(code, reason, text)
        }
    }

    /// The same refusal with the places that it is about.
    #[must_use]
    pub(crate) fn places(mut self, places: Vec<(String, String)>) -> Self {
        self.fields = places;
        self
    }

    /// A request that is wrong in one place.
    pub(crate) fn field(reason: Reason, place: impl Into<String>, text: impl Into<String>) -> Self {
        Self::fields(reason, vec![(place.into(), text.into())])
    }

    /// The same refusal with a machine-readable fact.
    #[must_use]
    pub(crate) fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((key, value.into()));
        self
    }

    /// The same refusal of which is known when to try again.
    #[must_use]
    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The stable name of the reason.
    pub(crate) fn reason(&self) -> Reason {
        self.reason
    }

    /// The gRPC code.
    pub(crate) fn code(&self) -> Code {
        self.code
    }
}

/// The name of a reason as callers see it.
pub(crate) fn name_of(reason: Reason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("REASON_").unwrap_or(name)
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let Refusal {
            code,
            reason,
            message,
            mut fields,
            metadata,
            retry_after,
        } = refusal;
        let message = cut(message);
        let info = rpc::ErrorInfo {
            reason: name_of(reason).to_owned(),
            domain: DOMAIN.to_owned(),
            metadata: metadata
                .into_iter()
                .map(|(key, value)| (key.to_owned(), cut(value)))
                .collect(),
        };
        let mut details = vec![any(&info)];
        if matches!(code, Code::ResourceExhausted | Code::Unavailable) {
            details.push(any(&rpc::RetryInfo {
                retry_delay: Some(
                    retry_after
                        .and_then(|wait| wait.try_into().ok())
                        .unwrap_or(RETRY_AFTER),
                ),
            }));
        }
        if !fields.is_empty() {
            fields.truncate(MOST_FIELDS);
            let field_violations = fields
                .into_iter()
                .map(|(field, description)| rpc::bad_request::FieldViolation {
                    field: cut(field),
                    description: cut(description),
                    reason: name_of(reason).to_owned(),
                    ..Default::default()
                })
                .collect();
            details.push(any(&rpc::BadRequest { field_violations }));
        }
        let status = rpc::Status {
            code: code as i32,
            message: message.clone(),
            details,
        };
        Self::with_details(code, message, Bytes::from(status.encode_to_vec()))
    }
}

fn any<M: Message + Name>(message: &M) -> prost_types::Any {
    prost_types::Any {
        type_url: format!("type.googleapis.com/{}", M::full_name()),
        value: message.encode_to_vec(),
    }
}

/// A name out of a request, short enough to be repeated to its sender.
pub(crate) fn quoted(name: &str) -> String {
    let mut end = name.len().min(96);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let dots = if end < name.len() { "..." } else { "" };
    format!("'{}{dots}'", name[..end].escape_debug())
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST_TEXT {
        let mut end = LONGEST_TEXT;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(status: &Status) -> rpc::Status {
        rpc::Status::decode(status.details()).unwrap()
    }

    #[test]
    fn a_refusal_names_reason_and_places() {
        let refusal = Refusal::field(Reason::WrongType, "entities[\"origin\"].values[2]", "is null")
            .with("entity", "origin");
        let status = Status::from(refusal);
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = decoded(&status).details;
        assert_eq!(details.len(), 2);
        assert_eq!(details[0].type_url, "type.googleapis.com/google.rpc.ErrorInfo");
        let info = rpc::ErrorInfo::decode(details[0].value.as_slice()).unwrap();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("WRONG_TYPE", "skewless")
        );
        assert_eq!(info.metadata["entity"], "origin");
        let bad = rpc::BadRequest::decode(details[1].value.as_slice()).unwrap();
        assert_eq!(bad.field_violations[0].field, "entities[\"origin\"].values[2]");
    }

    #[test]
    fn details_stay_small_whatever_the_request_was() {
        let fields = (0..500).map(|n| (format!("f{n}"), "é".repeat(10_000))).collect();
        let status = Status::from(Refusal::fields(Reason::InvalidArgument, fields));
        assert!(status.details().len() < 8_192, "{}", status.details().len());
        assert!(status.message().contains("..."));
    }

    #[test]
    fn a_long_name_is_repeated_in_part() {
        assert_eq!(quoted("a\nb"), "'a\\nb'");
        assert!(quoted(&"ü".repeat(300)).len() < 120);
    }
}
