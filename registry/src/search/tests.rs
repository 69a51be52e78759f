//! Pages and plans, with runs as the example.

use super::*;
use crate::{
    db::{Conn, Db, DbError, testing::each_engine},
    runs::{
        KeyValue, Lifecycle, Metric, RunDetails, ViewType,
        store::{self, NewRun, RUNS},
    },
};
use std::cmp::Ordering;

const EXPERIMENT: i64 = 1;
/// Holds a third of the runs.
const OTHER_EXPERIMENT: i64 = 2;

/// Runs whose values collide often, of which many lack a value, and some are deleted.
async fn fill(db: &Db, count: i64) {
    db.write(count, |tx, count| {
        Box::pin(async move {
            store::insert_experiment(tx, "e", None, None, 0).await?;
            store::insert_experiment(tx, "f", None, None, 0).await?;
            for i in 0..*count {
                add_run(tx, i).await?;
            }
            Ok::<_, DbError>(())
        })
    })
    .await
    .unwrap();
}

async fn add_run(tx: &mut Conn, i: i64) -> Result<(), DbError> {
    let new = NewRun {
        // Spread, so that the order of ids is not the order of insertion.
        run_id: format!("{:016x}", (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64)),
        experiment_id: if i % 3 == 1 { OTHER_EXPERIMENT } else { EXPERIMENT },
        name: format!("run {}", i % 7),
        user_id: format!("user {}", i % 3),
        start_time_ms: i % 5,
        artifact_uri: String::new(),
    };
    let run = store::insert(tx, &new, &[]).await?;
    if i % 4 != 0 {
        store::update(tx, run.rid, None, Some(i % 6)).await?;
    }
    let metric = |key: &str, value| Metric { key: key.to_owned(), value, timestamp_ms: 1, step: 0 };
    let mut metrics = Vec::new();
    if i % 3 != 0 {
        let values = [0.5, f64::NAN, -2.0, f64::INFINITY, 0.5, f64::NEG_INFINITY, 1e300];
        metrics.push(metric("loss", values[(i % 7) as usize]));
    }
    if i % 2 == 0 {
        metrics.push(metric("acc", i as f64));
    }
    metrics.push(metric("zero", if i % 4 < 2 { 0.0 } else { -0.0 }));
    store::log_metrics(tx, &run, metrics.iter()).await?;
    let pair = |key: &str, value: String| KeyValue { key: key.to_owned(), value };
    if i % 5 != 0 {
        // Longer than what the index holds, and equal in that.
        let value = format!("{}{}", "x".repeat(210), i % 4);
        store::log_params(tx, &run, &[pair("long", value), pair("kind", format!("k{}", i % 2))]).await?;
    }
    store::set_tags(tx, &run, &[pair("team", ["Ä", "a", "B"][(i / 2 % 3) as usize].to_owned())]).await?;
    if i % 8 == 5 {
        store::set_lifecycle(tx, run.rid, Lifecycle::Deleted, 1).await?;
    }
    Ok(())
}

fn attribute(name: &str) -> Field {
    Field::Attribute(RUNS.attribute(name).unwrap())
}

fn metric(key: &str) -> Field {
    Field::Metric(key.to_owned())
}

fn param(key: &str) -> Field {
    Field::Param(key.to_owned())
}

fn by(fields: &[(Field, bool)]) -> Vec<Order> {
    fields
        .iter()
        .map(|(field, ascending)| Order { field: field.clone(), ascending: *ascending, dataset: None })
        .collect()
}

fn orders() -> Vec<Vec<Order>> {
    let mut all = vec![Vec::new()];
    for ascending in [true, false] {
        all.push(by(&[(attribute("start_time"), ascending)]));
        all.push(by(&[(attribute("end_time"), ascending)]));
        all.push(by(&[(attribute("run_name"), ascending), (attribute("user_id"), !ascending)]));
        all.push(by(&[(metric("loss"), ascending)]));
        all.push(by(&[(metric("loss"), ascending), (metric("acc"), ascending)]));
        all.push(by(&[(param("long"), ascending)]));
        all.push(by(&[(Field::Tag("team".to_owned()), ascending), (attribute("end_time"), !ascending)]));
        all.push(by(&[
            (attribute("user_id"), ascending),
            (metric("loss"), !ascending),
            (param("long"), ascending),
        ]));
        all.push(by(&[(metric("none"), ascending)]));
    }
    all
}

