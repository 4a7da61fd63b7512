use sha2::{Digest, Sha256};
use skewless_core::definition::{Definition, LatestView, WindowView};
use skewless_core::expr::Cell;
use skewless_core::latest::stream::{self, LatestState};
use skewless_core::latest::table::{self, RowTimes};
use skewless_core::latest::{Reading, StoredRow};
use skewless_core::state::{StateError, peek};
use skewless_core::status::Status;
use skewless_core::token;
use skewless_core::value::Value;
use skewless_core::window::{self, WindowState};

use super::named;

/// Stands in an input where the mark of the body stands in a head, which no fuzzer would guess.
const MARK: &[u8] = b"BODYMARK";

/// The length of the head (two bytes), the head, the body.
pub(crate) fn window(data: &[u8]) {
    let Some((Definition::Window(view), data)) = named(data) else {
        return;
    };
    let Some((length, data)) = data.split_first_chunk::<2>() else {
        return;
    };
    let (head, body) = data.split_at(data.len().min(usize::from(u16::from_be_bytes(*length))));
    let mut head = head.to_vec();
    if let Some(at) = head.windows(MARK.len()).position(|bytes| bytes == MARK) {
        let hash = blake3::hash(body);
        head[at..at + MARK.len()].copy_from_slice(&hash.as_bytes()[..MARK.len()]);
    }
    peek(&head).map_or_else(|error| assert!(!error.reason().is_empty()), |_| ());
    let state = match WindowState::decode_marked(view, &head, Some(body)) {
        Ok((prefix, state, mark)) => {
            let written = state.encode(&view.layout, &prefix);
            assert_eq!(written.head, head, "another head");
            if mark.is_some() {
                assert_eq!(written.body, body, "another body");
            }
            Some(state)
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    };
    for request in requests(state.as_ref().and_then(WindowState::horizon), body) {
        ask(view, state.as_ref(), &head, body, request);
    }
    if let Some(mut state) = state {
        let clock = state.newest_event().unwrap_or(0);
        for later in [0, 3_600_000_000, i64::MAX] {
            state.raise(view, clock.saturating_add(later));
            state.write_body(&view.layout);
        }
    }
}

/// Reading bytes as they are gives what the state gives once it is decoded.
fn ask(view: &WindowView, state: Option<&WindowState>, head: &[u8], body: &[u8], request: i64) {
    let read = window::read(view, Some(head), Some(body), request);
    let Some(state) = state else {
        return;
    };
    let reading = read.expect("what decodes is read");
    match state.answer(view, request) {
        Some(answers) => assert_eq!(reading.answers, answers, "at {request}"),
        None => assert!(
            reading
                .answers
                .iter()
                .all(|answer| answer.status == Status::NotAnswerable)
        ),
    }
}

/// Instants around a horizon, and one of the input's own making.
fn requests(horizon: Option<i64>, data: &[u8]) -> Vec<i64> {
    let mut requests = vec![i64::MIN, 0, i64::MAX];
    if let Some(horizon) = horizon {
        requests.extend([0, 1, 3_600_000_000].map(|later| horizon.saturating_add(later)));
    }
    requests.extend(data.last_chunk().map(|bytes| i64::from_be_bytes(*bytes)));
    requests
}

pub(crate) fn latest_stream(data: &[u8]) {
    let Some((Definition::Latest(view), bytes)) = named(data) else {
        return;
    };
    if !view.is_stream() {
        return;
    }
    let decoded = LatestState::decode(view, bytes);
    let horizon = decoded.as_ref().ok().and_then(|(_, state)| state.horizon());
    for request in requests(horizon, bytes) {
        let read = stream::read(view, Some(bytes), request);
        if let Ok(reading) = &read {
            answers(view, reading);
        }
        if let Ok((_, state)) = &decoded {
            assert_eq!(read, state.read(view, request), "at {request}");
        }
    }
    if let Ok((prefix, mut state)) = decoded {
        assert_eq!(state.encode(&prefix), bytes);
        state.raise(view, state.newest_event().unwrap_or(0));
        let raised = state.encode(&prefix);
        let again = LatestState::decode(view, &raised).expect("what is written is read");
        assert_eq!(again, (prefix, state));
    }
}

fn answers(view: &LatestView, reading: &Reading<'_>) -> Option<Vec<Value>> {
    let answers = (0..view.features.len()).map(|feature| reading.answer(view, feature));
    let answers: Result<Vec<_>, StateError> = answers.collect();
    answers
        .ok()
        .map(|answers| answers.into_iter().map(|answer| answer.value).collect())
}

/// A stored row; the bytes that tell its row from others of the same times are made right.
pub(crate) fn latest_row(data: &[u8]) {
    let Some((Definition::Latest(view), bytes)) = named(data) else {
        return;
    };
    if view.is_stream() {
        return;
    }
    let mut value = bytes.to_vec();
    if value.len() > table::PREFIX_BYTES {
        let (start, row) = value.split_at_mut(table::PREFIX_BYTES);
        let hash: [u8; 32] = Sha256::digest(row).into();
        start[25..33].copy_from_slice(&hash[..8]);
    }
    for request in requests(table::answers_from(view, &value).ok().flatten(), &value) {
        let Ok(reading) = table::read(view, Some(&value), request) else {
            continue;
        };
        let known = table::known(&value).expect("what is read is known");
        let times = times(&value);
        let cells = match (reading, StoredRow::parse(&value[table::PREFIX_BYTES..])) {
            (Reading::Row { .. }, _) => answers(view, &reading),
            (Reading::NotFound, Ok(None)) => {
                let written = table::encode(times, None::<Vec<Cell<'_>>>, known);
                assert_eq!(written, value);
                None
            }
            _ => None,
        };
        if let Some(cells) = cells {
            let written = table::encode(times, Some(cells.iter().map(Cell::from)), known);
            assert_eq!(written, value);
        }
    }
}

/// What the first bytes of a stored row say, read a second time.
#[allow(clippy::cast_possible_wrap)] // the bits are what is wanted
fn times(value: &[u8]) -> RowTimes {
    let number = |at: usize| u64::from_be_bytes(value[at..at + 8].try_into().unwrap());
    let instant = |bits: u64| (bits ^ 1 << 63) as i64;
    RowTimes {
        event_time: instant(number(1)),
        created_time: (number(9) != 0).then(|| instant(number(9))),
        run_seq: number(17),
    }
}

/// A token without its checksum, and the bytes as they are.
pub(crate) fn token(data: &[u8]) {
    let mut sealed = data.to_vec();
    let hash: [u8; 32] = Sha256::digest(data).into();
    sealed.extend(&hash[..8]);
    for bytes in [data, &sealed] {
        match token::read(bytes) {
            Ok(token) => assert_eq!(token::write(&token).as_deref(), Ok(bytes)),
            Err(error) => assert!(!error.reason().is_empty() && !error.to_string().is_empty()),
        }
    }
}
