//! Simulation, interop helpers, benchmarks, the tidy test.

pub mod bench;
pub mod llhls;
pub mod soak;

/// For HTTP clients of this crate. They speak plain HTTP, but where one build holds the server too, `reqwest` is built with TLS and wants to
/// know whose cryptography to use.
pub(crate) fn http_client() -> reqwest::ClientBuilder {
    // Fails where it was done before, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder()
}
