//! What is said of a version that came from another registry.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// That a version existed elsewhere before, and that nobody here saw how it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Imported {
    /// Where it came from, e.g. `http://old:5000`; without user name and password.
    pub source: String,
    /// The model's name there.
    pub name: String,
    /// The version's number there.
    pub version: i64,
    /// Who registered it there, as that registry told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// When it was registered there, as that registry told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at_ms: Option<i64>,
    pub imported_at_ms: i64,
    /// Whether this registry saw the training; an import has not.
    pub witnessed_training: bool,
}

impl Imported {
    /// In a sentence, for whoever verifies.
    pub fn detail(&self) -> String {
        let at = super::provenance::rfc3339(self.imported_at_ms);
        let at = at.as_ref().and_then(|at| at.as_str()).unwrap_or("an unknown time");
        let seen = if self.witnessed_training { "" } else { "; this registry did not witness the training" };
        format!("imported at {at} from {}, where it was {}@{}{seen}", self.source, self.name, self.version)
    }
}
