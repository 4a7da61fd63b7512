//! Decimals: integers in units of a power of ten, so few digits that 64 bits hold them.

use std::sync::LazyLock;

use crate::value::Type;

/// The most digits of a decimal.
pub const MOST_DIGITS: u8 = 18;

/// How a decimal is written: so many digits at most, so many of them after the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Decimal {
    precision: u8,
    scale: u8,
}

/// Why a text is no cell of a decimal type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalFault {
    /// No plain number: digits, and after a point more of them.
    NotDecimal,
    /// More digits after the point than the type has.
    Fraction,
    /// More digits before the point than the type has.
    TooLarge,
}

impl DecimalFault {
    /// What is wrong and how to put it right, for people.
    pub fn words(self, kind: Decimal) -> String {
        let Decimal { precision, scale } = kind;
        match self {
            Self::NotDecimal => format!("no plain number such as {}", kind.text(-1)),
            Self::Fraction => {
                format!("has more than {scale} digits after the point; round it before it is sent")
            }
            Self::TooLarge => format!("has more than {} digits before the point", precision - scale),
        }
    }
}

struct Named {
    kind: Type,
    name: String,
    list_name: String,
}

const PLACES: usize = MOST_DIGITS as usize + 1;

static NAMES: LazyLock<Vec<Named>> = LazyLock::new(|| {
    let all = (0..=MOST_DIGITS).flat_map(|precision| (0..=MOST_DIGITS).map(move |scale| (precision, scale)));
    all.map(|(precision, scale)| {
        let name = format!("decimal({precision},{scale})");
        Named {
            kind: Type::Decimal(Decimal { precision, scale }),
            list_name: format!("list<{name}>"),
            name,
        }
    })
    .collect()
});

impl Decimal {
    /// The type of so many digits, so many of them after the point; absent if there is none.
    pub const fn new(precision: u8, scale: u8) -> Option<Self> {
        if precision == 0 || precision > MOST_DIGITS || scale > precision {
            return None;
        }
        Some(Self { precision, scale })
    }

    /// The type with as many digits as there can be, and as many after the point as this one.
    #[must_use]
    pub const fn widest(self) -> Self {
        Self {
            precision: MOST_DIGITS,
            ..self
        }
    }

    /// How many digits there may be.
    pub const fn precision(self) -> u8 {
        self.precision
    }

    /// How many digits stand after the point.
    pub const fn scale(self) -> u8 {
        self.scale
    }

    /// How many units are one.
    pub const fn one(self) -> u64 {
        10_u64.pow(self.scale as u32)
    }

    /// The units as a cell of this type; absent if they have too many digits.
    pub fn fit(self, units: i128) -> Option<i64> {
        let end = 10_i128.pow(u32::from(self.precision));
        i64::try_from(units).ok().filter(|_| -end < units && units < end)
    }

    /// A number in units of ten to minus `scale` as a cell of this type; absent if it is none exactly.
    pub fn rescale(self, units: i128, scale: i16) -> Option<i64> {
        let up = i32::from(self.scale) - i32::from(scale);
        let power = 10_i128.checked_pow(up.unsigned_abs());
        if units == 0 {
            return Some(0);
        }
        let power = power?;
        if up >= 0 {
            self.fit(units.checked_mul(power)?)
        } else {
            (units % power == 0).then(|| self.fit(units / power)).flatten()
        }
    }

