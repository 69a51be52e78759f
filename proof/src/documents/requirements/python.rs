//! `python_env.yaml` and `conda.yaml`, as MLflow writes them beside a model.

use super::{
    Package, RequirementsError, UnusableLine,
    lines::{self, Line},
};
use serde::Deserialize;

/// What an environment file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Environment {
    pub(super) python: Python,
    pub(super) packages: Vec<Package>,
    pub(super) unusable: Vec<UnusableLine>,
}

/// The interpreter: an exact version, or a range.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Python {
    pub(super) version: Option<String>,
    pub(super) requires: Option<String>,
}

impl Python {
    /// `3.11.2` is a version, `>=3.10` a range; anything else says nothing.
    pub(super) fn of(text: &str) -> Self {
        let text = text.trim();
        // conda writes `=3.10.4=build`.
        let number = text.trim_start_matches('=').split('=').next().unwrap_or_default().trim();
        let parts: Vec<&str> = number.split('.').collect();
        let exact = (2..=3).contains(&parts.len())
            && parts
                .iter()
                .all(|part| !part.is_empty() && part.len() < 5 && part.bytes().all(|b| b.is_ascii_digit()));
        match (exact, is_range(text)) {
            (true, _) => Self { version: Some(number.to_owned()), requires: None },
            (false, true) => Self { version: None, requires: Some(text.to_owned()) },
            (false, false) => Self::default(),
        }
    }

    /// Whether `text` is exactly the version that was read.
    pub(super) fn is_version(&self, text: &str) -> bool {
        self.version.as_deref() == Some(text)
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self { version: self.version.or(other.version), requires: self.requires.or(other.requires) }
    }
}

/// Whether `text` could be version specifiers: it goes on to a resolver's command line.
pub(super) fn is_range(text: &str) -> bool {
    let of_range = |c: char| c.is_ascii_alphanumeric() || "<>=!~., *+".contains(c);
    !text.is_empty() && text.len() <= 100 && text.chars().all(of_range)
}

#[derive(Deserialize)]
struct PythonEnv {
    #[serde(default)]
    python: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

#[derive(Deserialize)]
struct CondaEnv {
    #[serde(default)]
    dependencies: Vec<CondaDependency>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum CondaDependency {
    Pip { pip: Vec<String> },
    Conda(String),
}

/// Reads `python_env.yaml`. Its `-r requirements.txt` entry names a file that is read by itself.
pub(super) fn python_env(file: &'static str, text: &str) -> Result<Environment, RequirementsError> {
    let wire: PythonEnv = yaml(file, text)?;
    let dependencies = wire.dependencies.into_iter().filter(|line| line.trim() != "-r requirements.txt");
    let (packages, unusable) = lines::read(file, &number(dependencies));
    Ok(Environment { python: Python::of(&wire.python.unwrap_or_default()), packages, unusable })
}

/// Reads `conda.yaml`: the Python version and the `pip:` list. Packages from conda channels
/// cannot be installed from a Python package index and are reported.
pub(super) fn conda(file: &'static str, text: &str) -> Result<Environment, RequirementsError> {
    let wire: CondaEnv = yaml(file, text)?;
    let mut environment = Environment::default();
    for (at, dependency) in wire.dependencies.into_iter().enumerate() {
        match dependency {
            CondaDependency::Pip { pip } => {
                let (packages, unusable) = lines::read(file, &number(pip.into_iter()));
                environment.packages.extend(packages);
                environment.unusable.extend(unusable);
            }
            CondaDependency::Conda(text) => {
                let end = text.find([' ', '=', '<', '>', '!', '~', '[']).unwrap_or(text.len());
                match &text[..end] {
                    "python" => environment.python = Python::of(&text[end..]),
                    "pip" => {}
                    _ => {
                        let reason = "it comes from a conda channel; expected it in the `pip:` list, which is taken from the package index";
                        environment.unusable.push(UnusableLine::new(file, at as u64 + 1, &text, reason));
                    }
                }
            }
        }
    }
    Ok(environment)
}

/// Entries of a list have no line of their own in the parsed document: their place is counted.
fn number(lines: impl Iterator<Item = String>) -> Vec<Line> {
    lines.enumerate().map(|(at, text)| Line { number: at as u64 + 1, text: text.trim().to_owned() }).collect()
}

fn yaml<T: serde::de::DeserializeOwned>(file: &'static str, text: &str) -> Result<T, RequirementsError> {
    serde_saphyr::from_str(text).map_err(|error| RequirementsError::Damaged {
        file,
        // The library's message quotes the source over several lines; the first one says it all.
        reason: error.to_string().lines().next().unwrap_or_default().to_owned(),
    })
}
