//! What a served cell says about itself besides its value.

/// The status of one feature value; the integers are those of the contract and of Arrow status columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Status {
    /// The value is there.
    Present = 1,
    /// The definition gives null.
    Null = 2,
    /// No row is known.
    NotFound = 3,
    /// The newest row is older than the view allows.
    OutsideTtl = 4,
    /// The value is there, and at least one input was skipped as invalid.
    Partial = 5,
    /// The exact result does not fit its type.
    Overflow = 6,
    /// More distinct values than the declared bound.
    OverBound = 7,
    /// The state cannot answer this request time exactly.
    NotAnswerable = 8,
    /// The states of the view are not complete in the store.
    Rebuilding = 9,
    /// The store did not answer.
    Unavailable = 10,
    /// A Python function raised, or gave what is not of its type.
    FunctionFailed = 11,
    /// A Python function gave no answer in its time, or cannot be run here.
    NotComputed = 12,
}

impl Status {
    /// Every status, by its integer.
    pub const ALL: [Self; 12] = [
        Self::Present,
        Self::Null,
        Self::NotFound,
        Self::OutsideTtl,
        Self::Partial,
        Self::Overflow,
        Self::OverBound,
        Self::NotAnswerable,
        Self::Rebuilding,
        Self::Unavailable,
        Self::FunctionFailed,
        Self::NotComputed,
    ];

    /// The integer of the contract.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The status with this integer, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }

    /// Whether a cell of this status carries a value.
    pub const fn has_value(self) -> bool {
        matches!(self, Self::Present | Self::Partial)
    }

    /// Whether the kernel could not say what the value is: no definition of it was evaluated.
    pub const fn is_unknown(self) -> bool {
        matches!(
            self,
            Self::NotAnswerable | Self::Rebuilding | Self::Unavailable | Self::NotComputed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_back_and_dense_from_one() {
        for (index, status) in Status::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(status.code()), index + 1);
            assert_eq!(Status::from_code(status.code()), Some(status));
        }
        assert_eq!(Status::from_code(0), None);
        assert_eq!(Status::from_code(13), None);
    }
}
