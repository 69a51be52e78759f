//! What the fuzz targets do with their bytes. The workspace's tests compile and run it too, on random
//! bytes, so that a target that no longer fits the code is seen.

pub mod filter;
pub mod messages;
pub mod otlp;
pub mod page_token;
