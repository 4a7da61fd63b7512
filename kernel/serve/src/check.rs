//! The rules on the fields of a request: those that the contract writes as annotations, by hand.
//!
//! What a field must be in itself is checked here, all faults at once; what it must be for the features that
//! are asked for is checked in `rows`. `tests/contract/requests/online.yaml` holds the cases of both.

use skewless_core::definition::limits::INSTANTS;

use crate::refusal::Refusal;
use crate::ulid;
use crate::wire::Reason;
use crate::wire::online::{GetOnlineFeaturesRequest, LogPredictionRequest, PartialResults};

const LONGEST_PROJECT: usize = 64;
const LONGEST_SERVICE: usize = 160;
const LONGEST_MODEL: usize = 256;
const MOST_FEATURES: usize = 512;
const MOST_KEYS: usize = 32;
const MOST_FIELDS: usize = 256;
/// Rows of a request, and scores of a prediction.
pub(crate) const MOST_ROWS: usize = 1_000;

/// Collects what is wrong, in the order of the fields.
#[derive(Default)]
struct Faults {
    wrong: Vec<(String, String)>,
    too_large: bool,
}

impl Faults {
    fn wrong(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.wrong.push((place.into(), text.into()));
    }

    fn too_large(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.too_large |= self.wrong.is_empty();
        self.wrong(place, text);
    }

    fn length(&mut self, place: &str, text: &str, least: usize, most: usize) {
        let length = text.chars().count();
        if length < least {
            self.wrong(place, "is empty; give a value");
        } else if length > most {
            self.wrong(
                place,
                format!("has {length} characters; at most {most} are allowed"),
            );
        }
    }

    fn count(&mut self, place: &str, count: usize, most: usize) {
        if count > most {
            self.too_large(place, format!("has {count} entries; at most {most} are allowed"));
        }
    }

    fn instant(&mut self, place: &str, instant: Option<i64>) {
        if let Some(instant) = instant.filter(|instant| !(INSTANTS.0..=INSTANTS.1).contains(instant)) {
            self.wrong(
                place,
                format!(
                    "{instant} is no instant of the years 1 to 9999; give microseconds since 1970 in UTC"
                ),
            );
        }
    }

    fn end(self) -> Result<(), Refusal> {
        if self.wrong.is_empty() {
            return Ok(());
        }
        let reason = if self.too_large {
            Reason::TooLarge
        } else {
            Reason::InvalidArgument
        };
        Err(Refusal::fields(reason, self.wrong))
    }
}

/// Checks a request for features; gives its number of rows.
pub(crate) fn features_request(request: &GetOnlineFeaturesRequest) -> Result<usize, Refusal> {
    let mut faults = Faults::default();
    faults.length("project", &request.project, 1, LONGEST_PROJECT);
    faults.length("feature_service", &request.feature_service, 0, LONGEST_SERVICE);
    faults.count("features", request.features.len(), MOST_FEATURES);
    match (request.feature_service.is_empty(), request.features.is_empty()) {
        (true, true) => faults.wrong(
            "feature_service",
            "neither a feature service nor features are given; name a service as name@MAJOR.MINOR.PATCH \
             or list features as view@MAJOR.MINOR.PATCH:feature",
        ),
        (false, false) => faults.wrong(
            "features",
            "a feature service and a list of features are given; ask for one of them",
        ),
        _ => {}
    }
    faults.count("entities", request.entities.len(), MOST_KEYS);
    faults.count("request_fields", request.request_fields.len(), MOST_FIELDS);
    let columns = request.entities.iter().map(|column| ("entities", column)).chain(
        request
            .request_fields
            .iter()
            .map(|column| ("request_fields", column)),
    );
    let mut rows = None;
    for (field, (name, column)) in columns {
        let count = column.values.len();
        let place = || format!("{field}[\"{}\"]", name.escape_debug());
        if count > MOST_ROWS {
            faults.too_large(
                place(),
                format!("has {count} rows; at most {MOST_ROWS} are allowed, ask in several requests"),
            );
        } else if count == 0 {
            faults.wrong(place(), "has no rows; give one value per row");
        } else if *rows.get_or_insert(count) != count {
            let first = rows.unwrap_or_default();
            faults.wrong(
                place(),
                format!("has {count} rows, another column {first}; all columns have the same number of rows"),
            );
        }
    }
    faults.instant("request_time_us", request.request_time_us);
    if request.min_revision < 0 {
        faults.wrong(
            "min_revision",
            format!(
                "is {}; give a revision of the registry, or none",
                request.min_revision
            ),
        );
    }
    if PartialResults::try_from(request.partial_results).is_err() {
        let number = request.partial_results;
        faults.wrong(
            "partial_results",
            format!("is {number}, which means nothing; give STATUS or FAIL"),
        );
    }
    faults.end()?;
    // Without keys and fields there is one vector.
    Ok(rows.unwrap_or(1))
}

