use super::{LayerKind, Manifest, ManifestError, ModelFile};
use crate::Digest;
use proptest::prelude::*;

pub(crate) fn file(path: &str, content: &str) -> ModelFile {
    ModelFile {
        path: path.to_owned(),
        digest: Digest::of(content.as_bytes()),
        size_bytes: content.len() as u64,
    }
}

#[test]
fn writes_the_model_pack_form() {
    let manifest =
        Manifest::build(vec![file("model.pkl", "weights"), file("MLmodel", "flavors: {}")]).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&manifest.to_bytes()).unwrap();
    assert_eq!(json["schemaVersion"], 2);
    assert_eq!(json["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(json["artifactType"], "application/vnd.cncf.model.manifest.v1+json");
    assert_eq!(json["config"]["mediaType"], "application/vnd.cncf.model.config.v1+json");
    assert_eq!(json["config"]["digest"], manifest.config_digest().to_string());
    assert_eq!(json["config"]["size"], manifest.config_bytes().len());
    assert_eq!(json["layers"][0]["annotations"]["org.cncf.model.filepath"], "MLmodel");
    assert_eq!(json["layers"][0]["mediaType"], "application/vnd.cncf.model.weight.config.v1.raw");
    assert_eq!(json["layers"][1]["mediaType"], "application/vnd.cncf.model.weight.v1.raw");
    assert_eq!(json["layers"][1]["size"], 7);

    let config: serde_json::Value = serde_json::from_slice(manifest.config_bytes()).unwrap();
    let diff_ids: Vec<String> = manifest.files().iter().map(|file| file.digest.to_string()).collect();
    let expected = serde_json::json!({
        "descriptor": {}, "config": {}, "modelfs": { "type": "layers", "diffIds": diff_ids },
    });
    assert_eq!(config, expected);
}

/// The digest is the identity that other systems store: a change of these bytes breaks them.
#[test]
fn keeps_its_digest() {
    let manifest = Manifest::build(vec![file("b/model.pkl", "weights"), file("MLmodel", "x")]).unwrap();
    assert_eq!(
        manifest.digest().to_string(),
        "sha256:bb6ce1f784277870470b7dd282b685bbe1e73cc89ac4c960bcfe89ee95959d50"
    );
    assert_eq!(manifest.size_bytes(), 8);
    assert_eq!(manifest.file("b/model.pkl"), Some(&manifest.files()[1]));
    assert_eq!(manifest.file("b"), None);
}

#[test]
fn leaves_out_what_mlflow_writes_on_download() {
    let with = Manifest::build(vec![file("a", "1"), file("registered_model_meta", "2")]).unwrap();
    assert_eq!(with, Manifest::build(vec![file("a", "1")]).unwrap());
    let nested = Manifest::build(vec![file("x/registered_model_meta", "2")]).unwrap();
    assert_eq!(nested.files().len(), 1);
}

#[test]
fn refuses_files_that_form_no_version() {
    let refuse =
        |paths: &[&str]| Manifest::build(paths.iter().map(|path| file(path, "x")).collect()).unwrap_err();
    assert!(matches!(refuse(&[]), ManifestError::Empty));
    assert!(matches!(refuse(&["registered_model_meta"]), ManifestError::Empty));
    assert!(matches!(refuse(&["../a"]), ManifestError::Path(_)));
    assert!(matches!(refuse(&["a", "a"]), ManifestError::Duplicate(path) if path == "a"));
    // `a!` sorts between `a` and `a/b`.
    assert!(matches!(refuse(&["a", "a!", "a/b/c"]), ManifestError::FileAndDirectory(path) if path == "a"));
    for reserved in ["model.sig", "provenance.sigstore.json", "model.sig/x", "registered_model_meta/x"] {
        let error = refuse(&["a", reserved]);
        assert!(matches!(&error, ManifestError::Reserved(_)), "{reserved}: {error}");
    }
    let big = ModelFile { size_bytes: u64::MAX, ..file("a", "1") };
    assert!(matches!(Manifest::build(vec![big]), Err(ManifestError::FileTooLarge { .. })));
}

#[test]
fn caps_the_count_where_other_registries_would_refuse() {
    let files =
        |count: usize| (0..count).map(|at| file(&format!("part-{at:06}.bin"), "x")).collect::<Vec<_>>();
    assert!(Manifest::build(files(15_000)).is_ok());
    let error = Manifest::build(files(25_000)).unwrap_err();
    assert!(matches!(error, ManifestError::TooManyFiles { files: 25_000, .. }), "{error}");
}

#[test]
fn reads_only_its_own_form() {
    let bytes = Manifest::build(vec![file("a", "1"), file("b", "2")]).unwrap().to_bytes();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert_eq!(Manifest::parse(&bytes).unwrap().files().len(), 2);
    for (from, to) in [
        ("{", "{ "),
        ("\"schemaVersion\":2", "\"schemaVersion\":3"),
        ("vnd.oci.image.manifest", "vnd.docker.distribution.manifest"),
        ("vnd.cncf.model.weight.v1.raw", "vnd.cncf.model.weight.v1.tar"),
        ("\"schemaVersion\":2", "\"annotations\":{},\"schemaVersion\":2"),
        ("\"schemaVersion\":2", "\"schemaVersion\":2,\"schemaVersion\":2"),
        ("sha256:", "sha256:0"),
        ("filepath\":\"a\"", "filepath\":\"c\""),
        ("filepath\":\"a\"", "filepath\":\"../a\""),
        ("filepath\":\"a\"", "filepath\":\"model.sig\""),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        assert!(Manifest::parse(changed.as_bytes()).is_err(), "{to}");
    }
}

#[test]
fn tells_kinds_by_name() {
    for (path, kind) in [
        ("model.pkl", LayerKind::Weight),
        ("model", LayerKind::Weight),
        ("data/model.safetensors", LayerKind::Weight),
        ("MLmodel", LayerKind::WeightConfig),
        ("conda.yaml", LayerKind::WeightConfig),
        ("requirements.txt", LayerKind::WeightConfig),
        ("tokenizer/config.JSON", LayerKind::WeightConfig),
        ("README.md", LayerKind::Doc),
        ("LICENSE", LayerKind::Doc),
        ("code/predict.py", LayerKind::Code),
        ("input_example.json", LayerKind::Dataset),
        ("data/train.csv", LayerKind::Dataset),
    ] {
        assert_eq!(LayerKind::of_path(path), kind, "{path}");
        assert_eq!(LayerKind::from_media_type(kind.media_type()), Some(kind));
    }
}

fn files() -> impl Strategy<Value = Vec<ModelFile>> {
    let path = "[a-zA-Zé]{1,6}(/[a-z.é]{1,4}x){0,2}";
    proptest::collection::btree_map(path, (any::<[u8; 32]>(), 0..(1_u64 << 53)), 1..12).prop_map(|files| {
        let file =
            |(path, (digest, size_bytes))| ModelFile { path, digest: Digest::from_bytes(digest), size_bytes };
        files.into_iter().map(file).collect()
    })
}

proptest! {
    #[test]
    fn survives_a_round_trip_in_any_order(files in files(), seed in any::<u64>()) {
        let mut shuffled = files.clone();
        shuffled.sort_by_key(|file| Digest::of(format!("{seed}{}", file.path).as_bytes()));
        match (Manifest::build(files), Manifest::build(shuffled)) {
            (Ok(manifest), Ok(other)) => {
                prop_assert_eq!(manifest.digest(), other.digest());
                let read = Manifest::parse(&manifest.to_bytes()).unwrap();
                prop_assert_eq!(read.files(), manifest.files());
                prop_assert_eq!(&read, &manifest);
                prop_assert!(read.files().is_sorted_by(|a, b| a.path < b.path));
            }
            // A path may be another's directory.
            (a, b) => prop_assert!(a.is_err() && b.is_err()),
        }
    }

    #[test]
    fn parsing_is_total(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Manifest::parse(&bytes).is_err());
    }

    #[test]
    fn a_damaged_manifest_is_refused_or_another(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let manifest = Manifest::build(vec![file("a", "1"), file("b/c", "2")]).unwrap();
        let mut bytes = manifest.to_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        if let Ok(read) = Manifest::parse(&bytes) {
            prop_assert_ne!(read.digest(), manifest.digest());
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }
}
