//! As-of tokens: what an answer knew, so that it can be computed again.
//!
//! A token holds no entity and no value and gives no rights. Its bytes are canonical: one token has one form.
//!
//! | bytes | |
//! |---|---|
//! | 0 | version, 1 |
//! | 1..9 | request time, big-endian |
//! | varint | number of views; per view its kind (one byte) and the first 16 bytes of its meaning's hash |
//! | varint | number of rows |
//! | rows × views bits | which knowledge is there, row by row, least significant bit first; padded with zeros |
//! | per bit set | streams: epoch, partition, next offset; tables: run; all varints |
//! | last 8 | the first bytes of the SHA-256 of everything before |

use std::fmt;

use sha2::{Digest, Sha256};

use crate::bytes::{BytesError, Reader, Writer};
use crate::state::Position;

/// The version that is written, and the only one that is read.
pub const VERSION: u8 = 1;
/// The most views that a token speaks of.
pub const MOST_VIEWS: usize = 512;
/// The most rows that a token speaks of.
pub const MOST_ROWS: usize = 65_536;
/// The most pairs of a row and a view.
pub const MOST_PAIRS: usize = 1 << 20;

const CHECKSUM: usize = 8;
const VIEW_BYTES: usize = 17;

/// What a view's knowledge looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ViewKind {
    /// A window view: a position in its input log.
    Window = 1,
    /// A latest view over a stream: a position in its input log.
    LatestStream = 2,
    /// A latest view over a table: a run.
    LatestTable = 3,
}

impl ViewKind {
    /// Every kind, by its byte.
    pub const ALL: [Self; 3] = [Self::Window, Self::LatestStream, Self::LatestTable];

    /// The name for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::LatestStream => "latest_stream",
            Self::LatestTable => "latest_table",
        }
    }

    /// The kind of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A view that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenView {
    /// The first 16 bytes of the hash of its meaning.
    pub meaning: [u8; 16],
    /// What its knowledge looks like.
    pub kind: ViewKind,
}

/// The knowledge `P` behind one row of one view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Knowledge {
    /// All events below a position of the view's input log.
    Stream(Position),
    /// All runs up to and with this one.
    Run(u64),
}

/// What an answer knew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The request time, microseconds UTC.
    pub request_time: i64,
    /// The stored views that were read; at most [`MOST_VIEWS`].
    pub views: Vec<TokenView>,
    /// How many rows were answered; at most [`MOST_ROWS`].
    pub rows: usize,
    /// Row by row, one entry per view: `rows * views.len()`. Absent where the store held no state for the row's
    /// entity: nothing was known.
    pub known: Vec<Option<Knowledge>>,
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// The bytes are damaged: cut, changed, or no token at all.
    Damaged,
    /// The token is of a version that this kernel does not read.
    UnknownVersion {
        /// The first byte.
        version: u8,
    },
    /// More than [`MOST_VIEWS`], [`MOST_ROWS`] or [`MOST_PAIRS`].
    TooLarge,
    /// There is not one knowledge of the view's kind, or none, per row and view.
    WrongShape,
}

impl TokenError {
    /// A stable name for programs.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Damaged => "TOKEN_DAMAGED",
            Self::UnknownVersion { .. } => "TOKEN_UNKNOWN_VERSION",
            Self::TooLarge => "TOKEN_TOO_LARGE",
            Self::WrongShape => "TOKEN_WRONG_SHAPE",
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str("the token is damaged; use the bytes exactly as they were answered"),
            Self::UnknownVersion { version } => {
                write!(
                    f,
                    "the token has version {version}, this kernel reads version {VERSION}"
                )
            }
            Self::TooLarge => {
                write!(
                    f,
                    "a token speaks of at most {MOST_VIEWS} views, {MOST_ROWS} rows and {MOST_PAIRS} pairs of \
                     both; ask for fewer rows at once"
                )
            }
            Self::WrongShape => {
                f.write_str("a token has, per row and view, one knowledge of the view's kind or none")
            }
        }
    }
}

impl std::error::Error for TokenError {}

impl From<BytesError> for TokenError {
    fn from(_: BytesError) -> Self {
        Self::Damaged
    }
}

impl Knowledge {
    fn is_of(self, kind: ViewKind) -> bool {
        match kind {
            ViewKind::Window | ViewKind::LatestStream => matches!(self, Self::Stream(_)),
            ViewKind::LatestTable => matches!(self, Self::Run(_)),
        }
    }

