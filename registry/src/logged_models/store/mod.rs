//! Statements on logged models. None of them commits.

mod children;
mod models;
mod search;

pub use children::{add_metrics, add_params, delete_tag, log_metrics, params, set_tags, tags};
pub use models::{delete, get, insert, lock, mid, set_status};
pub use search::{LOGGED_MODELS, search};
