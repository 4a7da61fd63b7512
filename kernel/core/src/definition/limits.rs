//! What a definition may at most ask for. Each limit is told by name in the fault that it causes.

use crate::time::{DAY, HOUR};

/// Bytes of one meaning document.
pub const MEANING_BYTES: usize = 256 * 1024;
/// Features of one view.
pub const FEATURES_PER_VIEW: usize = 200;
/// Features of one feature service.
pub const FEATURES_PER_SERVICE: usize = 512;
/// Columns of one source, and fields of one request.
pub const COLUMNS: usize = 500;
/// Key columns of one entity.
pub const ENTITY_KEYS: usize = 8;
/// Characters of a name.
pub const NAME_LENGTH: usize = 64;
/// The widest window, in microseconds.
pub const WIDEST_WINDOW: i64 = 400 * DAY;
/// The most events that an exact window may be declared to hold.
pub const EXACT_BOUND: i64 = 10_000;
/// The longest tolerance for events from the future, in microseconds.
pub const FUTURE_TOLERANCE: i64 = HOUR;
/// The longest head slack, in microseconds.
pub const HEAD_SLACK: i64 = HOUR;
/// The longest back slack, in microseconds.
pub const BACK_SLACK: i64 = 7 * DAY;
/// The longest head list, in events.
pub const HEAD_MAX: i64 = 4096;
/// The greatest bound of a distinct count.
pub const DISTINCT_BOUND: i64 = 10_000;
/// The least and greatest number of registers of a distinct count beyond its bound, as powers of two.
pub const DISTINCT_PRECISION: (i64, i64) = (4, 12);
/// The finest and coarsest relative accuracy of a quantile, in millionths.
pub const QUANTILE_ACCURACY: (i64, i64) = (1_000, 250_000);
/// The least and greatest number of bins that a quantile may keep.
pub const QUANTILE_BINS: (i64, i64) = (4, 2_048);
/// The greatest bound of different cells of which the frequencies are kept.
pub const FREQUENCY_BOUND: i64 = 1000;
/// Items of a feature that is a list.
pub const LIST_ITEMS: i64 = 1000;
/// Values of an operation column that mean the same.
pub const OPERATION_VALUES: usize = 16;
/// Items of a list that a request or a Python function gives.
pub const LIST_GIVEN: usize = 1000;
/// Edges of a histogram.
pub const HISTOGRAM_EDGES: usize = 256;
/// The least and greatest size that a state may be allowed, in bytes.
pub const STATE_BYTES: (i64, i64) = (1024, 4 * 1024 * 1024);
/// The instants that the product speaks of, microseconds: the years 1 to 9999.
pub const INSTANTS: (i64, i64) = (-62_135_596_800_000_000, 253_402_300_799_999_999);
/// The longest string in a cell of an event or a row, in bytes of UTF-8.
pub const LONGEST_STRING: usize = 4096;
/// Bytes of one event's payload.
pub const PAYLOAD_BYTES: usize = 1024 * 1024;
/// Characters of the full name of a protobuf message.
pub const MESSAGE_NAME_LENGTH: usize = 512;
/// Field numbers on the way to a field of a protobuf message, its own included.
pub const FIELD_DEPTH: usize = 16;
/// The greatest number of a protobuf field.
pub const FIELD_NUMBER: u32 = (1 << 29) - 1;
/// Names of one enum.
pub const ENUM_NAMES: usize = 1000;
/// Groups within groups in a protobuf record.
pub const GROUP_DEPTH: usize = 64;
/// Characters of the dotted name of a Python module.
pub const MODULE_NAME_LENGTH: usize = 200;
/// The least and greatest time budget of one call of a Python function, in microseconds.
pub const FUNCTION_BUDGET: (i64, i64) = (100, 1_000_000);
/// The longest text that a Python function may give, in bytes of UTF-8.
pub const LONGEST_RESULT: usize = 64 * 1024;
