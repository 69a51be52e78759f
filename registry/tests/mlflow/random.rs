//! Requests close to right ones, made at random but always the same: whatever a client sends is
//! answered, never with a fault of the server.

use crate::support::{Answer, Server, each_server};
use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// Requests of each kind that are tried; more with `WAYBILL_TEST_RANDOM`.
const ROUNDS: usize = 12;

/// A right request of each kind. `$run`, `$model` and `$experiment` are ones that exist.
#[expect(clippy::too_many_lines, reason = "a table: one request each")]
fn requests() -> Vec<(Method, &'static str, Value)> {
    let pairs = json!([{"key": "a", "value": "b"}]);
    let metric = json!({"key": "m", "value": 0.5, "timestamp": 1, "step": 0});
    let dataset = json!({"name": "d", "digest": "x", "source_type": "t", "source": "s"});
    let post = Method::POST;
    let mut all = vec![
        (post.clone(), "/experiments/create", json!({"name": "e", "artifact_location": "", "tags": pairs})),
        (post.clone(), "/experiments/update", json!({"experiment_id": "$experiment", "new_name": "n"})),
        (
            post.clone(),
            "/experiments/set-experiment-tag",
            json!({"experiment_id": "$experiment", "key": "a", "value": "b"}),
        ),
        (
            post.clone(),
            "/experiments/delete-experiment-tag",
            json!({"experiment_id": "$experiment", "key": "a"}),
        ),
        (
            post.clone(),
            "/experiments/search",
            json!({"max_results": 3, "filter": "tags.a = 'b' AND name LIKE '%e'",
            "order_by": ["name DESC"], "view_type": "ALL", "page_token": ""}),
        ),
        (post.clone(), "/experiments/search-datasets", json!({"experiment_ids": ["$experiment"]})),
        (
            post.clone(),
            "/runs/create",
            json!({"experiment_id": "$experiment", "user_id": "u", "run_name": "r",
            "start_time": 5, "tags": pairs}),
        ),
        (
            post.clone(),
            "/runs/update",
            json!({"run_id": "$run", "status": "FINISHED", "end_time": 9, "run_name": "n"}),
        ),
        (post.clone(), "/runs/set-tag", json!({"run_id": "$run", "key": "a", "value": "b"})),
        (post.clone(), "/runs/delete-tag", json!({"run_id": "$run", "key": "a"})),
        (post.clone(), "/runs/log-parameter", json!({"run_id": "$run", "key": "a", "value": "b"})),
        (
            post.clone(),
            "/runs/log-metric",
            json!({"run_id": "$run", "key": "m", "value": 1.5, "timestamp": 2, "step": 1,
            "model_id": "$model", "dataset_name": "d", "dataset_digest": "x"}),
        ),
        (
            post.clone(),
            "/runs/log-batch",
            json!({"run_id": "$run", "metrics": [metric], "params": pairs, "tags": pairs}),
        ),
        (
            post.clone(),
            "/runs/log-inputs",
            json!({"run_id": "$run", "datasets": [{"dataset": dataset, "tags": pairs}],
            "models": [{"model_id": "$model"}]}),
        ),
        (
            post.clone(),
            "/runs/outputs",
            json!({"run_id": "$run", "models": [{"model_id": "$model", "step": 1}]}),
        ),
        (
            post.clone(),
            "/runs/log-model",
            json!({"run_id": "$run", "model_json":
            "{\"artifact_path\": \"m\", \"run_id\": \"x\", \"utc_time_created\": \"t\", \"flavors\": {}}"}),
        ),
        (
            post.clone(),
            "/runs/search",
            json!({"experiment_ids": ["$experiment"], "max_results": 3,
            "filter": "metrics.m > 0.1 and params.a != 'c' and tags.`a` ILIKE '%'", "run_view_type": "ALL",
            "order_by": ["metrics.m DESC", "params.a"], "page_token": ""}),
        ),
        (
            post.clone(),
            "/logged-models",
            json!({"experiment_id": "$experiment", "name": "m", "source_run_id": "$run",
            "params": pairs, "tags": pairs}),
        ),
        (
            post.clone(),
            "/logged-models/search",
            json!({"experiment_ids": ["$experiment"], "max_results": 3,
            "filter": "metrics.m > 0 AND name IN ('m', 'n')", "datasets": [{"dataset_name": "d", "dataset_digest": "x"}],
            "order_by": [{"field_name": "metrics.m", "ascending": false, "dataset_name": "d"}], "page_token": ""}),
        ),
        (post.clone(), "/registered-models/create", json!({"name": "r", "description": "d", "tags": pairs})),
        (post.clone(), "/registered-models/set-tag", json!({"name": "r", "key": "a", "value": "b"})),
        (post.clone(), "/registered-models/get-latest-versions", json!({"name": "r", "stages": ["None"]})),
        (
            post.clone(),
            "/model-versions/create",
            json!({"name": "r", "source": "s3://b/m", "run_id": "$run", "tags": pairs}),
        ),
        (post.clone(), "/registered-models/alias", json!({"name": "r", "alias": "a", "version": "1"})),
        (
            post.clone(),
            "/model-versions/set-tag",
            json!({"name": "r", "version": "1", "key": "a", "value": "b"}),
        ),
        (
            post,
            "/model-versions/transition-stage",
            json!({"name": "r", "version": "1", "stage": "Staging",
            "archive_existing_versions": true}),
        ),
        (Method::PATCH, "/registered-models/update", json!({"name": "r", "description": "e"})),
        (Method::PATCH, "/model-versions/update", json!({"name": "r", "version": "1", "description": "e"})),
        (Method::DELETE, "/registered-models/delete-tag", json!({"name": "r", "key": "a"})),
        (Method::DELETE, "/model-versions/delete-tag", json!({"name": "r", "version": "1", "key": "a"})),
    ];
    for (path, query) in [
        ("/experiments/get", json!({"experiment_id": "$experiment"})),
        ("/experiments/get-by-name", json!({"experiment_name": "e"})),
        ("/runs/get", json!({"run_id": "$run"})),
        (
            "/metrics/get-history",
            json!({"run_id": "$run", "metric_key": "m", "max_results": "2", "page_token": ""}),
        ),
        ("/metrics/get-history-bulk", json!({"run_id": "$run", "metric_key": "m", "max_results": "2"})),
        (
            "/metrics/get-history-bulk-interval",
            json!({"run_ids": "$run", "metric_key": "m", "start_step": "0",
            "end_step": "5", "max_results": "2"}),
        ),
        ("/artifacts/list", json!({"run_id": "$run", "path": "a"})),
        ("/registered-models/get", json!({"name": "r"})),
        (
            "/registered-models/search",
            json!({"filter": "name LIKE 'r%' AND tags.a = 'b'", "max_results": "2",
            "order_by": "name DESC", "page_token": ""}),
        ),
        ("/registered-models/alias", json!({"name": "r", "alias": "a"})),
        ("/model-versions/get", json!({"name": "r", "version": "1"})),
        ("/model-versions/get-download-uri", json!({"name": "r", "version": "1"})),
        (
            "/model-versions/search",
            json!({"filter": "name = 'r' and run_id = 'x'", "max_results": "2",
            "order_by": "version_number DESC", "page_token": ""}),
        ),
    ] {
        all.push((Method::GET, path, query));
    }
    all
}

