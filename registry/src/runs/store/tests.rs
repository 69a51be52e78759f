//! What the store promises, on both engines.

use super::*;
use crate::{
    db::{Conn, Db, DbError, testing::each_engine},
    runs::{Dataset, DatasetInput, KeyValue, Metric, Run},
};
use futures::future::BoxFuture;

fn pair(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: value.to_owned() }
}

fn metric(key: &str, value: f64, timestamp_ms: i64, step: i64) -> Metric {
    Metric { key: key.to_owned(), value, timestamp_ms, step }
}

async fn run(tx: &mut Conn, run_id: &str) -> Result<Run, DbError> {
    ensure_default(tx, None, 0).await?;
    let new = NewRun {
        run_id: run_id.to_owned(),
        experiment_id: 0,
        name: "n".to_owned(),
        user_id: String::new(),
        start_time_ms: i64::MAX,
        artifact_uri: "mlflow-artifacts:/0".to_owned(),
    };
    insert(tx, &new, &[]).await
}

/// A check that is a change, so that the one door for writes runs it.
trait Check:
    for<'t> Fn(&'t mut Conn, &'t ()) -> BoxFuture<'t, Result<(), DbError>> + Copy + Send + Sync + 'static
{
}
impl<F> Check for F where
    F: for<'t> Fn(&'t mut Conn, &'t ()) -> BoxFuture<'t, Result<(), DbError>> + Copy + Send + Sync + 'static
{
}

/// Runs `check` in a transaction on each engine.
async fn each(check: impl Check) {
    each_engine(|url| async move {
        let db = Db::open(&url).await.unwrap();
        db.write((), check).await.unwrap();
        db.close().await;
    })
    .await;
}

#[tokio::test]
async fn the_latest_value_is_that_of_the_highest_step_then_time_then_value() {
    each(|tx, ()| {
        Box::pin(async move {
            let run = run(tx, "a").await.unwrap();
            for (value, timestamp_ms, step, latest) in [
                (1.0, 5, 1, 1.0),
                (2.0, 4, 1, 1.0),
                (2.0, 5, 1, 2.0),
                (0.5, 5, 1, 2.0),
                (-7.0, 0, i64::MAX, -7.0),
                (9.0, i64::MAX, i64::MIN, -7.0),
                (f64::NEG_INFINITY, 1, i64::MAX, f64::NEG_INFINITY),
                (f64::INFINITY, 1, i64::MAX, f64::INFINITY),
            ] {
                log_metrics(tx, &run, [metric("m", value, timestamp_ms, step)].iter()).await.unwrap();
                let found = latest_metrics(tx, "a").await.unwrap();
                assert_eq!(
                    found[0].value.to_bits(),
                    latest.to_bits(),
                    "after {value} at {timestamp_ms}, {step}"
                );
            }
            log_metrics(tx, &run, [metric("m", f64::NAN, 2, i64::MAX)].iter()).await.unwrap();
            assert!(latest_metrics(tx, "a").await.unwrap()[0].value.is_nan());
            let all = history(tx, run.rid, "m", HistoryPosition::START, 100).await.unwrap();
            assert_eq!(all.len(), 9);
            assert!(all.is_sorted_by_key(|m| (m.timestamp_ms, m.step)));
            Ok(())
        })
    })
    .await;
}

#[tokio::test]
async fn a_thousand_metrics_fit_one_batch_and_repeat_without_effect() {
    each(|tx, ()| {
        Box::pin(async move {
            let run = run(tx, "a").await.unwrap();
            let all: Vec<Metric> =
                (0..1000).map(|i| metric(&format!("m{}", i % 300), i as f64, 1, i / 300)).collect();
            for _ in 0..2 {
                log_metrics(tx, &run, all.iter()).await.unwrap();
            }
            let latest = latest_metrics(tx, "a").await.unwrap();
            assert_eq!(latest.len(), 300);
            assert_eq!(latest.iter().map(|m| m.step).sum::<i64>(), 300 * 2 + 100);
            assert_eq!(history(tx, run.rid, "m5", HistoryPosition::START, 100).await.unwrap().len(), 4);
            Ok(())
        })
    })
    .await;
}