/// Checks a prediction.
pub(crate) fn prediction(request: &LogPredictionRequest) -> Result<(), Refusal> {
    let mut faults = Faults::default();
    if !ulid::is_id(&request.request_id) {
        faults.wrong(
            "request_id",
            format!(
                "is not the id of an answer; copy the {} characters of its request_id",
                ulid::LENGTH
            ),
        );
    }
    faults.length("project", &request.project, 1, LONGEST_PROJECT);
    faults.length("model", &request.model, 1, LONGEST_MODEL);
    if request.scores.is_empty() {
        faults.wrong("scores", "is empty; give one score per row of the request");
    }
    faults.count("scores", request.scores.len(), MOST_ROWS);
    for (place, score) in request.scores.iter().enumerate() {
        if !score.is_finite() {
            faults.wrong(
                format!("scores[{place}]"),
                format!("is {score}; a score is a finite number"),
            );
        }
    }
    faults.instant("predicted_at_us", request.predicted_at_us);
    faults.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::types::{Value, ValueColumn};

    fn column(rows: usize) -> ValueColumn {
        ValueColumn {
            values: vec![Value::default(); rows],
        }
    }

    fn request() -> GetOnlineFeaturesRequest {
        GetOnlineFeaturesRequest {
            project: "p".into(),
            feature_service: "s@1.0.0".into(),
            entities: [("k".to_owned(), column(3))].into(),
            ..Default::default()
        }
    }

    #[test]
    fn rows_are_those_of_the_columns() {
        assert_eq!(features_request(&request()).unwrap(), 3);
        let plain = GetOnlineFeaturesRequest {
            entities: [].into(),
            ..request()
        };
        assert_eq!(features_request(&plain).unwrap(), 1);
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let bad = GetOnlineFeaturesRequest {
            project: String::new(),
            features: vec!["v@1.0.0:f".into()],
            request_fields: [("a".to_owned(), column(2)), ("b".to_owned(), column(0))].into(),
            ..request()
        };
        let status = tonic::Status::from(features_request(&bad).unwrap_err());
        assert!(status.message().ends_with("(and 3 more)"), "{}", status.message());
    }

    #[test]
    fn length_is_counted_in_characters() {
        let long = GetOnlineFeaturesRequest {
            project: "é".repeat(64),
            ..request()
        };
        assert!(features_request(&long).is_ok());
        let longer = GetOnlineFeaturesRequest {
            project: "é".repeat(65),
            ..request()
        };
        assert_eq!(
            features_request(&longer).unwrap_err().reason(),
            Reason::InvalidArgument
        );
    }

    #[test]
    fn too_much_has_its_own_reason() {
        let many = GetOnlineFeaturesRequest {
            entities: [("k".to_owned(), column(1_001))].into(),
            ..request()
        };
        assert_eq!(features_request(&many).unwrap_err().reason(), Reason::TooLarge);
    }
}
