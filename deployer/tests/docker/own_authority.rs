//! A package index whose certificate is of an authority of one's own, as many companies have them.

use super::{
    BASE, engine,
    private_index::{bridge, resolved, wheel},
};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};
use waybill_deployer::{
    engine::Engine,
    images::{BaseOptions, BaseSource, Index, build_base},
};

/// A folder over https, until it is dropped.
struct HttpsFolder {
    process: Child,
    url: String,
}

impl HttpsFolder {
    /// Makes the authority `ca.pem` in `folder`, and serves its `www` with a certificate for `address`.
    fn start(folder: &Path, address: &str) -> Self {
        let command = ["-euc", AUTHORITY, "sh", address];
        let made = Command::new("sh").args(command).current_dir(folder).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut process = Command::new("python3")
            .args(["-c", SERVER, address])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { process, url: format!("https://{address}:{}", port.trim()) }
    }
}

impl Drop for HttpsFolder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const AUTHORITY: &str = r#"
new="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
openssl req -x509 $new -keyout ca.key -out ca.pem -subj "/CN=an authority of one's own" -days 2
openssl req $new -keyout server.key -out server.csr -subj /CN=index
echo "subjectAltName=IP:$1" >names
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out server.pem -days 2
"#;

const SERVER: &str = "
import functools, http.server, ssl, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory='www')
server = http.server.ThreadingHTTPServer((sys.argv[1], 0), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('server.pem', 'server.key')
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
";

#[tokio::test]
async fn a_base_trusts_the_authorities_that_it_was_given() {
    let Some((engine, base)) = engine().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("www/simple/waybill-private-test");
    std::fs::create_dir_all(&page).unwrap();
    let name = wheel(&page);
    std::fs::write(page.join("index.html"), format!("<a href=\"{name}\">{name}</a>")).unwrap();
    let server = HttpsFolder::start(folder.path(), &bridge(&engine, &base).await);

    // Making the base may need what this machine trusts: a proxy's authority.
    let bundle = folder.path().join("bundle.pem");
    let usual =
        std::env::var_os("SSL_CERT_FILE").map(|path| std::fs::read(path).unwrap()).unwrap_or_default();
    std::fs::write(&bundle, [std::fs::read(folder.path().join("ca.pem")).unwrap(), usual].concat()).unwrap();
    let options = BaseOptions {
        name: Some(format!("waybill-base:test-{}", uuid::Uuid::new_v4().simple())),
        source: BaseSource::From(BASE.to_owned()),
        ca_bundle: Some(bundle),
        ..BaseOptions::default()
    };
    let trusting = build_base(&options, &|_| {}).await.unwrap();
    let url = format!("{}/simple", server.url);
    let index = Index { url: Some(&url), netrc: None };
    let (found, refused) = (resolved(&engine, &trusting, index).await, resolved(&engine, &base, index).await);
    engine.remove_image(&options.tag()).await.unwrap();

    let lock = found.unwrap();
    assert!(lock.starts_with("waybill-private-test==1.0 \\\n    --hash=sha256:"), "{lock}");
    let said = refused.unwrap_err();
    assert!(said.to_lowercase().contains("certificate"), "{said}");
}