#[tokio::test]
async fn histories_go_on_after_any_of_their_values() {
    each(|tx, ()| {
        Box::pin(async move {
            let run = run(tx, "a").await.unwrap();
            let values = [f64::NEG_INFINITY, -1.0, 0.0, f64::NAN, 2.0, f64::INFINITY];
            let all: Vec<Metric> = values.iter().map(|v| metric("m", *v, 1, 1)).collect();
            log_metrics(tx, &run, all.iter()).await.unwrap();
            let mut position = HistoryPosition::START;
            let mut seen = 0;
            while let Some(next) = history(tx, run.rid, "m", position, 1).await.unwrap().pop() {
                assert_eq!(next.value.to_string(), values[seen].to_string());
                position = HistoryPosition::after(&next);
                seen += 1;
            }
            assert_eq!(seen, values.len());
            Ok(())
        })
    })
    .await;
}

#[tokio::test]
async fn a_param_keeps_its_first_value() {
    each(|tx, ()| {
        Box::pin(async move {
            let run = run(tx, "a").await.unwrap();
            let first = [pair("b", "1"), pair("a", "")];
            assert!(log_params(tx, &run, &first).await.unwrap().is_empty());
            assert!(log_params(tx, &run, &first).await.unwrap().is_empty());
            let changed = log_params(tx, &run, &[pair("b", "2"), pair("c", "3")]).await.unwrap();
            assert_eq!(
                (changed[0].key.as_str(), changed[0].old.as_str(), changed[0].new.as_str()),
                ("b", "1", "2")
            );
            let stored = params(tx, "a").await.unwrap();
            assert_eq!(stored, [pair("a", ""), pair("b", "1"), pair("c", "3")]);
            Ok(())
        })
    })
    .await;
}

#[tokio::test]
async fn values_longer_than_an_index_entry_are_kept_whole() {
    each(|tx, ()| {
        Box::pin(async move {
            let run = run(tx, "a").await.unwrap();
            let (long_param, long_tag) = ("ü".repeat(6000), "ü".repeat(8000));
            let key = "ü".repeat(250);
            log_params(tx, &run, &[pair(&key, &long_param)]).await.unwrap();
            set_tags(tx, &run, &[pair(&key, &long_tag)]).await.unwrap();
            assert_eq!(params(tx, "a").await.unwrap(), [pair(&key, &long_param)]);
            assert_eq!(tags(tx, "a").await.unwrap(), [pair(&key, &long_tag)]);
            Ok(())
        })
    })
    .await;
}

#[tokio::test]
async fn datasets_are_shared_within_an_experiment() {
    each(|tx, ()| {
        Box::pin(async move {
            let dataset = |digest: &str, source: &str| Dataset {
                name: "d".to_owned(),
                digest: digest.to_owned(),
                source_type: "t".to_owned(),
                source: source.to_owned(),
                schema: None,
                profile: Some("{}".to_owned()),
            };
            let input = |dataset, tag: &str| DatasetInput { dataset, tags: vec![pair("context", tag)] };
            let (a, b) = (run(tx, "a").await.unwrap(), run(tx, "b").await.unwrap());
            log_datasets(tx, &a, &[input(dataset("1", "s"), "train"), input(dataset("2", "s"), "eval")])
                .await
                .unwrap();
            log_datasets(tx, &a, &[input(dataset("1", "s"), "later")]).await.unwrap();
            log_datasets(tx, &b, &[input(dataset("1", "other"), "test")]).await.unwrap();
            let of_a = inputs(tx, "a").await.unwrap();
            assert_eq!(of_a, [input(dataset("1", "s"), "train"), input(dataset("2", "s"), "eval")]);
            assert_eq!(inputs(tx, "b").await.unwrap(), [input(dataset("1", "s"), "test")]);
            let page = details(tx, vec![b, a]).await.unwrap();
            assert_eq!(page[1].datasets, of_a);
            assert_eq!(page[0].datasets.len(), 1);
            Ok(())
        })
    })
    .await;
}

