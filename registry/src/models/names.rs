//! Rules for names, aliases, tags and other texts, with MLflow's limits and messages
//! (mlflow/utils/validation.py).

use super::{ModelsError, TAGS_MAX, Tags};

/// MLflow's column holds 256 characters.
const NAME_MAX_CHARS: usize = 256;
const ALIAS_MAX_CHARS: usize = 255;
const TAG_KEY_MAX_CHARS: usize = 250;
const TAG_VALUE_MAX_CHARS: usize = 100_000;
const DESCRIPTION_MAX_CHARS: usize = 100_000;
const SOURCE_MAX_CHARS: usize = 4096;
/// Ids are in indexes, and made of 32 characters.
const ID_MAX_CHARS: usize = 256;
const ALIAS_CHARACTERS: &str = "Names may only contain alphanumerics, underscores (_), and dashes (-).";
const KEY_CHARACTERS: &str = "Names may only contain alphanumerics, underscores (_), dashes (-), \
     periods (.), spaces ( ), colon(:) and slashes (/).";

/// A registered model's name: one path segment, the same text before and after decoding.
pub fn check_model_name(name: &str) -> Result<(), ModelsError> {
    let invalid = |message: String| Err(ModelsError::invalid("MODEL_NAME_INVALID", message));
    if name.trim().is_empty() {
        return invalid("Missing value for required parameter 'name'.".to_owned());
    }
    if name.chars().count() > NAME_MAX_CHARS {
        return invalid(too_long("name", NAME_MAX_CHARS));
    }
    if name.contains(['/', ':']) {
        return invalid(format!("Invalid model name '{name}'. Names cannot contain '/' or ':'."));
    }
    if name == "." || name.starts_with("..") {
        return invalid(invalid_value("name", name, &bad_path(name)));
    }
    if name.chars().any(char::is_control) {
        return invalid(invalid_value("name", name, "Names cannot contain control characters."));
    }
    if percent_encoding::percent_decode_str(name).count() != name.len() {
        return invalid(invalid_value("name", name, "Names cannot contain percent-encoded characters."));
    }
    Ok(())
}

/// An alias that may be asked for.
pub fn check_alias(alias: &str) -> Result<(), ModelsError> {
    let invalid = |message: String| Err(ModelsError::invalid("ALIAS_INVALID", message));
    if alias.is_empty() {
        return invalid("Registered model alias name cannot be empty.".to_owned());
    }
    if !alias.chars().all(|c| is_word(c) || c == '-') {
        return invalid(format!("Invalid alias name: '{alias}'. {ALIAS_CHARACTERS}"));
    }
    if alias.chars().count() > ALIAS_MAX_CHARS {
        return invalid(too_long("Registered model alias name", ALIAS_MAX_CHARS));
    }
    Ok(())
}

/// An alias that may be set: `latest` and `v3` would shadow other ways to name a version.
pub fn check_new_alias(alias: &str) -> Result<(), ModelsError> {
    check_alias(alias)?;
    if alias.eq_ignore_ascii_case("latest") {
        return Err(ModelsError::invalid(
            "ALIAS_RESERVED",
            "'latest' alias name (case insensitive) is reserved.",
        ));
    }
    let number = alias.strip_prefix(['v', 'V']);
    if number.is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit())) {
        return Err(ModelsError::invalid(
            "ALIAS_RESERVED",
            format!("Version alias name '{alias}' is reserved."),
        ));
    }
    Ok(())
}

/// The tags that a model or version is made with.
pub fn check_tags(subject: &str, tags: &Tags) -> Result<(), ModelsError> {
    if tags.len() as i64 > TAGS_MAX {
        return Err(ModelsError::TooMany { what: subject.to_owned(), limit: TAGS_MAX, items: "tags" });
    }
    tags.iter().try_for_each(|(key, value)| check_tag(key, value))
}

/// A tag of a model or version.
pub fn check_tag(key: &str, value: &str) -> Result<(), ModelsError> {
    check_tag_key(key)?;
    let invalid = |message: String| Err(ModelsError::invalid("TAG_INVALID", message));
    if value.chars().count() > TAG_VALUE_MAX_CHARS {
        if key == "mlflow.prompt.text" {
            return invalid(format!("Prompt text exceeds max length of {TAG_VALUE_MAX_CHARS} characters."));
        }
        return invalid(too_long("value", TAG_VALUE_MAX_CHARS));
    }
    check_text("value", value)
}

