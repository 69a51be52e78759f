//! The route file: which container answers for which model. The deployer writes it whole and
//! renames it into place, the gateway reads it whole; nothing else passes between the two.

use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use url::{Host, Url};

/// First path segment that the gateway keeps for itself: `/.waybill/status`, `/health`, `/metrics`.
pub const RESERVED_SEGMENT: &str = ".waybill";

/// Field of an answer's head in which a container names its revision.
pub const REVISION_FIELD: &str = "waybill-revision";

/// A larger file is refused: 16 MiB hold some 80,000 routes.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Every route of a gateway. Fields that this version does not know are ignored, so that an older
/// gateway keeps serving while the deployer is upgraded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    /// Goes up with every write; [`GatewayStatus::generation`] tells which one serves.
    pub generation: u64,
    /// Of the machine's start in which the table was written: no container outlives a restart, and
    /// another one may have its address afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    pub routes: Vec<Route>,
}

/// What answers below `/{environment}/{model}/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub environment: String,
    pub model: String,
    /// Empty, or all of weight 0: the model is known and has no ready revision (503).
    pub backends: Vec<Backend>,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    pub revision_id: String,
    /// `http://host:port`, without a path.
    pub upstream: String,
    /// Share of the route's requests, relative to the sum over its backends.
    pub weight: u32,
    /// Requests at a time, at least 1; more are answered 503 with `Retry-After`.
    pub max_concurrent: u32,
    /// Each of its answers names the revision in [`REVISION_FIELD`]: one that does not is somebody
    /// else's, who has the address by now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tells_revision: bool,
}

/// Answer of `GET /.waybill/status`.
///
/// A container may be stopped when `generation` has reached the table that left it out and no entry
/// bears its revision and upstream: every request that could still reach it is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayStatus {
    /// Of the table that serves; 0 before the first.
    pub generation: u64,
    pub backends: Vec<BackendStatus>,
    /// Why the newest route file was not taken; the table before it goes on serving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_file: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendStatus {
    pub environment: String,
    pub model: String,
    pub revision_id: String,
    pub upstream: String,
    /// Requests whose answers have not ended.
    pub in_flight: u64,
    /// Not in the table any more; stays here until `in_flight` is 0.
    pub draining: bool,
}

/// Why a route file cannot be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum RouteFileError {
    #[error("route file {path}: cannot {action}: {source}")]
    Io { path: PathBuf, action: &'static str, source: io::Error },
    #[error("route file {path}: {size_bytes} bytes, expected at most {MAX_FILE_BYTES}")]
    TooLarge { path: PathBuf, size_bytes: u64 },
    #[error("route file {path}: not a route table: {source}")]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("route table: {field} is {value:?}, expected {expected}")]
    Invalid { field: String, value: String, expected: &'static str },
}

impl RouteTable {
    /// Reads and checks a route file.
    pub fn read(path: &Path) -> Result<Self, RouteFileError> {
        let file = fs::File::open(path).map_err(io_error(path, "open"))?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io_error(path, "read"))?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(RouteFileError::TooLarge { path: path.to_owned(), size_bytes: bytes.len() as u64 });
        }
        let table: Self = serde_json::from_slice(&bytes)
            .map_err(|source| RouteFileError::Json { path: path.to_owned(), source })?;
        table.check()?;
        Ok(table.of_this_boot(boot_id().as_deref()))
    }

    /// With every route held, if the machine was restarted since the table was written.
    fn of_this_boot(mut self, boot: Option<&str>) -> Self {
        if let (Some(written), Some(boot)) = (self.boot_id.as_deref(), boot)
            && written != boot
        {
            self.routes.iter_mut().for_each(|route| route.backends.clear());
        }
        self
    }

    /// Checks the table, then replaces the file: a reader sees the old table or this one, and after
    /// a power cut one of the two is there.
    pub fn write_atomic(&self, path: &Path) -> Result<(), RouteFileError> {
        self.check()?;
        let folder = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder).map_err(io_error(path, "create the folder of"))?;
        let mut file = temporary_file(folder).map_err(io_error(path, "create"))?;
        let json = serde_json::to_vec_pretty(self)
            .map_err(|source| RouteFileError::Json { path: path.to_owned(), source })?;
        file.write_all(&json).and_then(|()| file.as_file().sync_all()).map_err(io_error(path, "write"))?;
        file.persist(path).map_err(|error| io_error(path, "replace")(error.error))?;
        fs::File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io_error(path, "sync the folder of"))
    }

    /// The first field that a gateway could not serve.
    pub fn check(&self) -> Result<(), RouteFileError> {
        let mut seen = HashSet::new();
        for (index, route) in self.routes.iter().enumerate() {
            let at = format!("routes[{index}]");
            check_segment(&format!("{at}.environment"), &route.environment, &[".", "..", RESERVED_SEGMENT])?;
            check_segment(&format!("{at}.model"), &route.model, &[".", ".."])?;
            if !seen.insert((&route.environment, &route.model)) {
                return Err(invalid(
                    format!("{at}.model"),
                    &route.model,
                    "one route per environment and model",
                ));
            }
            route.check_backends(&at)?;
        }
        Ok(())
    }
}

