//! JSON as Python's `json.dumps` writes it: with words for numbers that JSON does not have.

const NOT_FINITE: [(&str, f64); 3] =
    [("NaN", f64::NAN), ("-Infinity", f64::NEG_INFINITY), ("Infinity", f64::INFINITY)];

/// The number that a word stands for.
pub fn number(word: &str) -> Option<f64> {
    NOT_FINITE.iter().find(|(known, _)| *known == word).map(|(_, number)| *number)
}

/// JSON with these words as texts, and every other text, names too, behind an `s`. `None` where there can
/// be no such word.
pub fn marked(text: &str) -> Option<String> {
    if !NOT_FINITE.iter().any(|(word, _)| text.contains(word)) {
        return None;
    }
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let word = NOT_FINITE.iter().find(|(word, _)| rest.starts_with(word));
        let length = match word {
            _ if next == '"' => {
                let end = end_of_text(rest);
                out.push_str("\"s");
                out.push_str(&rest[1..end]);
                end
            }
            Some((word, _)) => {
                out.extend(["\"", word, "\""]);
                word.len()
            }
            None => {
                out.push(next);
                next.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    Some(out)
}

/// Where the text ends with whose quote this begins.
fn end_of_text(json: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in json.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    json.len()
}
