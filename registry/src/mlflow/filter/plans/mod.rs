//! Which index serves which search, on both engines: each shape of a search is run on a filled
//! database and its plans are read. A step whose cost grows with a table fails.

mod seed;

use super::Grammar;
use crate::{
    db::{Conn, Db, DbError, Plan, testing::each_engine},
    logged_models,
    mlflow::routes::{model_versions, registered_models, search, search_traces},
    models::store as models,
    runs::{
        ViewType,
        store::{self, HistoryPosition},
    },
    search::{DatasetScope, Order, Position, Query},
    traces,
};
use futures::future::BoxFuture;
use std::{fmt::Write as _, sync::Mutex};

/// A search: which experiments, its filter and orders, and the index that serves it, on each engine.
struct Shape {
    experiments: &'static [i64],
    filter: &'static str,
    orders: &'static [&'static str],
    index: &'static str,
}

const fn shape(filter: &'static str, orders: &'static [&'static str], index: &'static str) -> Shape {
    Shape { experiments: &[1], filter, orders, index }
}

/// Runs one page of a search, after `position`; where the next one begins.
type Search = for<'c> fn(
    &'c mut Conn,
    &'c Query,
    Option<&'c Position>,
) -> BoxFuture<'c, Result<Option<Position>, DbError>>;

const RUNS: &[Shape] = &[
    shape("", &[], "runs_started"),
    Shape { experiments: &[1, 2], filter: "", orders: &[], index: "runs_started" },
    shape("", &["start_time"], "runs_started"),
    shape("", &["end_time DESC"], "runs_ended"),
    shape("", &["run_name"], "runs_named"),
    Shape { experiments: &[1, 2], filter: "", orders: &["run_name DESC"], index: "runs_named" },
    shape("", &["metrics.loss DESC"], "latest_metrics_value"),
    Shape { experiments: &[1, 2], filter: "", orders: &["metrics.loss"], index: "latest_metrics_value" },
    shape("", &["metrics.loss", "params.kind DESC"], "latest_metrics_value"),
    shape("", &["params.seed"], "params_value"),
    shape("", &["tags.commit DESC"], "tags_value"),
    shape("run_id = 'run77'", &["metrics.loss"], "run"),
    shape("run_id IN ('run77', 'run78')", &[], "run"),
    shape("run_name = 'name 77'", &[], "runs_named"),
    shape("user_id = 'user 7'", &["metrics.acc"], "runs_user"),
    shape("status = 'FAILED'", &["metrics.acc"], "runs_status"),
    shape("start_time > 19900", &["metrics.acc"], "runs_started"),
    shape("end_time < 100", &["metrics.acc"], "runs_ended"),
    shape("metrics.loss < 0.01", &[], "latest_metrics_value"),
    shape("metrics.loss < 0.01", &["metrics.acc DESC"], "latest_metrics_value"),
    shape("params.seed = 'v77'", &["metrics.acc"], "params_value"),
    shape("tags.commit = 'v77'", &["metrics.acc"], "tags_value"),
    shape("dataset.name = 'data 77'", &["metrics.acc"], "datasets"),
    shape("params.seed LIKE '%7%'", &["metrics.acc"], "latest_metrics_value"),
    // So many are equal that they are read in the order that decides among them.
    shape("", &["tags.team"], "runs_started"),
    shape("", &["params.kind DESC"], "runs_started"),
    shape("", &["status DESC"], "runs_started"),
    shape("params.seed LIKE '%none%'", &["metrics.acc"], "params_value"),
    shape("tags.team != 'v1' AND params.kind != 'v9'", &[], "tags_value"),
    shape("attributes.run_name LIKE '%none%'", &[], "runs_named|runs_status"),
    shape("attributes.status != 'FINISHED'", &["metrics.acc"], "runs_status"),
    shape("tags.nope IS NULL", &[], "runs_started"),
    shape("tags.team IS NULL", &["metrics.acc"], "runs_started|tags_"),
    shape("metrics.loss < 0.5 AND params.kind = 'v1' AND tags.team = 'v1'", &["metrics.acc DESC"], "_value"),
];

