use super::{Completeness, Requirements, RequirementsError};
use crate::documents::Document;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn read(files: &[(&str, &str)]) -> Result<Option<Requirements>, RequirementsError> {
    let files: BTreeMap<String, Vec<u8>> =
        files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
    Requirements::from_files(&files)
}

fn good(files: &[(&str, &str)]) -> Requirements {
    read(files).unwrap().unwrap()
}

fn lines(requirements: &Requirements) -> Vec<String> {
    requirements.to_resolver_input().unwrap().lines().map(str::to_owned).collect()
}

const UV_LOCK: &str = include_str!("../../../tests/data/uv.lock");
const PYLOCK: &str = include_str!("../../../tests/data/pylock.toml");
const UV_EXPORT: &str = include_str!("../../../tests/data/uv-export.txt");
/// As MLflow 3.17.2 writes them beside a scikit-learn model.
const CONDA: &str = "channels:\n- conda-forge\ndependencies:\n- python=3.11.2\n- pip<=23.0.1\n- pip:\n  - mlflow==3.17.2\n  - scikit-learn==1.9.0\nname: mlflow-env\n";
const PYTHON_ENV: &str = "python: 3.11.2\nbuild_dependencies:\n- pip==23.0.1\n- setuptools==66.1.1\n- wheel\ndependencies:\n- -r requirements.txt\n";

#[test]
fn takes_what_mlflow_logs() {
    let found = good(&[
        ("requirements.txt", "mlflow==3.17.2\ncloudpickle==3.1.2\nscikit-learn==1.9.0"),
        ("conda.yaml", CONDA),
        ("python_env.yaml", PYTHON_ENV),
    ]);
    assert_eq!(found.source, "requirements.txt");
    assert_eq!(found.completeness, Completeness::Direct);
    assert_eq!(found.python_version.as_deref(), Some("3.11.2"));
    assert_eq!(lines(&found), ["cloudpickle==3.1.2", "mlflow==3.17.2", "scikit-learn==1.9.0"]);
}

#[test]
fn reads_conda_and_python_env_alone() {
    let found = good(&[("conda.yaml", CONDA)]);
    assert_eq!((found.source.as_str(), found.python_version.as_deref()), ("conda.yaml", Some("3.11.2")));
    assert_eq!(lines(&found), ["mlflow==3.17.2", "scikit-learn==1.9.0"]);

    let found = good(&[("python_env.yaml", "python: 3.10\ndependencies: [numpy>=1]")]);
    assert_eq!(found.python_version.as_deref(), Some("3.10"), "an unquoted 3.10 is no number");
    assert_eq!(found.completeness, Completeness::Open);

    let found = good(&[("conda.yaml", "dependencies: [python>=3.9, numpy=1.26, {pip: [-r x.txt, a==1]}]")]);
    assert_eq!(found.requires_python.as_deref(), Some(">=3.9"));
    assert_eq!(found.completeness, Completeness::Open);
    let error = found.to_resolver_input().unwrap_err().to_string();
    assert!(error.contains("conda.yaml line 2, \"numpy=1.26\": it comes from a conda channel"), "{error}");
    assert_eq!(found.unusable.len(), 2);
}

#[test]
fn reads_a_real_uv_lock_like_uv_itself() {
    let found =
        good(&[("uv.lock", UV_LOCK), ("requirements.txt", "ignored==1"), (".python-version", "3.11.7\n")]);
    assert_eq!(found.source, "uv.lock");
    assert_eq!(found.completeness, Completeness::Hashed);
    assert_eq!(found.python_version.as_deref(), Some("3.11.7"));
    assert_eq!(found.requires_python.as_deref(), Some(">=3.10"));
    let exported = good(&[("requirements.txt", UV_EXPORT)]);
    let bare = |requirements: &Requirements| {
        requirements
            .packages
            .iter()
            .map(|package| format!("{}{}", package.name, package.specifier))
            .collect::<Vec<_>>()
    };
    assert_eq!(bare(&found), bare(&exported));
    for (package, expected) in found.packages.iter().zip(&exported.packages) {
        assert!(!package.hashes.is_empty());
        // The same condition may be written with redundant parts, never wider or narrower.
        assert_eq!(package.marker.is_some(), expected.marker.is_some(), "{package} against {expected}");
    }
    let marker =
        |name: &str| found.packages.iter().find(|package| package.name == name).unwrap().marker.as_deref();
    assert_eq!(marker("colorama"), Some("sys_platform == \"win32\""));
    assert_eq!(marker("click"), None);
}