pub fn check_tag_key(key: &str) -> Result<(), ModelsError> {
    let invalid = |message: String| Err(ModelsError::invalid("TAG_INVALID", message));
    if !key.chars().all(|c| is_word(c) || "/.- :".contains(c)) {
        return invalid(invalid_value("key", key, KEY_CHARACTERS));
    }
    if normalize(key) != key || key == "." || key.starts_with("..") || key.starts_with('/') {
        return invalid(invalid_value("key", key, &bad_path(key)));
    }
    if key.chars().count() > TAG_KEY_MAX_CHARS {
        return invalid(too_long("key", TAG_KEY_MAX_CHARS));
    }
    Ok(())
}

pub fn check_description(description: Option<&str>) -> Result<(), ModelsError> {
    let Some(text) = description else {
        return Ok(());
    };
    if text.chars().count() > DESCRIPTION_MAX_CHARS {
        let message = too_long("description", DESCRIPTION_MAX_CHARS);
        return Err(ModelsError::invalid("DESCRIPTION_INVALID", message));
    }
    check_text("description", text)
}

/// A short reference text: a source, a link.
pub fn check_reference(field: &'static str, text: &str) -> Result<(), ModelsError> {
    check_short(field, text, SOURCE_MAX_CHARS)
}

/// The id of a run or of a logged model.
pub fn check_id(field: &'static str, text: &str) -> Result<(), ModelsError> {
    check_short(field, text, ID_MAX_CHARS)
}

fn check_short(field: &'static str, text: &str, limit: usize) -> Result<(), ModelsError> {
    if text.chars().count() > limit {
        return Err(ModelsError::invalid("FIELD_TOO_LONG", too_long(field, limit)));
    }
    check_text(field, text)
}

/// A version's number as MLflow sends it, as text.
pub fn parse_version(text: &str) -> Result<i64, ModelsError> {
    text.trim().parse().map_err(|_| {
        let message = format!("Parameter 'version' must be an integer, got '{text}'.");
        ModelsError::invalid("VERSION_INVALID", message)
    })
}

/// PostgreSQL's TEXT cannot hold NUL.
fn check_text(field: &'static str, text: &str) -> Result<(), ModelsError> {
    if text.contains('\0') {
        return Err(ModelsError::invalid("FIELD_INVALID", format!("'{field}' contains a NUL character")));
    }
    Ok(())
}

fn too_long(field: &str, limit: usize) -> String {
    format!("'{field}' exceeds the maximum length of {limit} characters")
}

fn invalid_value(field: &str, value: &str, why: &str) -> String {
    let shown: String = value.chars().take(300).collect();
    let quoted = serde_json::Value::String(shown);
    format!("Invalid value {quoted} for parameter '{field}' supplied: {why}")
}

fn bad_path(name: &str) -> String {
    format!(
        "Names may be treated as files in certain cases, and must not resolve to other names when treated \
         as such. This name would resolve to '{}'",
        normalize(name)
    )
}

/// Python's `\w`.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Python's `posixpath.normpath`.
fn normalize(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_names() {
        for good in ["iris", "UpdateRMTest 2", "modèle", "a.b", "$(id)", "100% sure", "x@y"] {
            assert!(check_model_name(good).is_ok(), "{good}");
        }
        let long = "x".repeat(257);
        for bad in ["", "  ", "a/b", "a:b", ".", "..", "..x", "a%62c", "%2e%2e", "a\0b", "a\nb", &long] {
            assert!(check_model_name(bad).is_err(), "{bad:?}");
        }
        let message = check_model_name("a/b").unwrap_err().to_string();
        assert_eq!(message, "Invalid model name 'a/b'. Names cannot contain '/' or ':'.");
    }

    #[test]
    fn aliases() {
        for good in ["champion", "A-b_9", "version1"] {
            assert!(check_new_alias(good).is_ok(), "{good}");
        }
        let long = "x".repeat(256);
        for bad in ["", "a b", "a/b", "latest", "LATEST", "v1", "V22", &long] {
            assert!(check_new_alias(bad).is_err(), "{bad:?}");
        }
        assert!(check_alias("latest").is_ok());
    }

    #[test]
    fn tag_keys() {
        for good in ["key", "another key", "mlflow.prompt.is_prompt", "a/b", "a:b"] {
            assert!(check_tag_key(good).is_ok(), "{good}");
        }
        let long = "x".repeat(251);
        for bad in ["", ".", "..", "../a", "a//b", "a/", "/a", "a\nb", "a*b", &long] {
            assert!(check_tag_key(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn normalizes_as_python_does() {
        for (path, expected) in [
            ("", "."),
            ("a/../b", "b"),
            ("../a", "../a"),
            ("/../a", "/a"),
            ("a/./b//c/", "a/b/c"),
            ("a/..", "."),
        ] {
            assert_eq!(normalize(path), expected, "{path:?}");
        }
    }
}
