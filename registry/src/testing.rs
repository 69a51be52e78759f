//! A whole registry in a temporary folder, for tests of rules and routes.

use crate::{
    Config, Registry,
    app::App,
    artifacts::{ArtifactPath, Body as ArtifactBody, Expected},
    audit::Cause,
    db::testing::each_engine,
    models::{Content, Registering, Version, register},
    webhooks,
};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use std::{collections::BTreeMap, convert::Infallible, future::Future, sync::Arc};
use tower::ServiceExt as _;
use waybill_proof::{
    keys::{PublicKey, TrustedKeys},
    media_type,
    verify::{Expected as ExpectedVersion, Report, VersionEvidence, version as verify_version},
};

/// An open registry; its folder goes with it.
pub struct TestRegistry {
    pub registry: Registry,
    folder: Arc<tempfile::TempDir>,
}

/// Runs `test` on a fresh registry, once per database engine.
pub async fn each_registry<F, Fut>(test: F)
where
    F: Fn(TestRegistry) -> Fut,
    Fut: Future<Output = ()>,
{
    each_engine(|url| async { test(TestRegistry::open(url).await).await }).await;
}

impl TestRegistry {
    pub async fn open(database_url: String) -> Self {
        Self::open_with(database_url, webhooks::Settings::default()).await
    }

    pub async fn open_with(database_url: String, webhooks: webhooks::Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            data_dir: folder.path().to_owned(),
            database_url: Some(database_url),
            artifacts_url: None,
            default_artifact_root: None,
            listen: ([127, 0, 0, 1], 5000).into(),
            allowed_hosts: Vec::new(),
            deployer_mode: "off".to_owned(),
            gateway_url: None,
            mlflow_ui: crate::ui::Source::Off,
            webhooks,
        };
        Self { registry: Registry::open(config).await.unwrap(), folder: Arc::new(folder) }
    }

    /// Another server on the same data, as a replica or the next start is; `change` sets it up.
    pub async fn again(&self, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = self.app().config.clone();
        change(&mut config);
        Self { registry: Registry::open(config).await.unwrap(), folder: Arc::clone(&self.folder) }
    }

    pub fn app(&self) -> &App {
        self.registry.app()
    }

    /// Stores artifacts as a client would, by path.
    pub async fn put(&self, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = ArtifactPath::parse_file(path).unwrap();
            let bytes = text.as_bytes().to_vec();
            let mut body = ArtifactBody::new(futures::stream::iter([Ok::<_, Infallible>(bytes.into())]));
            self.app().content.put_file(&path, &mut body, Expected::default()).await.unwrap();
        }
    }

    /// Registers the artifacts below `directory` as the next version of `name`.
    pub async fn freeze(&self, name: &str, directory: &str) -> Version {
        let asked = Registering {
            name: name.to_owned(),
            from: Content::Source(format!("mlflow-artifacts:/{directory}")),
            make_model: true,
            ..Registering::default()
        };
        register(self.app(), cause(), asked).await.unwrap()
    }

    /// A frozen version of its own content.
    pub async fn frozen(&self, name: &str, text: &str) -> Version {
        let directory = format!("{name}/{text}");
        self.put(&[
            (&format!("{directory}/MLmodel"), text),
            (&format!("{directory}/requirements.txt"), "a==1\n"),
        ])
        .await;
        self.freeze(name, &directory).await
    }

    /// A version whose files are elsewhere.
    pub async fn pointer(&self, name: &str) -> Version {
        let asked = Registering {
            name: name.to_owned(),
            from: Content::Source("s3://elsewhere/model".to_owned()),
            make_model: true,
            ..Registering::default()
        };
        register(self.app(), cause(), asked).await.unwrap()
    }

    /// What anybody gets who verifies `expected` with what the registry hands out for `uid`.
    pub async fn verify(&self, uid: &str, expected: &Version) -> Report {
        let app = self.app();
        let (_, manifest) = crate::provenance::manifest(app, uid).await.unwrap();
        let mut referrers: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for referrer in crate::provenance::referrers(app, uid).await.unwrap() {
            let bytes = match crate::provenance::inline_document(app, &referrer.digest).await.unwrap() {
                Some(text) => text.into_bytes(),
                None => app.content.read_bytes(&referrer.digest, referrer.size_bytes).await.unwrap().to_vec(),
            };
            referrers.entry(referrer.artifact_type).or_default().push(bytes);
        }
        assert!(referrers.contains_key(media_type::REGISTRATION_STATEMENT));
        let evidence = VersionEvidence {
            manifest: manifest.to_vec(),
            referrers,
            expected: ExpectedVersion {
                name: expected.name.clone(),
                version: expected.version,
                uid: expected.uid.clone(),
            },
        };
        let key = PublicKey::from_pem(app.signer.public_key_pem()).unwrap();
        verify_version(&evidence, &TrustedKeys::pinned([key]))
    }

    /// One call over HTTP; the body is `null` where the answer has none.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.call_with(method, path, body, &[]).await
    }

    pub async fn call_with(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path).header("host", "127.0.0.1:5000");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body: Full<Bytes> = body.map_or_else(Full::default, |body| body.to_string().into());
        let request = request.header("content-type", "application/json").body(body).unwrap();
        let response = self.registry.router().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}

/// Who the tests are.
pub fn cause() -> Cause {
    Cause { at_ms: 1_700_000_000_000, actor: "local:test".to_owned(), reason: None, request_id: None }
}
