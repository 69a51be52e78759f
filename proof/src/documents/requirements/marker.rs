//! Environment markers (PEP 508): parsed and written again, so that nothing else passes through.

use std::fmt;

/// Nesting beyond this is refused rather than followed.
const MAX_DEPTH: usize = 32;

const VARIABLES: [&str; 12] = [
    "python_version",
    "python_full_version",
    "os_name",
    "sys_platform",
    "platform_release",
    "platform_system",
    "platform_version",
    "platform_machine",
    "platform_python_implementation",
    "implementation_name",
    "implementation_version",
    "extra",
];

/// A marker; its text form is canonical.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Marker {
    /// `left operator right`, already in canonical form.
    Compare(String),
    And(Vec<Marker>),
    Or(Vec<Marker>),
}

impl Marker {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text };
        let marker = parser.or(0)?;
        parser.skip_space();
        if parser.rest.is_empty() {
            Ok(marker)
        } else {
            Err(parser.unexpected("`and`, `or` or the end of the marker"))
        }
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, word) = match self {
            Self::Compare(text) => return f.write_str(text),
            Self::And(parts) => (parts, " and "),
            Self::Or(parts) => (parts, " or "),
        };
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                f.write_str(word)?;
            }
            match part {
                Self::Compare(text) => f.write_str(text)?,
                Self::And(_) | Self::Or(_) => write!(f, "({part})")?,
            }
        }
        Ok(())
    }
}

struct Parser<'a> {
    rest: &'a str,
}

enum Operand<'a> {
    Variable(&'a str),
    Text(&'a str),
}

impl<'a> Parser<'a> {
    fn or(&mut self, depth: usize) -> Result<Marker, String> {
        self.chain(depth, "or", Self::and, Marker::Or)
    }

    fn and(&mut self, depth: usize) -> Result<Marker, String> {
        self.chain(depth, "and", Self::atom, Marker::And)
    }

    fn chain(
        &mut self,
        depth: usize,
        word: &str,
        part: fn(&mut Self, usize) -> Result<Marker, String>,
        join: fn(Vec<Marker>) -> Marker,
    ) -> Result<Marker, String> {
        let first = part(self, depth)?;
        let mut parts = vec![first];
        while self.take_word(word) {
            parts.push(part(self, depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { join(parts) })
    }

    fn atom(&mut self, depth: usize) -> Result<Marker, String> {
        if depth > MAX_DEPTH {
            return Err("the marker is nested too deeply".to_owned());
        }
        self.skip_space();
        if let Some(rest) = self.rest.strip_prefix('(') {
            self.rest = rest;
            let inner = self.or(depth + 1)?;
            self.skip_space();
            self.rest = self.rest.strip_prefix(')').ok_or_else(|| self.unexpected("`)`"))?;
            return Ok(inner);
        }
        let left = self.operand()?;
        let operator = self.operator()?;
        let right = self.operand()?;
        if matches!((&left, &right), (Operand::Text(_), Operand::Text(_))) {
            return Err(
                "the marker compares two texts; expected a variable such as python_version".to_owned()
            );
        }
        Ok(Marker::Compare(format!("{left} {operator} {right}")))
    }

    fn operand(&mut self) -> Result<Operand<'a>, String> {
        self.skip_space();
        if let Some(quote) = self.rest.chars().next().filter(|c| matches!(c, '\'' | '"')) {
            let inner = &self.rest[1..];
            let end = inner.find(quote).ok_or("the marker has a text without an end")?;
            let (text, rest) = (&inner[..end], &inner[end + 1..]);
            // Narrower than PEP 508: what versions, platforms and names are made of.
            if let Some(bad) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || " ._+*-,()".contains(*c)))
            {
                return Err(format!("the marker's text {text:?} contains {bad:?}"));
            }
            self.rest = rest;
            return Ok(Operand::Text(text));
        }
        let word = self.peek_word();
        if !VARIABLES.contains(&word) {
            return Err(self.unexpected("a marker variable such as python_version, or a quoted text"));
        }
        self.rest = &self.rest[word.len()..];
        Ok(Operand::Variable(word))
    }

    fn operator(&mut self) -> Result<&'static str, String> {
        self.skip_space();
        for operator in ["===", "==", "~=", "!=", "<=", ">=", "<", ">"] {
            if let Some(rest) = self.rest.strip_prefix(operator) {
                self.rest = rest;
                return Ok(operator);
            }
        }
        if self.take_word("in") {
            return Ok("in");
        }
        if self.take_word("not") && self.take_word("in") {
            return Ok("not in");
        }
        Err(self.unexpected("a comparison such as `==` or `in`"))
    }

    fn take_word(&mut self, word: &str) -> bool {
        self.skip_space();
        let found = self.peek_word() == word;
        if found {
            self.rest = &self.rest[word.len()..];
        }
        found
    }

    fn peek_word(&self) -> &'a str {
        let end =
            self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        &self.rest[..end]
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn unexpected(&self, expected: &str) -> String {
        let found: String = self.rest.chars().take(40).collect();
        format!("the marker goes on with {found:?}; expected {expected}")
    }
}

impl fmt::Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => f.write_str(name),
            Self::Text(text) => write!(f, "\"{text}\""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Marker;
    use proptest::prelude::*;

    #[test]
    fn writes_a_canonical_form() {
        for (text, canonical) in [
            ("python_version<'3.9'", "python_version < \"3.9\""),
            ("( sys_platform == 'linux' )", "sys_platform == \"linux\""),
            (
                "os_name=='nt' and (extra == 'a' or 'win' in sys_platform)",
                "os_name == \"nt\" and (extra == \"a\" or \"win\" in sys_platform)",
            ),
            (
                "platform_machine not in 'a b' or os_name != 'nt' and os_name != 'x'",
                "platform_machine not in \"a b\" or (os_name != \"nt\" and os_name != \"x\")",
            ),
        ] {
            assert_eq!(Marker::parse(text).unwrap().to_string(), canonical);
            assert_eq!(Marker::parse(canonical).unwrap().to_string(), canonical);
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "touch /tmp/p",
            "python_version",
            "python_version <",
            "'a' == 'b'",
            "os_name == '$(id)'",
            "os_name == 'a\nb'",
            "os_name == 'nt' ; rm",
            "os_name == 'nt' or",
            "(os_name == 'nt'",
            "os.name == 'nt'",
            "os_name == 'nt' extra",
            &"(".repeat(10_000),
        ] {
            assert!(Marker::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn is_total_and_stable(text in "([a-z_=<>!~'\"() .0-9;$]|and|or|in|os_name|python_version){0,30}") {
            if let Ok(marker) = Marker::parse(&text) {
                let canonical = marker.to_string();
                prop_assert_eq!(Marker::parse(&canonical).unwrap().to_string(), canonical);
            }
        }
    }
}
