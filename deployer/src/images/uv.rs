//! uv from an index that asks for a password. A build could only be told the password in a way that
//! its image remembers, so the wheel is fetched beforehand.

use super::{
    Index,
    base::{BaseError, UV_REQUIREMENT},
    fetch, proxies,
};
use crate::engine::{Engine, Image, Lines, Tmpfs};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// A wheel.
pub(super) struct Wheel {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// pip takes one source of trust: both go into one file.
const ADD_CA: &str = "import sys; usual = open('/etc/ssl/certs/ca-certificates.crt').read(); \
     open('/tmp/ca.pem', 'w').write(usual + sys.stdin.read())";
/// Its name on a line, then its bytes.
const PRINT_WHEEL: &str = "import glob, os, sys; (path,) = glob.glob('/tmp/wheels/*.whl'); \
     sys.stdout.buffer.write(os.path.basename(path).encode() + b'\\n' + open(path, 'rb').read())";

/// Fetches uv's wheel in a throwaway container of the image that it is meant for.
pub(super) async fn fetch_wheel(
    engine: &dyn Engine,
    root: &Image,
    index: Index<'_>,
    netrc: &Path,
    ca_bundle: Option<&PathBuf>,
    progress: Lines<'_>,
) -> Result<Wheel, BaseError> {
    let mut variables: BTreeMap<_, _> = proxies().collect();
    if let Some(url) = index.url {
        variables.insert("PIP_INDEX_URL".to_owned(), url.to_owned());
    }
    let mut commands = vec![words(&["python3", "-m", "venv", "/tmp/pip"])];
    let mut input = Vec::new();
    if let Some(path) = ca_bundle {
        input = std::fs::read(path).map_err(|source| BaseError::io("CA bundle", source))?;
        variables.insert("PIP_CERT".to_owned(), "/tmp/ca.pem".to_owned());
        commands.push(words(&["python3", "-c", ADD_CA]));
    }
    let download = "/tmp/pip/bin/pip --quiet download --no-cache-dir --disable-pip-version-check \
                    --only-binary :all: --no-deps --dest /tmp/wheels";
    let mut download: Vec<String> = download.split_whitespace().map(str::to_owned).collect();
    download.push(UV_REQUIREMENT.to_owned());
    commands.extend([download, words(&["python3", "-c", PRINT_WHEEL])]);
    let stdin = fetch::stdin(netrc, &variables, &commands, &input)
        .map_err(|source| BaseError::io("netrc", source))?;
    let mut spec = fetch::container("uv", &root.id, BTreeMap::new());
    spec.tmpfs = vec![Tmpfs { path: "/tmp".to_owned(), size_bytes: 512 << 20 }];
    let output = engine.run(&spec, stdin, progress).await?;
    let unusable = |detail: String| BaseError::Unusable { command: "pip download".to_owned(), detail };
    if output.exit.code != 0 {
        return Err(unusable(output.exit.to_string()));
    }
    read(&output.stdout).ok_or_else(|| unusable("did not print one wheel of uv".to_owned()))
}

fn read(printed: &[u8]) -> Option<Wheel> {
    let end = printed.iter().position(|byte| *byte == b'\n')?;
    let name = std::str::from_utf8(&printed[..end]).ok()?;
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c));
    let is_wheel = Path::new(name).extension().is_some_and(|e| e == "whl");
    (plain && is_wheel).then(|| Wheel { name: name.to_owned(), bytes: printed[end + 1..].to_vec() })
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_wheel_comes_with_its_name() {
        let wheel = read(b"uv-1-py3-none-any.whl\nPK\n\n").unwrap();
        assert_eq!((wheel.name.as_str(), &wheel.bytes[..]), ("uv-1-py3-none-any.whl", &b"PK\n\n"[..]));
        for wrong in [&b"no line"[..], b"../x.whl\nPK", b"uv.tar\nPK", b"\xff.whl\nPK"] {
            assert!(read(wrong).is_none());
        }
    }
}
