//! Which change tells what, and that no change tells without having happened.

use super::{create_model, done, each_delivering, mlflow, receivers::Receiver, settings, subscribe};
use crate::webhooks::EventType;
use serde_json::{Value, json};

/// The newest requests' entity, action and data, by name: receivers may get them in any order.
async fn told(receiver: &Receiver, count: usize) -> Vec<(String, Value)> {
    let mut told: Vec<(String, Value)> = receiver
        .wait(count)
        .await
        .iter()
        .map(|seen| {
            let body = seen.json();
            let text = |key: &str| body[key].as_str().unwrap().to_owned();
            (format!("{}.{}", text("entity"), text("action")), body["data"].clone())
        })
        .collect();
    told.sort_by_key(|(name, data)| (name.clone(), data.to_string()));
    assert_eq!(told.len(), count, "{told:#?}");
    told
}

fn event(name: &str, data: Value) -> (String, Value) {
    (name.to_owned(), data)
}

#[tokio::test]
async fn changes_of_models_are_told() {
    each_delivering(settings(), |registry| async move {
        let receiver = Receiver::good().await;
        let all: Vec<String> = EventType::all().map(|kind| kind.to_string()).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        subscribe(&registry, &receiver, &all).await;
        let model = json!({"name": "iris", "description": "flowers", "tags": [{"key": "a", "value": "b"}]});
        done(&registry, "POST", "registered-models/create", model).await;
        let version = json!({"name": "iris", "source": "s3://b/m", "run_id": "r1", "description": "first",
            "tags": [{"key": "c", "value": "d"}]});
        done(&registry, "POST", "model-versions/create", version).await;
        let tag = json!({"name": "iris", "version": "1", "key": "k", "value": "v"});
        done(&registry, "POST", "model-versions/set-tag", tag.clone()).await;
        done(&registry, "DELETE", "model-versions/delete-tag", tag).await;
        let alias = json!({"name": "iris", "alias": "champion", "version": "1"});
        done(&registry, "POST", "registered-models/alias", alias.clone()).await;
        done(&registry, "DELETE", "registered-models/alias", alias.clone()).await;
        // None of these is an event: what did not change, and a model's own tags.
        done(&registry, "DELETE", "registered-models/alias", alias).await;
        done(&registry, "POST", "registered-models/set-tag", json!({"name": "iris", "key": "k"})).await;
        done(&registry, "DELETE", "registered-models/delete-tag", json!({"name": "iris", "key": "k"})).await;
        let name = "iris";
        assert_eq!(
            told(&receiver, 6).await,
            [
                event(
                    "model_version.created",
                    json!({"name": name, "version": "1", "source": "s3://b/m",
                    "run_id": "r1", "tags": {"c": "d"}, "description": "first"})
                ),
                event(
                    "model_version_alias.created",
                    json!({"name": name, "alias": "champion", "version": "1"})
                ),
                event("model_version_alias.deleted", json!({"name": name, "alias": "champion"})),
                event("model_version_tag.deleted", json!({"name": name, "version": "1", "key": "k"})),
                event(
                    "model_version_tag.set",
                    json!({"name": name, "version": "1", "key": "k", "value": "v"})
                ),
                event(
                    "registered_model.created",
                    json!({"name": name, "tags": {"a": "b"},
                    "description": "flowers"})
                ),
            ]
        );
        registry
    })
    .await;
}

#[tokio::test]
async fn changes_of_prompts_are_told() {
    each_delivering(settings(), |registry| async move {
        let receiver = Receiver::good().await;
        let all: Vec<String> = EventType::all().map(|kind| kind.to_string()).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        subscribe(&registry, &receiver, &all).await;
        let prompt = [
            json!({"key": "mlflow.prompt.is_prompt", "value": "True"}),
            json!({"key": "_mlflow_prompt_type", "value": "text"}),
            json!({"key": "mlflow.prompt.text", "value": "Hello {{name}}"}),
            json!({"key": "lang", "value": "en"}),
        ];
        let name = "greeting";
        let tags = json!([prompt[0], prompt[1], prompt[3]]);
        done(&registry, "POST", "registered-models/create", json!({"name": name, "tags": tags})).await;
        let version = json!({"name": name, "source": "dummy-source", "tags": prompt});
        done(&registry, "POST", "model-versions/create", version).await;
        let tag = json!({"name": name, "version": "1", "key": "k", "value": "v"});
        for path in ["model-versions", "registered-models"] {
            done(&registry, "POST", &format!("{path}/set-tag"), tag.clone()).await;
            done(&registry, "DELETE", &format!("{path}/delete-tag"), tag.clone()).await;
        }
        let alias = json!({"name": name, "alias": "live", "version": "1"});
        done(&registry, "POST", "registered-models/alias", alias.clone()).await;
        done(&registry, "DELETE", "registered-models/alias", alias).await;
        assert_eq!(
            told(&receiver, 8).await,
            [
                event("prompt.created", json!({"name": name, "tags": {"lang": "en"}, "description": ""})),
                event("prompt_alias.created", json!({"name": name, "alias": "live", "version": "1"})),
                event("prompt_alias.deleted", json!({"name": name, "alias": "live"})),
                event("prompt_tag.deleted", json!({"name": name, "key": "k"})),
                event("prompt_tag.set", json!({"name": name, "key": "k", "value": "v"})),
                event(
                    "prompt_version.created",
                    json!({"name": name, "version": "1",
                    "template": "Hello {{name}}", "tags": {"lang": "en"}, "description": null})
                ),
                event("prompt_version_tag.deleted", json!({"name": name, "version": "1", "key": "k"})),
                event(
                    "prompt_version_tag.set",
                    json!({"name": name, "version": "1", "key": "k", "value": "v"})
                ),
            ]
        );
        registry
    })
    .await;
}

#[tokio::test]
async fn the_native_api_tells_too_and_only_those_who_asked() {
    each_delivering(settings(), |registry| async move {
        let (models, versions, off) =
            (Receiver::good().await, Receiver::good().await, Receiver::good().await);
        subscribe(&registry, &models, &["registered_model.created"]).await;
        subscribe(&registry, &versions, &["model_version.created"]).await;
        super::subscribe_with(&registry, &off, &["model_version.created"], json!({"status": "DISABLED"}))
            .await;
        registry.frozen("iris", "x").await;
        registry.frozen("iris", "y").await;
        let told_of = told(&versions, 2).await;
        assert_eq!(told_of[0].1["source"], "mlflow-artifacts:/iris/x");
        assert_eq!(told(&models, 1).await[0].1["name"], "iris");
        assert!(off.seen().is_empty());
        registry
    })
    .await;
}

#[tokio::test]
async fn what_did_not_happen_is_not_told() {
    each_delivering(settings(), |registry| async move {
        let receiver = Receiver::good().await;
        let events = ["registered_model.created", "model_version.created", "model_version_alias.created"];
        let id = subscribe(&registry, &receiver, &events).await;
        create_model(&registry, "iris").await;
        for (path, body) in [
            ("registered-models/create", json!({"name": "iris"})),
            ("model-versions/create", json!({"name": "nobody", "source": "s3://b/m"})),
            ("registered-models/alias", json!({"name": "iris", "alias": "a", "version": "9"})),
        ] {
            assert_ne!(mlflow(&registry, "POST", path, body).await.0, 200);
        }
        let history = super::settled(&registry, &id, 1, super::DeliveryState::Delivered).await;
        assert_eq!(history[0]["event"], "registered_model.created");
        assert_eq!(receiver.seen().len(), 1);
        registry
    })
    .await;
}
