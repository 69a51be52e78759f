//! Packages that are not on PyPI: from an index that asks for a password, and from a folder.

use super::{BASE, engine, run, spec};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::Mutex,
};
use waybill_deployer::{
    engine::{DockerEngine, Engine, Image},
    images::{
        BaseOptions, BaseSource, EnvironmentKey, Index, ResolveRequest, build_base, ensure_environment,
        resolve,
    },
};
use waybill_proof::Digest;

const PACKAGE: &str = "waybill-private-test";
const PASSWORD: &str = "s3cret-of-the-index";
/// `user:s3cret-of-the-index`
const AUTHORIZATION: &str = "Basic dXNlcjpzM2NyZXQtb2YtdGhlLWluZGV4";

/// A wheel without a line of code but its answer; made by Python, which zips.
pub fn wheel(folder: &Path) -> String {
    let name = "waybill_private_test-1.0-py3-none-any.whl";
    let script = format!(
        "import zipfile\n\
         info = 'waybill_private_test-1.0.dist-info/'\n\
         with zipfile.ZipFile('{}', 'w') as wheel:\n\
         \x20   wheel.writestr('waybill_private_test.py', 'ANSWER = 42\\n')\n\
         \x20   wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: {PACKAGE}\\nVersion: 1.0\\n')\n\
         \x20   wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
         \x20   wheel.writestr(info + 'RECORD', '')\n",
        folder.join(name).display()
    );
    let made = std::process::Command::new("python3").args(["-c", &script]).status().unwrap();
    assert!(made.success());
    name.to_owned()
}

/// A source distribution that builds without a package from elsewhere.
fn source_distribution(folder: &Path) -> String {
    let name = "waybill_private_test-1.0.tar.gz";
    let script = include_str!("source_distribution.py");
    let made = std::process::Command::new("python3").args(["-c", script]).arg(folder.join(name)).status();
    assert!(made.unwrap().success());
    name.to_owned()
}

/// A simple index (PEP 503) of one file, for those who know the password. It listens where
/// containers of the default bridge reach this machine.
struct PrivateIndex {
    url: String,
    /// Names the user and the password.
    netrc: PathBuf,
    refused: &'static Mutex<u32>,
}

impl PrivateIndex {
    /// Serves the file of that name in `folder`.
    async fn start(engine: &DockerEngine, base: &Image, folder: &Path, name: String) -> Self {
        let address = bridge(engine, base).await;
        let netrc = folder.join("netrc");
        std::fs::write(&netrc, format!("machine {address} login user password {PASSWORD}\n")).unwrap();
        let file = (std::fs::read(folder.join(&name)).unwrap(), name);
        let listener = TcpListener::bind((address.as_str(), 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let refused: &'static Mutex<u32> = Box::leak(Box::default());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(stream, &file, refused);
            }
        });
        Self { url: format!("http://{address}:{port}/simple"), netrc, refused }
    }

    fn index(&self) -> Index<'_> {
        Index { url: Some(&self.url), netrc: Some(&self.netrc) }
    }
}

fn answer(
    mut stream: TcpStream,
    (bytes, name): &(Vec<u8>, String),
    refused: &Mutex<u32>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let knows = head.iter().any(|line| {
        line.split_once(": ")
            .is_some_and(|(name, value)| name.eq_ignore_ascii_case("authorization") && value == AUTHORIZATION)
    });
    // PEP 691 and 700; nothing of it was there before that day.
    let dated = format!(
        r#"{{"meta": {{"api-version": "1.1"}}, "name": "{PACKAGE}", "versions": ["1.0"], "files": [
        {{"filename": "{name}", "url": "/files/{name}", "hashes": {{}}, "size": {},
        "upload-time": "2024-05-01T00:00:00Z"}}]}}"#,
        bytes.len()
    );
    let page = format!("<!DOCTYPE html><html><body><a href=\"/files/{name}\">{name}</a></body></html>");
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, kind, body): (_, _, &[u8]) = if !knows {
        *refused.lock().unwrap() += 1;
        ("401 Unauthorized\r\nWWW-Authenticate: Basic", "text/plain", b"")
    } else if path.starts_with("/simple/waybill-private-test") {
        ("200 OK", "text/html", page.as_bytes())
    } else if path.starts_with("/dated/waybill-private-test") {
        ("200 OK", "application/vnd.pypi.simple.v1+json", dated.as_bytes())
    } else if path.starts_with("/files/") {
        ("200 OK", "application/octet-stream", bytes)
    } else {
        ("404 Not Found", "text/plain", b"")
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    if !request.starts_with("HEAD") {
        stream.write_all(body)?;
    }
    Ok(())
}

