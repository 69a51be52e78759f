//! The binary as scripts see it: help, exit codes, what goes to which stream.

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

fn waybill(arguments: &[&str]) -> Output {
    command().args(arguments).output().unwrap()
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waybill"));
    for (name, _) in std::env::vars() {
        if name.starts_with("WAYBILL_") {
            command.env_remove(name);
        }
    }
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// An address where nobody listens.
fn nobody() -> String {
    format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

const COMMANDS: [&str; 21] = [
    "serve",
    "gateway",
    "models",
    "versions",
    "push",
    "pull",
    "verify",
    "promote",
    "rollback",
    "status",
    "history",
    "logs",
    "webhooks",
    "keys",
    "images",
    "backup",
    "restore",
    "openapi",
    "migrate",
    "completion",
    "--version",
];

#[test]
fn help_lists_every_command_and_the_exit_codes() {
    let help = waybill(&["--help"]);
    assert!(help.status.success());
    let text = stdout(&help);
    for name in COMMANDS {
        assert!(text.contains(name), "{name} is missing in:\n{text}");
    }
    for code in [
        "0  done",
        "1  failed",
        "2  the command line",
        "3  verification",
        "4  the server has nothing",
        "5  the server",
    ] {
        assert!(text.contains(code), "{code} is missing in:\n{text}");
    }
}

#[test]
fn every_command_shows_examples() {
    for name in COMMANDS.iter().filter(|name| !name.starts_with('-')) {
        shows_examples(&[name]);
    }
}

/// The command and those below it.
fn shows_examples(command: &[&str]) {
    let help = waybill(&[command, &["--help"]].concat());
    let (name, text) = (command.join(" "), stdout(&help));
    assert!(help.status.success(), "{name}");
    assert!(text.contains("Examples:") && text.contains(&format!("waybill {name}")), "{name}:\n{text}");
    let below = text.split("Commands:\n").nth(1).unwrap_or_default();
    let below = below.lines().take_while(|line| !line.is_empty());
    for name in below.filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let name = name.split_whitespace().next().unwrap();
        if name != "help" {
            shows_examples(&[command, &[name]].concat());
        }
    }
}

#[test]
fn a_folder_without_a_registry_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("typo");
    let (data, target) = (data.to_str().unwrap(), folder.path().join("backup"));
    for command in [&["keys", "create"][..], &["backup", target.to_str().unwrap()]] {
        let output = waybill(&[command, &["--data-dir", data]].concat());
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(stderr(&output).contains("typo/waybill.db does not exist"), "{}", stderr(&output));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{command:?} made something");
    }
}

