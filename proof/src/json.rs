//! Canonical JSON: the same value gives the same bytes everywhere (RFC 8785).

use serde::Serialize;
use serde_json::Value;

/// Largest integer that every JSON reader keeps exactly (RFC 7493 section 2.2).
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// A value that has no canonical form.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// RFC 8785 writes numbers as IEEE doubles, which would silently change this one.
    #[error(
        "the integer {0} is beyond ±9007199254740991 and would change when read as JSON; write it as a string"
    )]
    UnsafeInteger(serde_json::Number),
    #[error("the value cannot be written as canonical JSON: {0}")]
    Serialize(#[from] serde_json::Error),
}

/// Writes `value` as canonical JSON (RFC 8785): sorted keys, no white space, shortest numbers.
///
/// A NaN or infinite float inside a structure becomes `null`, as everywhere with serde_json; types
/// that may hold one write it as text ([`crate::documents::MetricNumber`]).
pub fn canonical(value: &impl Serialize) -> Result<Vec<u8>, CanonicalError> {
    check_integers(&serde_json::to_value(value)?)?;
    Ok(serde_json_canonicalizer::to_vec(value)?)
}

fn check_integers(value: &Value) -> Result<(), CanonicalError> {
    match value {
        Value::Number(number) => {
            let safe = number.as_u64().is_none_or(|n| n <= MAX_SAFE_INTEGER)
                && number.as_i64().is_none_or(|n| n.unsigned_abs() <= MAX_SAFE_INTEGER);
            if safe { Ok(()) } else { Err(CanonicalError::UnsafeInteger(number.clone())) }
        }
        Value::Array(items) => items.iter().try_for_each(check_integers),
        Value::Object(fields) => fields.values().try_for_each(check_integers),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{CanonicalError, canonical};
    use serde_json::json;

    #[test]
    fn writes_the_rfc_8785_example() {
        // RFC 8785 section 3.2.2 and 3.2.3.
        let value = json!({
            "numbers": [333_333_333.333_333_3, 1e30, 4.50, 2e-3, 1e-27],
            "string": "\u{20ac}$\u{000F}\nA'B\"\\\\\"/",
            "literals": [null, true, false],
        });
        let expected = r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#;
        assert_eq!(String::from_utf8(canonical(&value).unwrap()).unwrap(), expected);
    }

    #[test]
    fn sorts_keys_by_utf16_code_units() {
        // RFC 8785 section 3.2.3: U+1F600 sorts before U+FB33 because its first surrogate does.
        let value = json!({"\u{fb33}": 2, "\u{1f600}": 1});
        assert_eq!(canonical(&value).unwrap(), "{\"\u{1f600}\":1,\"\u{fb33}\":2}".as_bytes());
    }

    #[test]
    fn refuses_what_a_double_cannot_hold() {
        assert_eq!(canonical(&json!([9_007_199_254_740_991_i64])).unwrap(), b"[9007199254740991]");
        for value in [json!({"a": 9_007_199_254_740_992_u64}), json!([-9_007_199_254_740_992_i64])] {
            assert!(matches!(canonical(&value), Err(CanonicalError::UnsafeInteger(_))), "{value}");
        }
    }
}