/// The address of this machine as a container sees it: its default route.
pub async fn bridge(engine: &DockerEngine, base: &Image) -> String {
    let script = "import socket, struct; way = open('/proc/net/route').readlines()[1].split(); \
                  print(socket.inet_ntoa(struct.pack('<L', int(way[2], 16))))";
    run(engine, &spec(base, &["python3", "-c", script]), b"").await.1.trim().to_owned()
}

pub async fn resolved(engine: &DockerEngine, base: &Image, index: Index<'_>) -> Result<String, String> {
    resolved_before(engine, base, index, None).await
}

async fn resolved_before(
    engine: &DockerEngine,
    base: &Image,
    index: Index<'_>,
    cut_off: Option<&str>,
) -> Result<String, String> {
    let request = ResolveRequest {
        base,
        requirements: &format!("{PACKAGE}\n"),
        index,
        cut_off,
        labels: BTreeMap::new(),
    };
    resolve(engine, request, &|_| {}).await.map(|r| r.text).map_err(|e| e.to_string())
}

/// Whether the text is in the image: in its configuration, its history, or a file of any layer.
fn holds(image: &str, text: &str) -> bool {
    let inspect = std::process::Command::new("docker").args(["inspect", image]).output().unwrap().stdout;
    let history = std::process::Command::new("docker").args(["history", "--no-trunc", image]).output();
    let records = [inspect, history.unwrap().stdout].concat();
    let search = format!("docker save {image} | grep -a -c '{text}'");
    let found = std::process::Command::new("sh").args(["-c", &search]).output().unwrap();
    String::from_utf8_lossy(&records).contains(text) || found.stdout.trim_ascii() != b"0"
}

#[tokio::test]
async fn an_index_that_asks_for_a_password_gets_it_and_no_image_does() {
    let Some((engine, base)) = engine().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = PrivateIndex::start(&engine, &base, folder.path(), wheel(folder.path())).await;
    let index = server.index();

    let without = Index { netrc: None, ..index };
    let said = resolved(&engine, &base, without).await.unwrap_err();
    assert!(said.contains(PACKAGE), "{said}");
    assert!(*server.refused.lock().unwrap() > 0);

    let lock = resolved(&engine, &base, index).await.unwrap();
    assert!(lock.starts_with("waybill-private-test==1.0 \\\n    --hash=sha256:"), "{lock}");
    let runtime = format!("test/{}", uuid::Uuid::new_v4().simple());
    let key = EnvironmentKey::new(Digest::of(lock.as_bytes()), &base, runtime);
    let lines = Mutex::new(Vec::new());
    let sink = |line: &str| lines.lock().unwrap().push(line.to_owned());
    let made = ensure_environment(&engine, &key, &lock, index, BTreeMap::new(), &sink).await.unwrap();
    let script = "import waybill_private_test as t, sys; print(t.ANSWER, sys.prefix)";
    let printed = run(&engine, &spec(&made.image, &["python3", "-c", script]), b"").await;
    let again = ensure_environment(&engine, &key, &lock, index, BTreeMap::new(), &sink).await.unwrap();
    let secret_in_image = holds(&made.image.id, PASSWORD);
    engine.remove_image(&key.tag()).await.unwrap();

    assert_eq!(printed, (0, "42 /opt/waybill/venv\n".to_owned()));
    assert!(again.reused && again.image.id == made.image.id);
    assert!(!secret_in_image, "the password is in the image");
    let told = lines.into_inner().unwrap();
    assert!(told.iter().any(|line| line.contains(PACKAGE)), "the installer's output: {told:?}");
    assert!(!told.iter().any(|line| line.contains(PASSWORD)));
}

