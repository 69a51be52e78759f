//! What tests of every crate share. The tests that look at the workspace as a whole are in `tests/`.

use std::{fs::OpenOptions, io::Write as _};

/// Says that the running test cannot run here. Cargo's runner knows no such thing and takes it for passed:
/// `scripts/test` counts the lines of the file that `WAYBILL_TEST_SKIPPED` names.
///
/// # Panics
/// With `CI=true`, where nothing may be left out, and where the file cannot be written.
pub fn skip(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "skipped in CI: {why}");
    eprintln!("skipped: {why}");
    if let Some(file) = std::env::var_os("WAYBILL_TEST_SKIPPED") {
        let mut file = OpenOptions::new().append(true).create(true).open(file).expect("a writable file");
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        file.write_all(format!("{test}: {why}\n").as_bytes()).expect("a writable file");
    }
}