/// A generator that gives the same numbers everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    fn pick<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        &items[self.below(items.len())]
    }

    /// Something that a field may not expect.
    fn value(&mut self) -> Value {
        let texts = [
            "",
            "\u{0}",
            "ü",
            "🦀",
            "'",
            "`",
            "\"",
            "%",
            "../x",
            "/etc/passwd",
            "NaN",
            "Infinity",
            "-1",
            "1e309",
            "null",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "a' OR '1'='1",
            "\u{202e}",
            "AA==",
            "eyJxIjowLCJwIjp7InBoYXNlIjo5LCJrZXlzIjpbXX19",
            "s3://b/../x",
            "file:///etc",
            "models:/x/1",
        ];
        match self.below(8) {
            0 => Value::Null,
            1 => json!(i64::MIN),
            2 => json!(u64::MAX),
            3 => json!(*self.pick(&[0.5, -0.0, 1e308, 9.2e18, -1.0])),
            4 => json!([self.pick(&texts), null, {"key": {}}]),
            5 => json!({"key": self.pick(&texts), "value": []}),
            6 => json!(self.pick(&["x", "0", "ü"]).repeat(9000)),
            _ => json!(self.pick(&texts)),
        }
    }

    /// Changes one place of `value`: another value, one more, one less, or other characters.
    fn change(&mut self, value: &mut Value) {
        match value {
            Value::Object(object) if !object.is_empty() && self.below(6) > 0 => {
                let keys: Vec<String> = object.keys().cloned().collect();
                let key = self.pick(&keys).clone();
                match self.below(8) {
                    0 => drop(object.remove(&key)),
                    1 => drop(object.insert("unknown".to_owned(), self.value())),
                    _ => self.change(&mut object[&key]),
                }
            }
            Value::Array(items) if !items.is_empty() && self.below(6) > 0 => {
                let number = self.below(items.len());
                match self.below(6) {
                    0 => items.push(items[number].clone()),
                    1 => items.clear(),
                    _ => self.change(&mut items[number]),
                }
            }
            Value::String(text) if !text.is_empty() && self.below(3) > 0 => {
                let mut chars: Vec<char> = text.chars().collect();
                let number = self.below(chars.len());
                match self.below(3) {
                    0 => drop(chars.remove(number)),
                    1 => {
                        chars[number] =
                            *self.pick(&['\'', '`', '"', '.', '%', '(', ' ', '0', 'é', '\u{0}', '<']);
                    }
                    _ => chars.insert(
                        number,
                        *self.pick(&['\'', '`', '"', '.', ',', '(', ' ', '9', '€', '-', '=']),
                    ),
                }
                *text = chars.into_iter().collect();
            }
            other => *other = self.value(),
        }
    }
}

