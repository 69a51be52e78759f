//! Finding the built UI: in a folder, or in the package that Python would import.

use super::NoUi;
use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{io::AsyncReadExt as _, process::Command, time::timeout};

/// Python starts within a fraction of a second; an environment on a slow network drive may not.
const PYTHON_TIMEOUT: Duration = Duration::from_secs(10);
const OUTPUT_MAX_BYTES: u64 = 64 << 10;

/// Prints where the package lies, one path a line, without importing it.
const WHERE: &str = "\
import importlib.util, os, sys
spec = importlib.util.find_spec('mlflow')
for place in (spec.submodule_search_locations or ()) if spec else ():
    sys.stdout.buffer.write(os.fsencode(place) + b'\\n')
";

/// The built UI in `folder` or in the package that it is, as a path without links.
pub fn in_folder(folder: &Path) -> Result<PathBuf, NoUi> {
    ["", "server/js/build", "mlflow/server/js/build"]
        .iter()
        .filter_map(|below| folder.join(below).canonicalize().ok())
        .find(|build| build.join("index.html").is_file())
        .ok_or_else(|| NoUi::Folder { folder: folder.display().to_string() })
}

/// The built UI of the package that Python imports as `mlflow`.
pub async fn installed() -> Result<PathBuf, NoUi> {
    let mut tried = Vec::new();
    for python in interpreters(env::var_os("VIRTUAL_ENV").as_deref()) {
        match packages(&python, PYTHON_TIMEOUT).await {
            Ok(packages) if packages.is_empty() => {
                tried.push(format!("{} has no package mlflow.", python.display()));
            }
            Ok(packages) => match packages.iter().find_map(|package| in_folder(package).ok()) {
                Some(build) => return Ok(build),
                None => tried.push(format!("{} has no web UI.", packages[0].display())),
            },
            Err(error) => tried.push(format!("{} cannot be asked: {error}.", python.display())),
        }
    }
    Err(NoUi::NotFound { tried: tried.join(" ") })
}

/// The active virtual environment first: a server that was started from it need not have it on the
/// path. `python3` is searched for on the path by the system.
fn interpreters(virtual_env: Option<&OsStr>) -> Vec<PathBuf> {
    let active = virtual_env.map(|folder| Path::new(folder).join("bin/python3"));
    active.into_iter().chain([PathBuf::from("python3")]).collect()
}

/// The folders of the package, asked from `python` itself: what a shim, a link or a `.pth` file
/// make of its path is its own affair.
async fn packages(python: &Path, limit: Duration) -> std::io::Result<Vec<PathBuf>> {
    let mut child = Command::new(python)
        .args(["-c", WHERE])
        // Python looks for packages in its working directory first, which may be anybody's.
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take();
    let read = async {
        let mut output = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(OUTPUT_MAX_BYTES).read_to_end(&mut output).await?;
        }
        let status = child.wait().await?;
        if !status.success() {
            return Err(std::io::Error::other(format!("it ended with {status}")));
        }
        Ok(output)
    };
    let output = timeout(limit, read).await.map_err(|_| {
        std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no answer within {limit:?}"))
    })??;
    let lines = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.map(|line| PathBuf::from(OsString::from(OsStr::from_bytes(line)))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    fn package(folder: &Path) -> PathBuf {
        let build = folder.join("mlflow/server/js/build");
        fs::create_dir_all(&build).unwrap();
        fs::write(build.join("index.html"), "<html>").unwrap();
        fs::write(folder.join("mlflow/__init__.py"), "raise SystemExit('imported')").unwrap();
        build.canonicalize().unwrap()
    }

    #[test]
    fn a_folder_may_be_the_build_the_package_or_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        let build = package(dir.path());
        for folder in [dir.path().to_owned(), dir.path().join("mlflow"), build.clone()] {
            assert_eq!(in_folder(&folder), Ok(build.clone()), "{}", folder.display());
        }
        for folder in [dir.path().join("mlflow/server"), dir.path().join("missing"), "/dev/null".into()] {
            let message = in_folder(&folder).unwrap_err().to_string();
            assert!(message.contains(&folder.display().to_string()), "{message}");
        }
    }

    #[test]
    fn the_active_environment_is_asked_first() {
        let asked = interpreters(Some(OsStr::new("/opt/env")));
        assert_eq!(asked, [PathBuf::from("/opt/env/bin/python3"), PathBuf::from("python3")]);
        assert_eq!(interpreters(None), [PathBuf::from("python3")]);
    }

    fn script(folder: &Path, text: &str) -> PathBuf {
        let path = folder.join("python3");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[tokio::test]
    async fn python_says_where_its_package_is_without_importing_it() {
        let dir = tempfile::tempdir().unwrap();
        package(dir.path());
        let folder = dir.path().canonicalize().unwrap();
        let python = script(dir.path(), &format!("PYTHONPATH='{}' exec python3 \"$@\"", folder.display()));
        let found = packages(&python, PYTHON_TIMEOUT).await.unwrap();
        assert_eq!(found, [folder.join("mlflow")]);
    }

    #[tokio::test]
    async fn a_python_that_hangs_fails_or_is_missing_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let missing = packages(&dir.path().join("python3"), PYTHON_TIMEOUT).await.unwrap_err();
        assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
        let fails = script(dir.path(), "exit 3");
        let error = packages(&fails, PYTHON_TIMEOUT).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        let hangs = script(dir.path(), "exec sleep 60");
        let error = packages(&hangs, Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }
}