const TRACES: &[Shape] = &[
    shape("", &[], "traces_started"),
    Shape { experiments: &[1, 2], filter: "", orders: &[], index: "traces_started" },
    shape("", &["timestamp_ms"], "traces_started"),
    shape("", &["execution_time DESC"], "traces_duration"),
    shape("", &["end_time"], "traces_ended"),
    shape("", &["request_id"], "traces_identified"),
    shape("", &["request_id DESC"], "traces_identified"),
    shape("", &["status"], "traces_state"),
    shape("", &["status DESC"], "traces_state_down"),
    Shape { experiments: &[1, 2], filter: "", orders: &["status DESC"], index: "traces_state_down" },
    shape("", &["experiment_id"], "traces"),
    shape("", &["name"], "trace_tags_value"),
    shape("", &["metadata.`mlflow.trace.session` DESC"], "trace_metadata_value"),
    shape("request_id = 'tr77'", &["status DESC"], "traces"),
    shape("client_request_id = 'call77'", &[], "traces_client_request"),
    shape("status = 'ERROR'", &["execution_time"], "traces_state"),
    shape("timestamp_ms > 19900", &["status DESC"], "traces_started"),
    shape("execution_time_ms < 100", &[], "traces_duration"),
    shape("name = 'name 77'", &["request_id"], "trace_tags_value"),
    shape("metadata.`mlflow.trace.session` = 'session 77'", &[], "trace_metadata_value"),
    shape("run_id = 'linked77'", &["status DESC"], "trace_runs|SEARCH r USING PRIMARY KEY"),
    shape("prompt = 'prompt/77'", &[], "trace_prompts|SEARCH p USING PRIMARY KEY"),
    shape("span.name = 'span 77'", &["request_id"], "spans_name"),
    shape("feedback.`said 77` = 'true'", &[], "trace_assessments_name"),
    shape("name LIKE 'name 7%'", &["status DESC"], "traces_state_down"),
    shape("tags.nope IS NULL", &["status DESC"], "traces_started|trace_tags_"),
];

const EXPERIMENTS: &[Shape] = &[
    shape("", &[], "experiments_listed"),
    shape("", &["creation_time"], "experiments_listed"),
    shape("", &["last_update_time DESC"], "experiments_updated"),
    shape("", &["name"], "experiments"),
    shape("", &["experiment_id"], "SCAN e|experiments_pkey"),
    shape("name = 'experiment 77'", &[], "experiments"),
    shape("name LIKE 'experiment 7%'", &[], "experiments_listed"),
    shape("experiment_id IN ('7', '8')", &[], "INTEGER PRIMARY KEY|experiments_pkey"),
    shape("tags.team = 'team 77'", &[], "experiment_tags_value"),
    shape("tags.team LIKE 'team 7%'", &["name"], "experiments"),
];

const LOGGED_MODELS: &[Shape] = &[
    shape("", &[], "logged_models_created"),
    Shape { experiments: &[1, 2], filter: "", orders: &[], index: "logged_models_created" },
    shape("", &["name"], "logged_models_named"),
    shape("", &["last_updated_timestamp DESC"], "logged_models_updated"),
    shape("", &["metrics.f1 DESC"], "logged_model_metrics_value"),
    shape("", &["name", "metrics.f1"], "logged_models_named"),
    shape("model_id = 'm7'", &[], "logged_models"),
    shape("source_run_id = 'run7'", &[], "logged_models_run"),
    shape("name = 'model 7'", &["metrics.f1"], "logged_models_named"),
    shape("params.kind = 'v7'", &[], "logged_model_params_value"),
    shape("tags.team = 'v7'", &[], "logged_model_tags_value"),
    shape("metrics.f1 > 0.99", &[], "logged_model_metrics_value"),
    shape("params.kind LIKE 'v7%'", &["metrics.f1"], "logged_model_metrics_value"),
];

const MODELS: &[Shape] = &[
    shape("", &[], "registered_models_listed"),
    shape("", &["last_updated_timestamp DESC"], "registered_models_updated"),
    shape("name = 'model 77'", &[], "registered_models"),
    shape("name IN ('model 77', 'model 78')", &[], "registered_models"),
    shape("name LIKE 'model 7%'", &[], "registered_models_listed"),
    shape("tags.team = 'v77'", &[], "registered_model_tags_value"),
    shape("tags.team LIKE 'v7%'", &["timestamp"], "registered_models_updated"),
    shape("tags.team = 'v77' AND name LIKE 'model%'", &["name DESC"], "registered_model_tags_value"),
];

const PROMPTS: &[Shape] = &[shape("tags.`mlflow.prompt.is_prompt` = 'true'", &[], "registered_model")];

