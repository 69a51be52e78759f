//! The committed JSON Schemas are those that the types generate, and real documents pass them.

use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf};
use waybill_proof::{
    Digest,
    bundle::Statement,
    documents::{
        Dataset, Document, ExperimentConfig, LockInputs, Lockfile, LoggedModelSnapshot, MetricNumber,
        MetricValue, RegistrationSnapshot, Requirements, RunCompleted, RunSnapshot, SchemaVersion, schemas,
    },
    statement::{Imported, LockfileResolution, Predicate, Registration, RunEnd},
};

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../schemas")
}

#[test]
fn committed_schemas_are_current() {
    let generated: BTreeMap<String, String> = schemas()
        .into_iter()
        .map(|(name, schema)| {
            (name.to_owned(), format!("{}\n", serde_json::to_string_pretty(&schema).unwrap()))
        })
        .collect();
    if std::env::var_os("WAYBILL_REGENERATE").is_some() {
        std::fs::create_dir_all(directory()).unwrap();
        for (name, text) in &generated {
            std::fs::write(directory().join(name), text).unwrap();
        }
    }
    let committed: BTreeMap<String, String> = std::fs::read_dir(directory())
        .expect("schemas/ exists; write it with `WAYBILL_REGENERATE=1 cargo test -p waybill-proof --test schemas`")
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(path).unwrap())
        })
        .collect();
    for (name, text) in &generated {
        assert_eq!(
            committed.get(name),
            Some(text),
            "schemas/{name} is not what the types generate; run `WAYBILL_REGENERATE=1 cargo test -p waybill-proof --test schemas`"
        );
    }
    assert_eq!(committed.len(), generated.len(), "schemas/ holds a file that nothing generates");
}

fn validator(file: &str) -> jsonschema::Validator {
    let schema = schemas().into_iter().find(|(name, _)| *name == file).expect("a generated schema").1;
    jsonschema::meta::validate(&schema).expect("a valid JSON Schema");
    jsonschema::options().build(&schema).expect("a schema that compiles")
}