/// The request with `$run` and the like filled in.
fn fill(value: &Value, ids: &[(&str, String)]) -> Value {
    let mut text = value.to_string();
    for (name, id) in ids {
        text = text.replace(name, id);
    }
    serde_json::from_str(&text).unwrap()
}

async fn send(server: &Server, method: &Method, path: &str, body: &Value) -> Answer {
    if *method != Method::GET {
        return server.send(method.clone(), path, Some(body.to_string())).await;
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (key, value) in body.as_object().into_iter().flatten() {
        query.append_pair(key, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    server.get(&format!("{path}?{}", query.finish())).await
}

#[tokio::test]
async fn no_request_is_a_fault_of_the_server() {
    let rounds =
        std::env::var("WAYBILL_TEST_RANDOM").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    each_server(|server| async move {
        let ids = [
            ("$run", server.run().await),
            ("$model", server.model("m").await),
            ("$experiment", "0".to_owned()),
        ];
        let requests = requests();
        for (method, path, body) in &requests {
            let answer = send(&server, method, path, &fill(body, &ids)).await;
            assert_eq!(answer.status, 200, "{method} {path} {body}: {answer}");
        }
        let mut dice = Dice(0x2545_F491_4F6C_DD1D);
        for round in 0..rounds {
            for (method, path, body) in &requests {
                let mut body = fill(body, &ids);
                for _ in 0..=dice.below(3) {
                    dice.change(&mut body);
                }
                let answer = send(&server, method, path, &body).await;
                let said = || format!("round {round}: {method} {path} {}: {answer}", abbreviate(&body));
                // Without a code MLflow answers a fault of the server where a client is wrong, and so do we.
                let refused = answer.status == 500 && REFUSED_AS_FAULTS.contains(path);
                assert!(answer.status < 500 || refused, "{}", said());
                if answer.status >= 400 {
                    let shape = (answer.body["error_code"].is_string(), answer.body["message"].is_string());
                    assert_eq!(shape, (true, true), "{}", said());
                }
            }
        }
        server
    })
    .await;
}

/// A token that a client wrote itself: right for the query, with another place.
#[tokio::test]
async fn no_page_token_is_a_fault_of_the_server() {
    each_server(|server| async move {
        for i in 0..4 {
            let run = json!({"experiment_id": "0", "run_name": format!("r{i}"), "start_time": i});
            let run_id = server.post("/runs/create", &run).await.text("/run/info/run_id");
            let batch = json!({
                "run_id": run_id, "metrics": [{"key": "m", "value": i, "timestamp": 1}],
                "params": [{"key": "p", "value": "x"}],
            });
            server.post("/runs/log-batch", &batch).await;
        }
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
        for orders in
            [json!([]), json!(["metrics.m"]), json!(["params.p", "end_time"]), json!(["run_name DESC"])]
        {
            let mut body = json!({"experiment_ids": ["0"], "order_by": orders, "max_results": 1});
            let token = server.post("/runs/search", &body).await.text("/next_page_token");
            let sent = serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(&token).unwrap()).unwrap();
            for _ in 0..60 {
                let mut place = sent["p"].clone();
                for _ in 0..=dice.below(3) {
                    dice.change(&mut place);
                }
                let forged = json!({"q": sent["q"], "p": place}).to_string();
                body["page_token"] = json!(URL_SAFE_NO_PAD.encode(&forged));
                let answer = server.post("/runs/search", &body).await;
                assert!(answer.status < 500, "{forged}: {answer}");
            }
        }
        server
    })
    .await;
}

/// Calls of which MLflow raises some refusals without a code.
const REFUSED_AS_FAULTS: &[&str] = &["/model-versions/create", "/model-versions/transition-stage"];

fn abbreviate(body: &Value) -> String {
    body.to_string().chars().take(600).collect()
}