impl Route {
    fn check_backends(&self, at: &str) -> Result<(), RouteFileError> {
        let mut seen = HashSet::new();
        for (index, backend) in self.backends.iter().enumerate() {
            let at = format!("{at}.backends[{index}]");
            if backend.revision_id.is_empty() {
                return Err(invalid(format!("{at}.revision_id"), "", "a non-empty revision id"));
            }
            if authority(&backend.upstream).is_none() {
                return Err(invalid(
                    format!("{at}.upstream"),
                    &backend.upstream,
                    "http://host:port without user, path or query",
                ));
            }
            if backend.max_concurrent == 0 {
                return Err(invalid(format!("{at}.max_concurrent"), "0", "at least 1"));
            }
            if !seen.insert((&backend.revision_id, &backend.upstream)) {
                return Err(invalid(
                    format!("{at}.upstream"),
                    &backend.upstream,
                    "each container of a revision once",
                ));
            }
        }
        Ok(())
    }
}

/// Changes with every start of the machine; none where the kernel does not tell.
pub fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

/// Host and port of an upstream address, `None` for anything that is not plain `http://host:port`.
pub(super) fn authority(upstream: &str) -> Option<(Host<String>, u16)> {
    let url = Url::parse(upstream).ok()?;
    let plain = url.scheme() == "http"
        && url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none();
    if !plain {
        return None;
    }
    Some((url.host()?.to_owned(), url.port_or_known_default()?))
}

fn check_segment(field: &str, value: &str, reserved: &[&str]) -> Result<(), RouteFileError> {
    let bad = value.is_empty()
        || reserved.contains(&value)
        || value.contains('/')
        || value.chars().any(char::is_control);
    if bad {
        return Err(invalid(
            field.to_owned(),
            value,
            "one path segment: not empty, no slash, no control character, not `.` or `..`, nor `.waybill` first",
        ));
    }
    Ok(())
}

fn invalid(field: String, value: &str, expected: &'static str) -> RouteFileError {
    RouteFileError::Invalid { field, value: value.to_owned(), expected }
}

fn io_error<'a>(path: &'a Path, action: &'static str) -> impl FnOnce(io::Error) -> RouteFileError + 'a {
    move |source| RouteFileError::Io { path: path.to_owned(), action, source }
}