#[tokio::test]
async fn a_page_may_be_longer_than_a_statement_binds() {
    each(|tx, ()| {
        Box::pin(async move {
            let last = run(tx, "a").await.unwrap();
            set_tags(tx, &last, &[pair("team", "blue")]).await.unwrap();
            let page: Vec<Run> =
                (1..=40_000).map(|n| Run { rid: last.rid + 40_000 - n, ..last.clone() }).collect();
            let all = details(tx, page).await.unwrap();
            assert_eq!(all.len(), 40_000);
            assert_eq!(all[39_999].tags, [pair("team", "blue")]);
            Ok(())
        })
    })
    .await;
}

/// One run and many are bound in different ways.
#[tokio::test]
async fn a_run_is_the_same_on_a_short_and_on_a_long_page() {
    each(|tx, ()| {
        Box::pin(async move {
            let run = run(tx, "a").await.unwrap();
            let metrics = [
                metric("loss", 0.1, 7, -3),
                metric("nan", f64::NAN, 8, i64::MAX),
                metric("most", f64::INFINITY, 9, 0),
            ];
            log_metrics(tx, &run, metrics.iter()).await.unwrap();
            log_params(tx, &run, &[pair("depth", "3"), pair("empty", "")]).await.unwrap();
            set_tags(tx, &run, &[pair("team", "blue")]).await.unwrap();
            log_models(tx, &run, ModelRole::Input, &[("m-1".to_owned(), 0)]).await.unwrap();
            log_models(tx, &run, ModelRole::Output, &[("m-2".to_owned(), 4)]).await.unwrap();
            let short = details(tx, vec![run.clone()]).await.unwrap();
            let page: Vec<Run> = (0..300).map(|n| Run { rid: run.rid + n, ..run.clone() }).collect();
            let long = details(tx, page).await.unwrap();
            assert_eq!(short[0].metrics.len() + short[0].params.len() + short[0].tags.len(), 6);
            assert_eq!((short[0].model_inputs.len(), short[0].model_outputs[0].step), (1, 4));
            assert_eq!(format!("{:?}", long[0]), format!("{:?}", short[0]));
            Ok(())
        })
    })
    .await;
}

/// The statement that makes a run looks itself whether its experiment is as it was remembered.
#[tokio::test]
async fn a_run_is_made_at_once_where_its_experiment_is_as_remembered() {
    each_engine(|url| async move {
        let db = Db::open(&url).await.unwrap();
        db.write((), |tx, ()| {
            Box::pin(async move {
                ensure_default(tx, None, 0).await?;
                run(tx, "first").await
            })
        })
        .await
        .unwrap();
        let new = |run_id: &str| NewRun {
            run_id: run_id.to_owned(),
            experiment_id: 0,
            name: "n".to_owned(),
            user_id: "u".to_owned(),
            start_time_ms: 1,
            artifact_uri: "a".to_owned(),
        };
        let make = |run_id: &str, at: &str| {
            let tags = [pair("t", "v")];
            db.write_at_once(insertion(db.engine(), &new(run_id), Some(at), &tags))
        };
        let made = make("here", "mlflow-artifacts:/0").await.unwrap();
        let stored = get(&mut db.read().await.unwrap(), "here").await.unwrap().unwrap();
        assert_eq!(made, [stored.rid]);
        assert_eq!(stored, new("here").into_run(stored.rid));
        let kept = tag_value(&mut db.read().await.unwrap(), stored.rid, "t").await.unwrap();
        assert_eq!(kept.as_deref(), Some("v"));

        assert!(make("elsewhere", "s3://b").await.unwrap().is_empty());
        db.write((), |tx, ()| Box::pin(set_experiment_lifecycle(tx, 0, Lifecycle::Deleted, 1)))
            .await
            .unwrap();
        assert!(make("deleted", "mlflow-artifacts:/0").await.unwrap().is_empty());
        for none in ["elsewhere", "deleted"] {
            assert!(get(&mut db.read().await.unwrap(), none).await.unwrap().is_none(), "{none}");
        }
        db.close().await;
    })
    .await;
}
