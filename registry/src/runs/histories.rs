//! One metric of several runs, as MLflow's charts read it: whole, or sampled by step.

use super::{
    RunsError,
    store::{self, HistoryPosition},
    types::Metric,
};
use crate::app::App;
use std::collections::BTreeSet;

/// Points of one run in a sampled history (`MAX_RESULTS_PER_RUN`).
pub const POINTS_PER_RUN_MAX: usize = 2500;

/// Values of a run.
pub struct OfRun {
    pub run_id: String,
    pub metrics: Vec<Metric>,
}

/// Whole histories, `limit` values in all, by run id, timestamp, step and value. Runs that are not
/// there have none.
pub async fn whole(
    app: &App,
    mut run_ids: Vec<String>,
    key: &str,
    limit: usize,
) -> Result<Vec<OfRun>, RunsError> {
    run_ids.sort_unstable();
    run_ids.dedup();
    let mut conn = app.db.snapshot().await?;
    let mut left = limit;
    let mut found = Vec::new();
    for run_id in run_ids {
        let Some(run) = store::get(&mut conn, &run_id).await? else {
            continue;
        };
        let metrics = store::history(&mut conn, run.rid, key, HistoryPosition::START, left as i64).await?;
        left -= metrics.len();
        found.push(OfRun { run_id, metrics });
    }
    Ok(found)
}

/// Histories at about `points` steps of `range`, the same steps for every run, in the order of
/// `run_ids`; the ends of each run are among them.
pub async fn sampled(
    app: &App,
    run_ids: Vec<String>,
    key: &str,
    range: Option<(i64, i64)>,
    points: usize,
) -> Result<Vec<OfRun>, RunsError> {
    let mut conn = app.db.snapshot().await?;
    let mut runs = Vec::new();
    for run_id in run_ids {
        if let Some(run) = store::get(&mut conn, &run_id).await? {
            let steps = store::steps(&mut conn, run.rid, key).await?;
            runs.push((run_id, run.rid, steps));
        }
    }
    let steps: Vec<&[i64]> = runs.iter().map(|(_, _, steps)| steps.as_slice()).collect();
    let chosen = sample(&steps, range, points);
    let mut found = Vec::new();
    for (run_id, rid, _) in runs {
        let metrics = store::at_steps(&mut conn, rid, key, &chosen, POINTS_PER_RUN_MAX).await?;
        found.push(OfRun { run_id, metrics });
    }
    Ok(found)
}

/// Steps to show of runs whose own steps ascend, as MLflow up to 3.12 chooses them: later ones sample
/// each run by itself, so that curves side by side have no steps in common.
fn sample(runs: &[&[i64]], range: Option<(i64, i64)>, points: usize) -> Vec<i64> {
    let all: BTreeSet<i64> = runs.iter().copied().flatten().copied().collect();
    let (Some(&first), Some(&last)) = (all.first(), all.last()) else {
        return Vec::new();
    };
    let (start, end) = range.unwrap_or((first, last));
    if start > end {
        return Vec::new();
    }
    let within: Vec<i64> = all.range(start..=end).copied().collect();
    let mut chosen: BTreeSet<i64> = if within.len() <= points {
        within.iter().copied().collect()
    } else {
        let spread = (0..points).map(|index| within[index * within.len() / points]);
        spread.chain(within.last().copied()).collect()
    };
    let ends = runs.iter().flat_map(|steps| [steps.first(), steps.last()]).flatten().copied();
    chosen.extend(ends.filter(|step| (start..=end).contains(step)));
    chosen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_spread_evenly_and_ends_stay() {
        let (ten, twenty): (Vec<i64>, Vec<i64>) = ((0..10).collect(), (0..20).collect());
        assert_eq!(sample(&[&ten], None, 5), [0, 2, 4, 6, 8, 9]);
        assert_eq!(sample(&[&ten], Some((0, 4)), 5), [0, 1, 2, 3, 4]);
        assert_eq!(sample(&[&ten, &twenty], None, 5), [0, 4, 8, 9, 12, 16, 19]);
        assert_eq!(sample(&[&ten], Some((3, 100)), 1), [3, 9]);
    }

    #[test]
    fn no_steps_and_steps_before_zero() {
        assert!(sample(&[], None, 5).is_empty());
        assert_eq!(sample(&[&[-3, -2, 1]], None, 5), [-3, -2, 1]);
        assert!(sample(&[&[-3, -2]], Some((0, 5)), 5).is_empty());
        assert_eq!(sample(&[&[i64::MIN, i64::MAX]], Some((i64::MIN, i64::MAX)), 1), [i64::MIN, i64::MAX]);
    }
}
