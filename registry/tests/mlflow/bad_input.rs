//! Bodies, methods and paths that no client of ours sends.

use crate::support::each_server;
use axum::{
    body::Body,
    http::{Method, Request, header},
};
use insta::{allow_duplicates, assert_snapshot};
use serde_json::json;

#[tokio::test]
async fn bodies_that_are_no_message() {
    each_server(|server| async move {
        let run_id = server.run().await;
        let mut all = Vec::new();
        for body in [
            "{\"run_id\": ".to_owned(),
            "[1]".to_owned(),
            "\"text\"".to_owned(),
            String::new(),
            json!({"run_id": run_id, "key": ["k"], "value": "v"}).to_string(),
            json!({"run_id": run_id, "key": "k", "value": 7}).to_string(),
            json!({"run_id": run_id, "key": "k", "value": "a\0b"}).to_string(),
            "[".repeat(100_000),
        ] {
            let answer = server.send(Method::POST, "/runs/set-tag", Some(body)).await;
            assert_eq!(
                (answer.status, answer.text("/error_code").as_str()),
                (400, "INVALID_PARAMETER_VALUE")
            );
            all.push(answer.text("/message"));
        }
        let run = server.get(&format!("/runs/get?run_id={run_id}")).await;
        assert_eq!(run.body["run"]["data"]["tags"].as_array().unwrap().len(), 1);
        allow_duplicates! { assert_snapshot!(all.join("\n"), @r#"
        The request body is not valid JSON: EOF while parsing a value at line 1 column 11.
        The request body is a JSON list; an object is expected.
        The request body is a JSON string; an object is expected.
        Missing value for required parameter 'run_id'. See the API docs for more information about request parameters.
        Invalid value ["k"] for parameter 'key' supplied:  Hint: Value was of type 'list'. See the API docs for more information about request parameters.
        Invalid value 7 for parameter 'value' supplied:  Hint: Value was of type 'int'. See the API docs for more information about request parameters.
        The request contains the character U+0000, which no value may have.
        The request body is not valid JSON: recursion limit exceeded at line 1 column 128.
        "#) }
        server
    })
    .await;
}

#[tokio::test]
async fn bytes_that_are_not_utf8_and_bodies_that_are_too_large() {
    each_server(|server| async move {
        let post = |body: Vec<u8>| {
            let request = Request::post("/api/2.0/mlflow/runs/set-tag")
                .header(header::HOST, "127.0.0.1:5000")
                .header(header::CONTENT_TYPE, "application/json; charset=utf-8");
            server.send_raw(request.body(Body::from(body)).unwrap())
        };
        let broken = post(b"{\"run_id\": \"\xff\"}".to_vec()).await;
        let large = post(vec![b' '; (20 << 20) + 1]).await;
        let untyped = Request::post("/api/2.0/mlflow/runs/set-tag").header(header::HOST, "127.0.0.1:5000");
        let untyped = server.send_raw(untyped.body(Body::from("{}")).unwrap()).await;
        let form = Request::post("/api/2.0/mlflow/runs/set-tag")
            .header(header::HOST, "127.0.0.1:5000")
            .header(header::CONTENT_TYPE, "text/plain");
        let form = server.send_raw(form.body(Body::from("{}")).unwrap()).await;
        allow_duplicates! { assert_snapshot!(format!("{broken}\n{large}\n{untyped}\n{form}"), @r#"
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "The request body is not valid JSON: invalid unicode code point at line 1 column 13."
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "The request body is larger than 20971520 bytes."
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Bad Request. Content-Type header is missing."
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Bad Request. Content-Type must be one of ['application/json']."
        }
        "#) }
        server
    })
    .await;
}

#[tokio::test]
async fn what_is_not_offered_says_so() {
    each_server(|server| async move {
        let unknown = server.post("/gateway/secrets/create", &json!({})).await;
        let method = server.get("/runs/create").await;
        let ajax = server.get("/ajax-api/3.0/mlflow/jobs").await;
        let twin = server.get("/ajax-api/2.0/mlflow/experiments/get?experiment_id=0").await;
        assert_eq!(twin.status, 200);
        let info = server.get("/api/3.0/mlflow/server-info").await;
        let shown = format!("{unknown}\n{method}\n{ajax}").replace(env!("CARGO_PKG_VERSION"), "<version>");
        allow_duplicates! {
            assert_snapshot!(shown, @r#"
            404 {
              "error_code": "ENDPOINT_NOT_FOUND",
              "message": "The AI gateway is not part of Waybill."
            }
            405 {
              "error_code": "ENDPOINT_NOT_FOUND",
              "message": "GET /api/2.0/mlflow/runs/create is not offered by Waybill <version>."
            }
            404 {
              "error_code": "ENDPOINT_NOT_FOUND",
              "message": "Running jobs is not part of Waybill."
            }
            "#);
            assert_snapshot!(info, @r#"
            200 {
              "features_enabled": {
                "gateway": false
              },
              "multipart_downloads_enabled": false,
              "multipart_uploads_enabled": false,
              "presigned_upload_model_id_supported": false,
              "presigned_upload_run_id_supported": false,
              "store_type": "SqlStore",
              "trace_archival_enabled": false,
              "workspaces_enabled": false
            }
            "#);
        }
        server
    })
    .await;
}

#[tokio::test]
async fn filters_and_lists_without_end_are_refused() {
    each_server(|server| async move {
        let search = async |filter: String| {
            server.post("/runs/search", &json!({"experiment_ids": ["0"], "filter": filter})).await
        };
        for filter in [
            "a".repeat(1 << 20),
            "metrics.a > 1 AND ".repeat(300) + "metrics.a > 1",
            format!("run_id IN ({}'x')", "'x', ".repeat(6000)),
            format!("params.a LIKE '{}'", "%a".repeat(20_000)),
            "(".repeat(50_000),
            "`".repeat(49_999),
        ] {
            let answer = search(filter).await;
            assert_eq!(answer.status, 400);
            assert!(answer.text("/message").len() < 400, "{answer}");
        }
        let many = json!({"experiment_ids": vec!["0"; 20_000]});
        assert_eq!(server.post("/runs/search", &many).await.status, 400);
        let orders = json!({"experiment_ids": ["0"], "order_by": vec!["metrics.a"; 1000]});
        assert_eq!(server.post("/runs/search", &orders).await.status, 400);
        server
    })
    .await;
}
