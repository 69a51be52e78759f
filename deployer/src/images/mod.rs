//! Images: the base that carries Python and uv, the environment that carries a lockfile's
//! packages, and the resolution that makes a lockfile.

mod base;
mod context;
mod debootstrap;
mod environment;
mod fetch;
mod resolve;
mod uv;

pub use base::{BaseError, BaseOptions, BaseSource, build_base};
pub use environment::{EnvironmentImage, EnvironmentKey, ensure_environment};
pub use fetch::Index;
pub use resolve::{Resolution, ResolveError, ResolveRequest, resolve};

/// Label of a base image: the full version of its Python, `3.11.2`.
pub const PYTHON_VERSION_LABEL: &str = "io.waybill.python-version";
/// Label of a base image: the version of its uv.
pub const UV_VERSION_LABEL: &str = "io.waybill.uv-version";
/// Label of a base image: the digest of everything that it was asked to be made from.
pub const BASE_RECIPE_LABEL: &str = "io.waybill.base-recipe";
/// Label of an environment image: the digest of the lockfile that it was installed from.
pub const LOCK_LABEL: &str = "io.waybill.lock-digest";
/// Label of an environment image: name and version of the runtime that it was made for.
pub const RUNTIME_LABEL: &str = "io.waybill.runtime-identity";
/// Label of an environment image: the digest that names everything it was made from.
pub const ENVIRONMENT_LABEL: &str = "io.waybill.environment-key";

/// Proxies of this process, for containers that fetch packages. Docker hands these names to a
/// build without keeping them in the image.
fn proxies() -> impl Iterator<Item = (String, String)> {
    const NAMES: [&str; 6] =
        ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"];
    NAMES.into_iter().filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
}
