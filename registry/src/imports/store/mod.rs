//! Statements on imports and their account. None of them commits.

mod imports;
mod marks;

pub use imports::{Row, find, insert, of_source, page, rid, with_counts};
pub use marks::{Mark, mark, mark_of, marks};
