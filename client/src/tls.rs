//! Which cryptography TLS uses.

/// Makes ring the process's TLS provider, unless one was installed before.
///
/// reqwest is built without a provider, because its own choice brings a C library that needs
/// cmake; it panics when none is installed. Call this before the first use of reqwest, also
/// through other crates that build on it (object_store). May be called any number of times.
pub fn use_ring() {
    // An error means that a provider is installed already, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