fn condition(field: Field, op: Op, operand: Operand) -> Condition {
    Condition { field, op, operand }
}

fn query(conditions: Vec<Condition>, orders: Vec<Order>) -> Query {
    let experiment_ids = vec![EXPERIMENT, OTHER_EXPERIMENT];
    Query { conditions, orders, experiment_ids, ..Query::default() }
}

async fn all_pages(conn: &mut Conn, query: &Query, size: usize) -> Vec<RunDetails> {
    pages_of(conn, query, ViewType::All, size).await
}

async fn pages_of(conn: &mut Conn, query: &Query, view: ViewType, size: usize) -> Vec<RunDetails> {
    let mut rows = Vec::new();
    let mut position: Option<Position> = None;
    loop {
        let page = store::search(conn, query, view, position.as_ref(), size).await.unwrap();
        assert!(page.rows.len() <= size);
        rows.extend(page.rows);
        // As it travels in a token.
        let Some(next) = page.next else { return rows };
        position = Some(query.id.position(&query.id.token(&next)).unwrap());
    }
}

/// The order that a search promises, without SQL: those that have a value, then NaN, then those
/// that lack it, in either direction.
fn compare(a: &RunDetails, b: &RunDetails, orders: &[Order]) -> Ordering {
    let class = |key: &Key| match key {
        Key::Nan => 1,
        Key::Missing => 2,
        _ => 0,
    };
    let natural = by(&[(attribute("start_time"), false), (attribute("run_id"), true)]);
    for order in orders.iter().chain(&natural) {
        let (a, b) = (a.key(order), b.key(order));
        let values = match (&a, &b) {
            (Key::Float(a), Key::Float(b)) => f64::from_bits(*a).partial_cmp(&f64::from_bits(*b)).unwrap(),
            (Key::Int(a), Key::Int(b)) => a.cmp(b),
            (Key::Text(a), Key::Text(b)) => a.cmp(b),
            _ => Ordering::Equal,
        };
        let values = if order.ascending { values } else { values.reverse() };
        match class(&a).cmp(&class(&b)).then(values) {
            Ordering::Equal => {}
            decided => return decided,
        }
    }
    Ordering::Equal
}

fn ids(rows: &[RunDetails]) -> Vec<&str> {
    rows.iter().map(|row| row.run.run_id.as_str()).collect()
}

#[tokio::test]
async fn pages_of_any_size_make_the_whole_in_the_promised_order() {
    each_engine(|url| async move {
        let db = Db::open(&url).await.unwrap();
        fill(&db, 40).await;
        let mut conn = db.snapshot().await.unwrap();
        let everything = all_pages(&mut conn, &query(Vec::new(), Vec::new()), 100).await;
        assert_eq!(everything.len(), 40);
        for orders in orders() {
            let mut expected = everything.clone();
            expected.sort_by(|a, b| compare(a, b, &orders));
            for size in [1, 3, 39, 40, 41] {
                let found = all_pages(&mut conn, &query(Vec::new(), orders.clone()), size).await;
                assert_eq!(ids(&found), ids(&expected), "{orders:?} in pages of {size}");
            }
            // The live ones of one experiment.
            expected.retain(|r| r.run.experiment_id == EXPERIMENT && r.run.lifecycle == Lifecycle::Active);
            let one = Query { experiment_ids: vec![EXPERIMENT], ..query(Vec::new(), orders.clone()) };
            for size in [2, 100] {
                let found = pages_of(&mut conn, &one, ViewType::ActiveOnly, size).await;
                assert_eq!(ids(&found), ids(&expected), "{orders:?} in pages of {size}");
            }
        }
        drop(conn);
        db.close().await;
    })
    .await;
}

/// A condition, and the same said in Rust.
type Filter = (Condition, fn(&RunDetails) -> bool);

fn loss(run: &RunDetails) -> Option<f64> {
    run.metrics.iter().find(|m| m.key == "loss").map(|m| m.value)
}

