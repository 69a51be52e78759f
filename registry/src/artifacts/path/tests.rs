use super::*;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

#[test]
fn good_paths_keep_their_spelling() {
    for (text, expected) in [
        ("", ""),
        ("a", "a"),
        ("path/", "path"),
        ("1/abc/artifacts/model/MLmodel", "1/abc/artifacts/model/MLmodel"),
        ("a%20b/c", "a b/c"),
        ("100%.txt", "100%.txt"),
        ("%E6%A8%A1%E5%9E%8B", "模型"),
        ("...", "..."),
        ("..a/b..", "..a/b.."),
        (".versions/ver-1/MLmodel", ".versions/ver-1/MLmodel"),
        ("a:b/c", "a:b/c"),
        ("a%17b.txt", "a%17b.txt"),
        ("images/dogs%25step%253%25timestamp%251795%25f0a.png", "images/dogs%step%3%timestamp%1795%f0a.png"),
        ("dogs%step%3%timestamp%1795%f0a%20b.png", "dogs%step%3%timestamp%1795%f0a%20b.png"),
    ] {
        assert_eq!(ArtifactPath::parse(text).unwrap().as_str(), expected, "{text}");
    }
}

#[test]
fn bad_paths_are_refused_however_often_they_are_encoded() {
    for text in [
        "../x",
        "a/../x",
        "./x",
        "a/.",
        "..",
        "/etc/passwd",
        "//etc/passwd",
        "a//b",
        "/",
        "C:\\x",
        "C:/x",
        "a/C:/x",
        "file:/etc",
        "file:///etc",
        "http://h/p",
        "\\\\h\\s",
        "a\\..\\b",
        "a#b",
        "a\0b",
        "a\nb",
        "a\u{7f}",
        "a%17/../x",
        "%17/%2e%2e/x",
        "%17%00",
        "%17%5c..",
        "%17%23",
        "a%17//b",
        "%17/C:/x",
    ] {
        let mut encoded = text.to_owned();
        for round in 0..4 {
            let parsed = ArtifactPath::parse(&encoded);
            assert!(matches!(parsed, Err(ArtifactError::UnsafePath)), "{text:?} {round}: {parsed:?}");
            encoded = utf8_percent_encode(&encoded, NON_ALPHANUMERIC).to_string();
        }
    }
    assert!(matches!(ArtifactPath::parse("%ff"), Err(ArtifactError::UnsafePath)));
    let endless = format!("%{}2e", "25".repeat(20));
    assert!(matches!(ArtifactPath::parse(&endless), Err(ArtifactError::UnsafePath)));
    assert!(matches!(ArtifactPath::parse_file(""), Err(ArtifactError::UnsafePath)));
}

#[test]
fn listed_directories_are_spelled_in_other_ways_too() {
    for (text, expected) in [
        ("", ""),
        (".", ""),
        ("./", ""),
        (".//.", ""),
        ("./model", "model"),
        ("a/./b/.", "a/b"),
        ("a//b//", "a/b"),
        ("%2e/a%2f%2fb", "a/b"),
        ("%252e", ""),
        ("...", "..."),
    ] {
        assert_eq!(ArtifactPath::parse_listed(text).unwrap().as_str(), expected, "{text}");
    }
    for text in
        ["/", "/.", "//etc", "..", "./..", "a/.//../b", ".//%2e%2e", "./C:/x", "./a\\b", "./a#b", "%17/./x"]
    {
        let parsed = ArtifactPath::parse_listed(text);
        assert!(matches!(parsed, Err(ArtifactError::UnsafePath)), "{text:?}: {parsed:?}");
    }
}

#[test]
fn uris() {
    for (uri, expected) in [
        ("mlflow-artifacts:/1/run/artifacts", Some("1/run/artifacts")),
        ("mlflow-artifacts:1/run", Some("1/run")),
        ("mlflow-artifacts://host:5000/1/run", Some("1/run")),
        ("mlflow-artifacts:/", Some("")),
        ("mlflow-artifacts:/.versions/ver-1", Some(".versions/ver-1")),
        ("mlflow-artifacts:/../x", None),
        ("mlflow-artifacts:////x", None),
        ("file:///etc", None),
        ("s3://bucket/x", None),
        ("/etc", None),
    ] {
        let path = ArtifactPath::of_uri(uri).ok();
        assert_eq!(path.as_ref().map(ArtifactPath::as_str), expected, "{uri}");
    }
}

#[test]
fn limits() {
    let long = |n: usize| vec!["abcdefghi"; n].join("/");
    for (text, ok) in [
        ("x".repeat(255), true),
        ("x".repeat(256), false),
        (vec!["x"; 64].join("/"), true),
        (vec!["x"; 65].join("/"), false),
        ([long(10), "y".repeat(200), "z".repeat(200)].join("/"), true),
        (vec!["y".repeat(250); 4].join("/"), false),
    ] {
        let parsed = ArtifactPath::parse(&text);
        assert_eq!(parsed.is_ok(), ok, "{parsed:?}");
    }
    let error = ArtifactPath::parse(&"x".repeat(1_001)).unwrap_err();
    assert_eq!(error.to_string(), "the path is 1001 bytes long, at most 1000 are taken");
}

#[test]
fn ancestors_and_frozen() {
    let path = ArtifactPath::parse("a/b/c").unwrap();
    assert_eq!(path.ancestors().collect::<Vec<_>>(), ["", "a", "a/b"]);
    assert_eq!((path.parent(), path.name()), (Some("a/b"), "c"));
    assert_eq!(ArtifactPath::root().ancestors().count(), 0);
    let frozen =
        |text| ArtifactPath::parse(text).unwrap().frozen().map(|(u, p)| (u.to_owned(), p.to_owned()));
    let pair = |u: &str, p: &str| Some((u.to_owned(), p.to_owned()));
    assert_eq!(frozen(".versions"), pair("", ""));
    assert_eq!(frozen(".versions/v"), pair("v", ""));
    assert_eq!(frozen(".versions/v/a/b"), pair("v", "a/b"));
    assert_eq!(frozen(".versionsx/v"), None);
    assert_eq!(frozen("a/.versions/v"), None);
}

proptest! {
    #[test]
    fn whatever_is_accepted_stays_inside(text in "[a./%2517e2c\\\\#: ~é]{0,24}") {
        if let Ok(path) = ArtifactPath::parse(&text) {
            let mut inside = std::path::PathBuf::from("/root");
            inside.extend(std::path::Path::new(path.as_str()).components());
            prop_assert!(inside.starts_with("/root"));
            prop_assert!(!path.as_str().split('/').any(|s| s == ".." || s == "."));
            let again = ArtifactPath::parse(path.as_str()).unwrap();
            prop_assert_eq!(&again, &path);
            prop_assert_eq!(ArtifactPath::parse_listed(&text).unwrap(), path);
        }
    }

    #[test]
    fn whatever_is_listed_stays_inside(text in "[a./%2517e2c\\\\#: ~é]{0,24}") {
        if let Ok(path) = ArtifactPath::parse_listed(&text) {
            prop_assert_eq!(ArtifactPath::parse(path.as_str()).unwrap(), path);
        }
    }

    #[test]
    fn encoding_does_not_matter(text in "[a-z]{1,8}(/[a-zA-Z0-9 ._é-]{1,8}x){0,5}") {
        let encoded = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
        let path = ArtifactPath::parse(&encoded).unwrap();
        prop_assert_eq!(path.as_str(), text);
    }
}
