use super::{Fault, FileFault, OmsError, parse, root, statement, verify_statement};
use crate::{Digest, manifest::tests::file};
use sha2::{Digest as _, Sha256};

#[test]
fn root_hashes_raw_digests_in_code_point_order() {
    // The specification's example: `sub.txt` stands before `sub/tok.txt` (`.` is U+002E, `/` U+002F).
    let files = [file("sub/tok.txt", "b"), file("sub.txt", "a"), file("über", "c")];
    let expected = Sha256::new()
        .chain_update(Digest::of(b"a").as_bytes())
        .chain_update(Digest::of(b"b").as_bytes())
        .chain_update(Digest::of(b"c").as_bytes());
    assert_eq!(root(&files), Digest::from_bytes(expected.finalize().into()));
}

#[test]
fn writes_the_specified_form() {
    let bytes = statement("iris", &[file("b", "2"), file("a", "1")]).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(json["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(json["predicateType"], "https://model_signing/signature/v1.0");
    assert_eq!(json["subject"][0]["name"], "iris");
    assert_eq!(json["predicate"]["serialization"]["method"], "files");
    assert_eq!(json["predicate"]["serialization"]["hash_type"], "sha256");
    assert_eq!(json["predicate"]["serialization"]["allow_symlinks"], false);
    assert_eq!(
        json["predicate"]["serialization"]["ignore_paths"],
        serde_json::json!([
            "model.sig",
            "provenance.sigstore.json",
            "registered_model_meta",
            ".git",
            ".gitattributes",
            ".github",
            ".gitignore"
        ])
    );
    assert_eq!(json["predicate"]["resources"][0]["name"], "a");
    assert_eq!(json["predicate"]["resources"][1]["digest"], Digest::of(b"2").hex());
}

#[test]
fn names_each_file_that_differs() {
    let signed = statement("m", &[file("a", "1"), file("b", "2"), file("c", "3")]).unwrap();
    assert!(verify_statement(&signed, &[file("c", "3"), file("a", "1"), file("b", "2")]).is_ok());
    let error = verify_statement(&signed, &[file("a", "1"), file("b", "other"), file("d", "4")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the files are not those that were signed: changed \"b\", missing \"c\", extra \"d\""
    );
    let OmsError::Files(faults) = error else { panic!("{error}") };
    let fault = |path: &str, fault| FileFault { path: path.to_owned(), fault };
    assert_eq!(faults, [fault("b", Fault::Changed), fault("c", Fault::Missing), fault("d", Fault::Extra)]);
}

#[test]
fn ignores_only_what_lies_at_an_ignored_path() {
    let statement = parse(&statement("m", &[file("a", "1")]).unwrap()).unwrap();
    for (path, ignored) in [
        (".git", true),
        (".git/config", true),
        (".github/x", true),
        ("model.sig", true),
        (".gitx", false),
        ("sub/.git", false),
        ("sub/model.sig", false),
        ("model.signature", false),
    ] {
        assert_eq!(statement.ignores(path), ignored, "{path}");
    }
}

#[test]
fn refuses_statements_of_another_kind() {
    let text = String::from_utf8(statement("m", &[file("a", "1"), file("b", "2")]).unwrap()).unwrap();
    for (from, to) in [
        ("Statement/v1", "Statement/v0.1"),
        ("model_signing/signature/v1.0", "model_signing/Digests/v0.1"),
        ("\"method\":\"files\"", "\"method\":\"shards\""),
        ("\"hash_type\":\"sha256\"", "\"hash_type\":\"blake2b\""),
        ("\"allow_symlinks\":false", "\"allow_symlinks\":true"),
        ("\"algorithm\":\"sha256\"", "\"algorithm\":\"blake3\""),
        ("\"name\":\"b\"", "\"name\":\"a\""),
        ("\"name\":\"b\"", "\"name\":\"../b\""),
        ("\"subject\":[", "\"subject\":[{\"name\":\"x\",\"digest\":{\"sha256\":\"00\"}},"),
        (&root(&[file("a", "1"), file("b", "2")]).hex(), &Digest::of(b"").hex()),
        ("{\"_type\"", "{\"x\":1,\"_type\""),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        assert!(parse(changed.as_bytes()).is_err(), "{to}");
    }
}
