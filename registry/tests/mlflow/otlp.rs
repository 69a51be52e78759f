//! `/v1/traces`: spans in JSON, what they make of their trace, and what is refused.

use crate::{
    support::{Answer, Server, each_server},
    traces::{V3, start},
};
use axum::{
    body::Body,
    http::{Request, header},
};
use insta::{allow_duplicates, assert_snapshot};
use serde_json::{Value, json};
use std::fmt::Write as _;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

async fn post(server: &Server, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let mut request = Request::post("/v1/traces").header(header::HOST, "127.0.0.1:5000");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    server.send_raw(request.body(Body::from(body)).unwrap()).await
}

async fn send(server: &Server, spans: Value) -> Answer {
    let resource = json!({"attributes": [
        {"key": "service.name", "value": {"stringValue": "shop"}},
        {"key": "telemetry.sdk.name", "value": {"stringValue": "x"}},
        {"key": "mlflow.trace.spansLocation", "value": {"stringValue": "x"}},
    ]});
    let body = json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]});
    let headers = [("content-type", "application/json"), ("x-mlflow-experiment-id", "0")];
    post(server, &headers, body.to_string().into_bytes()).await
}

fn span(id: &str, parent: &str, from_ms: i64, to_ms: i64, attributes: &Value) -> Value {
    let list: Vec<Value> = attributes
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}))
        .collect();
    json!({
        "traceId": TRACE, "spanId": id, "parentSpanId": parent, "name": format!("s {id}"),
        "startTimeUnixNano": (from_ms * 1_000_000).to_string(), "endTimeUnixNano": (to_ms * 1_000_000).to_string(),
        "attributes": list, "status": {"code": 1},
    })
}

