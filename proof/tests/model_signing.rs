//! The reference verifier of OpenSSF Model Signing (PyPI `model-signing` with `pyopenssl`) and
//! this crate agree about the same folder.
//!
//! `WAYBILL_TEST_PYTHON` names a Python that has both packages.

#[expect(dead_code, reason = "every test binary uses its own part of the fixture")]
mod common;

use common::{FILES, pull, version};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use waybill_proof::{
    keys::{FileKey, PublicKey, Signer, TrustedKeys},
    verify,
};

/// `None` where the reference verifier was not asked for; CI must always have it.
fn python() -> Option<PathBuf> {
    let python = env::var_os("WAYBILL_TEST_PYTHON").filter(|value| !value.is_empty()).map(PathBuf::from);
    if python.is_none() {
        waybill_tests::skip("WAYBILL_TEST_PYTHON is not set");
    }
    python
}

fn model_signing(python: &Path, arguments: &[&Path]) -> Output {
    Command::new(python).args(["-m", "model_signing"]).args(arguments).output().expect("the Python starts")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

struct Folder {
    directory: tempfile::TempDir,
    key: FileKey,
}

impl Folder {
    fn pulled() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = FileKey::generate().unwrap();
        fs::write(directory.path().join("public.pem"), key.public_key_pem()).unwrap();
        let folder = Self { directory, key };
        pull(&version(&folder.key, "iris", 1, &FILES), &FILES, &folder.model());
        folder
    }

    fn model(&self) -> PathBuf {
        self.directory.path().join("pulled")
    }

    fn reference(&self, python: &Path) -> Output {
        let (model, signature) = (self.model(), self.model().join("model.sig"));
        let public = self.directory.path().join("public.pem");
        let words = ["verify", "key", "--signature", "--public_key"].map(Path::new);
        model_signing(python, &[words[0], words[1], &model, words[2], &signature, words[3], &public])
    }

    fn ours(&self) -> verify::Report {
        verify::folder(&self.model(), &TrustedKeys::pinned([self.key.public_key().clone()]))
    }
}

#[test]
fn the_reference_verifier_accepts_a_pulled_folder() {
    let Some(python) = python() else { return };
    let folder = Folder::pulled();
    fs::write(folder.model().join("registered_model_meta"), "written by MLflow's client").unwrap();
    assert!(folder.ours().passed());
    let output = folder.reference(&python);
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn one_flipped_byte_makes_both_refuse_and_name_the_file() {
    let Some(python) = python() else { return };
    let folder = Folder::pulled();
    let path = folder.model().join("sub/tok.txt");
    let mut bytes = fs::read(&path).unwrap();
    bytes[0] ^= 1;
    fs::write(&path, bytes).unwrap();
    let report = folder.ours();
    assert!(report.check("files").unwrap().detail.contains("changed \"sub/tok.txt\""), "{report:?}");
    let output = folder.reference(&python);
    assert!(!output.status.success());
    assert!(text(&output).contains("sub/tok.txt"), "{}", text(&output));
}

#[test]
fn an_extra_file_makes_both_refuse_and_name_it() {
    let Some(python) = python() else { return };
    let folder = Folder::pulled();
    fs::write(folder.model().join("sub/extra.py"), "import os").unwrap();
    assert!(folder.ours().check("files").unwrap().detail.contains("extra \"sub/extra.py\""));
    let output = folder.reference(&python);
    assert!(!output.status.success());
    assert!(text(&output).contains("sub/extra.py"), "{}", text(&output));
}

#[test]
fn a_folder_signed_by_the_reference_tool_passes_here() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let model = directory.path().join("model");
    for (path, content) in FILES {
        let path = model.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let key = FileKey::load_or_generate(&directory.path().join("key.pem")).unwrap();
    let (signature, private) = (model.join("model.sig"), directory.path().join("key.pem"));
    let words = ["sign", "key", "--signature", "--private_key"].map(Path::new);
    let output =
        model_signing(&python, &[words[0], words[1], &model, words[2], &signature, words[3], &private]);
    assert!(output.status.success(), "{}", text(&output));
    let public = PublicKey::from_pem(key.public_key_pem()).unwrap();
    let trusted = TrustedKeys::pinned([public]);
    let report = verify::folder(&model, &trusted);
    assert!(report.passed(), "{report:#?}");
    fs::write(model.join("model.pkl"), "changed").unwrap();
    assert!(
        verify::folder(&model, &trusted).check("files").unwrap().detail.contains("changed \"model.pkl\"")
    );
}
