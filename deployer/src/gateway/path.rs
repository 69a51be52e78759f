//! From the request's path to environment, model and the path that the container sees.

use super::error::{GatewayError, shown};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// A request path, taken apart. Environment and model are percent-decoded once; `rest` is passed on
/// as it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pub environment: Cow<'a, str>,
    pub model: Cow<'a, str>,
    /// `/{environment}/{model}` as it came.
    pub prefix: &'a str,
    /// What follows: empty, or with a slash in front.
    pub rest: &'a str,
}

/// Takes `/{environment}/{model}{rest}` apart.
///
/// Whatever comes behind decodes the path again, perhaps twice, and resolves `..`: so a path with a
/// dot segment at any depth of encoding is refused here.
pub(super) fn split(path: &str) -> Result<Target<'_>, GatewayError> {
    check(path)?;
    let no_such_path = || GatewayError::NoSuchPath { path: shown(path) };
    let inner = path.strip_prefix('/').ok_or_else(no_such_path)?;
    let (environment, after) = inner.split_once('/').ok_or_else(no_such_path)?;
    let model = after.split('/').next().unwrap_or_default();
    if environment.is_empty() || model.is_empty() {
        return Err(no_such_path());
    }
    let prefix = &path[..1 + environment.len() + 1 + model.len()];
    Ok(Target {
        environment: decode(path, environment)?,
        model: decode(path, model)?,
        prefix,
        rest: &path[prefix.len()..],
    })
}

fn decode<'a>(path: &str, segment: &'a str) -> Result<Cow<'a, str>, GatewayError> {
    percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_| invalid(path, "an environment or model that is not UTF-8"))
}

fn check(path: &str) -> Result<(), GatewayError> {
    let decoded;
    let bytes = if path.contains('%') {
        decoded = decode_to_fixed_point(path);
        &decoded[..]
    } else {
        path.as_bytes()
    };
    if bytes.iter().any(u8::is_ascii_control) {
        return Err(invalid(path, "a control character"));
    }
    let is_separator = |byte: &u8| matches!(byte, b'/' | b'\\');
    if bytes.split(is_separator).any(|segment| matches!(segment, b"." | b"..")) {
        return Err(invalid(path, "a `.` or `..` segment"));
    }
    Ok(())
}

/// Percent-decodes until nothing is left to decode, in one pass: a decoded byte may complete an
/// escape with the bytes before it, so each is looked at again where it lands.
fn decode_to_fixed_point(path: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for byte in path.bytes() {
        out.push(byte);
        while let [.., b'%', high, low] = out[..] {
            let (Some(high), Some(low)) = (hex_value(high), hex_value(low)) else {
                break;
            };
            out.truncate(out.len() - 3);
            out.push(high << 4 | low);
        }
    }
    out
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

fn invalid(path: &str, problem: &'static str) -> GatewayError {
    GatewayError::InvalidPath { path: shown(path), problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes once per round until a round changes nothing.
    fn decode_round_by_round(path: &str) -> Vec<u8> {
        let mut bytes = path.as_bytes().to_vec();
        loop {
            let next: Vec<u8> = percent_encoding::percent_decode(&bytes).collect();
            if next == bytes {
                return bytes;
            }
            bytes = next;
        }
    }

    #[test]
    fn takes_paths_apart() {
        for (path, environment, model, rest) in [
            ("/production/iris/invocations", "production", "iris", "/invocations"),
            ("/production/iris", "production", "iris", ""),
            ("/production/iris/", "production", "iris", "/"),
            ("/staging/my%20model/v2/models/m/infer", "staging", "my model", "/v2/models/m/infer"),
            ("/staging/100%25/ping", "staging", "100%", "/ping"),
            ("/test/iris//ping", "test", "iris", "//ping"),
            ("/test/iris/a%2Fb", "test", "iris", "/a%2Fb"),
            ("/test/iris/..a/b../...", "test", "iris", "/..a/b../..."),
            ("/test/a%5Cb/ping", "test", "a\\b", "/ping"),
            ("/test/.waybill/ping", "test", ".waybill", "/ping"),
            ("/test/iris%2Fx/ping", "test", "iris/x", "/ping"),
        ] {
            let target = split(path).unwrap();
            assert_eq!(
                (&*target.environment, &*target.model, target.rest),
                (environment, model, rest),
                "{path}"
            );
            assert_eq!(format!("{}{}", target.prefix, target.rest), path);
        }
    }

    #[test]
    fn refuses_what_could_leave_the_prefix() {
        for path in [
            "/production/iris/../../staging/x",
            "/production/iris/./ping",
            "/production/iris/..",
            "/production/../staging/iris",
            "/../production/iris",
            "/production/iris/%2e%2e/%2E%2e/staging/x",
            "/production/iris/%252e%252e/x",
            "/production/iris/%25252525252e./x",
            "/production/iris/%2%35%32e./x",
            "/production/iris/..%2f..%2fstaging",
            "/production/iris/..\\..\\staging",
            "/production/iris/..%5c..%5cstaging",
            "/production/iris/%255c..%255c",
            "/production/iris%2f..%2f..%2fx/ping",
            "/production/iris/%00",
            "/production/iris/a%0d%0aHost:%20x",
            "/%ff/iris/ping",
        ] {
            assert!(matches!(split(path), Err(GatewayError::InvalidPath { .. })), "{path}");
        }
        for path in ["/", "", "/production", "/production/", "//iris/ping", "*"] {
            assert!(matches!(split(path), Err(GatewayError::NoSuchPath { .. })), "{path}");
        }
    }

    proptest! {
        #[test]
        fn one_pass_reaches_the_same_fixed_point(path in "[%/.25eEfFcC0aé\\\\]{0,60}") {
            prop_assert_eq!(decode_to_fixed_point(&path), decode_round_by_round(&path));
        }

        #[test]
        fn an_accepted_path_keeps_its_prefix_however_often_it_is_decoded(
            path in "/[a%2]{1,4}/[b%2]{1,4}(/|%2[fF]|%252f|%5c|\\.|%2e|%252E|%%32e|x){0,12}"
        ) {
            if let Ok(target) = split(&path) {
                let decoded = decode_round_by_round(target.rest);
                let mut depth = 0_i64;
                for segment in decoded.split(|byte| matches!(byte, b'/' | b'\\')) {
                    depth += match segment {
                        b"" | b"." => 0,
                        b".." => -1,
                        _ => 1,
                    };
                    prop_assert!(depth >= 0, "{path:?} leaves its prefix");
                }
            }
        }

        #[test]
        fn any_text_is_taken_apart_without_loss_or_refused(path in "\\PC{0,60}") {
            if let Ok(target) = split(&path) {
                prop_assert_eq!(format!("{}{}", target.prefix, target.rest), path.clone());
                prop_assert!(target.rest.is_empty() || target.rest.starts_with('/'));
                prop_assert!(!target.environment.is_empty() && !target.model.is_empty());
            }
        }

        #[test]
        fn plain_names_come_back_however_they_are_escaped(model in "[^/\\\\\\pC.]{1,12}") {
            let escaped = percent_encoding::utf8_percent_encode(&model, percent_encoding::NON_ALPHANUMERIC);
            let path = format!("/staging/{escaped}/ping");
            match split(&path) {
                Ok(target) => prop_assert_eq!(&*target.model, &*model),
                // A name that is itself an escape of a separator or control character.
                Err(_) => prop_assert!(model.contains('%')),
            }
        }
    }
}
