//! How people name a version: `iris@3`, `iris@alias:champion`, `iris@stage:production`,
//! `iris@sha256:…`, or `iris@champion`, where the registry finds the one thing that bears the word.

use crate::api::Stage;
use std::{fmt, str::FromStr};
use waybill_proof::Digest;

/// Names one version of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub name: String,
    pub selector: Selector,
}

/// Which of a model's versions is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// 1 or higher.
    Version(i64),
    Alias(String),
    Stage(Stage),
    /// Digest of the manifest.
    Digest(Digest),
    /// An alias or a stage: whichever bears the word, refused when both do.
    Word(String),
}

/// Text that names no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a reference: {reason}. Expected NAME@VERSION, NAME@alias:ALIAS, NAME@stage:STAGE or NAME@sha256:DIGEST"
)]
pub struct InvalidReference {
    text: String,
    reason: String,
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let invalid = |reason: String| InvalidReference { text: text.chars().take(200).collect(), reason };
        // A model's name may hold `@`; nothing after it may.
        let (name, selector) = text.rsplit_once('@').ok_or_else(|| invalid("there is no \"@\"".into()))?;
        if name.is_empty() {
            return Err(invalid("the model's name before \"@\" is empty".into()));
        }
        let selector = selector.parse::<Selector>().map_err(invalid)?;
        Ok(Self { name: name.to_owned(), selector })
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("nothing follows \"@\"".into());
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return match text.parse() {
                Ok(version) if version >= 1 => Ok(Self::Version(version)),
                _ => Err(format!("version {text} is not between 1 and {}", i64::MAX)),
            };
        }
        match text.split_once(':') {
            None => Ok(Self::Word(text.to_owned())),
            Some(("sha256", _)) => text.parse::<Digest>().map(Self::Digest).map_err(|e| e.to_string()),
            Some(("alias" | "stage", "")) => Err(format!("nothing follows {text:?}")),
            Some(("alias", alias)) => Ok(Self::Alias(alias.to_owned())),
            Some(("stage", stage)) => stage.parse::<Stage>().map(Self::Stage).map_err(|e| e.to_string()),
            Some((kind, _)) => Err(format!("{kind:?} is none of alias, stage, sha256")),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.selector)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "{version}"),
            Self::Alias(alias) => write!(f, "alias:{alias}"),
            Self::Stage(stage) => write!(f, "stage:{stage}"),
            Self::Digest(digest) => write!(f, "{digest}"),
            Self::Word(word) => f.write_str(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Selector {
        text.parse::<Reference>().expect(text).selector
    }

    #[test]
    fn every_form_is_told_apart() {
        assert_eq!(parsed("iris@3"), Selector::Version(3));
        assert_eq!(parsed("iris@alias:3"), Selector::Alias("3".into()));
        assert_eq!(parsed("iris@stage:production"), Selector::Stage(Stage::Production));
        assert_eq!(parsed("iris@champion"), Selector::Word("champion".into()));
        let digest = Digest::of(b"x");
        assert_eq!(parsed(&format!("iris@{digest}")), Selector::Digest(digest));
        assert_eq!("a@b@7".parse::<Reference>().unwrap().name, "a@b");
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        for (text, expected) in [
            ("iris", "there is no \"@\""),
            ("@3", "name before \"@\" is empty"),
            ("iris@", "nothing follows \"@\""),
            ("iris@0", "version 0 is not between 1"),
            ("iris@99999999999999999999", "is not between 1"),
            ("iris@stage:live", "stage \"live\""),
            ("iris@stage:", "nothing follows \"stage:\""),
            ("iris@tag:x", "\"tag\" is none of alias, stage, sha256"),
            ("iris@sha256:abc", "64 lower-case hex digits"),
        ] {
            let message = text.parse::<Reference>().unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    fn selector() -> impl Strategy<Value = Selector> {
        prop_oneof![
            (1..=i64::MAX).prop_map(Selector::Version),
            "[A-Za-z0-9_-]{1,40}".prop_map(Selector::Alias),
            prop::sample::select(Stage::ALL.to_vec()).prop_map(Selector::Stage),
            any::<[u8; 32]>().prop_map(|raw| Selector::Digest(Digest::from_bytes(raw))),
            "[A-Za-z_-][A-Za-z0-9_-]{0,40}".prop_map(Selector::Word),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(name in "[^@]{1,20}(@[a-z]{1,5})?", selector in selector()) {
            let reference = Reference { name, selector };
            prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
        }

        #[test]
        fn no_text_panics_and_what_parses_is_stable(text in ".{0,80}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
            }
        }
    }
}