const VERSIONS: &[Shape] = &[
    shape("", &["last_updated_timestamp DESC"], "model_versions_updated"),
    shape("", &["creation_timestamp DESC"], "model_versions_created"),
    shape("", &["version_number DESC"], "model_versions_numbered"),
    shape("", &["name"], "sqlite_autoindex_model_versions_2|registered_models_name"),
    shape("name = 'model 1'", &["last_updated_timestamp DESC"], "model_versions_own_updated"),
    shape("name = 'model 1'", &["creation_timestamp DESC"], "model_versions_own_created"),
    shape("name = 'model 1'", &["version_number DESC"], "model_versions"),
    shape("name = 'model 77'", &[], "model_versions"),
    shape(
        "name IN ('model 77', 'model 78')",
        &[],
        "sqlite_autoindex_model_versions_2|registered_models_name",
    ),
    shape("run_id = 'run77'", &["last_updated_timestamp DESC"], "model_versions_of_run"),
    shape("tags.team = 'v77'", &["last_updated_timestamp DESC"], "model_version_tags_value"),
    shape("tags.team = 'v77' AND name = 'model 1'", &["version_number DESC"], "model_version_tags_value"),
    shape("tags.team LIKE 'v7%'", &["last_updated_timestamp DESC"], "model_versions_updated"),
];

fn query(grammar: Grammar, shape: &Shape) -> Query {
    let order = |text: &&str| {
        let (field, ascending) = match text.strip_suffix(" DESC") {
            Some(field) => (field, false),
            None => (*text, true),
        };
        Order {
            field: grammar.order_field(field).unwrap_or_else(|e| panic!("{text}: {}", e.message)),
            ascending,
            dataset: None,
        }
    };
    Query {
        conditions: grammar
            .filter(Some(shape.filter))
            .unwrap_or_else(|e| panic!("{}: {}", shape.filter, e.message)),
        orders: shape.orders.iter().map(order).collect(),
        experiment_ids: shape.experiments.to_vec(),
        ..Query::default()
    }
}

/// Reports every search of which a statement of the first or the second page grows, or that its
/// index does not serve.
async fn check(conn: &mut Conn, wrong: &mut String, grammar: Grammar, shapes: &[Shape], run: Search) {
    for shape in shapes {
        let query = query(grammar, shape);
        conn.take_seen();
        let next = run(conn, &query, None).await.unwrap();
        if let Some(next) = next {
            run(conn, &query, Some(&next)).await.unwrap();
        }
        let plans = plans(conn).await;
        let said = format!("{} {:?} ORDER BY {:?}", grammar.entity.name, shape.filter, shape.orders);
        let served = shape.index.split('|').any(|index| plans.iter().any(|plan| plan.uses(index)));
        if let Some(step) = growing(&plans, shape.index) {
            writeln!(wrong, "{said}: {step}\n{}", show(&plans)).unwrap();
        } else if !served {
            writeln!(wrong, "{said} is not served by {}\n{}", shape.index, show(&plans)).unwrap();
        }
    }
}

/// The plans of the generated statements that ran.
async fn plans(conn: &mut Conn) -> Vec<Plan> {
    let mut plans = Vec::new();
    for sql in conn.take_seen() {
        plans.push(conn.plan(sql).await.unwrap());
    }
    assert!(!plans.is_empty());
    plans
}

fn growing<'p>(plans: &'p [Plan], walk: &str) -> Option<&'p str> {
    plans.iter().find_map(|plan| {
        // All values of a key are looked at, or all rows that may lack it, or both are counted.
        const OF_ALL: [&str; 3] = ["SELECT c.owner", "SELECT DISTINCT c.owner", "SELECT c.class"];
        if OF_ALL.iter().any(|start| plan.text.starts_with(start)) {
            return plan.beyond_index();
        }
        // What a condition's index found, or the page's own rows, may be sorted.
        let of_page = plan.text.starts_with("WITH ") || plan.text.contains("FROM trace_assessments a ");
        plan.grows(of_page || plan.text.starts_with("SELECT COUNT(*)"), walk)
    })
}

fn show(plans: &[Plan]) -> String {
    plans.iter().map(|plan| [plan.text.as_str(), &plan.lines.join("\n"), ""].join("\n")).collect()
}