    /// The units of a plain number: `-12.34`, as JSON writes numbers without an exponent.
    pub fn parse(self, text: &str) -> Result<i64, DecimalFault> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !are_digits(whole) || !are_digits(fraction) || whole.len() > 1 && whole.starts_with('0') {
            return Err(DecimalFault::NotDecimal);
        }
        let fraction = if digits.contains('.') { fraction } else { "" };
        if fraction.len() > usize::from(self.scale) {
            return Err(DecimalFault::Fraction);
        }
        if whole != "0" && whole.len() > usize::from(self.precision - self.scale) {
            return Err(DecimalFault::TooLarge);
        }
        let zeros = std::iter::repeat_n(b'0', usize::from(self.scale) - fraction.len());
        let all = whole.bytes().chain(fraction.bytes()).chain(zeros);
        // At most 18 digits and a leading zero.
        let units = all.fold(0_i64, |units, digit| units * 10 + i64::from(digit - b'0'));
        Ok(if text.len() > digits.len() { -units } else { units })
    }

    /// The one spelling of a cell: with all digits after the point, and a digit before it.
    pub fn text(self, units: i64) -> String {
        let sign = if units < 0 { "-" } else { "" };
        let units = units.unsigned_abs();
        if self.scale == 0 {
            return format!("{sign}{units}");
        }
        let one = self.one();
        let places = usize::from(self.scale);
        format!("{sign}{}.{:0places$}", units / one, units % one)
    }

    /// The units of the one spelling of a cell; absent for any other text.
    pub fn read_canonical(self, text: &str) -> Option<i64> {
        self.parse(text).ok().filter(|units| self.text(*units) == text)
    }

    fn named(self) -> &'static Named {
        &NAMES[usize::from(self.precision) * PLACES + usize::from(self.scale)]
    }

    /// The type, for lists of it.
    pub fn kind(self) -> &'static Type {
        &self.named().kind
    }

    /// The name of the type.
    pub fn name(self) -> &'static str {
        &self.named().name
    }

    /// The name of the type of lists of it.
    pub fn list_name(self) -> &'static str {
        &self.named().list_name
    }

    /// The type of this name; absent if it is no name of a decimal. An error says why there is no such decimal.
    pub fn from_name(name: &str) -> Option<Result<Self, String>> {
        let inner = name.strip_prefix("decimal")?;
        let numbers = inner.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        let numbers = numbers.and_then(|numbers| numbers.split_once(','));
        let read = |text: &str| {
            text.parse::<u32>()
                .ok()
                .filter(|number| number.to_string() == text)
        };
        let (precision, scale) = numbers?;
        let (precision, scale) = (read(precision)?, read(scale)?);
        let small = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
        Some(Self::new(small(precision), small(scale)).ok_or_else(|| {
            format!(
                "{name} is not supported: a decimal has 1 to {MOST_DIGITS} digits, and as many or fewer of them after \
                 the point; take fewer digits, or float64 or string"
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(precision: u8, scale: u8) -> Decimal {
        Decimal::new(precision, scale).unwrap()
    }

    #[test]
    fn texts_are_read_back() {
        for scale in 0..=MOST_DIGITS {
            let kind = of(MOST_DIGITS, scale);
            for units in [
                0,
                1,
                -1,
                10,
                99,
                -12345,
                999_999_999_999_999_999,
                -999_999_999_999_999_999,
            ] {
                assert_eq!(kind.read_canonical(&kind.text(units)), Some(units), "{kind:?}");
            }
        }
        assert_eq!(of(4, 2).text(-5), "-0.05");
        assert_eq!(of(4, 0).text(7), "7");
    }

    #[test]
    fn nothing_is_rounded_and_nothing_guessed() {
        let kind = of(5, 2);
        assert_eq!(kind.parse("12"), Ok(1200));
        assert_eq!(kind.parse("-12.3"), Ok(-1230));
        assert_eq!(kind.parse("-0.00"), Ok(0));
        assert_eq!(kind.parse("12.340"), Err(DecimalFault::Fraction));
        assert_eq!(kind.parse("1000"), Err(DecimalFault::TooLarge));
        assert_eq!(of(2, 2).parse("0.99"), Ok(99));
        assert_eq!(of(2, 2).parse("1"), Err(DecimalFault::TooLarge));
        for text in [
            "", "-", ".5", "5.", "+1", "1e2", "01", "1_0", " 1", "NaN", "--1", "1.-2", "١",
        ] {
            assert_eq!(kind.parse(text), Err(DecimalFault::NotDecimal), "{text}");
        }
        assert_eq!(kind.read_canonical("12"), None);
        assert_eq!(kind.read_canonical("-0.00"), None);
    }

    #[test]
    fn other_scales_are_taken_where_they_fit_exactly() {
        let kind = of(5, 2);
        assert_eq!(kind.rescale(123, 0), Some(12_300));
        assert_eq!(kind.rescale(1000, 0), None);
        assert_eq!(kind.rescale(123_400, 4), Some(1_234));
        assert_eq!(kind.rescale(123_450, 4), None);
        assert_eq!(kind.rescale(0, 300), Some(0));
        assert_eq!(kind.rescale(1, 300), None);
        assert_eq!(kind.rescale(i128::MAX, -30), None);
        assert_eq!(kind.fit(-99_999), Some(-99_999));
        assert_eq!(kind.fit(100_000), None);
    }

    #[test]
    fn names_are_read_back_and_others_refused() {
        for precision in 1..=MOST_DIGITS {
            for scale in 0..=precision {
                let kind = of(precision, scale);
                assert_eq!(Decimal::from_name(kind.name()), Some(Ok(kind)));
                assert_eq!(*kind.kind(), Type::Decimal(kind));
            }
        }
        for name in ["int64", "decimal", "decimal(5)", "decimal(5, 2)", "decimal(05,2)"] {
            assert_eq!(Decimal::from_name(name), None);
        }
        for name in [
            "decimal(19,2)",
            "decimal(0,0)",
            "decimal(2,3)",
            "decimal(999999,0)",
        ] {
            assert!(Decimal::from_name(name).unwrap().is_err(), "{name}");
        }
    }
}