#[test]
fn a_wrong_line_ends_with_2_and_says_what_is_wrong() {
    for (arguments, words) in [
        (&["frobnicate"][..], "frobnicate"),
        (&["promote", "iris", "--to", "staging"], "there is no \"@\""),
        (&["promote", "iris@1", "--to", "shelf"], "stage \"shelf\" is none of none, test, staging"),
        (&["promote", "iris@1"], "--to"),
        (&["rollback", "iris", "--env", "production", "--to-version", "0"], "0 is not in 1.."),
        (&["pull", "iris@sha256:12", "x"], "64 lower-case hex digits"),
        (&["verify", "/nonexistent/folder"], "neither a folder nor a reference"),
        (&["models", "--server", "localhost:5000"], "http://127.0.0.1:5000"),
        (&["serve", "--listen", "5000"], "--listen"),
        (&["serve", "--listen", "0.0.0.0:0"], "beyond loopback"),
        (&["serve", "--deployer", "--no-deployer"], "--no-deployer"),
        (&["gateway", "--listen", "0.0.0.0:0"], "beyond loopback"),
        (&["backup", "x", "--config"], "--config"),
        (&["completion", "tcsh"], "tcsh"),
    ] {
        let output = waybill(arguments);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(words), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_server_that_is_not_there_ends_with_5() {
    let server = nobody();
    for arguments in [
        &["models"][..],
        &["versions", "iris"],
        &["status"],
        &["history", "iris", "--env", "production"],
        &["logs", "iris", "--env", "production"],
        &["promote", "iris@1", "--to", "staging"],
        &["rollback", "iris", "--env", "production"],
        &["keys", "show"],
        &["verify", "iris@1"],
        &["pull", "iris@1", "x"],
    ] {
        let output = waybill(&[arguments, &["--server", &server]].concat());
        assert_eq!(output.status.code(), Some(5), "{arguments:?}");
        let text = stderr(&output);
        assert!(text.contains(&server) && text.contains("waybill serve"), "{arguments:?}: {text}");
    }
}

#[test]
fn errors_are_json_for_scripts() {
    let output = command().args(["models", "--json"]).env("WAYBILL_URL", nobody()).output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert!(output.stdout.is_empty());
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["exit_code"], 5);
    assert!(error["error"]["message"].as_str().unwrap().contains("cannot reach"));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let output = waybill(&["push", "/nonexistent/model", "iris", "--server", &nobody()]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("/nonexistent/model"));
}

#[test]
fn a_folder_without_a_signature_ends_with_3() {
    let dir = tempfile::tempdir().unwrap();
    let key = waybill_proof::keys::FileKey::generate().unwrap();
    let pem = dir.path().join("key.pub");
    std::fs::write(&pem, key.public_key().pem()).unwrap();
    let model = dir.path().join("model");
    std::fs::create_dir(&model).unwrap();
    std::fs::write(model.join("weights"), "1").unwrap();
    let verify = |more: &[&str]| {
        let arguments = ["verify", path(&model), "--key", path(&pem), "--server", "http://127.0.0.1:9"];
        waybill(&[&arguments[..], more].concat())
    };
    let output = verify(&[]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stdout(&output).contains("model.sig"), "{}", stdout(&output));
    let report: serde_json::Value = serde_json::from_slice(&verify(&["--json"]).stdout).unwrap();
    assert_eq!((&report["verified"], &report["trust"]), (&false.into(), &"pinned".into()));
    std::fs::write(&pem, "not a key").unwrap();
    assert_eq!(verify(&[]).status.code(), Some(2));
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_configuration_file_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("waybill.toml");
    std::fs::write(&file, "listen = \"127.0.0.1:0\"\ndata-dir = \"x\"\n").unwrap();
    let output = waybill(&["serve", "--config", path(&file)]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(
        text.contains("`data-dir`") && text.contains("waybill.toml") && text.contains("line 2"),
        "{text}"
    );
    let output = waybill(&["serve", "--config", "/nonexistent.toml"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("/nonexistent.toml"));
}

#[test]
fn a_backup_that_is_not_there_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let output = waybill(&["restore", "/nonexistent/backup", "--data-dir", path(&data)]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("/nonexistent/backup"));
    assert!(!data.exists());
}

#[test]
fn a_backup_comes_back_as_folder_and_as_archive() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let said = |arguments: &[&str]| stdout(&waybill(&[arguments, &["--data-dir", path(&data)]].concat()));
    assert!(said(&["migrate"]).contains("data/waybill.db is new, schema "));
    assert!(said(&["migrate"]).contains("data/waybill.db is up to date, schema "));
    let again: serde_json::Value = serde_json::from_str(&said(&["migrate", "--json"])).unwrap();
    assert_eq!(again["schema"], again["schema_before"]);
    for name in ["folder", "archive.tar"] {
        let saved = dir.path().join(name);
        let output = waybill(&["backup", path(&saved), "--data-dir", path(&data)]);
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        assert_eq!(saved.is_file(), name.ends_with("tar"));
        let other = dir.path().join(format!("{name}-data"));
        let output = waybill(&["restore", path(&saved), "--data-dir", path(&other), "--json"]);
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        assert!(serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["rows"].is_u64());
        assert!(other.join("waybill.db").exists());
    }
}

#[test]
fn the_api_is_described() {
    let output = waybill(&["openapi"]);
    assert!(output.status.success());
    let text = stdout(&output);
    assert!(text.starts_with("openapi: 3") && text.contains("/api/v1/models"), "{text}");
    let json: serde_json::Value = serde_json::from_slice(&waybill(&["openapi", "--json"]).stdout).unwrap();
    assert!(json["paths"]["/api/v1/models"].is_object());
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = waybill(&["completion", shell]);
        assert!(output.status.success(), "{shell}");
        assert!(stdout(&output).contains("rollback"), "{shell}");
    }
}

#[test]
fn a_reader_that_leaves_is_a_good_end() {
    let line = format!(
        "'{}' completion bash | head -c 1 >/dev/null; exit ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_waybill")
    );
    let output = Command::new("bash").args(["-c", &line]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_password_of_an_index_is_refused_in_its_url_and_taken_from_a_file() {
    let url = "https://user:s3cret@pypi.example/simple";
    for command in [&["serve"][..], &["images", "base"]] {
        let folder = tempfile::tempdir().unwrap();
        let run = |flags: &[&str]| {
            let mut command_line = command.to_vec();
            let data = folder.path().to_str().unwrap();
            if command[0] == "serve" {
                command_line.extend(["--data-dir", data, "--listen", "127.0.0.1:0"]);
                command_line.extend(["--gateway-listen", "127.0.0.1:0"]);
            }
            command_line.extend(flags);
            self::command().args(&command_line).env("DOCKER_HOST", "unix:///nonexistent").output().unwrap()
        };
        let refused = run(&["--index-url", url]);
        let said = stderr(&refused);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains("--netrc") && said.contains("without user and password"), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
        let missing = run(&["--netrc", "/nowhere/netrc"]);
        assert_eq!(missing.status.code(), Some(1));
        assert!(stderr(&missing).contains("/nowhere/netrc"), "{}", stderr(&missing));
    }
}
