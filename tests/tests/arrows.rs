//! Holds the dependency arrows of ARCHITECTURE.md: between crates, and between the layers inside
//! the registry.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's root").to_owned()
}

/// The lines of all Rust files under `dir` that are code, with their file, test modules left out.
fn code_lines(dir: &str) -> Vec<(String, String)> {
    let base = root().join(dir);
    let mut lines = Vec::new();
    for entry in walkdir::WalkDir::new(&base) {
        let entry = entry.expect("a readable tree");
        if entry.path().extension().is_none_or(|e| e != "rs") {
            continue;
        }
        let name = entry.path().strip_prefix(root()).expect("below the root").display().to_string();
        let text = fs::read_to_string(entry.path()).expect("a readable file");
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for line in code.lines().filter(|l| !l.trim_start().starts_with("//")) {
            lines.push((name.clone(), line.to_owned()));
        }
    }
    assert!(!lines.is_empty(), "no code under {dir}: the test looks in the wrong place");
    lines
}

/// Fails with every line of `dir` that mentions one of `words` in a file that `may` does not allow.
fn only(dir: &str, words: &[&str], may: impl Fn(&str) -> bool) {
    let wrong: Vec<String> = code_lines(dir)
        .into_iter()
        .filter(|(file, line)| !may(file) && words.iter().any(|w| line.contains(w)))
        .map(|(file, line)| format!("{file}: {}", line.trim()))
        .collect();
    assert!(wrong.is_empty(), "{words:?} outside of their place:\n{}", wrong.join("\n"));
}

fn dependencies(crate_dir: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(crate_dir).join("Cargo.toml")).expect("a manifest");
    // Of any kind: for tests, for builds, for one target.
    let sections = text.split("\n[").filter(|section| {
        section.split(']').next().is_some_and(|name| name.trim_matches('[').ends_with("dependencies"))
    });
    sections
        .flat_map(str::lines)
        .filter_map(|l| l.split(['.', '=', ' ']).next())
        .filter(|name| name.starts_with("waybill"))
        // What tests of every crate share.
        .filter(|name| *name != "waybill-tests")
        .map(str::to_owned)
        .collect()
}

#[test]
fn crates_point_one_way() {
    for (crate_dir, allowed) in [
        ("proof", &[][..]),
        ("client", &["waybill-proof"]),
        ("registry", &["waybill-proof", "waybill-client"]),
        ("deployer", &["waybill-proof", "waybill-client"]),
        ("cli", &["waybill-proof", "waybill-client", "waybill-registry", "waybill-deployer"]),
    ] {
        for dependency in dependencies(crate_dir) {
            assert!(allowed.contains(&dependency.as_str()), "{crate_dir} may not depend on {dependency}");
        }
    }
}

#[test]
fn registry_takes_types_only_from_the_client() {
    let wrong: Vec<_> = code_lines("registry/src")
        .into_iter()
        .filter(|(_, line)| line.contains("waybill_client::") && !line.contains("waybill_client::api"))
        .collect();
    assert!(wrong.is_empty(), "the registry uses more of the client than its types: {wrong:?}");
}

#[test]
fn nothing_in_the_registry_imports_mlflow() {
    only("registry/src", &["crate::mlflow", "mlflow::"], |file| {
        file.starts_with("registry/src/mlflow/") || file.ends_with("src/service.rs")
    });
}

#[test]
fn only_routes_know_axum() {
    only("registry/src", &["axum::"], |file| {
        file.starts_with("registry/src/http/")
            || file.starts_with("registry/src/mlflow/")
            || file.starts_with("registry/src/access/")
            || file.contains("/routes")
            || file.ends_with("src/service.rs")
            || file.ends_with("src/native.rs")
    });
}

/// Routes call rules and rules call stores, never the other way round.
#[test]
fn nothing_calls_routes_but_who_mounts_them() {
    only("registry/src", &["::routes::", "routes::router", "super::routes"], |file| {
        file.starts_with("registry/src/mlflow/")
            || file.contains("/routes")
            || file.ends_with("src/service.rs")
            || file.ends_with("src/native.rs")
    });
}

/// The database and the search know no capability.
#[test]
fn lower_layers_know_nothing_of_higher_ones() {
    const CAPABILITIES: [&str; 12] = [
        "crate::access",
        "crate::artifacts",
        "crate::audit",
        "crate::deployments",
        "crate::imports",
        "crate::logged_models",
        "crate::models",
        "crate::promotion",
        "crate::provenance",
        "crate::runs",
        "crate::traces",
        "crate::webhooks",
    ];
    only("registry/src/db", &CAPABILITIES, |_| false);
    only("registry/src/search", &CAPABILITIES, |_| false);
}

/// The deployer reaches the registry through the client crate alone.
#[test]
fn the_deployer_speaks_to_the_registry_through_the_client() {
    only("deployer/src", &["reqwest", "sqlx", "waybill_registry"], |_| false);
}

#[test]
fn only_stores_know_sqlx() {
    only("registry/src", &["sqlx::"], |file| file.starts_with("registry/src/db/") || file.contains("/store"));
    only("registry/src", &["rusqlite"], |file| {
        ["registry/src/db/direct.rs", "registry/src/db/writer/direct.rs"].contains(&file)
    });
}

/// The command line reads an old server's database and bucket itself, in one place each.
#[test]
fn only_the_import_reads_others_stores() {
    only("cli/src", &["sqlx::"], |file| file.contains("commands/import/sql/"));
    only("cli/src", &["object_store::"], |file| file.contains("commands/import/"));
    only("cli/src", &["reqwest::"], |file| file.contains("commands/import/rest/"));
}

#[test]
fn engines_are_told_apart_in_db_only() {
    only("registry/src", &["Engine::Sqlite", "Engine::Postgres"], |file| {
        file.starts_with("registry/src/db/")
    });
}

#[test]
fn only_the_docker_engine_knows_bollard() {
    only("deployer/src", &["bollard::"], |file| file.contains("engine/docker"));
}
