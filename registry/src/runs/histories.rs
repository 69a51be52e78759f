//! One metric of several runs, as MLflow's charts read it: whole, or sampled by step.

use super::{
    RunsError,
    store::{self, HistoryPosition},
    types::Metric,
};
use crate::app::App;

/// Steps of a sampled history (`MAX_RESULTS_PER_RUN`), and values of one run at these, which may be several
/// to a step.
pub const STEPS_MAX: usize = 2500;
/// Values at a step, on average, that are all shown.
const VALUES_PER_STEP: usize = 4;

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
/// `run_ids`; the ends of each run are among them. A run with far more values there than `points`, as one that
/// is logged without steps, shows an even choice of them, the first and the last included.
pub async fn sampled(
    app: &App,
    run_ids: Vec<String>,
    key: &str,
    range: Option<(i64, i64)>,
    points: usize,
) -> Result<Vec<OfRun>, RunsError> {
    let mut conn = app.db.snapshot().await?;
    let (mut runs, mut all, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for run_id in run_ids {
        if let Some(run) = store::get(&mut conn, &run_id).await? {
            let steps = store::steps(&mut conn, run.rid, key).await?;
            ends.extend(steps.first().into_iter().chain(steps.last()));
            all.extend(steps);
            // Runs side by side have mostly the same steps: what is kept stays that of one of them.
            all.sort_unstable();
            all.dedup();
            runs.push((run_id, run.rid));
        }
    }
    let chosen = sample(&all, &ends, range, points);
    drop(all);
    let most = points.max(VALUES_PER_STEP * chosen.len()).min(STEPS_MAX).max(chosen.len());
    let mut found = Vec::new();
    for (run_id, rid) in runs {
        let metrics = store::at_steps(&mut conn, rid, key, &chosen, most as i64).await?;
        found.push(OfRun { run_id, metrics });
    }
    Ok(found)
}

/// Steps to show of `all`, which ascend, and of the `ends` of each run, as MLflow up to 3.12 chooses
/// them: later ones sample each run by itself, so that curves side by side have no steps in common.
fn sample(all: &[i64], ends: &[i64], range: Option<(i64, i64)>, points: usize) -> Vec<i64> {
    let (start, end) = range.unwrap_or((i64::MIN, i64::MAX));
    let within = all.get(all.partition_point(|step| *step < start)..).unwrap_or_default();
    let within = within.get(..within.partition_point(|step| *step <= end)).unwrap_or_default();
    let mut chosen: Vec<i64> = if within.len() <= points {
        within.to_vec()
    } else {
        // In floating point, as MLflow counts: the same steps.
        let interval = within.len() as f64 / points as f64;
        let spread = (0..points).filter_map(|index| within.get((index as f64 * interval) as usize));
        spread.chain(within.last()).copied().collect()
    };
    chosen.extend(ends.iter().filter(|step| (start..=end).contains(*step)));
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_spread_evenly_and_ends_stay() {
        let (ten, twenty): (Vec<i64>, Vec<i64>) = ((0..10).collect(), (0..20).collect());
        assert_eq!(sample(&ten, &[0, 9], None, 5), [0, 2, 4, 6, 8, 9]);
        assert_eq!(sample(&ten, &[0, 9], Some((0, 4)), 5), [0, 1, 2, 3, 4]);
        assert_eq!(sample(&twenty, &[0, 9, 0, 19], None, 5), [0, 4, 8, 9, 12, 16, 19]);
        assert_eq!(sample(&ten, &[0, 9], Some((3, 100)), 1), [3, 9]);
        assert!(sample(&ten, &[0, 9], Some((7, 3)), 5).is_empty());
    }

    /// `[int(i * (2512 / 2500)) for i in range(2500)]` has no 1884.
    #[test]
    fn steps_are_those_that_mlflow_counts() {
        let all: Vec<i64> = (0..2512).collect();
        let chosen = sample(&all, &[], None, 2500);
        assert!(chosen.contains(&1883) && !chosen.contains(&1884));
        assert_eq!((chosen.len(), chosen.last()), (2501, Some(&2511)));
    }

    #[test]
    fn no_steps_and_steps_before_zero() {
        assert!(sample(&[], &[], None, 5).is_empty());
        assert_eq!(sample(&[-3, -2, 1], &[-3, 1], None, 5), [-3, -2, 1]);
        assert!(sample(&[-3, -2], &[-3, -2], Some((0, 5)), 5).is_empty());
        let ends = [i64::MIN, i64::MAX];
        assert_eq!(sample(&ends, &ends, Some((i64::MIN, i64::MAX)), 1), ends);
    }
}