fn filters() -> Vec<Filter> {
    let kind = |value: &str| Operand::Text(value.to_owned());
    vec![
        (condition(metric("loss"), Op::Gt, Operand::Float(0.0)), |run| loss(run).is_some_and(|v| v > 0.0)),
        (condition(metric("loss"), Op::Ne, Operand::Float(0.5)), |run| {
            loss(run).is_some_and(|v| v.is_nan() || v < 0.5 || v > 0.5)
        }),
        (condition(metric("loss"), Op::Eq, Operand::Float(0.0)), |_| false),
        (condition(param("kind"), Op::Eq, kind("k1")), |run| run.params.iter().any(|p| p.value == "k1")),
        (condition(param("kind"), Op::IsNull, Operand::Nothing), |run| run.params.is_empty()),
        (condition(param("long"), Op::Eq, kind(&format!("{}2", "x".repeat(210)))), |run| {
            run.params.iter().any(|p| p.value.ends_with("x2"))
        }),
        (condition(Field::Tag("team".into()), Op::Ilike, kind("A")), |run| {
            run.tags.iter().any(|t| t.value == "a")
        }),
        (condition(attribute("status"), Op::Eq, kind("RUNNING")), |_| true),
        (condition(attribute("run_name"), Op::Eq, kind("run 3")), |run| run.run.name == "run 3"),
        (condition(attribute("start_time"), Op::Gt, Operand::Int(2)), |run| run.run.start_time_ms > 2),
        (condition(Field::Tag("team".into()), Op::Like, kind("_")), |_| true),
        (condition(attribute("end_time"), Op::Le, Operand::Int(3)), |run| {
            run.run.end_time_ms.is_some_and(|t| t <= 3)
        }),
        (condition(attribute("user_id"), Op::Like, kind("USER%")), |_| false),
        (condition(attribute("user_id"), Op::Ne, kind("user 1")), |run| run.run.user_id != "user 1"),
        (condition(attribute("run_name"), Op::Ilike, kind("%N 3")), |run| run.run.name == "run 3"),
        (condition(attribute("end_time"), Op::Ne, Operand::Int(3)), |run| {
            run.run.end_time_ms.is_some_and(|t| t != 3)
        }),
        // Longer than what the index holds, and told apart by what comes after.
        (condition(param("long"), Op::Like, kind("x%2")), |run| {
            run.params.iter().any(|p| p.value.ends_with("x2"))
        }),
        (condition(param("long"), Op::Ne, kind(&format!("{}2", "x".repeat(210)))), |run| {
            run.params.iter().any(|p| p.key == "long" && !p.value.ends_with("x2"))
        }),
        (condition(param("kind"), Op::Like, kind("%none%")), |_| false),
        (condition(Field::Tag("team".into()), Op::IsNotNull, Operand::Nothing), |_| true),
        (
            condition(Field::Tag("team".into()), Op::NotIn, Operand::Texts(vec!["a".into(), "B".into()])),
            |run| run.tags.iter().any(|t| t.value == "Ä"),
        ),
    ]
}

/// Pages of one row, for which few rows are many: each condition is met by a walk through an order too.
#[tokio::test]
async fn a_condition_keeps_the_same_rows_however_they_are_found() {
    each_engine(|url| async move {
        let db = Db::open(&url).await.unwrap();
        fill(&db, 40).await;
        let mut conn = db.snapshot().await.unwrap();
        for (one, keeps) in &filters() {
            let one = query(vec![one.clone()], by(&[(metric("acc"), false)]));
            let everything = all_pages(&mut conn, &query(Vec::new(), one.orders.clone()), 100).await;
            let expected: Vec<RunDetails> = everything.into_iter().filter(keeps).collect();
            for size in [1, 40] {
                assert_eq!(ids(&all_pages(&mut conn, &one, size).await), ids(&expected), "{one:?}");
            }
        }
        drop(conn);
        db.close().await;
    })
    .await;
}

