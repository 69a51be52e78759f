//! A registered version, made as the registry makes it.

use std::{collections::BTreeMap, fs, path::Path};
use waybill_proof::{
    Digest, bundle,
    documents::{
        Document, ExperimentConfig, LockInputs, Lockfile, RegistrationSnapshot, Requirements, RunCompleted,
        RunSnapshot, SchemaVersion,
    },
    keys::FileKey,
    manifest::{Manifest, ModelFile, PROVENANCE_FILE, SIGNATURE_FILE},
    media_type, oms,
    statement::{BUILDER_CLIENT_REPORTED, LockfileResolution, Predicate, Provenance, Registration, RunEnd},
    verify::{Expected, VersionEvidence},
};

pub const FILES: [(&str, &str); 5] = [
    ("MLmodel", "flavors: {}"),
    ("requirements.txt", "numpy==1.26.4"),
    ("model.pkl", "weights"),
    ("sub.txt", "sorts before sub/tok.txt by code point"),
    ("sub/tok.txt", "nested"),
];

/// A version, its documents and its statements, each signed by `key`.
pub struct Version {
    pub manifest: Manifest,
    pub registration: Registration,
    pub evidence: VersionEvidence,
}

fn files(contents: &[(&str, &str)]) -> Vec<ModelFile> {
    let file = |(path, content): &(&str, &str)| ModelFile {
        path: (*path).to_owned(),
        digest: Digest::of(content.as_bytes()),
        size_bytes: content.len() as u64,
    };
    contents.iter().map(file).collect()
}

pub fn run() -> RunSnapshot {
    RunSnapshot {
        run_id: "r1".to_owned(),
        experiment_id: "1".to_owned(),
        experiment_name: None,
        run_name: None,
        user: Some("ada".to_owned()),
        status: "FINISHED".to_owned(),
        start_time_ms: 1_700_000_000_000,
        end_time_ms: Some(1_700_000_001_000),
        params: BTreeMap::new(),
        metrics: BTreeMap::new(),
        tags: BTreeMap::new(),
        datasets: Vec::new(),
    }
}

fn snapshot() -> RegistrationSnapshot {
    RegistrationSnapshot {
        schema_version: SchemaVersion,
        source: "runs:/r1/model".to_owned(),
        description: None,
        tags: BTreeMap::new(),
        registered_by: "ada".to_owned(),
        registered_at_ms: 1_700_000_000_500,
        run: Some(run()),
        logged_model: None,
    }
}

fn provenance(registration: &Registration, config: &ExperimentConfig) -> Vec<u8> {
    let provenance = Provenance {
        name: &registration.name,
        oms_root: registration.oms_root,
        manifest_digest: registration.manifest_digest,
        config: Some(config),
        experiment_config_digest: registration.experiment_config_digest,
        requirements_digest: registration.requirements_digest,
        lockfile_digest: None,
        run: Some(&run()),
        invocation_id: Some("urn:waybill:registry:00112233445566778899aabbccddeeff:run:r1"),
        registered_by: "ada",
        registered_at_ms: 1_700_000_000_500,
        imported: None,
        builder_id: BUILDER_CLIENT_REPORTED,
        builder_version: "0.1.0",
    };
    provenance.statement().unwrap()
}

pub fn version(key: &FileKey, name: &str, number: i64, contents: &[(&str, &str)]) -> Version {
    let manifest = Manifest::build(files(contents)).unwrap();
    let oms_root = oms::root(manifest.files());
    let requirements = BTreeMap::from([("requirements.txt".to_owned(), b"numpy==1.26.4".to_vec())]);
    let requirements = Requirements::from_files(&requirements).unwrap().unwrap();
    let tags = BTreeMap::from([("mlflow.source.git.commit".to_owned(), "c0ffee".to_owned())]);
    let config = ExperimentConfig::from_run(BTreeMap::new(), &tags, Vec::new());
    let snapshot = snapshot();
    let registration = Registration {
        uid: format!("uid-{name}-{number}"),
        name: name.to_owned(),
        version: number,
        custody: "frozen".to_owned(),
        manifest_digest: manifest.digest(),
        oms_root,
        requirements_digest: Some(requirements.digest().unwrap()),
        experiment_config_digest: Some(config.digest().unwrap()),
        registration_snapshot_digest: snapshot.digest().unwrap(),
        lockfile_digest: None,
        registered_at_ms: 1_700_000_000_500,
        imported: None,
    };
    let provenance = provenance(&registration, &config);
    let end = RunEnd {
        uid: registration.uid.clone(),
        name: name.to_owned(),
        version: number,
        manifest_digest: manifest.digest(),
        oms_root,
        completed: RunCompleted {
            schema_version: SchemaVersion,
            run: run(),
            observed_at_ms: 1_700_000_001_500,
        },
    };
    let sign = |statement: &[u8]| bundle::sign_statement(key, statement).unwrap();
    let referrers = [
        (media_type::OMS_SIGNATURE, sign(&oms::statement(name, manifest.files()).unwrap())),
        (media_type::REGISTRATION_STATEMENT, registration.sign(key).unwrap()),
        (media_type::PROVENANCE, sign(&provenance)),
        (media_type::RUN_COMPLETED, end.sign(key).unwrap()),
        (media_type::REQUIREMENTS, requirements.to_bytes().unwrap()),
        (media_type::EXPERIMENT_CONFIG, config.to_bytes().unwrap()),
        (media_type::REGISTRATION_SNAPSHOT, snapshot.to_bytes().unwrap()),
    ];
    let evidence = VersionEvidence {
        manifest: manifest.to_bytes(),
        referrers: referrers.into_iter().map(|(kind, bytes)| (kind.to_owned(), vec![bytes])).collect(),
        expected: Expected { name: name.to_owned(), version: number, uid: registration.uid.clone() },
    };
    Version { manifest, registration, evidence }
}

/// A lockfile for `version` and the statement of the deployer that resolved it.
pub fn lockfile(version: &Version, deployer: &FileKey) -> (Vec<u8>, Vec<u8>) {
    let inputs = LockInputs {
        requirements_digest: version.registration.requirements_digest.unwrap(),
        platform: "linux/amd64".to_owned(),
        python_version: "3.11.2".to_owned(),
        index_url: "https://pypi.org/simple".to_owned(),
        base: "sha256:00".to_owned(),
        cutoff_date: None,
    };
    let lockfile = Lockfile::new(inputs, &format!("numpy==1.26.4 --hash=sha256:{}", "0".repeat(64))).unwrap();
    let resolution = LockfileResolution {
        lockfile_digest: lockfile.digest().unwrap(),
        lock_key: lockfile.key(),
        requirements_digest: lockfile.inputs.requirements_digest,
        resolver: "uv 0.9.8".to_owned(),
        resolved_by: "embedded".to_owned(),
        wheels_only: true,
        resolved_at_ms: 1_700_000_002_000,
    };
    (lockfile.to_bytes().unwrap(), resolution.sign(deployer).unwrap())
}

/// Writes the version as a pull does: its files, signature and provenance.
pub fn pull(version: &Version, contents: &[(&str, &str)], directory: &Path) {
    for (path, content) in contents {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let referrer = |kind: &str| &version.evidence.referrers[kind][0];
    fs::write(directory.join(SIGNATURE_FILE), referrer(media_type::OMS_SIGNATURE)).unwrap();
    fs::write(directory.join(PROVENANCE_FILE), referrer(media_type::PROVENANCE)).unwrap();
}
