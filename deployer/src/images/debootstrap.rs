//! A Debian root filesystem with Python, made on this machine without any image registry.

use super::base::BaseError;
use crate::engine::{Context, Engine, Image, Lines};
use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Command,
};

/// Debian releases and the Python that each ships. Debian has one Python per release.
const SUITES: [(&str, &str); 3] = [("3.9", "bullseye"), ("3.11", "bookworm"), ("3.13", "trixie")];
const PACKAGES: &str = "python3,python3-venv,ca-certificates";
/// Not needed to run, and a third of the size.
const LEFT_OUT: [&str; 6] = [
    "./dev/*",
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
    "./usr/share/doc/*",
    "./usr/share/man/*",
    "./usr/share/locale/*",
];

/// The Debian release that ships this Python (`3.11`).
pub fn suite(python: &str) -> Result<&'static str, BaseError> {
    SUITES.iter().find(|(version, _)| *version == python).map(|(_, suite)| *suite).ok_or_else(|| {
        BaseError::NoSuite { python: python.to_owned(), known: SUITES.map(|(version, _)| version).join(", ") }
    })
}

/// Bootstraps Debian and imports it as `tag`. Needs root and the `debootstrap` program.
pub async fn import(
    engine: &dyn Engine,
    suite: &str,
    mirror: &str,
    tag: &str,
    lines: Lines<'_>,
) -> Result<Image, BaseError> {
    // Not /tmp: it is often mounted nodev or noexec, which debootstrap refuses.
    let work = tempfile::Builder::new()
        .prefix("waybill-base-")
        .tempdir_in("/var/tmp")
        .map_err(|source| BaseError::io("/var/tmp", source))?;
    let root = work.path().join("root");
    lines(&format!("debootstrap: Debian {suite} from {mirror}"));
    let mut bootstrap = Command::new("debootstrap");
    bootstrap.env("PATH", with_sbin(&env::var_os("PATH").unwrap_or_default()));
    bootstrap.args(["--variant=minbase", &format!("--include={PACKAGES}"), suite]).arg(&root).arg(mirror);
    run(bootstrap, "debootstrap", lines).await?;

    let tar = work.path().join("root.tar");
    run(archive(&root, &tar), "tar", lines).await?;
    lines(&format!("importing the root filesystem as {tag}"));
    let image = engine.import(tag, Context::File(tar)).await?;
    Ok(image)
}

/// A search path with the folders of programs for administrators, such as debootstrap and what it calls:
/// Debian leaves them out of its users' path.
fn with_sbin(path: &OsStr) -> OsString {
    // An empty folder is the current one: nothing of that is run as root.
    let mut folders: Vec<PathBuf> = env::split_paths(path).filter(|f| !f.as_os_str().is_empty()).collect();
    for folder in ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(PathBuf::from) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    // Fails only for folders with a colon, which no split leaves.
    env::join_paths(folders).unwrap_or_else(|_| path.to_owned())
}

fn archive(root: &Path, tar: &Path) -> Command {
    let mut command = Command::new("tar");
    command.arg("--numeric-owner");
    for pattern in LEFT_OUT {
        command.arg(format!("--exclude={pattern}"));
    }
    command.arg("-C").arg(root).arg("-cf").arg(tar).arg(".");
    command
}

async fn run(mut command: Command, program: &str, lines: Lines<'_>) -> Result<(), BaseError> {
    let mut child = command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => BaseError::NoProgram { program: program.to_owned() },
            _ => BaseError::io(program, source),
        })?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    tokio::join!(forward(out, lines), forward(err, lines));
    let status = child.wait().await.map_err(|source| BaseError::io(program, source))?;
    if status.success() {
        return Ok(());
    }
    Err(BaseError::ProgramFailed { program: program.to_owned(), status: status.to_string() })
}

async fn forward(output: Option<impl AsyncRead + Unpin>, lines: Lines<'_>) {
    let Some(output) = output else { return };
    let mut reader = BufReader::new(output).lines();
    while let Ok(Some(line)) = reader.next_line().await {
        lines(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_administrators_are_found() {
        for (path, expected) in [
            ("/usr/local/bin:/usr/bin:/bin", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
            ("/usr/sbin:/usr/bin:/opt", "/usr/sbin:/usr/bin:/opt:/bin:/sbin"),
            ("", "/usr/bin:/bin:/usr/sbin:/sbin"),
        ] {
            assert_eq!(with_sbin(OsStr::new(path)), OsStr::new(expected));
        }
    }
}
