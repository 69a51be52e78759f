//! Any text is read as a page token or refused; a position comes back as it was given out.

use waybill_registry::search::{Position, QueryId};

pub fn run(data: &[u8]) {
    let query = QueryId::of(["runs"]);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = query.position::<Position>(text);
    }
    // Past the encoding, as a client that writes its own tokens gets.
    if let Ok(position) = serde_json::from_slice::<Position>(data) {
        let again: Position = query.position(&query.token(&position)).expect("our own token");
        assert_eq!(again, position);
    }
}
