//! What every stored state begins with, and the server-side functions that accept or refuse a write.
//!
//! | bytes | stream state (window, latest) |
//! |---|---|
//! | 0 | format, 1 |
//! | 1..9 | epoch, big-endian |
//! | 9..17 | next offset: every event below it is in the state |
//! | 17..21 | partition of the input log |
//! | 21..29 | run: the incarnation of the writer, for people |
//! | 29.. | fold horizon: 0, or 1 and eight bytes; then what the view needs |

use std::fmt;

use crate::bytes::{BytesError, Reader, Writer};

/// The first byte of a stream state.
pub const STREAM_FORMAT: u8 = 1;
/// The first byte of a stored row of a table.
pub const ROW_FORMAT: u8 = 2;
/// How many bytes the prefix of a stream state has.
pub const PREFIX_BYTES: usize = 29;

/// How much of an input log a state has absorbed: the knowledge `P` of a stream view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The epoch of the log.
    pub epoch: u64,
    /// The partition that holds all events of the key in this epoch.
    pub partition: u32,
    /// Every event below this offset is known.
    pub next_offset: u64,
}

/// The prefix of a stream state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// What is known.
    pub position: Position,
    /// The incarnation of the writer.
    pub run: u64,
}

/// Why a stored state could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateError {
    /// The bytes are not a state of this view.
    Malformed(BytesError),
    /// The first byte names a form that this kernel does not know.
    UnknownFormat {
        /// The byte, absent if there are no bytes at all.
        format: Option<u8>,
    },
    /// The head refers to a body that is not the one that was read with it.
    BodyMismatch,
    /// The state was written from another partition in the same epoch.
    OtherPartition {
        /// The partition of the state.
        stored: u32,
        /// The partition of the log that is read.
        own: u32,
    },
    /// The state is of a later epoch than the log that is read.
    LaterEpoch {
        /// The epoch of the state.
        stored: u64,
        /// The epoch of the log that is read.
        own: u64,
    },
    /// The stored row has not the columns of this view.
    RowMismatch,
}

impl StateError {
    /// A stable name for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(BytesError::Truncated) => "STATE_TRUNCATED",
            Self::Malformed(BytesError::NotCanonical | BytesError::Trailing) => "STATE_MALFORMED",
            Self::UnknownFormat { .. } => "STATE_UNKNOWN_FORMAT",
            Self::BodyMismatch => "STATE_BODY_MISMATCH",
            Self::OtherPartition { .. } => "STATE_OTHER_PARTITION",
            Self::LaterEpoch { .. } => "STATE_LATER_EPOCH",
            Self::RowMismatch => "STATE_ROW_MISMATCH",
        }
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "the bytes are no state of this view ({error:?})"),
            Self::UnknownFormat { format: Some(format) } => {
                write!(f, "the state has form {format}, which this kernel does not read")
            }
            Self::UnknownFormat { format: None } => f.write_str("the state is empty"),
            Self::BodyMismatch => {
                f.write_str("the body is not the one the head was written with; read both in one call, rebuild if it stays")
            }
            Self::OtherPartition { stored, own } => write!(
                f,
                "the state was written from partition {stored}, this log is partition {own} of the same epoch; \
                 open a new epoch when the partition count changes"
            ),
            Self::LaterEpoch { stored, own } => {
                write!(f, "the state is of epoch {stored}, the log that is read of epoch {own}")
            }
            Self::RowMismatch => f.write_str("the stored row has not the columns of this view"),
        }
    }
}

impl std::error::Error for StateError {}

impl From<BytesError> for StateError {
    fn from(error: BytesError) -> Self {
        Self::Malformed(error)
    }
}

/// Writes the prefix and the fold horizon.
pub(crate) fn write_start(prefix: &Prefix, horizon: Option<i64>) -> Writer {
    let mut writer = Writer::with_room(256);
    writer.byte(STREAM_FORMAT);
    writer.raw(&prefix.position.epoch.to_be_bytes());
    writer.raw(&prefix.position.next_offset.to_be_bytes());
    writer.raw(&prefix.position.partition.to_be_bytes());
    writer.raw(&prefix.run.to_be_bytes());
    match horizon {
        None => writer.byte(0),
        Some(horizon) => {
            writer.byte(1);
            writer.raw(&horizon.to_be_bytes());
        }
    }
    writer
}

/// Reads the prefix and the fold horizon off the front.
pub(crate) fn read_start(reader: &mut Reader<'_>) -> Result<(Prefix, Option<i64>), StateError> {
    match reader.byte() {
        Ok(STREAM_FORMAT) => {}
        other => return Err(StateError::UnknownFormat { format: other.ok() }),
    }
    let epoch = u64::from_be_bytes(reader.array()?);
    let next_offset = u64::from_be_bytes(reader.array()?);
    let partition = u32::from_be_bytes(reader.array()?);
    let run = u64::from_be_bytes(reader.array()?);
    let horizon = if reader.flag()? {
        Some(i64::from_be_bytes(reader.array()?))
    } else {
        None
    };
    Ok((
        Prefix {
            position: Position {
                epoch,
                partition,
                next_offset,
            },
            run,
        },
        horizon,
    ))
}

/// What can be told from a stream state's first bytes, without its view: what it knows, and the earliest request
/// time it can answer (absent: any).
pub fn peek(head: &[u8]) -> Result<(Position, Option<i64>), StateError> {
    let (prefix, horizon) = read_start(&mut Reader::new(head))?;
    Ok((prefix.position, horizon))
}

/// Lua: writes a stream state. KEYS: head, body. ARGV: head, body or "", expiry as Unix milliseconds or "".
///
/// Gives 1 if accepted, 0 if the stored state knows as much or more (the writer then drops its cached state);
/// an error reply `OTHER_PARTITION` or `BAD_STATE` if the two cannot be compared. Never shortens an expiry.
pub const WRITE_STREAM_STATE: &str = include_str!("lua/write_stream_state.lua");

/// Lua: writes a row of a table. KEYS: the key. ARGV: the value, expiry as Unix milliseconds or "".
///
/// Gives 1 if the row won, 0 if the stored one stays; what the key knows advances either way. Never shortens an
/// expiry.
pub const WRITE_LATEST_ROW: &str = include_str!("lua/write_latest_row.lua");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_read_back() {
        let prefix = Prefix {
            position: Position {
                epoch: 3,
                partition: 7,
                next_offset: 1 << 40,
            },
            run: 9,
        };
        for horizon in [None, Some(-5), Some(i64::MAX)] {
            let bytes = write_start(&prefix, horizon).bytes;
            assert_eq!(read_start(&mut Reader::new(&bytes)), Ok((prefix, horizon)));
            assert_eq!(peek(&bytes), Ok((prefix.position, horizon)));
            assert_eq!(bytes[0], STREAM_FORMAT);
            assert_eq!(bytes[9..17], (1_u64 << 40).to_be_bytes());
        }
    }

    #[test]
    fn other_forms_are_refused_by_name() {
        assert_eq!(peek(&[]).unwrap_err().reason(), "STATE_UNKNOWN_FORMAT");
        assert_eq!(peek(&[2; 40]).unwrap_err().reason(), "STATE_UNKNOWN_FORMAT");
        assert_eq!(peek(&[1; 20]).unwrap_err().reason(), "STATE_TRUNCATED");
    }
}
