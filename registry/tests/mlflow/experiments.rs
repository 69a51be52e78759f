use crate::support::each_server;
use insta::allow_duplicates;
use insta::assert_snapshot;
use serde_json::json;

#[tokio::test]
async fn an_experiment_from_creation_to_restore() {
    each_server(|server| async move {
        let created = server
            .post("/experiments/create", &json!({"name": "iris", "tags": [{"key": "team", "value": "a"}]}))
            .await;
        let renamed =
            server.post("/experiments/update", &json!({"experiment_id": "1", "new_name": "iris 2"})).await;
        let tagged = server
            .post("/experiments/set-experiment-tag", &json!({"experiment_id": "1", "key": "b", "value": "2"}))
            .await;
        let untagged = server
            .post("/experiments/delete-experiment-tag", &json!({"experiment_id": "1", "key": "team"}))
            .await;
        let got = server.get("/experiments/get?experiment_id=1").await;
        let named = server.get("/experiments/get-by-name?experiment_name=iris+2").await;
        assert_eq!(got.body, named.body);
        let deleted = server.post("/experiments/delete", &json!({"experiment_id": "1"})).await;
        let gone = server.get("/experiments/get?experiment_id=1").await;
        assert_eq!(gone.text("/experiment/lifecycle_stage"), "deleted");
        let restored = server.post("/experiments/restore", &json!({"experiment_id": "1"})).await;
        allow_duplicates! {
            assert_snapshot!(created, @r#"
            200 {
              "experiment_id": "1"
            }
            "#);
            assert_snapshot!(got, @r#"
            200 {
              "experiment": {
                "artifact_location": "mlflow-artifacts:/1",
                "creation_time": <now>,
                "experiment_id": "1",
                "last_update_time": <now>,
                "lifecycle_stage": "active",
                "name": "iris 2",
                "tags": [
                  {
                    "key": "b",
                    "value": "2"
                  }
                ]
              }
            }
            "#);
        }
        for empty in [renamed, tagged, untagged, deleted, restored] {
            assert_eq!(empty.to_string(), "200 {}");
        }
        server
    })
    .await;
}

#[tokio::test]
async fn the_default_experiment_is_there() {
    each_server(|server| async move {
        let default = server.get("/experiments/get-by-name?experiment_name=Default").await;
        allow_duplicates! { assert_snapshot!(default, @r#"
        200 {
          "experiment": {
            "artifact_location": "mlflow-artifacts:/0",
            "creation_time": <now>,
            "experiment_id": "0",
            "last_update_time": <now>,
            "lifecycle_stage": "active",
            "name": "Default"
          }
        }
        "#) }
        server
    })
    .await;
}

#[tokio::test]
async fn deleting_an_experiment_deletes_its_runs() {
    each_server(|server| async move {
        let run_id = server.run().await;
        let stage = |answer: crate::support::Answer| answer.text("/run/info/lifecycle_stage");
        server.post("/experiments/delete", &json!({"experiment_id": "0"})).await;
        assert_eq!(stage(server.get(&format!("/runs/get?run_id={run_id}")).await), "deleted");
        let refused = server.post("/runs/create", &json!({"experiment_id": "0"})).await;
        server.post("/experiments/restore", &json!({"experiment_id": "0"})).await;
        assert_eq!(stage(server.get(&format!("/runs/get?run_id={run_id}")).await), "active");
        allow_duplicates! { assert_snapshot!(refused, @r#"
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "The experiment 0 must be in the 'active' state. Current state is deleted."
        }
        "#) }
        server
    })
    .await;
}

#[tokio::test]
async fn refusals() {
    each_server(|server| async move {
        let create = async |body| server.post("/experiments/create", &body).await.to_string();
        let taken = create(json!({"name": "Default"})).await;
        let unnamed = create(json!({})).await;
        let long = create(json!({"name": "x".repeat(501)})).await;
        let http = create(json!({"name": "a", "artifact_location": "http://h/a?/../../etc"})).await;
        let fragment = create(json!({"name": "a", "artifact_location": "s3://b/p#/../x"})).await;
        let scheme = create(json!({"name": "a", "artifact_location": "http://169.254.169.254/"})).await;
        let tag = create(json!({"name": "a", "tags": [{"key": "../x", "value": "1"}]})).await;
        let missing = server.get("/experiments/get?experiment_id=99").await.to_string();
        let not_a_number = server.get("/experiments/get?experiment_id=abc").await.to_string();
        let unknown_name = server.get("/experiments/get-by-name?experiment_name=no").await.to_string();
        let no_tag = server
            .post("/experiments/delete-experiment-tag", &json!({"experiment_id": "0", "key": "k"}))
            .await
            .to_string();
        let not_deleted =
            server.post("/experiments/restore", &json!({"experiment_id": "0"})).await.to_string();
        server.post("/experiments/delete", &json!({"experiment_id": "0"})).await;
        let rename = json!({"experiment_id": "0", "new_name": "x"});
        let rename_deleted = server.post("/experiments/update", &rename).await.to_string();
        let tag = [tag, rename_deleted];
        let all = [
            taken,
            unnamed,
            long,
            http,
            fragment,
            scheme,
            missing,
            not_a_number,
            unknown_name,
            no_tag,
            not_deleted,
        ];
        allow_duplicates! { assert_snapshot!(all.into_iter().chain(tag).collect::<Vec<_>>().join("\n"), @r#"
        400 {
          "error_code": "RESOURCE_ALREADY_EXISTS",
          "message": "Experiment(name=Default) already exists."
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Missing value for required parameter 'name'. See the API docs for more information about request parameters."
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "'name' exceeds the maximum length of 500 characters"
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Invalid query string"
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "'artifact_location' URL can't include fragments or params."
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Invalid artifact location 'http://169.254.169.254/': scheme 'http' is not one of mlflow-artifacts, file, s3, r2, b2, gs, wasb, wasbs, abfs, abfss, hdfs, viewfs, dbfs, ftp, sftp."
        }
        404 {
          "error_code": "RESOURCE_DOES_NOT_EXIST",
          "message": "No Experiment with id=99 exists"
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Invalid experiment ID 'abc'. Experiment ID must be a valid integer."
        }
        404 {
          "error_code": "RESOURCE_DOES_NOT_EXIST",
          "message": "Could not find experiment with name 'no'"
        }
        404 {
          "error_code": "RESOURCE_DOES_NOT_EXIST",
          "message": "No tag with name: k in experiment with id 0"
        }
        404 {
          "error_code": "RESOURCE_DOES_NOT_EXIST",
          "message": "No Experiment with id=0 exists"
        }
        400 {
          "error_code": "INVALID_PARAMETER_VALUE",
          "message": "Invalid value \"../x\" for parameter 'key' supplied: Names may be treated as files in certain cases, and must not resolve to other names when treated as such. This name would resolve to '../x'"
        }
        409 {
          "error_code": "INVALID_STATE",
          "message": "Cannot rename a non-active experiment."
        }
        "#) }
        server
    })
    .await;
}