/// Readable by everyone: a gateway of its own runs as another user, and routes are no secret.
fn temporary_file(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".routes-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o644));
    }
    builder.tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table() -> RouteTable {
        RouteTable {
            generation: 7,
            boot_id: None,
            routes: vec![Route {
                environment: "production".into(),
                model: "iris".into(),
                backends: vec![Backend {
                    revision_id: "rev_1".into(),
                    upstream: "http://172.17.0.2:8080".into(),
                    weight: 100,
                    max_concurrent: 16,
                    tells_revision: true,
                }],
            }],
        }
    }

    fn refused_field(change: impl FnOnce(&mut RouteTable)) -> String {
        let mut table = table();
        change(&mut table);
        match table.check() {
            Err(RouteFileError::Invalid { field, .. }) => field,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    #[test]
    fn writes_a_file_that_reads_back_equal_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deployer/routes.json");
        let mut table = table();
        table.write_atomic(&path).unwrap();
        table.generation = 8;
        table.write_atomic(&path).unwrap();
        assert_eq!(RouteTable::read(&path).unwrap(), table);
        let names: Vec<_> =
            fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["routes.json"]);
    }

    #[test]
    fn a_refused_table_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("routes.json");
        table().write_atomic(&path).unwrap();
        let mut bad = table();
        bad.routes[0].model = "..".into();
        bad.write_atomic(&path).unwrap_err();
        assert_eq!(RouteTable::read(&path).unwrap(), table());
    }

    #[test]
    fn names_the_field_that_cannot_be_served() {
        assert_eq!(refused_field(|t| t.routes[0].environment = ".waybill".into()), "routes[0].environment");
        assert_eq!(refused_field(|t| t.routes[0].model = "a/b".into()), "routes[0].model");
        // Odd names of models have addresses too.
        for model in [".waybill", "a\\b", "100%", "my model"] {
            let mut table = table();
            table.routes[0].model = model.into();
            table.check().unwrap();
        }
        assert_eq!(refused_field(|t| t.routes[0].model = String::new()), "routes[0].model");
        assert_eq!(refused_field(|t| t.routes.push(t.routes[0].clone())), "routes[1].model");
        assert_eq!(
            refused_field(|t| t.routes[0].backends[0].max_concurrent = 0),
            "routes[0].backends[0].max_concurrent"
        );
        assert_eq!(
            refused_field(|t| {
                let again = t.routes[0].backends[0].clone();
                t.routes[0].backends.push(again);
            }),
            "routes[0].backends[1].upstream"
        );
        for upstream in
            ["https://h:1", "http://", "172.17.0.2:8080", "http://h:1/x", "http://u@h:1", "http://h:1?q"]
        {
            assert_eq!(
                refused_field(|t| t.routes[0].backends[0].upstream = upstream.into()),
                "routes[0].backends[0].upstream",
                "{upstream}"
            );
        }
    }

    #[test]
    fn routes_of_an_earlier_boot_are_held() {
        let written = RouteTable { boot_id: Some("one".into()), ..table() };
        assert_eq!(written.clone().of_this_boot(Some("one")), written);
        assert_eq!(written.clone().of_this_boot(None), written, "nobody knows");
        assert_eq!(table().of_this_boot(Some("two")), table(), "by an earlier version");
        let held = written.of_this_boot(Some("two"));
        assert_eq!((held.routes.len(), held.routes[0].backends.len()), (1, 0));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("routes.json");
        RouteTable { boot_id: Some("another".into()), ..table() }.write_atomic(&path).unwrap();
        assert!(RouteTable::read(&path).unwrap().routes[0].backends.is_empty());
    }

    #[test]
    fn a_later_version_may_add_fields() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("routes.json");
        fs::write(&path, r#"{"generation":3,"routes":[],"shadow":true}"#).unwrap();
        assert_eq!(RouteTable::read(&path).unwrap().generation, 3);
    }

    proptest! {
        #[test]
        fn reading_any_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&bytes).unwrap();
            let _ = RouteTable::read(file.path());
        }

        #[test]
        fn a_cut_file_is_refused(cut in 1_usize..100) {
            let json = serde_json::to_vec(&table()).unwrap();
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&json[..json.len() - cut]).unwrap();
            prop_assert!(RouteTable::read(file.path()).is_err(), "accepted after losing {cut} bytes");
        }
    }
}
