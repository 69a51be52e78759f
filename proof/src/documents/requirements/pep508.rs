//! One requirement (PEP 508 without direct URLs): name, extras, version specifiers, marker.

use super::marker::Marker;

/// A requirement whose parts were all understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Requirement {
    /// Normalised after PEP 503: lower case, `-` between words.
    pub(super) name: String,
    pub(super) extras: Vec<String>,
    /// Comma-separated, without white space; empty when any version will do.
    pub(super) specifier: String,
    pub(super) marker: Option<Marker>,
}

/// Parses one requirement; the error says what was not understood.
pub(super) fn parse(text: &str) -> Result<Requirement, String> {
    let text = text.trim_matches([' ', '\t']);
    refuse_locations(text)?;
    let (name, rest) = split_name(text)?;
    let (extras, rest) = split_extras(rest.trim_start_matches([' ', '\t']))?;
    let rest = rest.trim_start_matches([' ', '\t']);
    if rest.starts_with('@') {
        return Err(
            "it points to a URL; expected a package name with versions, taken from the package index"
                .to_owned(),
        );
    }
    let (specifier, marker) = match rest.split_once(';') {
        Some((specifier, marker)) => (specifier, Some(Marker::parse(marker)?)),
        None => (rest, None),
    };
    Ok(Requirement { name: normalise_name(name), extras, specifier: parse_specifier(specifier)?, marker })
}

/// Name as package indexes compare it (PEP 503).
pub(super) fn normalise_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if !matches!(c, '-' | '_' | '.') {
            out.push(c.to_ascii_lowercase());
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    out
}

/// Whether `specifier` allows exactly one version.
pub(super) fn is_pinned(specifier: &str) -> bool {
    specifier.starts_with("==") && !specifier.contains([',', '*'])
}

/// The version of a pinned specifier.
pub(super) fn pinned_version(specifier: &str) -> Option<&str> {
    is_pinned(specifier).then(|| specifier.trim_start_matches('='))
}

fn refuse_locations(text: &str) -> Result<(), String> {
    let head = text.split([' ', ';', '@']).next().unwrap_or_default();
    let path = head.starts_with(['.', '/', '~'])
        || [".whl", ".tar.gz", ".zip"].iter().any(|end| head.ends_with(end));
    if head.contains("://") || head.starts_with("git+") {
        return Err(
            "it is a URL; expected a package name with versions, taken from the package index".to_owned()
        );
    }
    if path {
        return Err(
            "it is a local path; expected a package name with versions, taken from the package index"
                .to_owned(),
        );
    }
    Ok(())
}

fn split_name(text: &str) -> Result<(&str, &str), String> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let bounds = |c: char| c.is_ascii_alphanumeric();
    if name.is_empty() || !name.starts_with(bounds) || !name.ends_with(bounds) {
        return Err("it does not begin with a package name (letters, digits and `-`, `_`, `.` between them)"
            .to_owned());
    }
    if name.len() > 200 {
        return Err("its package name is longer than 200 characters".to_owned());
    }
    Ok((name, rest))
}

fn split_extras(text: &str) -> Result<(Vec<String>, &str), String> {
    let Some(inner) = text.strip_prefix('[') else {
        return Ok((Vec::new(), text));
    };
    let (list, rest) = inner.split_once(']').ok_or("its list of extras has no `]`")?;
    let mut extras = Vec::new();
    for extra in
        list.split(',').map(|extra| extra.trim_matches([' ', '\t'])).filter(|extra| !extra.is_empty())
    {
        let (name, after) = split_name(extra).map_err(|_| format!("its extra {extra:?} is not a name"))?;
        if !after.is_empty() {
            return Err(format!("its extra {extra:?} is not a name"));
        }
        extras.push(normalise_name(name));
    }
    extras.sort();
    extras.dedup();
    Ok((extras, rest))
}

fn parse_specifier(text: &str) -> Result<String, String> {
    let text = text.trim_matches([' ', '\t']);
    let text = match text.strip_prefix('(') {
        Some(inner) => inner.strip_suffix(')').ok_or("its version list has no `)`")?,
        None => text,
    };
    if text.is_empty() {
        return Ok(String::new());
    }
    let clauses: Result<Vec<String>, String> = text.split(',').map(parse_clause).collect();
    Ok(clauses?.join(","))
}

fn parse_clause(clause: &str) -> Result<String, String> {
    let clause = clause.trim_matches([' ', '\t']);
    let operator =
        ["===", "==", "~=", "!=", "<=", ">=", "<", ">"].into_iter().find(|op| clause.starts_with(op));
    let found: String = clause.chars().take(60).collect();
    let operator = operator
        .ok_or_else(|| format!("{found:?} is not a version specifier such as `==1.2.3` or `>=1,<2`"))?;
    let version = clause[operator.len()..].trim_matches([' ', '\t']);
    let (number, wildcard) = match version.strip_suffix(".*") {
        Some(number) if matches!(operator, "==" | "!=") => (number, ".*"),
        _ => (version, ""),
    };
    let first = number.trim_start_matches(['v', 'V']);
    let valid = first.starts_with(|c: char| c.is_ascii_digit())
        && number.chars().all(|c| c.is_ascii_alphanumeric() || "._+!-".contains(c));
    if !valid {
        return Err(format!("{found:?} has no version number after `{operator}`"));
    }
    Ok(format!("{operator}{number}{wildcard}"))
}

#[cfg(test)]
mod tests {
    use super::{is_pinned, parse};

    #[test]
    fn reads_the_parts() {
        let requirement = parse("Scikit_Learn[ b , A ] (>=1.0, <2) ; python_version < '3.12'").unwrap();
        assert_eq!(requirement.name, "scikit-learn");
        assert_eq!(requirement.extras, ["a", "b"]);
        assert_eq!(requirement.specifier, ">=1.0,<2");
        assert_eq!(requirement.marker.unwrap().to_string(), "python_version < \"3.12\"");
        assert_eq!(parse("torch == 2.0.0+cu118").unwrap().specifier, "==2.0.0+cu118");
        assert_eq!(parse("a").unwrap().specifier, "");
    }

    #[test]
    fn knows_what_is_pinned() {
        for (specifier, pinned) in [
            ("==1.2", true),
            ("===1.2", true),
            ("==1.*", false),
            ("==1,!=2", false),
            (">=1", false),
            ("", false),
        ] {
            assert_eq!(is_pinned(specifier), pinned, "{specifier}");
        }
    }

    #[test]
    fn refuses_what_could_do_more_than_name_a_package() {
        for text in [
            "numpy; touch /tmp/p",
            "numpy && id",
            "numpy $(id)",
            "numpy`id`",
            "$(id)",
            "numpy==1.0 | cat",
            "numpy==$(id)",
            "numpy==1.0\nid",
            "numpy > /etc/passwd",
            "-r other.txt",
            "--index-url https://h",
            "a @ https://h/a.whl",
            "git+https://h/a.git",
            "https://h/a.whl",
            "./a.whl",
            "/tmp/a",
            "a.whl",
            "a[b",
            "a[b;c]",
            "a (>=1",
            "a==",
            "a=1",
            "a 1",
            "a==1.*.2",
            "a>=1.*",
            "'a'",
            "",
            "a-",
        ] {
            assert!(parse(text).is_err(), "{text:?} was read as {:?}", parse(text));
        }
    }
}
