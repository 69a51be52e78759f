//! How much two conditions on traces go together: normalised pointwise mutual information.

use super::{TracesError, store};
use crate::{app::App, search::Query};

/// Added to each count so that small samples say less (Jeffreys' prior).
const PRIOR: f64 = 0.5;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correlation {
    /// -1: never together, 0: independent, 1: always together; NaN where one never happens.
    pub npmi: f64,
    pub npmi_smoothed: f64,
    pub filter1_count: i64,
    pub filter2_count: i64,
    pub joint_count: i64,
    pub total_count: i64,
}

/// Of `first` and `second` among the traces that meet `base`.
pub async fn correlate(
    app: &App,
    base: &Query,
    first: &Query,
    second: &Query,
) -> Result<Correlation, TracesError> {
    let mut conn = app.db.search_snapshot().await?;
    let total = store::counts(&mut conn, &[base]).await?;
    let filter1 = store::counts(&mut conn, &[base, first]).await?;
    let filter2 = store::counts(&mut conn, &[base, second]).await?;
    let joint = store::counts(&mut conn, &[base, first, second]).await?;
    let (npmi, npmi_smoothed) = npmi(joint, filter1, filter2, total);
    Ok(Correlation {
        npmi,
        npmi_smoothed,
        filter1_count: filter1,
        filter2_count: filter2,
        joint_count: joint,
        total_count: total,
    })
}

fn npmi(joint: i64, filter1: i64, filter2: i64, total: i64) -> (f64, f64) {
    if total <= 0 || filter1 == 0 || filter2 == 0 {
        return (f64::NAN, f64::NAN);
    }
    let cells = [joint, filter1 - joint, filter2 - joint, total - filter1 - filter2 + joint];
    if cells.iter().any(|count| *count < 0) {
        return (f64::NAN, f64::NAN);
    }
    let plain = if joint == 0 { -1.0 } else { of_cells(cells, 0.0) };
    (plain, of_cells(cells, PRIOR))
}

/// Of the counts of both, the first only, the second only and neither.
fn of_cells(cells: [i64; 4], prior: f64) -> f64 {
    if cells[1..] == [0, 0, 0] {
        return 1.0;
    }
    let [both, first, second, neither] = cells.map(|count| count as f64 + prior);
    let total = both + first + second + neither;
    let (first, second) = (both + first, both + second);
    let pmi = (both.ln() + total.ln()) - (first.ln() + second.ln());
    (pmi / (total.ln() - both.ln())).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_mlflow() {
        let (plain, smoothed) = npmi(6, 6, 7, 10);
        assert!((plain - 0.698_2).abs() < 1e-3, "{plain}");
        assert!(smoothed > 0.0 && smoothed < plain);
        assert!((npmi(0, 3, 3, 10).0 + 1.0).abs() < f64::EPSILON);
        assert_eq!(npmi(5, 5, 5, 5), (1.0, 1.0));
        assert!(npmi(0, 0, 3, 10).0.is_nan());
        assert!(npmi(0, 0, 0, 0).1.is_nan());
    }
}
