//! Writing and reading canonical bytes: varints, zigzag, wide integers. Reading never panics and refuses every
//! form but the one that writing gives.

use crate::numbers::Wide;

/// Why bytes could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BytesError {
    /// They end before the value does.
    Truncated,
    /// They are not what writing gives: a longer form, a value out of bounds, an order not kept.
    NotCanonical,
    /// Something follows the end.
    Trailing,
}

/// Appends values to a buffer.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// What was written.
    pub(crate) bytes: Vec<u8>,
}

impl Writer {
    /// With room for so many bytes.
    pub(crate) fn with_room(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
        }
    }

    /// Appends one byte.
    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Appends bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends an unsigned number, seven bits a byte, least significant first.
    pub(crate) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            #[allow(clippy::cast_possible_truncation)] // seven bits
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        #[allow(clippy::cast_possible_truncation)] // below 128
        self.bytes.push(value as u8);
    }

    /// Appends a length or a count.
    pub(crate) fn count(&mut self, count: usize) {
        self.varint(count as u64);
    }

    /// Appends a signed number; small magnitudes are short.
    pub(crate) fn zigzag(&mut self, value: i64) {
        #[allow(clippy::cast_sign_loss)] // the bits are what is wanted
        self.varint((value << 1 ^ value >> 63) as u64);
    }

    /// Appends `later - earlier`, which must not be negative.
    pub(crate) fn gap(&mut self, later: i64, earlier: i64) {
        self.varint(later.abs_diff(earlier));
    }

    /// Appends a length and the bytes.
    pub(crate) fn text(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.raw(bytes);
    }

    /// Appends a magnitude and a sign: how many bytes remain when zero bytes are cut off at both ends, how many
    /// were cut off at the low end, and the rest. Sums of decimal amounts end in many zeros.
    pub(crate) fn wide<const N: usize>(&mut self, magnitude: &Wide<N>, negative: bool) {
        let mut all = [0_u8; 64];
        for (limb, chunk) in magnitude.0.iter().zip(all.chunks_exact_mut(8)) {
            chunk.copy_from_slice(&limb.to_le_bytes());
        }
        let Some(top) = all.iter().rposition(|byte| *byte != 0) else {
            self.byte(0);
            return;
        };
        let low = all.iter().position(|byte| *byte != 0).unwrap_or(0);
        // At most 64 bytes, so both fit six bits.
        #[allow(clippy::cast_possible_truncation)]
        {
            self.byte((top + 1 - low) as u8 | u8::from(negative) << 7);
            self.byte(low as u8);
        }
        self.raw(&all[low..=top]);
    }
}

