//! The fuzz targets are built apart: this sees to it that they still fit the code and read every request
//! message.

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use proptest::prelude::*;
use std::{fs, path::Path};

proptest! {
    #[test]
    fn targets_take_any_bytes(data in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
        targets::filter::run(&text);
        targets::messages::run(&data);
        targets::otlp::run(&data);
        targets::page_token::run(&data);
    }
}

#[test]
fn every_message_is_fuzzed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's root");
    let target = root.join("fuzz/src/messages.rs");
    let target = fs::read_to_string(target).expect("the target of the messages");
    let mut count = 0;
    for entry in fs::read_dir(root.join("registry/src/mlflow/wire")).expect("the wire types") {
        let path = entry.expect("a readable folder").path();
        let module = path.file_stem().expect("a file").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a readable file");
        for line in text.lines() {
            let line = line.strip_prefix("impl Message for ").or_else(|| line.strip_prefix("message!("));
            let Some(name) = line.and_then(|rest| rest.split([' ', '{']).next()) else {
                continue;
            };
            count += 1;
            let read = format!("read::<{module}::{name}>");
            assert!(target.contains(&read), "fuzz/src/messages.rs lacks {read}");
        }
    }
    assert!(count > 30, "only {count} messages found: the test looks in the wrong place");
}