fn assert_valid(file: &str, document: &Value) {
    let validator = validator(file);
    let errors: Vec<String> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{file}: {errors:?}\n{document:#}");
    // A schema that accepts anything would prove nothing.
    let mut unknown = document.clone();
    unknown["no such field"] = json!(1);
    assert!(!validator.is_valid(&unknown), "{file} accepts unknown fields");
    let object = document.as_object().unwrap();
    for field in object.keys() {
        let mut wrong = document.clone();
        wrong[field] = json!([[null]]);
        assert!(!validator.is_valid(&wrong), "{file} accepts anything as {field}");
    }
}

fn stored<D: Document>(document: &D) -> Value {
    serde_json::from_slice(&document.to_bytes().unwrap()).unwrap()
}

fn predicate<P: Predicate>(predicate: &P) -> Value {
    let statement: Statement = serde_json::from_slice(&predicate.statement().unwrap()).unwrap();
    statement.predicate
}

fn text_map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn dataset() -> Dataset {
    Dataset {
        name: "iris".to_owned(),
        mlflow_digest: Some("f3ab".to_owned()),
        source_type: Some("local".to_owned()),
        source: Some("{\"uri\":\"file:///iris.csv\"}".to_owned()),
        context: Some("training".to_owned()),
        schema: Some("{}".to_owned()),
        profile: Some("{\"num_rows\":150}".to_owned()),
    }
}

fn metrics() -> BTreeMap<String, MetricValue> {
    let metric =
        |value| MetricValue { value: MetricNumber(value), step: -1, timestamp_ms: 1_700_000_000_000 };
    BTreeMap::from([("accuracy".to_owned(), metric(0.97)), ("loss".to_owned(), metric(f64::NAN))])
}

fn run() -> RunSnapshot {
    RunSnapshot {
        run_id: "0123456789abcdef0123456789abcdef".to_owned(),
        experiment_id: "1".to_owned(),
        experiment_name: Some("iris".to_owned()),
        run_name: Some("brave-owl-1".to_owned()),
        user: Some("ada".to_owned()),
        status: "FINISHED".to_owned(),
        start_time_ms: 1_700_000_000_000,
        end_time_ms: Some(1_700_000_001_000),
        params: text_map(&[("C", "1.0")]),
        metrics: metrics(),
        tags: text_map(&[("mlflow.user", "ada")]),
        datasets: vec![dataset()],
    }
}

fn requirements() -> Requirements {
    let text = "numpy[a]==1.0 ; os_name == 'posix'\nb==1 --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000\n-r x";
    let files = BTreeMap::from([
        ("requirements.txt".to_owned(), text.as_bytes().to_vec()),
        ("python_env.yaml".to_owned(), b"python: 3.11.2".to_vec()),
    ]);
    Requirements::from_files(&files).unwrap().unwrap()
}

fn lockfile() -> Lockfile {
    let inputs = LockInputs {
        requirements_digest: requirements().digest().unwrap(),
        platform: "linux/amd64".to_owned(),
        python_version: "3.11.2".to_owned(),
        index_url: "https://pypi.org/simple".to_owned(),
        base: "sha256:00".to_owned(),
        cutoff_date: None,
    };
    let hash = "0".repeat(64);
    Lockfile::new(inputs, &format!("a==1 --hash=sha256:{hash}")).unwrap()
}

#[test]
fn stored_documents_validate() {
    let tags = text_map(&[
        ("mlflow.source.name", "train.py"),
        ("mlflow.source.git.commit", "0123"),
        ("mlflow.docker.image.uri", "python:3.11"),
    ]);
    let mut config = ExperimentConfig::from_run(text_map(&[("C", "1.0")]), &tags, vec![dataset()]);
    config.extra.insert("note".to_owned(), json!({ "any": ["thing", 1] }));
    assert_valid(ExperimentConfig::FILE, &stored(&config));
    assert_valid(Requirements::FILE, &stored(&requirements()));
    assert_valid(Lockfile::FILE, &stored(&lockfile()));
    let snapshot = RegistrationSnapshot {
        schema_version: SchemaVersion,
        source: "models:/m-0123".to_owned(),
        description: Some("first".to_owned()),
        tags: text_map(&[("team", "flowers")]),
        registered_by: "local".to_owned(),
        registered_at_ms: 1_700_000_002_000,
        run: Some(run()),
        logged_model: Some(LoggedModelSnapshot {
            model_id: "m-0123".to_owned(),
            experiment_id: "1".to_owned(),
            name: "model".to_owned(),
            status: "READY".to_owned(),
            model_type: Some("classifier".to_owned()),
            source_run_id: Some(run().run_id),
            created_at_ms: 1_700_000_000_500,
            params: BTreeMap::new(),
            tags: BTreeMap::new(),
            metrics: metrics(),
        }),
    };
    assert_valid(RegistrationSnapshot::FILE, &stored(&snapshot));
    let completed =
        RunCompleted { schema_version: SchemaVersion, run: run(), observed_at_ms: 1_700_000_003_000 };
    assert_valid(RunCompleted::FILE, &stored(&completed));
}

#[test]
fn signed_predicates_validate() {
    let digest = Digest::of(b"x");
    let registration = Registration {
        uid: "0198".to_owned(),
        name: "iris".to_owned(),
        version: 1,
        custody: "frozen".to_owned(),
        manifest_digest: digest,
        oms_root: digest,
        requirements_digest: Some(digest),
        experiment_config_digest: Some(digest),
        registration_snapshot_digest: digest,
        lockfile_digest: Some(digest),
        registered_at_ms: 1,
        imported: Some(Imported {
            source: "http://old:5000".to_owned(),
            name: "iris".to_owned(),
            version: 1,
            created_by: Some("ada".to_owned()),
            created_at_ms: Some(0),
            imported_at_ms: 1,
            witnessed_training: false,
        }),
    };
    assert_valid("registration-predicate.json", &predicate(&registration));
    let end = RunEnd {
        uid: "0198".to_owned(),
        name: "iris".to_owned(),
        version: 1,
        manifest_digest: digest,
        oms_root: digest,
        completed: RunCompleted { schema_version: SchemaVersion, run: run(), observed_at_ms: 1 },
    };
    assert_valid("run-end-predicate.json", &predicate(&end));
    let lockfile = lockfile();
    let resolution = LockfileResolution {
        lockfile_digest: lockfile.digest().unwrap(),
        lock_key: lockfile.key(),
        requirements_digest: lockfile.inputs.requirements_digest,
        resolver: "uv 0.9.8".to_owned(),
        resolved_by: "deployer".to_owned(),
        wheels_only: true,
        resolved_at_ms: 1,
    };
    assert_valid("lockfile-resolution-predicate.json", &predicate(&resolution));
}
