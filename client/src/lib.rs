//! Waybill's client: the native API's types, a transport, streaming push and pull.
//!
//! The command line and the deployer reach the registry through this crate and nothing else, so
//! whatever they can do, a program of yours can do too.
//!
//! ```no_run
//! use futures::TryStreamExt;
//! use waybill_client::{Client, api::{CreatePromotion, Stage}};
//!
//! # async fn example() -> Result<(), waybill_client::ClientError> {
//! let client = Client::http("http://127.0.0.1:5000")?;
//!
//! let version = client.resolve("iris@alias:champion").await?;
//! println!("{} {} is {:?}", version.name, version.version, version.stage);
//!
//! // Bytes come as a stream; a file of any size takes the memory of one chunk.
//! let mut file = client.file_stream(&version.uid, "MLmodel", None).await?;
//! while let Some(chunk) = file.chunks.try_next().await? {
//!     print!("{}", String::from_utf8_lossy(&chunk));
//! }
//!
//! let order = CreatePromotion { to: Stage::Staging, reason: Some("accuracy 0.97".into()) };
//! let promotion = client.create_promotion(&version.name, version.version, &order).await?;
//! if let Some(rollout_id) = promotion.rollout_id {
//!     println!("{:?}", client.get_rollout(&rollout_id).await?.phase);
//! }
//! # Ok(())
//! # }
//! ```

pub mod api;
mod client;
mod download;
mod error;
mod files;
mod logs;
pub mod progress;
pub mod pull;
pub mod push;
mod reference;
mod request;
mod sse;
pub mod tls;
pub mod transport;

pub use client::{AuditQuery, Client, DeliveriesQuery};
pub use download::{ByteRange, Download};
pub use error::ClientError;
pub use files::{FilesError, HashedFile, Hasher};
pub use reference::{InvalidReference, Reference, Selector};
