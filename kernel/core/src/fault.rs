//! Faults in what a person wrote: where, a stable reason, and how to put it right.

use std::fmt;

/// One fault in a definition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Where, as a JSON path from the document's root: `$.features[2].window_us`.
    pub path: String,
    /// A stable upper-snake name of the kind of fault, for programs.
    pub reason: &'static str,
    /// What is wrong and how to put it right, for people; one sentence or two.
    pub message: String,
}

impl Fault {
    /// A fault at `path`.
    pub fn new(path: impl Into<String>, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            reason,
            message: message.into(),
        }
    }

    /// The same fault seen from a document in which its own document stands at `prefix`
    /// (`$.args[0]` below `$.filter` becomes `$.filter.args[0]`).
    #[must_use]
    pub fn below(mut self, prefix: &str) -> Self {
        let rest = self.path.strip_prefix('$').unwrap_or(&self.path).to_owned();
        self.path = format!("{prefix}{rest}");
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.path, self.reason, self.message)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_moves_below_its_place() {
        let fault = Fault::new("$.args[0]", "UNKNOWN_COLUMN", "no column x").below("$.filter");
        assert_eq!(fault.path, "$.filter.args[0]");
    }
}
