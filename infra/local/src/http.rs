//! HTTP clients of the stack itself.

/// Chooses the TLS implementation that reqwest uses, once per process.
pub fn install_crypto() {
    // An error says that it was chosen before.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
}

/// A client that follows no redirect and no proxy: everything it calls is on this machine.
pub(crate) fn client() -> reqwest::Client {
    install_crypto();
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    builder.build().unwrap_or_default()
}
