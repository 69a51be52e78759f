//! Commands that fetch packages with a password. It goes through standard input into the memory of
//! the container: no image, no layer, no build argument and no record of the engine ever holds it.

use super::proxies;
use crate::engine::{ContainerSpec, Limits, Tmpfs};
use bytes::Bytes;
use serde::Serialize;
use std::{collections::BTreeMap, fs, io, path::Path};

/// Where packages come from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Index<'a> {
    /// Instead of PyPI; without a password, for it stands in lockfiles and in the engine's records.
    pub url: Option<&'a str>,
    /// File in netrc format with the user and password of the index's host.
    pub netrc: Option<&'a Path>,
}

/// Runs commands one after the other until one fails, with its exit code. The first line of
/// standard input says which, the rest is the input of each.
const RUNNER: &str = "\
import json, os, subprocess, sys
order = json.loads(sys.stdin.buffer.readline())
rest = sys.stdin.buffer.read()
path = '/tmp/netrc'
with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), 'w') as file:
    file.write(order['netrc'])
environment = {**os.environ, **order['environment'], 'NETRC': path}
for command in order['commands']:
    code = subprocess.run(command, env=environment, input=rest).returncode
    if code:
        sys.exit(code)
";

#[derive(Serialize)]
struct Order<'a> {
    netrc: &'a str,
    environment: &'a BTreeMap<String, String>,
    commands: &'a [Vec<String>],
}

/// What the container runs.
pub(super) fn command() -> Vec<String> {
    ["python3", "-c", RUNNER].map(str::to_owned).into()
}

/// What it reads: the commands with the password file and their own input.
pub(super) fn stdin(
    netrc: &Path,
    environment: &BTreeMap<String, String>,
    commands: &[Vec<String>],
    input: &[u8],
) -> io::Result<Bytes> {
    let netrc = fs::read_to_string(netrc)
        .map_err(|e| io::Error::new(e.kind(), format!("netrc file {}: {e}", netrc.display())))?;
    let order = Order { netrc: &netrc, environment, commands };
    let mut text = serde_json::to_vec(&order)?;
    text.push(b'\n');
    text.extend_from_slice(input);
    Ok(text.into())
}

/// Variables of a command that fetches packages.
pub(super) fn environment(index: Index<'_>) -> BTreeMap<String, String> {
    let mut environment: BTreeMap<String, String> = proxies().collect();
    if let Some(url) = index.url {
        environment.insert("UV_DEFAULT_INDEX".to_owned(), url.to_owned());
    }
    environment
}

/// A container that fetches packages; it is removed when it has.
pub(super) fn container(purpose: &str, image: &str, labels: BTreeMap<String, String>) -> ContainerSpec {
    ContainerSpec {
        name: format!("waybill-{purpose}-{}", uuid::Uuid::new_v4().simple()),
        image: image.to_owned(),
        command: command(),
        environment: BTreeMap::new(),
        labels,
        user: "0:0".to_owned(),
        mounts: Vec::new(),
        tmpfs: vec![Tmpfs { path: "/tmp".to_owned(), size_bytes: 64 << 20 }],
        limits: Limits { memory_bytes: 4 << 30, cpu_millis: 4_000, pids: 512 },
        publish: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write, process};

    /// The runner as the container runs it, on this machine's Python.
    fn run(commands: &[&[&str]], input: &str) -> process::Output {
        let folder = tempfile::tempdir().unwrap();
        let netrc = folder.path().join("netrc");
        fs::write(&netrc, "machine x login u password secret\n").unwrap();
        let commands: Vec<Vec<String>> =
            commands.iter().map(|words| words.iter().map(|&word| word.to_owned()).collect()).collect();
        let variables = BTreeMap::from([("FRUIT".to_owned(), "pear".to_owned())]);
        let text = stdin(&netrc, &variables, &commands, input.as_bytes()).unwrap();
        let script = RUNNER.replace("/tmp/netrc", &folder.path().join("copy").to_string_lossy());
        let mut child = process::Command::new("python3")
            .args(["-c", &script])
            .stdin(process::Stdio::piped())
            .stdout(process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&text).unwrap();
        child.wait_with_output().unwrap()
    }

    #[test]
    fn commands_get_the_password_file_their_variables_and_their_input() {
        let shows: &[&str] = &["sh", "-c", "cat $NETRC; cat; echo $FRUIT"];
        let output = run(&[shows, &["true"]], "numpy\n");
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text, "machine x login u password secret\nnumpy\npear\n");
    }

    #[test]
    fn the_first_failure_ends_it_with_its_exit_code() {
        let output = run(&[&["sh", "-c", "exit 2"], &["echo", "late"]], "");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = stdin(Path::new("/nowhere/netrc"), &BTreeMap::new(), &[], b"").unwrap_err();
        assert!(error.to_string().contains("/nowhere/netrc"), "{error}");
    }
}
