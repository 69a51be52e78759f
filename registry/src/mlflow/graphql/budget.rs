//! What one query may cost: its depth and its fields are bounded by [`super::limits`], its rows here.

use async_graphql::Error;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Rows that the searches of one query may return together: as many as one search of the REST API.
const ROWS_MAX: usize = 50_000;
/// Experiments and versions that one query may look up for its runs.
const LOOKUPS_MAX: usize = 1_000;

pub struct Budget {
    rows: AtomicUsize,
    lookups: AtomicUsize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { rows: AtomicUsize::new(ROWS_MAX), lookups: AtomicUsize::new(LOOKUPS_MAX) }
    }
}

impl Budget {
    /// Before a search that may return `count` rows.
    pub fn rows(&self, count: i64) -> Result<(), Error> {
        let count = usize::try_from(count).unwrap_or(0);
        take(&self.rows, count)
            .ok_or_else(|| Error::new(format!("One query may ask for at most {ROWS_MAX} rows.")))
    }

    /// Before a look-up for one run.
    pub fn lookup(&self) -> Result<(), Error> {
        take(&self.lookups, 1).ok_or_else(|| {
            Error::new(format!(
                "One query may look up at most {LOOKUPS_MAX} experiments and model versions of runs."
            ))
        })
    }
}

fn take(left: &AtomicUsize, count: usize) -> Option<()> {
    let taken = |left: usize| left.checked_sub(count);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).ok().map(|_| ())
}
