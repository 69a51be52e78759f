//! Server-sent events, as far as the API uses them: the `data` of each event (WHATWG HTML,
//! section 9.2.6).

/// Longest line that is kept; the registry caps log lines far below.
const LINE_LIMIT_BYTES: usize = 1 << 20;

/// Splits a byte stream into events, whatever its chunks.
#[derive(Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    data: Option<String>,
    /// The last byte was CR: a LF that follows belongs to it.
    after_cr: bool,
}

impl Parser {
    /// Takes a chunk and returns the data of every event that it completes.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<String> {
        let mut events = Vec::new();
        for &byte in chunk {
            match byte {
                b'\n' if self.after_cr => self.after_cr = false,
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    events.extend(self.end_line());
                }
                _ => {
                    self.after_cr = false;
                    if self.line.len() < LINE_LIMIT_BYTES {
                        self.line.push(byte);
                    }
                }
            }
        }
        events
    }

    fn end_line(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.line);
        if bytes.is_empty() {
            return self.data.take();
        }
        let line = String::from_utf8_lossy(&bytes);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        if field == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                none => *none = Some(value.to_owned()),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn comments_and_other_fields_are_no_events() {
        let mut parser = Parser::default();
        let events = parser.push(b": keep-alive\n\nid: 4\nevent: line\ndata: a\ndata:b\n\ndata\n\ndata: cut");
        assert_eq!(events, ["a\nb", ""]);
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(
            lines in prop::collection::vec("[^\r\n]{0,12}", 1..5),
            end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
            cut in 1usize..7,
        ) {
            let mut text = String::new();
            for line in &lines {
                text.push_str("data: ");
                text.push_str(line);
                text.push_str(end);
                text.push_str(end);
            }
            let mut parser = Parser::default();
            let events: Vec<String> = text.as_bytes().chunks(cut).flat_map(|c| parser.push(c)).collect();
            prop_assert_eq!(events, lines);
        }
    }
}