#[tokio::test]
async fn spans_make_a_trace_in_any_order() {
    each_server(|server| async move {
        let usage = json!({"mlflow.chat.tokenUsage": "{\"input_tokens\": 1, \"output_tokens\": 2, \"total_tokens\": 3}"});
        let child = span("00000000000000b2", "00000000000000a1", 1200, 1500, &usage);
        assert_eq!(send(&server, json!([child])).await.status, 200);
        let open = server.get(&format!("{V3}/tr-{TRACE}")).await;
        assert_eq!(open.text("/trace/trace_info/state"), "IN_PROGRESS");
        let root = span("00000000000000a1", "", 1000, 2000, &json!({
            "mlflow.spanInputs": "{\"q\": 1}", "session.id": "s1", "mlflow.traceTag.team": "blue",
            "mlflow.traceTag.mlflow.traceName": "order",
        }));
        // The second time it replaces the first.
        assert_eq!(send(&server, json!([root, root])).await.status, 200);
        assert_eq!(send(&server, json!([child])).await.status, 200);
        let whole = server.get(&format!("{V3}/get?trace_id=tr-{TRACE}")).await;
        let file = server.get(&format!("/ajax-api/2.0/mlflow/get-trace-artifact?request_id=tr-{TRACE}")).await;
        allow_duplicates! {
            assert_snapshot!(serde_json::to_string_pretty(&whole.body["trace"]["trace_info"]).unwrap(), @r#"
            {
              "execution_duration": "1s",
              "request_preview": "{\"q\": 1}",
              "request_time": "1970-01-01T00:00:01Z",
              "state": "OK",
              "tags": {
                "mlflow.artifactLocation": "mlflow-artifacts:/0/traces/tr-0af7651916cd43dd8448eb211c80319c/artifacts",
                "mlflow.trace.spansLocation": "TRACKING_STORE",
                "mlflow.traceName": "order",
                "service.name": "shop",
                "team": "blue"
              },
              "trace_id": "tr-0af7651916cd43dd8448eb211c80319c",
              "trace_location": {
                "mlflow_experiment": {
                  "experiment_id": "0"
                },
                "type": "MLFLOW_EXPERIMENT"
              },
              "trace_metadata": {
                "mlflow.trace.session": "s1",
                "mlflow.trace.tokenUsage": "{\"input_tokens\": 1, \"output_tokens\": 2, \"total_tokens\": 3}"
              }
            }
            "#);
            assert_snapshot!(serde_json::to_string_pretty(&whole.body["trace"]["spans"][1]).unwrap(), @r#"
            {
              "attributes": [
                {
                  "key": "mlflow.chat.tokenUsage",
                  "value": {
                    "kvlist_value": {
                      "values": [
                        {
                          "key": "input_tokens",
                          "value": {
                            "int_value": 1
                          }
                        },
                        {
                          "key": "output_tokens",
                          "value": {
                            "int_value": 2
                          }
                        },
                        {
                          "key": "total_tokens",
                          "value": {
                            "int_value": 3
                          }
                        }
                      ]
                    }
                  }
                },
                {
                  "key": "mlflow.traceRequestId",
                  "value": {
                    "string_value": "tr-0af7651916cd43dd8448eb211c80319c"
                  }
                }
              ],
              "end_time_unix_nano": 1500000000,
              "name": "s 00000000000000b2",
              "parent_span_id": "AAAAAAAAAKE=",
              "span_id": "AAAAAAAAALI=",
              "start_time_unix_nano": 1200000000,
              "status": {
                "code": "STATUS_CODE_OK"
              },
              "trace_id": "CvdlGRbNQ92ESOshHIAxnA=="
            }
            "#);
            assert_snapshot!(serde_json::to_string_pretty(&file.body["spans"][0]).unwrap(), @r#"
            {
              "attributes": {
                "mlflow.spanInputs": "{\"q\": 1}",
                "mlflow.traceRequestId": "\"tr-0af7651916cd43dd8448eb211c80319c\"",
                "mlflow.traceTag.mlflow.traceName": "\"order\"",
                "mlflow.traceTag.team": "\"blue\"",
                "session.id": "\"s1\""
              },
              "end_time_unix_nano": 2000000000,
              "events": [],
              "links": [],
              "name": "s 00000000000000a1",
              "parent_span_id": null,
              "span_id": "AAAAAAAAAKE=",
              "start_time_unix_nano": 1000000000,
              "status": {
                "code": "STATUS_CODE_OK",
                "message": ""
              },
              "trace_id": "CvdlGRbNQ92ESOshHIAxnA=="
            }
            "#);
        }
        server
    })
    .await;
}

#[tokio::test]
async fn a_summary_has_the_last_word() {
    each_server(|server| async move {
        send(&server, json!([span("00000000000000a1", "", 1000, 2000, &json!({}))])).await;
        let fields = json!({"request_time": "1970-01-01T00:00:05Z", "execution_duration": "0.5s"});
        assert_eq!(start(&server, &format!("tr-{TRACE}"), fields).await.status, 200);
        send(&server, json!([span("00000000000000b2", "00000000000000a1", 500, 9000, &json!({}))])).await;
        let info = server.get(&format!("{V3}/tr-{TRACE}")).await;
        assert_eq!(info.text("/trace/trace_info/request_time"), "1970-01-01T00:00:05Z");
        assert_eq!(info.text("/trace/trace_info/execution_duration"), "0.500s");
        server
    })
    .await;
}

#[tokio::test]
async fn spans_and_summary_may_arrive_at_once() {
    each_server(|server| async move {
        for i in 0..10 {
            let trace = format!("{i:032x}");
            let of = |mut span: Value| {
                span["traceId"] = json!(trace);
                json!([span])
            };
            let child = of(span("00000000000000b2", "00000000000000a1", 1200, 1500, &json!({})));
            let root = of(span("00000000000000a1", "", 1000, 2000, &json!({})));
            let summary = json!({"request_time": "1970-01-01T00:00:05Z", "tags": {"team": "blue"}});
            let id = format!("tr-{trace}");
            let (first, second, third) =
                tokio::join!(send(&server, child), send(&server, root), start(&server, &id, summary));
            assert_eq!([first.status, second.status, third.status], [200; 3]);
            let whole = server.get(&format!("{V3}/get?trace_id={id}")).await;
            assert_eq!(whole.body["trace"]["spans"].as_array().unwrap().len(), 2);
            assert_eq!(whole.text("/trace/trace_info/request_time"), "1970-01-01T00:00:05Z");
            assert_eq!(whole.text("/trace/trace_info/tags/team"), "blue");
        }
        server
    })
    .await;
}

#[tokio::test]
async fn a_trace_that_announces_more_spans_is_not_complete() {
    each_server(|server| async move {
        send(&server, json!([span("00000000000000a1", "", 1000, 2000, &json!({}))])).await;
        let stats = json!({"trace_metadata": {"mlflow.trace.sizeStats": "{\"num_spans\": 2}"}});
        start(&server, &format!("tr-{TRACE}"), stats).await;
        let ids = format!("{V3}/batchGet?trace_ids=tr-{TRACE}");
        assert_eq!(server.get(&ids).await.body, json!({}));
        let partial = server.get(&format!("{V3}/get?trace_id=tr-{TRACE}&allow_partial=true")).await;
        assert_eq!(partial.body["trace"]["spans"].as_array().unwrap().len(), 1);
        send(&server, json!([span("00000000000000b2", "00000000000000a1", 1000, 2000, &json!({}))])).await;
        assert_eq!(server.get(&ids).await.body["traces"].as_array().unwrap().len(), 1);
        server
    })
    .await;
}

#[tokio::test]
async fn payloads_that_are_refused() {
    const JSON: (&str, &str) = ("content-type", "application/json");
    const PROTO: (&str, &str) = ("content-type", "application/x-protobuf");
    const HERE: (&str, &str) = ("x-mlflow-experiment-id", "0");
    each_server(|server| async move {
        let one = |id: &str| {
            json!({"resourceSpans": [{"scopeSpans": [{"spans": [
            {"traceId": id, "spanId": "01", "name": "n"}]}]}]})
            .to_string()
            .into_bytes()
        };
        let mut answers = String::new();
        for (headers, body) in [
            (vec![JSON], one("01")),
            (vec![HERE], one("01")),
            (vec![HERE, ("content-type", "text/plain")], one("01")),
            (vec![HERE, JSON, ("content-encoding", "br")], one("01")),
            (vec![HERE, JSON, ("content-encoding", "gzip")], one("01")),
            (vec![HERE, JSON, ("content-encoding", "deflate")], one("01")),
            (vec![HERE, JSON], b"{".to_vec()),
            (vec![HERE, JSON], b"{}".to_vec()),
            (vec![HERE, PROTO], Vec::new()),
            (vec![HERE, PROTO], vec![0x0a, 0xff, 0xff]),
            (vec![HERE, PROTO], b"\x0a\x04\x12\x02\x12\x00".to_vec()),
            (vec![HERE, JSON], one("")),
            (vec![HERE, JSON], one("zz")),
            (vec![HERE, JSON], one(&"00".repeat(17))),
            (vec![("x-mlflow-experiment-id", "x"), JSON], one("01")),
            (vec![("x-mlflow-experiment-id", "987654"), JSON], one("01")),
            (vec![HERE, JSON], vec![b' '; (20 << 20) + 1]),
            (vec![HERE, JSON], "[".repeat(100_000).into_bytes()),
        ] {
            let answer = post(&server, &headers, body).await;
            let body = answer.body.to_string();
            writeln!(answers, "{} {body}", answer.status).unwrap();
        }
        let found = server
            .post(
                &format!("{V3}/search"),
                &json!({
            "locations": [{"mlflow_experiment": {"experiment_id": "0"}}]}),
            )
            .await;
        assert_eq!(found.body, json!({}));
        allow_duplicates! { assert_snapshot!(answers, @r#"
        422 {"detail":[{"input":null,"loc":["header","x-mlflow-experiment-id"],"msg":"Field required","type":"missing"}]}
        400 {"detail":"Invalid Content-Type: None. Expected: application/x-protobuf or application/json"}
        400 {"detail":"Invalid Content-Type: text/plain. Expected: application/x-protobuf or application/json"}
        400 {"detail":"Unsupported Content-Encoding: br"}
        400 {"detail":"Failed to decompress gzip payload"}
        400 {"detail":"Failed to decompress deflate payload"}
        400 {"detail":"Invalid OpenTelemetry format"}
        400 {"detail":"Invalid OpenTelemetry format - no spans found"}
        400 {"detail":"Invalid OpenTelemetry format - no spans found"}
        400 {"detail":"Invalid OpenTelemetry format"}
        422 {"detail":"Cannot convert OpenTelemetry span to MLflow span"}
        422 {"detail":"Cannot convert OpenTelemetry span to MLflow span"}
        400 {"detail":"Invalid OpenTelemetry format"}
        422 {"detail":"Cannot convert OpenTelemetry span to MLflow span"}
        400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Invalid experiment ID 'x'. Experiment ID must be a valid integer."}
        404 {"error_code":"RESOURCE_DOES_NOT_EXIST","message":"No Experiment with id=987654 exists"}
        413 {"detail":"The payload is larger than 20971520 bytes"}
        400 {"detail":"Invalid OpenTelemetry format"}
        "#) }
        server
    })
    .await;
}