    fn write(self, writer: &mut Writer) {
        match self {
            Self::Stream(position) => {
                writer.varint(position.epoch);
                writer.varint(u64::from(position.partition));
                writer.varint(position.next_offset);
            }
            Self::Run(run_seq) => writer.varint(run_seq),
        }
    }

    fn read(reader: &mut Reader<'_>, kind: ViewKind) -> Result<Self, TokenError> {
        if kind == ViewKind::LatestTable {
            return Ok(Self::Run(reader.varint()?));
        }
        let epoch = reader.varint()?;
        let partition = u32::try_from(reader.varint()?).map_err(|_| TokenError::Damaged)?;
        let next_offset = reader.varint()?;
        Ok(Self::Stream(Position {
            epoch,
            partition,
            next_offset,
        }))
    }
}

impl Token {
    /// What was known of a row in a view; absent where nothing was known or there is no such row or view.
    pub fn known(&self, row: usize, view: usize) -> Option<Knowledge> {
        if row >= self.rows || view >= self.views.len() {
            return None;
        }
        self.known.get(row * self.views.len() + view).copied().flatten()
    }
}

/// The bytes of a token.
pub fn write(token: &Token) -> Result<Vec<u8>, TokenError> {
    let pairs = pairs(token.rows, token.views.len())?;
    if token.known.len() != pairs {
        return Err(TokenError::WrongShape);
    }
    let mut writer = Writer::default();
    writer.byte(VERSION);
    writer.raw(&token.request_time.to_be_bytes());
    writer.count(token.views.len());
    for view in &token.views {
        writer.byte(view.kind as u8);
        writer.raw(&view.meaning);
    }
    writer.count(token.rows);
    for eight in token.known.chunks(8) {
        let bits = eight.iter().enumerate().filter(|(_, known)| known.is_some());
        writer.byte(bits.fold(0, |byte, (place, _)| byte | 1 << place));
    }
    for (known, view) in token.known.iter().zip(token.views.iter().cycle()) {
        let Some(known) = known else { continue };
        if !known.is_of(view.kind) {
            return Err(TokenError::WrongShape);
        }
        known.write(&mut writer);
    }
    let checksum = checksum(&writer.bytes);
    writer.raw(&checksum);
    Ok(writer.bytes)
}

