//! `waybill serve` as a process: ready line, lock, configuration, end.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// `127.0.0.1:port`, from the ready line.
    address: String,
}

fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waybill"));
    for (name, _) in std::env::vars() {
        if name.starts_with("WAYBILL_") {
            command.env_remove(name);
        }
    }
    command.arg("serve").arg("--data-dir").arg(data_dir);
    command
}

fn start(command: &mut Command) -> Server {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let address = line.trim().rsplit_once("http://").expect("a ready line").1.to_owned();
    assert!(line.contains("is ready on"), "{line}");
    Server { child, stdout, address }
}

impl Server {
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Sends SIGTERM and returns the exit code and the rest of standard output.
    fn end(mut self) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let code = self.child.wait().unwrap().code();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (code, rest)
    }
}

#[test]
fn the_first_start_explains_itself_and_the_second_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let flags = ["--no-deployer", "--listen", "127.0.0.1:0"];
    let server = start(command(&data).args(flags));
    assert!(server.get("/health").ends_with("OK"));
    let url = format!("http://{}", server.address);
    let (code, rest) = server.end();
    assert_eq!(code, Some(0));
    assert!(rest.contains(&format!("MLFLOW_TRACKING_URI={url}")), "{rest}");
    assert!(rest.contains("keys/registry.pem"), "{rest}");
    // Nothing of the gateway or of images, which need the deployer.
    assert!(!rest.contains("invocations") && !rest.contains("images"), "{rest}");

    let server = start(command(&data).args(flags));
    let (code, rest) = server.end();
    assert_eq!((code, rest.as_str()), (Some(0), ""));
}

#[test]
fn a_folder_in_use_names_the_process_that_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--no-deployer", "--listen", "127.0.0.1:0"];
    let server = start(command(dir.path()).args(flags));
    let second = command(dir.path()).args(flags).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8(second.stderr).unwrap();
    assert!(text.contains(&format!("in use by process {}", server.child.id())), "{text}");
    assert!(server.get("/health").ends_with("OK"), "the first goes on");
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn a_port_in_use_is_named_with_the_flag() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = command(dir.path()).args(["--no-deployer", "--listen", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(&address) && text.contains("--listen"), "{text}");
}

#[test]
fn a_file_configures_and_variables_outweigh_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("waybill.toml");
    std::fs::write(&file, "listen = \"192.0.2.1:1\"\nno_deployer = true\nlog_format = \"json\"\n").unwrap();
    let data = dir.path().join("data");
    let server = start(command(&data).arg("--config").arg(&file).env("WAYBILL_LISTEN", "127.0.0.1:0"));
    assert!(server.get("/version").ends_with(env!("CARGO_PKG_VERSION")));
    assert_eq!(server.end().0, Some(0));
}
