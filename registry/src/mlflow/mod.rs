//! MLflow's REST surface over the capabilities. Nothing else imports this module.

mod error;
pub mod extract;
pub mod filter;
mod graphql;
pub mod routes;
pub mod wire;

/// The version of MLflow whose surface this is: clients ask, and leave out what older servers lack.
pub const MLFLOW_VERSION: &str = "3.17.2";

pub use error::{ErrorCode, MlflowError};
pub use extract::MlflowJson;
