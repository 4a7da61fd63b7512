//! The store's protocol (RESP 2), as much of it as reading needs.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

/// Cells that an answer may have; more means that the stream is not what it seems.
const MOST_CELLS: usize = 1 << 20;
/// Bytes that one cell may have (the store's own limit).
const MOST_BYTES: usize = 512 << 20;

/// One answer of the store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// `+text` or `:number`.
    Simple(Bytes),
    /// `-text`.
    Error(String),
    /// An array of strings or nils; a lone string is an array of one.
    Cells(Vec<Option<Bytes>>),
}

/// The stream is not RESP; the connection cannot be used any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotResp(&'static str);

impl fmt::Display for NotResp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the answer is not RESP: {}", self.0)
    }
}

/// Takes one whole answer off the front of `buffer`; `None` if more bytes are needed. Cells are slices of
/// what was received, not copies.
pub(crate) fn take(buffer: &mut BytesMut) -> Result<Option<Reply>, NotResp> {
    let Some(end) = measure(buffer)? else {
        return Ok(None);
    };
    let mut whole = buffer.split_to(end).freeze();
    let reply = match whole[0] {
        b'+' | b':' => Reply::Simple(whole.slice(1..end - 2)),
        b'-' => Reply::Error(String::from_utf8_lossy(&whole[1..end - 2]).into_owned()),
        b'$' => Reply::Cells(vec![take_cell(&mut whole)?]),
        _ => {
            let (count, length) = header(&whole)?.ok_or(NotResp("it is cut"))?;
            whole.advance(length);
            let count = count.unwrap_or(0);
            let mut cells = Vec::with_capacity(count);
            for _ in 0..count {
                cells.push(take_cell(&mut whole)?);
            }
            Reply::Cells(cells)
        }
    };
    Ok(Some(reply))
}

/// Adds a command to `out`.
pub(crate) fn command<'a>(out: &mut Vec<u8>, parts: impl ExactSizeIterator<Item = &'a [u8]>) {
    number(out, b'*', parts.len());
    for part in parts {
        number(out, b'$', part.len());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

/// Adds a header line: a mark and a number.
pub(crate) fn number(out: &mut Vec<u8>, mark: u8, mut n: usize) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b"0123456789"[n % 10];
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.push(mark);
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

/// The length of the whole answer at the front, if all of it is there.
fn measure(bytes: &[u8]) -> Result<Option<usize>, NotResp> {
    match bytes.first() {
        None => Ok(None),
        Some(b'+' | b'-' | b':') => Ok(line(bytes)?.map(|line| line.len() + 2)),
        Some(b'$') => measure_cell(bytes),
        Some(b'*') => {
            let Some((count, mut at)) = header(bytes)? else {
                return Ok(None);
            };
            let count = count.unwrap_or(0);
            if count > MOST_CELLS {
                return Err(NotResp("it has too many cells"));
            }
            for _ in 0..count {
                match measure_cell(&bytes[at..])? {
                    Some(length) => at += length,
                    None => return Ok(None),
                }
            }
            Ok(Some(at))
        }
        Some(_) => Err(NotResp("it starts with an unknown mark")),
    }
}

/// The length of the cell at the front, if all of it is there.
fn measure_cell(bytes: &[u8]) -> Result<Option<usize>, NotResp> {
    match bytes.first() {
        None => return Ok(None),
        Some(b'$') => {}
        Some(_) => return Err(NotResp("a cell is not a string")),
    }
    let Some((length, head)) = header(bytes)? else {
        return Ok(None);
    };
    let Some(length) = length else {
        return Ok(Some(head));
    };
    if length > MOST_BYTES {
        return Err(NotResp("a cell is too long"));
    }
    let end = head + length + 2;
    Ok((bytes.len() >= end).then_some(end))
}

/// Takes a cell that `measure` has seen whole.
fn take_cell(bytes: &mut Bytes) -> Result<Option<Bytes>, NotResp> {
    let (length, head) = header(bytes)?.ok_or(NotResp("it is cut"))?;
    bytes.advance(head);
    let Some(length) = length else {
        return Ok(None);
    };
    let cell = bytes.split_to(length);
    bytes.advance(2);
    Ok(Some(cell))
}

/// The number of a header line (absent for -1) and the length of the line with its end.
fn header(bytes: &[u8]) -> Result<Option<(Option<usize>, usize)>, NotResp> {
    let Some(line) = line(bytes)? else {
        return Ok(None);
    };
    let digits = &line[1..];
    if digits == b"-1" {
        return Ok(Some((None, line.len() + 2)));
    }
    if digits.is_empty() || digits.len() > 10 {
        return Err(NotResp("a length is no number"));
    }
    let mut n = 0_usize;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(NotResp("a length is no number"));
        }
        n = n * 10 + usize::from(digit - b'0');
    }
    Ok(Some((Some(n), line.len() + 2)))
}

/// The line at the front without its end, if it is whole.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>, NotResp> {
    match memchr::memchr(b'\r', bytes) {
        Some(at) if at + 1 < bytes.len() => {
            if bytes[at + 1] == b'\n' {
                Ok(Some(&bytes[..at]))
            } else {
                Err(NotResp("a line does not end in CRLF"))
            }
        }
        _ if bytes.len() > 64 << 10 => Err(NotResp("a line is too long")),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Reply>, NotResp> {
        let mut buffer = BytesMut::from(bytes);
        let mut replies = Vec::new();
        while let Some(reply) = take(&mut buffer)? {
            replies.push(reply);
        }
        assert!(buffer.is_empty(), "left: {buffer:?}");
        Ok(replies)
    }

    const STREAM: &[u8] = b"+OK\r\n*3\r\n$2\r\na\r\r\n$-1\r\n$0\r\n\r\n-ERR no\r\n:12\r\n$1\r\nx\r\n*0\r\n";

    #[test]
    fn answers_are_taken_one_by_one() {
        let replies = all(STREAM).unwrap();
        assert_eq!(
            replies,
            [
                Reply::Simple("OK".into()),
                Reply::Cells(vec![Some("a\r".into()), None, Some(Bytes::new())]),
                Reply::Error("ERR no".into()),
                Reply::Simple("12".into()),
                Reply::Cells(vec![Some("x".into())]),
                Reply::Cells(vec![]),
            ]
        );
    }

    #[test]
    fn bytes_may_come_one_at_a_time() {
        let mut buffer = BytesMut::new();
        let mut replies = Vec::new();
        for byte in STREAM {
            buffer.extend_from_slice(&[*byte]);
            replies.extend(take(&mut buffer).unwrap());
        }
        assert_eq!(replies, all(STREAM).unwrap());
    }

    #[test]
    fn another_protocol_is_refused() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"$x\r\n",
            b"*2\r\n:1\r\n:2\r\n",
            b"*99999999\r\n",
            b"$99999999999\r\n",
            b"+a\rb",
            b"$-2\r\n",
        ] {
            assert!(all(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
        assert!(take(&mut BytesMut::from(&vec![b'+'; 100_000][..])).is_err());
    }

    #[test]
    fn commands_are_arrays_of_strings() {
        let mut out = Vec::new();
        command(&mut out, [&b"MGET"[..], b"k", b""].into_iter());
        assert_eq!(out, b"*3\r\n$4\r\nMGET\r\n$1\r\nk\r\n$0\r\n\r\n");
        out.clear();
        number(&mut out, b'$', 1_234_567_890);
        assert_eq!(out, b"$1234567890\r\n");
    }
}