/// Reads a token. Any bytes but those that [`write`](fn@write) gives are refused.
pub fn read(bytes: &[u8]) -> Result<Token, TokenError> {
    let (body, sum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(TokenError::Damaged)?;
    if checksum(body) != *sum {
        return Err(TokenError::Damaged);
    }
    let mut reader = Reader::new(body);
    let version = reader.byte()?;
    if version != VERSION {
        return Err(TokenError::UnknownVersion { version });
    }
    let request_time = i64::from_be_bytes(reader.array()?);
    let views = read_views(&mut reader)?;
    let rows = usize::try_from(reader.varint()?).map_err(|_| TokenError::TooLarge)?;
    let pairs = pairs(rows, views.len())?;
    let bits = reader.raw(pairs.div_ceil(8))?;
    let is_set = |pair: usize| bits.get(pair / 8).is_some_and(|byte| byte >> (pair % 8) & 1 == 1);
    if (pairs..bits.len() * 8).any(is_set) {
        return Err(TokenError::Damaged);
    }
    let mut known = Vec::with_capacity(pairs);
    for (pair, view) in (0..pairs).zip(views.iter().cycle()) {
        known.push(if is_set(pair) {
            Some(Knowledge::read(&mut reader, view.kind)?)
        } else {
            None
        });
    }
    reader.end()?;
    Ok(Token {
        request_time,
        views,
        rows,
        known,
    })
}

fn pairs(rows: usize, views: usize) -> Result<usize, TokenError> {
    if views > MOST_VIEWS || rows > MOST_ROWS || rows * views > MOST_PAIRS {
        return Err(TokenError::TooLarge);
    }
    Ok(rows * views)
}

fn read_views(reader: &mut Reader<'_>) -> Result<Vec<TokenView>, TokenError> {
    let count = reader.count()?;
    if count > MOST_VIEWS {
        return Err(TokenError::TooLarge);
    }
    if count * VIEW_BYTES > reader.left() {
        return Err(TokenError::Damaged);
    }
    (0..count)
        .map(|_| {
            let kind = ViewKind::from_byte(reader.byte()?).ok_or(TokenError::Damaged)?;
            let meaning = reader.array()?;
            Ok(TokenView { meaning, kind })
        })
        .collect()
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    let digest: [u8; 32] = Sha256::digest(body).into();
    let mut first = [0; CHECKSUM];
    first.copy_from_slice(&digest[..CHECKSUM]);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(rows: usize) -> Token {
        let view = |byte, kind| TokenView {
            meaning: [byte; 16],
            kind,
        };
        let views = vec![
            view(1, ViewKind::Window),
            view(2, ViewKind::LatestTable),
            view(3, ViewKind::LatestStream),
        ];
        let position = |n: u64| Position {
            epoch: n,
            partition: 7,
            next_offset: n << 40,
        };
        let known = (0..rows * 3)
            .map(|cell| match (cell % 3, cell % 5) {
                (_, 4) => None,
                (1, _) => Some(Knowledge::Run(cell as u64)),
                _ => Some(Knowledge::Stream(position(cell as u64))),
            })
            .collect();
        Token {
            request_time: -5,
            views,
            rows,
            known,
        }
    }

    fn resealed(mut body: Vec<u8>) -> Vec<u8> {
        let sum = checksum(&body);
        body.extend(sum);
        body
    }

    #[test]
    fn tokens_are_read_back() {
        for rows in [0, 1, 2, 8, 100] {
            let token = token(rows);
            assert_eq!(read(&write(&token).unwrap()), Ok(token));
        }
        let empty = Token {
            request_time: i64::MAX,
            views: vec![],
            rows: 3,
            known: vec![],
        };
        assert_eq!(read(&write(&empty).unwrap()), Ok(empty));
    }

    #[test]
    fn knowledge_is_found_by_row_and_view() {
        let token = token(2);
        assert_eq!(token.known(0, 1), Some(Knowledge::Run(1)));
        assert_eq!(token.known(1, 1), None);
        assert_eq!(token.known(0, 3), None);
        assert_eq!(token.known(2, 0), None);
    }

    #[test]
    fn any_changed_bit_and_any_cut_is_refused() {
        let bytes = write(&token(3)).unwrap();
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[place] ^= 1 << bit;
                assert_eq!(read(&changed), Err(TokenError::Damaged), "{place} {bit}");
            }
            assert_eq!(read(&bytes[..place]), Err(TokenError::Damaged));
        }
    }

    #[test]
    fn whatever_is_read_is_written_with_the_same_bytes() {
        let bytes = write(&token(3)).unwrap();
        let body = &bytes[..bytes.len() - CHECKSUM];
        for place in 0..body.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = body.to_vec();
                changed[place] = value;
                let changed = resealed(changed);
                if let Ok(token) = read(&changed) {
                    assert_eq!(write(&token).unwrap(), changed);
                }
            }
        }
        let mut longer = body.to_vec();
        longer.push(0);
        assert_eq!(read(&resealed(longer)), Err(TokenError::Damaged));
    }

    #[test]
    fn other_versions_and_absurd_sizes_are_refused_by_name() {
        assert_eq!(
            read(&resealed(vec![2])),
            Err(TokenError::UnknownVersion { version: 2 })
        );
        let mut writer = Writer::default();
        writer.byte(VERSION);
        writer.raw(&[0; 8]);
        writer.count(0);
        writer.varint(u64::MAX);
        assert_eq!(read(&resealed(writer.bytes)), Err(TokenError::TooLarge));
        let mut large = token(1);
        large.rows = MOST_ROWS + 1;
        assert_eq!(write(&large), Err(TokenError::TooLarge));
    }

    #[test]
    fn a_knowledge_of_the_wrong_kind_is_refused() {
        let mut wrong = token(1);
        wrong.known[1] = wrong.known[0];
        assert_eq!(write(&wrong), Err(TokenError::WrongShape));
        wrong.known.pop();
        assert_eq!(write(&wrong), Err(TokenError::WrongShape));
    }

    #[test]
    fn kinds_are_named() {
        for kind in ViewKind::ALL {
            assert_eq!(ViewKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(ViewKind::from_name("on_demand"), None);
    }
}
