//! Where a version's files come from, as a client says it, and what it may say.
//!
//! Nothing here is ever fetched: files in our own store are frozen, anything else is handed back
//! as posted. The rules are MLflow's (`_validate_source_run` and its kin in
//! mlflow/server/handlers.py), for a source that another server or client may follow.

use super::ModelsError;
use percent_encoding::percent_decode_str;

/// Rounds of decoding before a source counts as a trick.
const DECODE_ROUNDS_MAX: usize = 32;
/// Schemes that make whoever follows them ask a host of the poster's choice, as a browser or a script in
/// its network would.
const HOST_SCHEMES: [&str; 2] = ["http", "https"];
/// Sources that MLflow's clients post for prompts, which have no files.
const PROMPT_PLACEHOLDERS: [&str; 2] = ["dummy-source", "prompt-template"];

/// A source, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path of our own artifact namespace, without leading, trailing or doubled slashes.
    Artifacts(String),
    /// A path below a run's artifacts; empty for all of them.
    Run { run_id: String, path: String },
    /// A logged model, by id.
    LoggedModel(String),
    /// Another version.
    Version { name: String, which: Which },
    /// A file path on some machine, normalised; absolute unless it was relative.
    Local(String),
    /// Elsewhere.
    Remote,
    /// A prompt's placeholder.
    Prompt,
}

/// Which version a `models:/` source names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    Number(i64),
    Stage(String),
    Alias(String),
    Latest,
}

/// Reads and checks a source.
pub fn read(source: &str, is_prompt: bool) -> Result<Source, ModelsError> {
    if is_prompt {
        return read_prompt(source);
    }
    let (scheme, rest) = split_scheme(source);
    if scheme.is_empty() {
        return Ok(Source::Local(normalize(source)));
    }
    if scheme == "file" {
        return read_file(source, rest);
    }
    check_path(source, rest)?;
    if HOST_SCHEMES.contains(&scheme.as_str()) {
        return Err(invalid(format!(
            "'source' cannot use the '{scheme}' scheme: it addresses a host of the poster's choice, and whoever \
             loads the version would connect to it. Log the model to a run and register that."
        )));
    }
    let (authority, path) = split_authority(rest);
    match scheme.as_str() {
        "mlflow-artifacts" if authority.is_empty() => Ok(Source::Artifacts(squeeze(path))),
        "runs" if authority.is_empty() => read_run(source, path),
        "models" if authority.is_empty() => read_models(source, path),
        "runs" | "models" => Err(invalid(format!("Invalid model version source: '{source}'."))),
        _ => Ok(Source::Remote),
    }
}

fn invalid(message: String) -> ModelsError {
    ModelsError::invalid("SOURCE_INVALID", message)
}

fn read_prompt(source: &str) -> Result<Source, ModelsError> {
    if PROMPT_PLACEHOLDERS.contains(&source) {
        return Ok(Source::Prompt);
    }
    Err(invalid(format!("Invalid prompt source: '{source}'. Prompt sources must use an MLflow placeholder.")))
}

/// Scheme in lower case, and what follows the colon; no scheme where there is no colon before the
/// first slash.
fn split_scheme(source: &str) -> (String, &str) {
    let Some((scheme, rest)) = source.split_once(':') else {
        return (String::new(), source);
    };
    let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    if valid { (scheme.to_ascii_lowercase(), rest) } else { (String::new(), source) }
}

fn split_authority(rest: &str) -> (&str, &str) {
    match rest.strip_prefix("//") {
        Some(after) => after.split_at(after.find('/').unwrap_or(after.len())),
        None => ("", rest),
    }
}

fn read_file(source: &str, rest: &str) -> Result<Source, ModelsError> {
    let (authority, path) = split_authority(rest);
    let host = authority.rsplit('@').next().unwrap_or_default();
    let local =
        host.is_empty() || host == "." || host.starts_with("localhost") || host.starts_with("127.0.0.1");
    if !local {
        return Err(ModelsError::invalid(
            "SOURCE_REMOTE_FILE",
            format!(
                "{source} is not a valid remote uri. For remote access on windows, please consider using a \
                 different scheme such as SMB (e.g. smb://<hostname>/<path>)."
            ),
        ));
    }
    Ok(Source::Local(normalize(&decode(path).ok_or_else(|| relative(source))?)))
}