#[test]
fn reads_a_real_pylock() {
    let found = good(&[("pylock.toml", PYLOCK), ("requirements.txt", "ignored==1")]);
    assert_eq!((found.source.as_str(), found.completeness), ("pylock.toml", Completeness::Hashed));
    let exported = good(&[("requirements.txt", UV_EXPORT)]);
    let without_hashes: Vec<_> =
        found.packages.into_iter().map(|package| super::Package { hashes: Vec::new(), ..package }).collect();
    assert_eq!(without_hashes, exported.packages);
}

#[test]
fn uv_lock_conditions_join_over_every_way() {
    let lock = |edges: &str| {
        format!(
            "version = 1\n[[package]]\nname = \"app\"\nsource = {{ virtual = \".\" }}\ndependencies = [{edges}]\n\
             [[package]]\nname = \"a\"\nversion = \"1\"\nsource = {{ registry = \"https://h\" }}\n\
             dependencies = [{{ name = \"c\", marker = \"os_name == 'nt'\" }}]\n\
             [package.optional-dependencies]\nmore = [{{ name = \"b\" }}]\n\
             [[package]]\nname = \"b\"\nversion = \"1\"\nsource = {{ registry = \"https://h\" }}\n\
             dependencies = [{{ name = \"c\" }}, {{ name = \"a\" }}]\n\
             [[package]]\nname = \"c\"\nversion = \"1\"\nsource = {{ registry = \"https://h\" }}\n\
             [[package]]\nname = \"dev-only\"\nversion = \"1\"\nsource = {{ registry = \"https://h\" }}\n"
        )
    };
    for (edges, expected) in [
        ("{ name = \"a\" }", vec!["a==1", "c==1 ; os_name == \"nt\""]),
        ("{ name = \"a\" }, { name = \"b\" }", vec!["a==1", "b==1", "c==1"]),
        (
            "{ name = \"a\", marker = \"extra == 'x' or os_name == 'posix'\" }",
            vec![
                "a==1 ; extra == \"x\" or os_name == \"posix\"",
                "c==1 ; os_name == \"nt\" and (extra == \"x\" or os_name == \"posix\")",
            ],
        ),
        (
            "{ name = \"a\", extra = [\"more\"], marker = \"os_name == 'java'\" }",
            vec!["a==1 ; os_name == \"java\"", "b==1 ; os_name == \"java\"", "c==1 ; os_name == \"java\""],
        ),
    ] {
        let found = good(&[("uv.lock", &lock(edges))]);
        assert_eq!(lines(&found), expected);
        assert_eq!(found.completeness, Completeness::Pinned);
        found.validate().unwrap();
    }
}

#[test]
fn sources_outside_an_index_are_named() {
    let lock = "version = 1\n[[package]]\nname = \"app\"\nsource = { editable = \".\" }\ndependencies = [{ name = \"a\" }]\n\
                [[package]]\nname = \"a\"\nversion = \"1\"\nsource = { git = \"https://user:secret@h/a\" }\n";
    let found = good(&[("uv.lock", lock)]);
    assert_eq!(found.completeness, Completeness::Open);
    assert!(found.unusable[0].to_string().contains("\"a==1\": it does not come from a package index"));

    let pylock = "lock-version = \"1.0\"\n[[packages]]\nname = \"a\"\nversion = \"1\"\n[packages.vcs]\ntype = \"git\"\n";
    assert_eq!(good(&[("pylock.toml", pylock)]).unusable.len(), 1);

    let found =
        good(&[("requirements.txt", "--index-url https://user:secret@h/simple\na @ git+https://tok@h/a\n")]);
    assert_eq!(found.unusable.len(), 2);
    let text = serde_json::to_string(&found).unwrap();
    assert!(!text.contains("secret") && !text.contains("tok@"), "{text}");
}

