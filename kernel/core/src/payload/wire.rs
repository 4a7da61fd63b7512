//! The wire format of protobuf: numbered fields, one after another, of a message that nobody has to know in full.

use super::Refusal;
use crate::definition::limits;

/// How a field is written: the three low bits of its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Varint,
    Fixed64,
    Bytes,
    GroupStart,
    GroupEnd,
    Fixed32,
}

impl Written {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Varint => "a varint",
            Self::Fixed64 => "8 fixed bytes",
            Self::Bytes => "bytes with their length",
            Self::GroupStart | Self::GroupEnd => "a group",
            Self::Fixed32 => "4 fixed bytes",
        }
    }
}

/// A place in the bytes of a message.
#[derive(Debug)]
pub(super) struct Wire<'b> {
    /// The record up to the end of the message; places are those in the record.
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Wire<'b> {
    pub(super) const fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The number of the next field and how it is written; `None` at the end of the message.
    pub(super) fn field(&mut self) -> Result<Option<(u32, Written)>, Refusal> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let start = self.at;
        let tag = self.varint()?;
        let written = match tag & 7 {
            0 => Written::Varint,
            1 => Written::Fixed64,
            2 => Written::Bytes,
            3 => Written::GroupStart,
            4 => Written::GroupEnd,
            5 => Written::Fixed32,
            other => return Err(fault(start, &format!("there is no wire type {other}"))),
        };
        match u32::try_from(tag >> 3) {
            Ok(number @ 1..=limits::FIELD_NUMBER) => Ok(Some((number, written))),
            _ => Err(fault(
                start,
                "no field has this number; send the bare message, without a frame around it",
            )),
        }
    }

    /// Up to 64 bits in groups of seven, the low ones first.
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Refusal> {
        let start = self.at;
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let Some(byte) = self.bytes.get(self.at) else {
                return Err(self.ended());
            };
            self.at += 1;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(fault(start, "a varint has more than 64 bits"))
    }

    pub(super) fn fixed32(&mut self) -> Result<u64, Refusal> {
        let bytes = self.take(4)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    pub(super) fn fixed64(&mut self) -> Result<u64, Refusal> {
        let bytes = self.take(8)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A length and so many bytes.
    pub(super) fn bytes(&mut self) -> Result<&'b [u8], Refusal> {
        let length = self.length()?;
        self.take(length)
    }

    /// A length and a message of so many bytes.
    pub(super) fn message(&mut self) -> Result<Self, Refusal> {
        let length = self.length()?;
        let at = self.at;
        self.take(length)?;
        Ok(Self {
            bytes: &self.bytes[..self.at],
            at,
        })
    }

    /// Passes over the content of a field that nobody reads.
    pub(super) fn skip(&mut self, number: u32, written: Written) -> Result<(), Refusal> {
        match written {
            Written::Varint => self.varint().map(drop),
            Written::Fixed64 => self.take(8).map(drop),
            Written::Bytes => self.bytes().map(drop),
            Written::Fixed32 => self.take(4).map(drop),
            Written::GroupStart => self.group(number),
            Written::GroupEnd => Err(fault(self.at, "a group ends that did not begin")),
        }
    }

    /// Passes over the fields of a group up to its end.
    fn group(&mut self, number: u32) -> Result<(), Refusal> {
        let mut open = vec![number];
        while let Some(inner) = open.last() {
            match self.field()? {
                None => return Err(self.ended()),
                Some((number, Written::GroupStart)) if open.len() < limits::GROUP_DEPTH => open.push(number),
                Some((_, Written::GroupStart)) => {
                    let words = format!("groups stand in groups, more than {} deep", limits::GROUP_DEPTH);
                    return Err(fault(self.at, &words));
                }
                Some((number, Written::GroupEnd)) if number == *inner => drop(open.pop()),
                Some((number, written)) => self.skip(number, written)?,
            }
        }
        Ok(())
    }

    fn length(&mut self) -> Result<usize, Refusal> {
        let length = self.varint()?;
        usize::try_from(length).map_err(|_| self.ended())
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'b [u8], Refusal> {
        let rest = &self.bytes[self.at..];
        let Some(taken) = rest.get(..length) else {
            return Err(self.ended());
        };
        self.at += length;
        Ok(taken)
    }

    fn ended(&self) -> Refusal {
        fault(self.at, "the message ends within a field")
    }
}

fn fault(at: usize, words: &str) -> Refusal {
    Refusal::new("MALFORMED_PROTOBUF", format!("{words} at byte {at}"))
}