/// Of more and more runs, live and deleted, in one experiment or in both.
#[tokio::test]
async fn runs_that_lack_a_key_are_found_whether_none_or_few_or_many_do() {
    each_engine(|url| async move {
        let db = Db::open(&url).await.unwrap();
        fill(&db, 400).await;
        let lacks = condition(Field::Tag("team".into()), Op::IsNull, Operand::Nothing);
        let mut seen = String::new();
        for every in [1000, 97, 32, 16, 2] {
            db.write(every, |tx, every| {
                let delete = "DELETE FROM tags WHERE key = 'team' AND rid % $1 = 0";
                Box::pin(async move { tx.query(delete).bind(*every).execute().await })
            })
            .await
            .unwrap();
            let mut conn = db.snapshot().await.unwrap();
            for (view, ids_of) in [
                (ViewType::All, vec![1, 2]),
                (ViewType::ActiveOnly, vec![1]),
                (ViewType::DeletedOnly, vec![2]),
            ] {
                let orders = by(&[(metric("acc"), false)]);
                let any = Query { experiment_ids: ids_of, ..query(Vec::new(), orders) };
                let mut expected = pages_of(&mut conn, &any, view, 500).await;
                expected.retain(|run| run.tags.is_empty());
                let lacking = Query { conditions: vec![lacks.clone()], ..any };
                for size in [1, 100] {
                    let found = pages_of(&mut conn, &lacking, view, size).await;
                    assert_eq!(ids(&found), ids(&expected), "{every} {view:?} in pages of {size}");
                }
            }
            conn.take_seen().iter().for_each(|sql| seen.push_str(sql.text()));
        }
        if seen.contains("$1") {
            assert!(seen.contains(" AS class, COUNT(*)"), "no classes were counted");
            assert!(seen.contains("OFFSET 0) c WHERE NOT EXISTS"), "no class's rows were looked up");
        }
        db.close().await;
    })
    .await;
}

#[tokio::test]
async fn conditions_keep_what_they_say_alone_and_together() {
    each_engine(|url| async move {
        let db = Db::open(&url).await.unwrap();
        fill(&db, 40).await;
        let mut conn = db.snapshot().await.unwrap();
        let everything = all_pages(&mut conn, &query(Vec::new(), Vec::new()), 100).await;
        let filters = filters();
        let orders = by(&[(metric("loss"), false), (param("long"), true)]);
        for (first, keeps_first) in &filters {
            for (second, keeps_second) in &filters {
                let mut expected: Vec<RunDetails> =
                    everything.iter().filter(|r| keeps_first(r) && keeps_second(r)).cloned().collect();
                expected.sort_by(|a, b| compare(a, b, &orders));
                let both = query(vec![first.clone(), second.clone()], orders.clone());
                let found = all_pages(&mut conn, &both, 4).await;
                assert_eq!(ids(&found), ids(&expected), "{first:?} and {second:?}");
            }
        }
        drop(conn);
        db.close().await;
    })
    .await;
}

/// So many runs are equal that they are not sorted but read in the order that decides among them.
#[tokio::test]
async fn pages_of_ties_keep_the_promised_order() {
    each_engine(|url| async move {
        let db = Db::open(&url).await.unwrap();
        fill(&db, 3000).await;
        let mut conn = db.snapshot().await.unwrap();
        let one = Query { experiment_ids: vec![EXPERIMENT], ..Query::default() };
        let everything = pages_of(&mut conn, &one, ViewType::ActiveOnly, 5000).await;
        let mut orders = Vec::new();
        for ascending in [true, false] {
            let keys =
                [param("kind"), param("long"), metric("loss"), metric("zero"), Field::Tag("team".into())];
            for field in keys {
                orders.push(by(&[(field, ascending)]));
            }
            for name in ["status", "user_id", "run_name", "end_time"] {
                orders.push(by(&[(attribute(name), ascending)]));
            }
        }
        for orders in orders {
            let mut expected = everything.clone();
            expected.sort_by(|a, b| compare(a, b, &orders));
            let one = Query { orders: orders.clone(), ..one.clone() };
            for size in [90, 700] {
                let found = pages_of(&mut conn, &one, ViewType::ActiveOnly, size).await;
                assert!(ids(&found) == ids(&expected), "{orders:?} in pages of {size}");
            }
        }
        let seen = conn.take_seen();
        assert!(seen.iter().any(|sql| sql.text().contains(" OFFSET ")), "none looked for ties");
        assert!(seen.iter().any(|sql| sql.text().contains("c.value = ")), "none were found");
        drop(conn);
        db.close().await;
    })
    .await;
}