#[test]
fn completeness_is_what_the_lines_decide() {
    let hash = format!("--hash=sha256:{}", "ab".repeat(32));
    for (text, expected) in [
        (String::new(), Completeness::Direct),
        ("a==1\nb===2".to_owned(), Completeness::Direct),
        (format!("a==1 {hash}\nb==2 \\\n  {hash}"), Completeness::Hashed),
        (format!("a==1 {hash}\nb==2"), Completeness::Direct),
        ("a==1.*".to_owned(), Completeness::Open),
        ("a".to_owned(), Completeness::Open),
        ("a==1\n-r other.txt".to_owned(), Completeness::Open),
    ] {
        assert_eq!(good(&[("requirements.txt", &text)]).completeness, expected, "{text}");
    }
    assert!(Completeness::Hashed > Completeness::Pinned && Completeness::Direct > Completeness::Open);
}

#[test]
fn the_python_version_holds_nothing_else() {
    for (text, version, range) in [
        ("3.11.2", Some("3.11.2"), None),
        ("3.11", Some("3.11"), None),
        (">=3.10,<4", None, Some(">=3.10,<4")),
        ("3.11.*", None, Some("3.11.*")),
        ("$(id)", None, None),
        ("3.11; id", None, None),
        ("--index-url=x", None, None),
    ] {
        let found = good(&[("python_env.yaml", &format!("python: '{text}'"))]);
        assert_eq!(
            (found.python_version.as_deref(), found.requires_python.as_deref()),
            (version, range),
            "{text}"
        );
        let smuggled = Requirements { python_version: Some("3.11 -x".to_owned()), ..found.clone() };
        assert!(smuggled.to_bytes().is_err());
        let smuggled = Requirements { requires_python: Some("$(id)".to_owned()), ..found };
        assert!(smuggled.to_bytes().is_err());
    }
}

#[test]
fn damaged_files_are_named() {
    for (name, text) in [
        ("uv.lock", "version = 2"),
        ("uv.lock", "= ="),
        ("uv.lock", "version = 1\n[[package]]\nname = \"a\"\nsource = { registry = \"x\" }"),
        ("pylock.toml", "lock-version = \"2.0\""),
        ("pylock.toml", "x"),
        ("conda.yaml", "dependencies: {"),
        ("conda.yaml", "dependencies: [!!python/object/apply:os.system [id]]"),
        ("python_env.yaml", "- a"),
    ] {
        let error = read(&[(name, text)]).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{name} is damaged: ")), "{error}");
    }
    let not_text = BTreeMap::from([("requirements.txt".to_owned(), vec![0xff])]);
    let error = Requirements::from_files(&not_text).unwrap_err().to_string();
    assert_eq!(error, "requirements.txt is not UTF-8 text");
    assert_eq!(read(&[("MLmodel", "x")]).unwrap(), None);
}

#[test]
fn equal_requirements_have_equal_digests() {
    let a = good(&[("requirements.txt", "B_b==1 # x\n\nA [ y,x ]==2;os_name=='nt'\n")]);
    let b = good(&[("requirements.txt", "a[x,y] == 2 ; os_name == \"nt\"\nb-b==1\nb.b==1")]);
    assert_eq!(a.digest().unwrap(), b.digest().unwrap());
    assert_eq!(Requirements::parse(&a.to_bytes().unwrap()).unwrap(), b);
}

#[test]
fn a_stored_document_cannot_smuggle_a_line() {
    let good = good(&[("requirements.txt", "a==1")]);
    for specifier in ["==1\n--index-url https://h", "==1 --hash=x", "; id", "==1 ", " @ https://h"] {
        let mut bad = good.clone();
        bad.packages[0].specifier = specifier.to_owned();
        assert!(bad.to_bytes().is_err(), "{specifier:?}");
        assert!(Requirements::parse(&serde_json::to_vec(&bad).unwrap()).is_err(), "{specifier:?}");
    }
}

proptest! {
    #[test]
    fn reading_is_total(name in prop::sample::select(&Requirements::FILE_NAMES[..]), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Requirements::from_files(&BTreeMap::from([(name.to_owned(), bytes)]));
    }

    #[test]
    fn damaged_locks_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), uv in any::<bool>()) {
        let (name, text) = if uv { ("uv.lock", UV_LOCK) } else { ("pylock.toml", PYLOCK) };
        let mut bytes = text.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(Some(found)) = Requirements::from_files(&BTreeMap::from([(name.to_owned(), bytes)])) {
            prop_assert!(found.validate().is_ok());
        }
    }
}
