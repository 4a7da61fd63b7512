//! The newest row of a table's entity, as it is stored.
//!
//! | bytes | |
//! |---|---|
//! | 0 | format, 2 |
//! | 1..9 | event time with its sign bit flipped, big-endian |
//! | 9..17 | created time likewise; 0 where there is none |
//! | 17..25 | run of the row, big-endian |
//! | 25..33 | the first bytes of the SHA-256 of the row |
//! | 33..41 | run up to which the key knows its rows, big-endian |
//! | 41.. | the row |
//!
//! Bytes 1..33 are the order of rows: compared byte by byte, the greater one wins, in the store
//! ([`WRITE_LATEST_ROW`](crate::state::WRITE_LATEST_ROW)) as in a frame.

use sha2::{Digest, Sha256};

use super::reading::Reading;
use super::row::{self, StoredRow};
use crate::bytes::{BytesError, Reader};
use crate::definition::LatestView;
use crate::expr::Cell;
use crate::state::{ROW_FORMAT, StateError};

/// The event time of every row of a timeless table: the year 1.
pub const TIMELESS: i64 = -62_135_596_800_000_000;
/// How many bytes stand before the row.
pub const PREFIX_BYTES: usize = 41;

/// What orders the rows of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowTimes {
    /// When the row began to hold, microseconds; [`TIMELESS`] for a table without event times.
    pub event_time: i64,
    /// When it was written, microseconds; absent is older than any.
    pub created_time: Option<i64>,
    /// The run that published it, from 1.
    pub run_seq: u64,
}

/// The value to store for a row: one cell per feature of the view, in declared order; no cells for a deletion.
/// `known` is the run that publishes it, at least the row's own.
pub fn encode<'a>(times: RowTimes, cells: Option<impl IntoIterator<Item = Cell<'a>>>, known: u64) -> Vec<u8> {
    let row = cells.map_or_else(|| row::DELETED.to_vec(), row::encode);
    let mut value = Vec::with_capacity(PREFIX_BYTES + row.len());
    value.push(ROW_FORMAT);
    value.extend(biased(times.event_time).to_be_bytes());
    value.extend(times.created_time.map_or(0, biased).to_be_bytes());
    value.extend(times.run_seq.to_be_bytes());
    value.extend(digest(&row));
    value.extend(known.max(times.run_seq).to_be_bytes());
    value.extend(row);
    value
}

/// The row of a stored value at a request time; no value is no row.
pub fn read<'a>(
    view: &LatestView,
    value: Option<&'a [u8]>,
    request_time: i64,
) -> Result<Reading<'a>, StateError> {
    let Some(value) = value else {
        return Ok(Reading::NotFound);
    };
    let (start, row) = split(value)?;
    let event_time = start.times.event_time;
    if event_time > request_time && !view.is_timeless() {
        return Ok(Reading::NotAnswerable { earliest: event_time });
    }
    Reading::of(view, StoredRow::parse(row)?, event_time, request_time)
}

/// The run up to which a stored value knows the rows of its key: its knowledge `P`.
pub fn known(value: &[u8]) -> Result<u64, StateError> {
    split(value).map(|(start, _)| start.known)
}

/// The earliest request time that a stored value can answer; absent if any.
pub fn answers_from(view: &LatestView, value: &[u8]) -> Result<Option<i64>, StateError> {
    let (start, _) = split(value)?;
    Ok((!view.is_timeless()).then_some(start.times.event_time))
}

struct Start {
    times: RowTimes,
    known: u64,
}

fn split(value: &[u8]) -> Result<(Start, &[u8]), StateError> {
    let mut reader = Reader::new(value);
    match reader.byte() {
        Ok(ROW_FORMAT) => {}
        other => return Err(StateError::UnknownFormat { format: other.ok() }),
    }
    let event_time = unbiased(u64::from_be_bytes(reader.array()?));
    let created_time = match u64::from_be_bytes(reader.array()?) {
        0 => None,
        created => Some(unbiased(created)),
    };
    let run_seq = u64::from_be_bytes(reader.array()?);
    let _: [u8; 8] = reader.array()?;
    let known = u64::from_be_bytes(reader.array()?);
    if known < run_seq {
        return Err(BytesError::NotCanonical.into());
    }
    let times = RowTimes {
        event_time,
        created_time,
        run_seq,
    };
    Ok((Start { times, known }, reader.raw(reader.left())?))
}

/// The first eight bytes of the SHA-256 of a row: what decides between rows of the same times and run.
pub(super) fn digest(row: &[u8]) -> [u8; 8] {
    let whole: [u8; 32] = Sha256::digest(row).into();
    let mut first = [0; 8];
    first.copy_from_slice(&whole[..8]);
    first
}

/// Unsigned numbers in the order of the signed ones.
#[allow(clippy::cast_sign_loss)]
fn biased(time: i64) -> u64 {
    time as u64 ^ 1 << 63
}

#[allow(clippy::cast_possible_wrap)]
fn unbiased(bits: u64) -> i64 {
    (bits ^ 1 << 63) as i64
}
