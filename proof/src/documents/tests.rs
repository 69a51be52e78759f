use super::{Dataset, Dirty, Document, DocumentError, ExperimentConfig, MetricNumber, RunSnapshot};
use std::collections::BTreeMap;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_config_is_read_from_what_mlflow_logged() {
    let tags = map(&[
        ("mlflow.user", "ada"),
        ("mlflow.source.name", "/home/ada/train.py"),
        ("mlflow.source.type", "LOCAL"),
        ("mlflow.source.git.commit", "0123456789abcdef"),
        ("mlflow.source.git.repoURL", "https://ada:secret@git.example/iris.git"),
        ("mlflow.source.git.dirty", "True"),
        ("mlflow.project.entryPoint", "main"),
        ("team", "flowers"),
    ]);
    let dataset = |name: &str| Dataset {
        name: name.to_owned(),
        source: Some("{\"uri\": \"s3://k:p@b/iris.csv\"}".to_owned()),
        ..Dataset::default()
    };
    let config = ExperimentConfig::from_run(
        map(&[("C", "1.0"), ("db", "pg://u:secret@h/x")]),
        &tags,
        vec![dataset("b"), dataset("a"), dataset("b")],
    );
    let git = config.git.as_ref().unwrap();
    assert_eq!((git.commit.as_deref(), git.dirty), (Some("0123456789abcdef"), Dirty::True));
    assert_eq!(git.repository_url.as_deref(), Some("https://***@git.example/iris.git"));
    assert_eq!(config.source.as_ref().unwrap().entry_point.as_deref(), Some("main"));
    assert_eq!(config.datasets.iter().map(|dataset| dataset.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let text = String::from_utf8(config.to_bytes().unwrap()).unwrap();
    assert!(!text.contains("secret") && !text.contains("k:p") && !text.contains("flowers"), "{text}");
    assert!(text.contains("\"dirty\":\"true\"") && text.contains("\"schema_version\":1"), "{text}");
    let read = ExperimentConfig::parse(text.as_bytes()).unwrap();
    assert_eq!(read.params["db"], "pg://***@h/x");
    assert_eq!(read.to_bytes().unwrap(), text.as_bytes());

    let bare = ExperimentConfig::from_run(BTreeMap::new(), &BTreeMap::new(), Vec::new());
    assert_eq!(bare.to_bytes().unwrap(), b"{\"params\":{},\"schema_version\":1}");
}

#[test]
fn a_posted_config_is_checked() {
    for (text, part) in [
        ("{}", "schema_version"),
        ("{\"schema_version\":2}", "schema_version is 2; expected 1"),
        ("{\"schema_version\":1,\"parms\":{}}", "parms"),
        ("{\"schema_version\":1,\"params\":{\"a\":1}}", "string"),
        ("[", "EOF"),
    ] {
        let error = ExperimentConfig::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let free =
        ExperimentConfig::parse(b"{\"schema_version\":1,\"extra\":{\"seed\":[1,{\"a\":null}]}}").unwrap();
    assert_eq!(free.extra["seed"][1]["a"], serde_json::Value::Null);
    let unsafe_integer =
        ExperimentConfig::parse(b"{\"schema_version\":1,\"extra\":{\"seed\":9007199254740993}}").unwrap();
    assert!(matches!(unsafe_integer.to_bytes(), Err(DocumentError::Canonical(_))));
}

#[test]
fn metrics_keep_nan_and_infinities() {
    for (value, text) in [
        (f64::NAN, "\"NaN\""),
        (f64::INFINITY, "\"Infinity\""),
        (f64::NEG_INFINITY, "\"-Infinity\""),
        (0.5, "0.5"),
    ] {
        let written = serde_json::to_string(&MetricNumber(value)).unwrap();
        assert_eq!(written, text);
        let read: MetricNumber = serde_json::from_str(&written).unwrap();
        assert_eq!(read.0.to_bits(), value.to_bits());
    }
    assert!(serde_json::from_str::<MetricNumber>("\"nan\"").is_err());
    assert!(serde_json::from_str::<RunSnapshot>("{\"run_id\":\"r\"}").is_err());
}
