//! Searches of traces: what they find, and that an index serves each.

use super::*;
use crate::{
    db::{Conn, Db, DbError, sql::Sql, testing::each_engine},
    runs,
    search::{self, Condition, Field, Op, Operand, Order, Position, Query, TraceField},
    traces::{
        Pairs, TraceInfo, TraceState,
        assessments::{Assessment, Kind, SourceType},
        usage::Tokens,
    },
};
use std::sync::{Arc, Mutex};

const EXPERIMENT: i64 = 1;

async fn fill(db: &Db, count: i64) {
    db.write(count, |tx, count| {
        Box::pin(async move {
            runs::store::insert_experiment(tx, "e", None, None, 0).await?;
            for i in 0..*count {
                add(tx, i).await?;
            }
            Ok::<_, DbError>(())
        })
    })
    .await
    .unwrap();
}

fn pairs(entries: &[(&str, String)]) -> Pairs {
    entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

async fn add(tx: &mut Conn, i: i64) -> Result<(), DbError> {
    let new = NewTrace {
        trace_id: format!("tr-{i:03}"),
        experiment_id: EXPERIMENT,
        timestamp_ms: i / 2,
        execution_time_ms: (i % 3 != 0).then_some(i % 5),
        state: if i % 4 == 0 { TraceState::Error } else { TraceState::Ok },
        client_request_id: Some(format!("c{i}")),
        request_preview: None,
        response_preview: None,
    };
    let tid = insert(tx, &new).await?.unwrap();
    update(tx, tid, &new, Tokens::default()).await?;
    set_tags(tx, tid, EXPERIMENT, &pairs(&[("mlflow.traceName", format!("n{}", i % 3))])).await?;
    set_metadata(tx, tid, EXPERIMENT, &pairs(&[("mlflow.trace.session", format!("s{}", i / 4))])).await?;
    let span = SpanRow {
        span_id: format!("{i:016x}"),
        parent_span_id: None,
        name: format!("call {}", i % 3),
        kind: ["LLM", "TOOL"][(i % 2) as usize].to_owned(),
        status: "OK",
        start_time_ns: i,
        end_time_ns: i + 1,
        content: format!("{{\"attributes\": {{\"fruit\": \"\\\"apple {i}\\\"\"}}}}"),
        usage_json: None,
        cost_json: None,
        costs: [None; 3],
        model_name: None,
        model_provider: None,
    };
    upsert_spans(tx, tid, EXPERIMENT, &[span]).await?;
    if i % 8 == 0 {
        insert_assessment(tx, tid, EXPERIMENT, &feedback(i)).await?;
        link_prompts(tx, tid, &["greeting/1".to_owned()]).await?;
        link_runs(tx, "run", &[new.trace_id, "tr-later".to_owned()]).await?;
    }
    Ok(())
}

fn feedback(i: i64) -> Assessment {
    let of_session = i % 16 == 0;
    Assessment {
        assessment_id: format!("a-{i}"),
        trace_id: String::new(),
        kind: Kind::Feedback,
        name: "quality".to_owned(),
        value: if i == 8 { "good".into() } else { (i as f64).into() },
        error: None,
        source_type: SourceType::Human,
        source_id: None,
        span_id: None,
        rationale: None,
        metadata: if of_session { pairs(&[("mlflow.trace.session", String::new())]) } else { Pairs::new() },
        overrides: None,
        valid: true,
        created_at_ms: i,
        updated_at_ms: i,
    }
}

fn attribute(name: &str) -> Field {
    Field::Attribute(TRACES.attribute(name).unwrap())
}

fn quality() -> Field {
    Field::Trace(TraceField::Assessment { kind: "feedback", name: "quality".to_owned() })
}

fn condition(field: Field, op: Op, operand: Operand) -> Condition {
    Condition { field, op, operand }
}

fn text(value: &str) -> Operand {
    Operand::Text(value.to_owned())
}

fn query(conditions: Vec<Condition>, orders: Vec<Order>) -> Query {
    Query { conditions, orders, experiment_ids: vec![EXPERIMENT], ..Query::default() }
}

async fn numbers(conn: &mut Conn, query: &Query, size: usize) -> Vec<i64> {
    let mut found = Vec::new();
    let mut position: Option<Position> = None;
    loop {
        let page = search(conn, query, position.as_ref(), size).await.unwrap();
        found.extend(page.rows.iter().map(|row| row.trace_id[3..].parse::<i64>().unwrap()));
        let Some(next) = page.next else { return found };
        position = Some(query.id.position(&query.id.token(&next)).unwrap());
    }
}

/// A condition, and the same said in Rust of the trace's number.
type Filter = (Condition, fn(i64) -> bool);

fn filters() -> Vec<Filter> {
    use TraceField::{Prompt, Run, SpanAttribute, SpanContent, SpanName, SpanStatus, SpanType};
    let fruit = || Field::Trace(SpanAttribute("fruit".to_owned()));
    let session = Field::Param("mlflow.trace.session".to_owned());
    vec![
        (condition(attribute("status"), Op::Eq, text("ERROR")), |i| i % 4 == 0),
        (condition(attribute("request_id"), Op::In, Operand::Texts(vec!["tr-003".into()])), |i| i == 3),
        (condition(attribute("client_request_id"), Op::Eq, text("c5")), |i| i == 5),
        (condition(attribute("execution_time_ms"), Op::Gt, Operand::Int(3)), |i| i % 3 != 0 && i % 5 > 3),
        (condition(attribute("end_time_ms"), Op::Lt, Operand::Int(9)), |i| {
            i / 2 + if i % 3 == 0 { 0 } else { i % 5 } < 9
        }),
        (condition(Field::Tag("mlflow.traceName".into()), Op::Rlike, text("^n[01]$")), |i| i % 3 < 2),
        (condition(session, Op::Eq, text("s1")), |i| i / 4 == 1),
        (condition(Field::Trace(SpanName), Op::Eq, text("call 1")), |i| i % 3 == 1),
        (condition(Field::Trace(SpanType), Op::Eq, text("TOOL")), |i| i % 2 == 1),
        (condition(Field::Trace(SpanStatus), Op::Ne, text("OK")), |_| false),
        (condition(Field::Trace(SpanContent), Op::Like, text("%apple 3%")), |i| i == 3 || i / 10 == 3),
        (condition(fruit(), Op::Eq, text("apple 3")), |i| i == 3),
        (condition(fruit(), Op::Ne, text("apple 3")), |i| i != 3),
        (condition(fruit(), Op::In, Operand::Texts(vec!["apple 4".into(), "x".into()])), |i| i == 4),
        (condition(fruit(), Op::Rlike, text("^apple [0-9]$")), |i| i < 10),
        (condition(fruit(), Op::Ilike, text("%APPLE 12%")), |i| i == 12),
        (condition(quality(), Op::Eq, text("good")), |i| i == 8),
        // 0, 16 and 32 speak for the four traces of their sessions.
        (condition(quality(), Op::Ge, Operand::Float(16.0)), |i| matches!(i, 16..=19 | 24 | 32..=35)),
        (condition(quality(), Op::IsNotNull, Operand::Nothing), |i| i % 8 == 0 || (i / 4) % 4 == 0),
        (condition(quality(), Op::IsNull, Operand::Nothing), |i| i % 8 != 0 && (i / 4) % 4 != 0),
        (condition(Field::Trace(Run), Op::Eq, text("run")), |i| i % 8 == 0),
        (condition(Field::Trace(Prompt), Op::Eq, text("greeting/1")), |i| i % 8 == 0),
    ]
}

#[tokio::test]
async fn conditions_keep_what_they_say_alone_and_together() {
    each_engine(|url| async move {
        let db = Db::open(&url).await.unwrap();
        fill(&db, 40).await;
        let mut conn = db.search_snapshot().await.unwrap();
        let everything = numbers(&mut conn, &query(Vec::new(), Vec::new()), 7).await;
        assert_eq!(everything.len(), 40);
        let filters = filters();
        for (first, keeps_first) in &filters {
            for (second, keeps_second) in &filters {
                let keeps = |i: &&i64| keeps_first(**i) && keeps_second(**i);
                let expected: Vec<i64> = everything.iter().filter(keeps).copied().collect();
                let both = query(vec![first.clone(), second.clone()], Vec::new());
                assert_eq!(numbers(&mut conn, &both, 3).await, expected, "{first:?} and {second:?}");
                let (one, other) = (query(vec![first.clone()], vec![]), query(vec![second.clone()], vec![]));
                let count = counts(&mut conn, &[&one, &other]).await.unwrap();
                assert_eq!(count, expected.len() as i64, "{first:?} and {second:?}");
            }
        }
        drop(conn);
        db.close().await;
    })
    .await;
}

#[tokio::test]
async fn pages_of_any_size_make_the_whole_in_every_order() {
    each_engine(|url| async move {
        let db = Db::open(&url).await.unwrap();
        fill(&db, 30).await;
        let mut conn = db.search_snapshot().await.unwrap();
        for field in [
            attribute("timestamp_ms"),
            attribute("execution_time_ms"),
            attribute("end_time_ms"),
            attribute("status"),
            attribute("request_id"),
            Field::Tag("mlflow.traceName".into()),
            Field::Param("mlflow.trace.session".into()),
        ] {
            for ascending in [true, false] {
                let order = Order { field: field.clone(), ascending, dataset: None };
                let query = query(Vec::new(), vec![order]);
                let whole = numbers(&mut conn, &query, 100).await;
                assert_eq!(whole.len(), 30);
                for size in [1, 4, 29, 30] {
                    assert_eq!(numbers(&mut conn, &query, size).await, whole, "{field:?} in pages of {size}");
                }
            }
        }
        drop(conn);
        db.close().await;
    })
    .await;
}

async fn plans(conn: &mut Conn, query: &Query) -> Vec<String> {
    let plans: Arc<Mutex<Vec<String>>> = Arc::default();
    search::page(conn, &TRACES, query, &|_| {}, None, 10, {
        let seen = plans.clone();
        move |conn: &mut Conn, sql: Sql| {
            let seen = seen.clone();
            Box::pin(async move {
                let sql = sql.explained();
                let lines: Vec<String> = if conn.engine().name() == "sqlite" {
                    let rows: Vec<(i64, i64, i64, String)> = conn.generated(sql).all().await?;
                    rows.into_iter().map(|(_, _, _, detail)| detail).collect()
                } else {
                    let rows: Vec<(String,)> = conn.generated(sql).all().await?;
                    rows.into_iter().map(|(line,)| line).collect()
                };
                seen.lock().unwrap().extend(lines);
                Ok(Vec::<TraceInfo>::new())
            })
        }
    })
    .await
    .unwrap();
    let plans = plans.lock().unwrap();
    plans.clone()
}

#[tokio::test]
async fn no_search_reads_a_whole_table() {
    each_engine(|url| async move {
        let db = Db::open(&url).await.unwrap();
        fill(&db, 200).await;
        let mut conn = db.search_snapshot().await.unwrap();
        if conn.engine().name() == "postgresql" {
            // So small a table is rightly read whole and sorted; what counts is that an index
            // serves where that does not pay.
            conn.query("SET LOCAL enable_seqscan = off").execute().await.unwrap();
            conn.query("SET LOCAL enable_sort = off").execute().await.unwrap();
        }
        let by = |field: Field, ascending| vec![Order { field, ascending, dataset: None }];
        let alone = |one: Condition| (vec![one], Vec::new());
        let trace = |field, value: &str| condition(Field::Trace(field), Op::Eq, text(value));
        let tag = Field::Tag("mlflow.traceName".into());
        for ((conditions, orders), index) in [
            ((vec![], vec![]), "traces_started"),
            ((vec![], by(attribute("timestamp_ms"), true)), "traces_started"),
            ((vec![], by(attribute("execution_time_ms"), false)), "traces_duration"),
            ((vec![], by(attribute("end_time_ms"), false)), "traces_ended"),
            ((vec![], by(attribute("end_time_ms"), true)), "traces_ended"),
            ((vec![], by(attribute("status"), true)), "traces_state"),
            ((vec![], by(tag.clone(), true)), "trace_tags_value"),
            (alone(condition(attribute("status"), Op::Eq, text("ERROR"))), "traces_state"),
            (alone(condition(attribute("client_request_id"), Op::Eq, text("c1"))), "traces_client_request"),
            (alone(condition(attribute("execution_time_ms"), Op::Gt, Operand::Int(3))), "traces_duration"),
            (alone(condition(tag, Op::Eq, text("n1"))), "trace_tags_value"),
            (
                alone(condition(Field::Param("mlflow.trace.session".into()), Op::Eq, text("s1"))),
                "trace_metadata_value",
            ),
            (alone(trace(TraceField::SpanName, "call 1")), "spans_name"),
            (alone(trace(TraceField::SpanType, "TOOL")), "spans_type"),
            (alone(condition(quality(), Op::Ge, Operand::Float(16.0))), "trace_assessments_name"),
            (alone(trace(TraceField::Prompt, "greeting/1")), "PRIMARY KEY (prompt=?)|trace_prompts"),
            (alone(trace(TraceField::Run, "run")), "PRIMARY KEY (run_id=?)|trace_runs"),
            (
                alone(condition(Field::Trace(TraceField::SpanContent), Op::Like, text("%x%"))),
                "traces_started",
            ),
        ] {
            let query = query(conditions, orders);
            let plan = plans(&mut conn, &query).await;
            let temporary = ["SCAN driver", "SCAN l", "SCAN (subquery", "SCAN CONSTANT ROW"];
            let whole = |line: &&String| {
                let line = line.trim_start_matches([' ', '-', '>']);
                line.starts_with("Seq Scan")
                    || (line.starts_with("SCAN ") && !temporary.iter().any(|name| line.starts_with(name)))
            };
            assert_eq!(plan.iter().find(whole), None, "{query:?}\n{}", plan.join("\n"));
            let served = plan.iter().any(|line| index.split('|').any(|index| line.contains(index)));
            assert!(served, "{index} does not serve {query:?}\n{}", plan.join("\n"));
        }
        drop(conn);
        db.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_belongs_to_a_trace_goes_with_it() {
    each_engine(|url| async move {
        let db = Db::open(&url).await.unwrap();
        fill(&db, 20).await;
        let deleted = db
            .write((), |tx, ()| {
                Box::pin(async move {
                    let ids = vec!["tr-000".to_owned(), "tr-unknown".to_owned()];
                    let some = delete(tx, EXPERIMENT, &Selection::Ids(ids)).await?;
                    let elsewhere =
                        delete(tx, 0, &Selection::Until { timestamp_ms: 99, limit: None }).await?;
                    let oldest = Selection::Until { timestamp_ms: 5, limit: Some(3) };
                    Ok::<_, DbError>((some, elsewhere, delete(tx, EXPERIMENT, &oldest).await?))
                })
            })
            .await
            .unwrap();
        assert_eq!(deleted, (1, 0, 3));
        let mut conn = db.search_snapshot().await.unwrap();
        let left = numbers(&mut conn, &query(Vec::new(), Vec::new()), 100).await;
        assert!((0..=3).all(|i| !left.contains(&i)) && left.len() == 16);
        for sql in [
            "SELECT COUNT(*) FROM spans",
            "SELECT COUNT(*) FROM trace_tags",
            "SELECT COUNT(*) FROM trace_metadata",
        ] {
            assert_eq!(conn.query(sql).scalar::<i64>().await.unwrap(), Some(16), "{sql}");
        }
        let linked: Option<i64> = conn.query("SELECT COUNT(*) FROM trace_runs").scalar().await.unwrap();
        assert_eq!(linked, Some(3));
        drop(conn);
        db.close().await;
    })
    .await;
}