#[tokio::test]
async fn what_came_after_the_cut_off_is_not_taken() {
    let Some((engine, base)) = engine().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = PrivateIndex::start(&engine, &base, folder.path(), wheel(folder.path())).await;
    let dated = server.url.replace("/simple", "/dated");
    let index = Index { url: Some(&dated), ..server.index() };

    let lock = resolved_before(&engine, &base, index, Some("2024-05-02T00:00:00Z")).await.unwrap();
    assert!(lock.starts_with("waybill-private-test==1.0 \\\n    --hash=sha256:"), "{lock}");
    let said = resolved_before(&engine, &base, index, Some("2024-05-01T00:00:00Z")).await.unwrap_err();
    assert!(said.contains(PACKAGE), "{said}");
}

/// What has to be built would run its author's code while it is resolved or installed.
#[tokio::test]
async fn a_package_without_a_wheel_is_neither_resolved_nor_installed() {
    let Some((engine, base)) = engine().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let name = source_distribution(folder.path());
    let digest = Digest::of(&std::fs::read(folder.path().join(&name)).unwrap());
    let server = PrivateIndex::start(&engine, &base, folder.path(), name).await;
    let index = server.index();

    let said = resolved(&engine, &base, index).await.unwrap_err();
    assert!(said.contains(PACKAGE) && said.contains("no usable wheels"), "{said}");

    let lock = format!("{PACKAGE}==1.0 \\\n    --hash={digest}\n");
    let runtime = format!("test/{}", uuid::Uuid::new_v4().simple());
    let labels = BTreeMap::from([("waybill.test".to_owned(), runtime.clone())]);
    let key = EnvironmentKey::new(Digest::of(lock.as_bytes()), &base, runtime);
    let lines = Mutex::new(String::new());
    let sink = |line: &str| lines.lock().unwrap().push_str(line);
    let made = ensure_environment(&engine, &key, &lock, index, labels.clone(), &sink).await;
    let (failed, said) = (made.is_err(), lines.into_inner().unwrap());
    assert!(failed && said.contains("no usable wheels"), "{said}");
    assert_eq!(engine.containers(&labels).await.unwrap(), []);
}

#[tokio::test]
async fn wheels_of_a_folder_are_found_beside_the_index() {
    let Some((engine, _)) = engine().await else { return };
    let folder = tempfile::tempdir().unwrap();
    wheel(folder.path());
    let options = BaseOptions {
        name: Some(format!("waybill-base:test-{}", uuid::Uuid::new_v4().simple())),
        source: BaseSource::From(BASE.to_owned()),
        wheels: Some(folder.path().to_owned()),
        ca_bundle: std::env::var_os("SSL_CERT_FILE").map(Into::into),
        ..BaseOptions::default()
    };
    let base = build_base(&options, &|_| {}).await.unwrap();
    let lock = resolved(&engine, &base, Index::default()).await;
    engine.remove_image(&options.tag()).await.unwrap();
    let lock = lock.unwrap();
    assert!(lock.starts_with("waybill-private-test==1.0 \\\n    --hash=sha256:"), "{lock}");
}

#[tokio::test]
async fn a_base_made_anew_is_another_image() {
    let Some((engine, base)) = engine().await else { return };
    let options = BaseOptions {
        name: Some(format!("waybill-base:test-{}", uuid::Uuid::new_v4().simple())),
        source: BaseSource::From(BASE.to_owned()),
        rebuild: true,
        ..BaseOptions::default()
    };
    let first = build_base(&options, &|_| {}).await.unwrap();
    let second = build_base(&options, &|_| {}).await.unwrap();
    engine.remove_image(&options.tag()).await.unwrap();
    assert!(first.id != second.id && first.id != base.id);
}