/// The path of a URI must be absolute and mean itself, however often it is decoded.
fn check_path(source: &str, rest: &str) -> Result<(), ModelsError> {
    let decoded = decode(rest).ok_or_else(|| relative(source))?;
    let (_, path) = split_authority(&decoded);
    let path = path.split(['?', '#', ';']).next().unwrap_or_default();
    let path = squeeze(path);
    let absolute = rest.starts_with('/');
    let traverses = decoded.split(['/', '\\']).any(|segment| segment == "..");
    if !absolute
        || path.is_empty()
        || traverses
        || path.split('/').any(|segment| segment == ".")
        || decoded.chars().any(char::is_control)
    {
        return Err(relative(source));
    }
    Ok(())
}

fn relative(source: &str) -> ModelsError {
    invalid(format!(
        "Invalid model version source: '{source}'. If supplying a source as an http, https, local file path, \
         ftp, objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path \
         references present. Please provide an absolute path."
    ))
}

/// Percent-decoded until nothing changes; `None` for what never ends or is not text.
fn decode(text: &str) -> Option<String> {
    let mut text = text.to_owned();
    for _ in 0..DECODE_ROUNDS_MAX {
        let next = percent_decode_str(&text).decode_utf8().ok()?.into_owned();
        if next == text {
            return Some(text);
        }
        text = next;
    }
    None
}

/// Without leading, trailing and doubled slashes.
fn squeeze(path: &str) -> String {
    path.split('/').filter(|segment| !segment.is_empty()).collect::<Vec<_>>().join("/")
}

fn read_run(source: &str, path: &str) -> Result<Source, ModelsError> {
    let path = squeeze(path);
    let (run_id, below) = path.split_once('/').unwrap_or((path.as_str(), ""));
    if run_id.is_empty() {
        return Err(invalid(format!(
            "Invalid model version source: '{source}'. Not a proper runs:/ URI: expected runs:/<run_id>/path/to/model."
        )));
    }
    Ok(Source::Run { run_id: run_id.to_owned(), path: below.to_owned() })
}

fn read_models(source: &str, path: &str) -> Result<Source, ModelsError> {
    let improper = || {
        invalid(format!(
            "Invalid model version source: '{source}'. Not a proper models:/ URI: expected models:/<name>/<version>, \
             models:/<name>@<alias> or models:/<model id>."
        ))
    };
    let path = path.trim_start_matches('/');
    let named = |name: &str, which| Ok(Source::Version { name: name.to_owned(), which });
    match path.split('/').collect::<Vec<_>>().as_slice() {
        [name, suffix] if !name.trim().is_empty() && !suffix.trim().is_empty() => {
            if suffix.eq_ignore_ascii_case("latest") {
                return named(name, Which::Latest);
            }
            match suffix.parse() {
                Ok(number) => named(name, Which::Number(number)),
                Err(_) => named(name, Which::Stage((*suffix).to_owned())),
            }
        }
        [one] if !one.is_empty() => match one.rsplit_once('@') {
            Some((name, alias)) if !name.is_empty() && !alias.trim().is_empty() => {
                named(name, Which::Alias(alias.to_owned()))
            }
            Some(_) => Err(improper()),
            None => Ok(Source::LoggedModel((*one).to_owned())),
        },
        _ => Err(improper()),
    }
}

