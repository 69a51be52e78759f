//! MLflow's REST surface over the capabilities. Nothing else imports this module.

mod error;
pub mod extract;
pub mod filter;
mod graphql;
pub mod routes;
mod wire;

pub use error::{ErrorCode, MlflowError};
pub use extract::MlflowJson;
