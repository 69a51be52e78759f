//! One file of the built UI: which paths name one, and how it is read.

use std::{io, path::Path};

/// The largest file of MLflow 3.17.2 has 4.4 MB.
const FILE_MAX_BYTES: u64 = 64 << 20;
const PATH_MAX_BYTES: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    pub bytes: Vec<u8>,
    pub content_type: &'static str,
    /// Of the bytes, quoted as a header has it: an upgrade of the package in place is noticed.
    pub etag: String,
}

/// The file at `path` below the folder `root`, which has no links in it. `None` where there is no
/// such file; a link is none, wherever it leads.
pub async fn read(root: &Path, path: &str) -> io::Result<Option<Asset>> {
    if !is_plain(path) {
        return Ok(None);
    }
    let (root, path) = (root.to_owned(), path.to_owned());
    tokio::task::spawn_blocking(move || read_now(&root, &path)).await.map_err(io::Error::other)?
}

/// Names without anything that a server or a file system could take for more than a name: nothing
/// escaped, no `..`, no hidden files.
fn is_plain(path: &str) -> bool {
    let plain = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    path.len() <= PATH_MAX_BYTES && path.split('/').all(plain)
}

fn read_now(root: &Path, path: &str) -> io::Result<Option<Asset>> {
    let full = root.join(path);
    // What cannot be resolved (nothing there, links in a circle) is no file, either.
    if !full.canonicalize().is_ok_and(|real| real == full && real.is_file()) {
        return Ok(None);
    }
    let size_bytes = full.metadata()?.len();
    if size_bytes > FILE_MAX_BYTES {
        return Err(io::Error::other(format!("{path} has {size_bytes} bytes")));
    }
    let bytes = std::fs::read(full)?;
    let etag = format!("\"{}\"", &blake3::hash(&bytes).to_hex()[..32]);
    Ok(Some(Asset { bytes, content_type: content_type(path), etag }))
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" | "cjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "gif" => "image/gif",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{fs, os::unix::fs::symlink};

    /// A build beside a secret, with links to it.
    fn build() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("build");
        fs::create_dir_all(root.join("static/js")).unwrap();
        fs::create_dir_all(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/secret.txt"), "secret").unwrap();
        fs::write(root.join("index.html"), "<html>").unwrap();
        fs::write(root.join("static/js/main.c2f5f8d4.js"), "run()").unwrap();
        fs::write(root.join(".hidden"), "secret").unwrap();
        symlink("../outside/secret.txt", root.join("link.txt")).unwrap();
        symlink("../outside", root.join("away")).unwrap();
        symlink("index.html", root.join("inside.html")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        (dir, root)
    }

    #[tokio::test]
    async fn files_have_their_type_and_a_tag_of_their_bytes() {
        let (_dir, root) = build();
        let page = read(&root, "index.html").await.unwrap().unwrap();
        assert_eq!((page.bytes.as_slice(), page.content_type), (&b"<html>"[..], "text/html; charset=utf-8"));
        let script = read(&root, "static/js/main.c2f5f8d4.js").await.unwrap().unwrap();
        assert_eq!(script.content_type, "text/javascript; charset=utf-8");
        fs::write(root.join("index.html"), "<html><body>").unwrap();
        let changed = read(&root, "index.html").await.unwrap().unwrap();
        assert_ne!(changed.etag, page.etag);
    }

    #[tokio::test]
    async fn nothing_else_is_read() {
        let (_dir, root) = build();
        for path in [
            "",
            "/",
            ".",
            "..",
            "static",
            "static/",
            "static//js/main.c2f5f8d4.js",
            "/index.html",
            "//etc/passwd",
            "/etc/passwd",
            "../outside/secret.txt",
            "static/../../outside/secret.txt",
            "static/../index.html",
            "./index.html",
            "%2e%2e/outside/secret.txt",
            "..%2foutside%2fsecret.txt",
            "%252e%252e/outside/secret.txt",
            "..\\outside\\secret.txt",
            "index.html\0.png",
            "index.html%00",
            "index.html ",
            "index.html?x",
            "C:\\index.html",
            "link.txt",
            "away/secret.txt",
            "inside.html",
            "loop",
            "loop/x",
            ".hidden",
            "index.html/x",
            "missing.js",
        ] {
            assert_eq!(read(&root, path).await.unwrap(), None, "{path:?}");
        }
        let long = "a/".repeat(4_000) + "a";
        assert_eq!(read(&root, &long).await.unwrap(), None);
    }

    proptest! {
        #[test]
        fn a_plain_path_stays_below(path in "\\PC{0,40}|(\\.|/|%2e|a|\\\\|\0){0,20}") {
            if is_plain(&path) {
                let parts = Path::new(&path).components();
                prop_assert!(parts.into_iter().all(|part| matches!(part, std::path::Component::Normal(_))));
            }
        }
    }
}
