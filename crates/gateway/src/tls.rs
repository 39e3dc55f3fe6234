//! Who does the cryptography of HTTPS.

/// Makes `ring` the process's provider, unless another part of it has chosen one before.
pub(crate) fn install_provider() {
    // Refused when there is one already, and that one serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