/// Runs `test` on a filled database of each engine, and fails with what it reports.
async fn each_filled<F>(test: F)
where
    F: for<'t> Fn(&'t mut Conn, &'t mut String) -> BoxFuture<'t, ()>,
{
    let (test, wrong) = (&test, &Mutex::new(String::new()));
    each_engine(|url| async move {
        let db = Db::open(&url).await.unwrap();
        db.write((), |tx, ()| Box::pin(seed::fill(tx))).await.unwrap();
        let mut conn = db.search_snapshot().await.unwrap();
        let mut found = String::new();
        test(&mut conn, &mut found).await;
        wrong.lock().unwrap().push_str(&found);
        drop(conn);
        db.close().await;
    })
    .await;
    let wrong = wrong.lock().unwrap();
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test]
async fn no_page_of_a_search_grows_with_its_table() {
    each_filled(|conn, wrong| {
        Box::pin(async move {
            runs(conn, wrong).await;
            experiments(conn, wrong).await;
            logged(conn, wrong).await;
            traced(conn, wrong).await;
            registry(conn, wrong).await;
            history(conn).await;
        })
    })
    .await;
}

async fn runs(conn: &mut Conn, wrong: &mut String) {
    check(conn, wrong, search::RUNS, RUNS, |conn, query, position| {
        Box::pin(
            async move { Ok(store::search(conn, query, ViewType::ActiveOnly, position, 10).await?.next) },
        )
    })
    .await;
    check(conn, wrong, search::RUNS, &RUNS[..8], |conn, query, position| {
        Box::pin(async move { Ok(store::search(conn, query, ViewType::All, position, 10).await?.next) })
    })
    .await;
}

async fn experiments(conn: &mut Conn, wrong: &mut String) {
    check(conn, wrong, search::EXPERIMENTS, EXPERIMENTS, |conn, query, position| {
        Box::pin(async move {
            Ok(store::search_experiments(conn, query, ViewType::ActiveOnly, position, 10).await?.next)
        })
    })
    .await;
    check(conn, wrong, search::EXPERIMENTS, EXPERIMENTS, |conn, query, position| {
        Box::pin(async move {
            Ok(store::search_experiments(conn, query, ViewType::All, position, 10).await?.next)
        })
    })
    .await;
}

async fn logged(conn: &mut Conn, wrong: &mut String) {
    check(conn, wrong, search::LOGGED_MODELS, LOGGED_MODELS, |conn, query, position| {
        Box::pin(async move { Ok(logged_models::store::search(conn, query, position, 10).await?.next) })
    })
    .await;
    // On a dataset, in the order of a metric measured on it.
    check(conn, wrong, search::LOGGED_MODELS, &LOGGED_MODELS[4..6], |conn, query, position| {
        Box::pin(async move {
            let dataset = DatasetScope { name: Some("data".to_owned()), digest: Some("d".to_owned()) };
            let mut query = query.clone();
            query.datasets = vec![dataset.clone()];
            query.orders.iter_mut().for_each(|order| order.dataset = Some(dataset.clone()));
            Ok(logged_models::store::search(conn, &query, position, 10).await?.next)
        })
    })
    .await;
}

async fn traced(conn: &mut Conn, wrong: &mut String) {
    check(conn, wrong, search_traces::TRACES, TRACES, |conn, query, position| {
        Box::pin(async move { Ok(traces::store::search(conn, query, position, 10).await?.next) })
    })
    .await;
}

async fn registry(conn: &mut Conn, wrong: &mut String) {
    check(conn, wrong, registered_models::GRAMMAR, MODELS, |conn, query, position| {
        Box::pin(async move { Ok(models::search::models(conn, query, false, position, 10).await?.next) })
    })
    .await;
    check(conn, wrong, registered_models::GRAMMAR, PROMPTS, |conn, query, position| {
        Box::pin(async move { Ok(models::search::models(conn, query, true, position, 10).await?.next) })
    })
    .await;
    check(conn, wrong, model_versions::GRAMMAR, VERSIONS, |conn, query, position| {
        Box::pin(async move { Ok(models::search::versions(conn, query, false, position, 10).await?.next) })
    })
    .await;
    conn.take_seen();
    let latest = models::versions::latest_per_stage(conn, &[1, 2, 3]).await.unwrap();
    assert_eq!(latest.iter().filter(|version| version.model_id == 1).count(), 2);
    let plans = plans(conn).await;
    assert_eq!(growing(&plans, ""), None, "{}", show(&plans));
    assert!(plans[0].uses("model_versions_stage"), "{}", show(&plans));
}

async fn history(conn: &mut Conn) {
    conn.take_seen();
    let first = store::history(conn, 2, "loss", HistoryPosition::START, 10).await.unwrap();
    let position = HistoryPosition::after(&first[9]);
    assert_eq!(store::history(conn, 2, "loss", position, 10).await.unwrap().len(), 10);
    let plans = plans(conn).await;
    assert_eq!(growing(&plans, ""), None, "{}", show(&plans));
}