/// Takes values off the front of bytes.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the front of these bytes.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    /// What another reader, which was cloned from this one, has taken since.
    pub(crate) fn upto(&self, other: &Self) -> &'a [u8] {
        &self.rest[..self.rest.len().saturating_sub(other.rest.len())]
    }

    /// Everything must have been read.
    pub(crate) fn end(&self) -> Result<(), BytesError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(BytesError::Trailing)
        }
    }

    /// One byte.
    pub(crate) fn byte(&mut self) -> Result<u8, BytesError> {
        let (first, rest) = self.rest.split_first().ok_or(BytesError::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    /// So many bytes.
    pub(crate) fn raw(&mut self, length: usize) -> Result<&'a [u8], BytesError> {
        if length > self.rest.len() {
            return Err(BytesError::Truncated);
        }
        let (front, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(front)
    }

    /// So many bytes as an array.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], BytesError> {
        let mut array = [0; N];
        array.copy_from_slice(self.raw(N)?);
        Ok(array)
    }

    /// Either 0 or 1.
    pub(crate) fn flag(&mut self) -> Result<bool, BytesError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(BytesError::NotCanonical),
        }
    }

    /// An unsigned number in its shortest form.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, BytesError> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            [low, high, rest @ ..] if *high < 0x80 && *high > 0 => {
                self.rest = rest;
                Ok(u64::from(*low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, BytesError> {
        let mut value = 0_u64;
        for place in 0..10 {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if place == 9 && bits > 1 || place > 0 && byte == 0 {
                return Err(BytesError::NotCanonical);
            }
            value |= bits << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(BytesError::NotCanonical)
    }

    /// An unsigned number up to a bound.
    pub(crate) fn varint_up_to(&mut self, most: u64) -> Result<u64, BytesError> {
        let value = self.varint()?;
        if value > most {
            Err(BytesError::NotCanonical)
        } else {
            Ok(value)
        }
    }

    /// A count of things of which each takes at least a byte: more than the bytes left cannot be there.
    pub(crate) fn count(&mut self) -> Result<usize, BytesError> {
        let count = usize::try_from(self.varint()?).map_err(|_| BytesError::NotCanonical)?;
        if count > self.rest.len() {
            Err(BytesError::Truncated)
        } else {
            Ok(count)
        }
    }

    /// A signed number.
    pub(crate) fn zigzag(&mut self) -> Result<i64, BytesError> {
        let value = self.varint()?;
        #[allow(clippy::cast_possible_wrap)] // the bits are what is wanted
        let (half, sign) = ((value >> 1) as i64, (value & 1) as i64);
        Ok(half ^ -sign)
    }

    /// A time so much before `later`.
    pub(crate) fn before(&mut self, later: i64) -> Result<i64, BytesError> {
        let gap = self.varint()?;
        later.checked_sub_unsigned(gap).ok_or(BytesError::NotCanonical)
    }

    /// A length, at most so much, and the bytes.
    pub(crate) fn text(&mut self, longest: usize) -> Result<&'a [u8], BytesError> {
        let length = self.count()?;
        if length > longest {
            return Err(BytesError::NotCanonical);
        }
        self.raw(length)
    }

    /// A magnitude of at most `N` limbs and whether it is negative.
    #[inline]
    pub(crate) fn wide<const N: usize>(&mut self) -> Result<(Wide<N>, bool), BytesError> {
        let before = self.rest;
        let taken = self.take_wide::<N>()?;
        let mut limbs = [0; N];
        let (place, shift) = (taken.low / 8, 8 * (taken.low % 8));
        if let (length @ 1..=16, Some((_, rest))) = (taken.bytes.len(), before.split_at_checked(2)) {
            // Nearly all: two words, without a step that depends on the length.
            if let Some(both) = rest.first_chunk() {
                let both = u128::from_le_bytes(*both) & u128::MAX >> (128 - 8 * length);
                let low = both << shift;
                let high = both >> 1 >> (127 - shift);
                #[allow(clippy::cast_possible_truncation)] // three words of 64 bits
                let words = [low as u64, (low >> 64) as u64, high as u64];
                for (limb, word) in limbs.iter_mut().skip(place).zip(words) {
                    *limb = word;
                }
                return Ok((Wide(limbs), taken.is_negative));
            }
        }
        for (bytes, place) in taken.bytes.chunks(8).zip(place..) {
            let word = word(bytes);
            if let Some(limb) = limbs.get_mut(place) {
                *limb |= word << shift;
            }
            if shift > 0 {
                if let Some(limb) = limbs.get_mut(place + 1) {
                    *limb = word >> (64 - shift);
                }
            }
        }
        Ok((Wide(limbs), taken.is_negative))
    }

    /// Passes over such a magnitude; gives whether it is negative, and whether its highest bit is set.
    pub(crate) fn pass_wide<const N: usize>(&mut self) -> Result<(bool, bool), BytesError> {
        let taken = self.take_wide::<N>()?;
        let fills = taken.low + taken.bytes.len() == 8 * N;
        let is_highest = fills && taken.bytes.last().is_some_and(|byte| *byte >= 0x80);
        Ok((taken.is_negative, is_highest))
    }

    #[inline]
    fn take_wide<const N: usize>(&mut self) -> Result<TakenWide<'a>, BytesError> {
        let head = self.byte()?;
        let (length, is_negative) = (usize::from(head & 0x7f), head >> 7 == 1);
        if length == 0 {
            let zero = TakenWide {
                bytes: &[],
                low: 0,
                is_negative,
            };
            return if is_negative {
                Err(BytesError::NotCanonical)
            } else {
                Ok(zero)
            };
        }
        let low = usize::from(self.byte()?);
        let bytes = self.raw(length)?;
        let cut = bytes.first() != Some(&0) && bytes.last() != Some(&0);
        if !cut || low + length > 8 * N || N > 8 {
            return Err(BytesError::NotCanonical);
        }
        Ok(TakenWide {
            bytes,
            low,
            is_negative,
        })
    }
}

/// A magnitude as it stands: its bytes from the lowest that is not zero.
struct TakenWide<'a> {
    bytes: &'a [u8],
    low: usize,
    is_negative: bool,
}

/// Up to eight bytes, least significant first.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    if let Some(eight) = bytes.first_chunk() {
        return u64::from_le_bytes(*eight);
    }
    // Two halves that may overlap, where they are equal.
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << (8 * (bytes.len() - 4));
    }
    let shifted = |(byte, place): (&u8, usize)| u64::from(*byte) << (8 * place);
    bytes.iter().zip(0..).map(shifted).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_back() {
        let mut writer = Writer::default();
        for value in [0, 1, 127, 128, 300, u64::MAX] {
            writer.varint(value);
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            writer.zigzag(value);
        }
        let mut reader = Reader::new(&writer.bytes);
        for value in [0, 1, 127, 128, 300, u64::MAX] {
            assert_eq!(reader.varint(), Ok(value));
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(reader.zigzag(), Ok(value));
        }
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn longer_forms_are_refused() {
        assert_eq!(Reader::new(&[0x80, 0]).varint(), Err(BytesError::NotCanonical));
        assert_eq!(Reader::new(&[0xff; 11]).varint(), Err(BytesError::NotCanonical));
        assert_eq!(Reader::new(&[0x80]).varint(), Err(BytesError::Truncated));
        assert_eq!(
            Reader::new(&[2, 0, 0, 1]).wide::<3>(),
            Err(BytesError::NotCanonical)
        );
        assert_eq!(
            Reader::new(&[1, 24, 1]).wide::<3>(),
            Err(BytesError::NotCanonical)
        );
        assert_eq!(Reader::new(&[0x80]).wide::<3>(), Err(BytesError::NotCanonical));
    }

    #[test]
    fn wide_numbers_are_read_back_without_their_zeros() {
        for limbs in [
            [0, 0, 0],
            [1, 0, 0],
            [0, 0, 1 << 63],
            [u64::MAX; 3],
            [0, 0x0100, 0],
        ] {
            let mut writer = Writer::default();
            writer.wide(&Wide(limbs), limbs[0] == 1);
            let mut reader = Reader::new(&writer.bytes);
            assert_eq!(reader.wide(), Ok((Wide(limbs), limbs[0] == 1)));
            assert_eq!(reader.end(), Ok(()));
        }
        let mut writer = Writer::default();
        writer.wide(&Wide([0, 0x0100, 0]), false);
        assert_eq!(writer.bytes, [1, 9, 1]);
    }
}
