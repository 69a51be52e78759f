//! A file past this size asks to be split by meaning. Functions are held by clippy (clippy.toml).

use std::{fs, path::Path};

const LINES_MAX: usize = 400;
const FOLDERS: [&str; 7] = ["cli", "client", "deployer", "proof", "registry", "scripts", "tests"];

#[test]
fn no_file_grows_past_what_one_reads_at_once() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's root");
    let (mut seen, mut large) = (0, Vec::new());
    for folder in FOLDERS {
        for entry in walkdir::WalkDir::new(root.join(folder)) {
            let entry = entry.expect("a readable tree");
            let path = entry.path();
            let code = match path.extension() {
                Some(extension) => ["rs", "py", "sh"].iter().any(|code| extension == *code),
                None => path.starts_with(root.join("scripts")) && path.is_file(),
            };
            if !code {
                continue;
            }
            seen += 1;
            let lines = fs::read_to_string(path).expect("a readable file").lines().count();
            if lines > LINES_MAX {
                large.push(format!("{}: {lines} lines", path.display()));
            }
        }
    }
    assert!(seen > 300, "only {seen} files found: the test looks in the wrong place");
    assert!(large.is_empty(), "past {LINES_MAX} lines:\n{}", large.join("\n"));
}
