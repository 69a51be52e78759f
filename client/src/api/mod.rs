//! Wire types of the native API, `/api/v1`, shared by the registry that serves them and every
//! client that reads them. Times are epoch milliseconds, sizes are bytes, digests are
//! `sha256:<hex>`.

mod admin;
mod deployments;
mod import_traces;
mod imports;
mod models;
mod problem;
mod promotion;
mod uploads;
mod webhooks;

pub use admin::*;
pub use deployments::*;
pub use import_traces::*;
pub use imports::*;
pub use models::*;
pub use problem::*;
pub use promotion::*;
pub use uploads::*;
pub use webhooks::*;

pub use crate::reference::{InvalidReference, Reference, Selector};

use serde::{Deserialize, Serialize};

/// Query of every list: how many items at most, and where the page before ended.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items on the page, 1 to 1,000; 100 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next_page_token` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}