/// Whether the local path `source` lies in the local directory `root`, which may be a `file:` URI.
pub fn is_within(source: &str, root: &str) -> bool {
    let (scheme, rest) = split_scheme(root);
    let root = match scheme.as_str() {
        "" => normalize(root),
        "file" => match decode(split_authority(rest).1) {
            Some(path) => normalize(&path),
            None => return false,
        },
        _ => return false,
    };
    let inside = source.strip_prefix(root.as_str());
    source.starts_with('/')
        && root != "/"
        && inside.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A file path without empty, `.` and `..` segments.
fn normalize(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("{}{}", if path.starts_with('/') { "/" } else { "" }, parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_clients_post() {
        let artifacts = |path: &str| Source::Artifacts(path.to_owned());
        let version = |which| Source::Version { name: "iris".to_owned(), which };
        for (source, expected) in [
            ("mlflow-artifacts:/1/models/m-1/artifacts", artifacts("1/models/m-1/artifacts")),
            ("mlflow-artifacts:/models///", artifacts("models")),
            ("mlflow-artifacts:/models/foo///bar", artifacts("models/foo/bar")),
            ("mlflow-artifacts://host:9000/models", Source::Remote),
            ("mlflow-artifacts://host:9000/models/artifact/..../", Source::Remote),
            ("runs:/abc/model", Source::Run { run_id: "abc".into(), path: "model".into() }),
            // All that the run logged.
            ("runs:/abc", Source::Run { run_id: "abc".into(), path: String::new() }),
            ("runs:/abc/a/b", Source::Run { run_id: "abc".into(), path: "a/b".into() }),
            ("models:/m-1f", Source::LoggedModel("m-1f".into())),
            ("models:/iris/3", version(Which::Number(3))),
            ("models:/iris/Production", version(Which::Stage("Production".into()))),
            ("models:/iris/latest", version(Which::Latest)),
            ("models:/iris@champion", version(Which::Alias("champion".into()))),
            ("s3://bucket/x", Source::Remote),
            ("dbfs:/x", Source::Remote),
            ("hdfs://host:9000/x", Source::Remote),
            ("sftp://ann@host/x", Source::Remote),
            ("/a/./b/../c", Source::Local("/a/c".into())),
            ("file:///a/b", Source::Local("/a/b".into())),
            ("file:etc", Source::Local("etc".into())),
        ] {
            assert_eq!(read(source, false).unwrap(), expected, "{source}");
        }
    }

    #[test]
    fn refuses_tricks() {
        for source in [
            "mlflow-artifacts://host:9000/models/../../../",
            "mlflow-artifacts:/a/../b",
            "mlflow-artifacts:/a/%2e%2e/b",
            "mlflow-artifacts:/a/%252e%252e/b",
            "mlflow-artifacts://host:9000/models/..%2f..%2fartifacts",
            "mlflow-artifacts://host:9000/models/artifact%00",
            "mlflow-artifacts:/a/./b",
            "mlflow-artifacts:relative",
            "mlflow-artifacts:/",
            "http://169.254.169.254/latest",
            "https://host/x",
            "s3://b/../x",
            "s3a://my_bucket/api/../../../",
            "dbfs:/run/artifacts/a%3f/../../../../",
            "dbfs:/x#/../y",
            "runs:/",
            "runs://host/abc/model",
            "models:/",
            "models:/a/b/c",
            "models:/iris@",
            "models://host/iris/1",
            "file://123.456.789.123/path",
            "file://h/p",
        ] {
            assert!(read(source, false).is_err(), "{source}: {:?}", read(source, false));
        }
    }

    #[test]
    fn prompts_have_placeholders_only() {
        assert_eq!(read("dummy-source", true).unwrap(), Source::Prompt);
        for source in ["/etc", "file:etc", "http://169.254.169.254/", "s3://b/x"] {
            assert!(read(source, true).is_err(), "{source}");
        }
    }

    #[test]
    fn local_paths_stay_inside() {
        for (source, root, expected) in [
            ("/data/0/run/artifacts/model", "file:///data/0/run/artifacts", true),
            ("/data/0/run/artifacts", "/data/0/run/artifacts/", true),
            ("/data/0/run/artifacts2", "/data/0/run/artifacts", false),
            ("/tmp", "/data", false),
            ("data/x", "data", false),
            ("/data/x", "mlflow-artifacts:/data", false),
            ("/etc", "/", false),
        ] {
            assert_eq!(is_within(source, root), expected, "{source} in {root}");
        }
    }
}
