//! The certificate of the public listener, where that speaks TLS itself.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rustls::{
    ServerConfig as TlsConfig,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config::ServerConfig;

/// How often the files are looked at.
pub(crate) const LOOK: Duration = Duration::from_secs(30);

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("`{key}`: `{}` cannot be read", .path.display())]
    Unreadable {
        /// The setting that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("`{key}`: `{}` holds no {expected} in PEM", .path.display())]
    NotPem {
        /// The setting that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The files do not fit together, or are of a kind that is not known.
    #[error(
        "`server.tls_key` is not the key of the certificate at `server.tls_certificate`, or one of \
         them is of a kind that is not known"
    )]
    Unusable(#[source] rustls::Error),
}

/// A certificate and its key, which are read again once their files have changed: it is renewed
/// without a restart.
#[derive(Debug)]
pub(crate) struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    shown: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads the one that `server` names, if it names one.
    pub(crate) async fn open(server: &ServerConfig) -> Result<Option<Arc<Self>>, CertificateError> {
        // One without the other is a fault of the configuration, which is found before.
        let (Some(chain), Some(key)) = (&server.tls_certificate, &server.tls_key) else {
            return Ok(None);
        };
        let shown = read(chain, key).await?;
        Ok(Some(Arc::new(Self {
            chain: chain.clone(),
            key: key.clone(),
            shown: RwLock::new(Arc::new(shown)),
        })))
    }

    /// Turns connections into encrypted ones.
    pub(crate) fn acceptor(self: &Arc<Self>) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = TlsConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("BUG: the provider knows the default versions of TLS");
        let mut config = builder
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Self>::clone(self));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// Follows its files until `stop`, looking at them after each `pause`. What cannot be used is
    /// told, and the one before is shown on.
    pub(crate) async fn follow(self: Arc<Self>, pause: Duration, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(pause))
            .await
            .is_some()
        {
            self.renew().await;
        }
    }

    async fn renew(&self) {
        match read(&self.chain, &self.key).await {
            Err(error) => {
                let reason = std::error::Error::source(&error).map(ToString::to_string);
                let reason = reason.unwrap_or_default();
                tracing::warn!(%error, reason, "the certificate that was read before is kept");
            }
            Ok(read) => {
                let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
                if shown.cert != read.cert {
                    tracing::info!("a new certificate is shown from now on");
                    *shown = Arc::new(read);
                }
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&shown))
    }
}

async fn read(chain: &Path, key: &Path) -> Result<CertifiedKey, CertificateError> {
    let (chain_key, key_key) = ("server.tls_certificate", "server.tls_key");
    let text = read_file(chain_key, chain).await?;
    let chain = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .and_then(|chain| {
            if chain.is_empty() {
                Err(pem::Error::NoItemsFound)
            } else {
                Ok(chain)
            }
        })
        .map_err(|source| CertificateError::NotPem {
            key: chain_key,
            path: chain.to_owned(),
            expected: "certificate",
            source,
        })?;
    let text = read_file(key_key, key).await?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|source| CertificateError::NotPem {
        key: key_key,
        path: key.to_owned(),
        expected: "private key",
        source,
    })?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map_err(CertificateError::Unusable)
}

async fn read_file(key: &'static str, path: &Path) -> Result<Vec<u8>, CertificateError> {
    let read = tokio::fs::read(path).await;
    read.map_err(|source| CertificateError::Unreadable {
        key,
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use rcgen::CertifiedKey as Made;

    use super::*;

    fn server(folder: &Path) -> ServerConfig {
        ServerConfig {
            tls_certificate: Some(folder.join("chain.pem")),
            tls_key: Some(folder.join("key.pem")),
            ..ServerConfig::default()
        }
    }

    fn make() -> Made<rcgen::KeyPair> {
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap()
    }

    fn write_key(folder: &Path, key: &rcgen::KeyPair) {
        std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    }

    fn write(folder: &Path) -> Made<rcgen::KeyPair> {
        let made = make();
        std::fs::write(folder.join("chain.pem"), made.cert.pem()).unwrap();
        write_key(folder, &made.signing_key);
        made
    }

    fn shown(certificate: &Certificate) -> CertificateDer<'static> {
        certificate.shown.read().unwrap().cert[0].clone()
    }

    #[tokio::test]
    async fn a_new_certificate_is_shown_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let first = write(folder.path());
        let certificate = Certificate::open(&server(folder.path())).await.unwrap();
        let certificate = certificate.unwrap();
        assert_eq!(shown(&certificate), *first.cert.der());
        let stop = CancellationToken::new();
        let pause = Duration::from_millis(5);
        let following = tokio::spawn(Arc::clone(&certificate).follow(pause, stop.clone()));
        let wait_for = async |made: &Made<rcgen::KeyPair>| {
            let begun = std::time::Instant::now();
            while shown(&certificate) != *made.cert.der() {
                assert!(begun.elapsed() < Duration::from_secs(30), "it is not shown");
                tokio::time::sleep(pause).await;
            }
        };
        let second = write(folder.path());
        wait_for(&second).await;
        // Half of a renewal: a key of another certificate.
        let third = make();
        write_key(folder.path(), &third.signing_key);
        tokio::time::sleep(20 * pause).await;
        assert_eq!(shown(&certificate), *second.cert.der());
        std::fs::write(folder.path().join("chain.pem"), third.cert.pem()).unwrap();
        wait_for(&third).await;
        stop.cancel();
        following.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_certificate_is_told_by_its_setting() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(folder.path());
        let fault = async || {
            let opened = Certificate::open(&server).await;
            opened.unwrap_err().to_string()
        };
        assert!(fault().await.starts_with("`server.tls_certificate`: `"));
        write(folder.path());
        std::fs::write(folder.path().join("key.pem"), "no key").unwrap();
        let told = fault().await;
        assert!(told.starts_with("`server.tls_key`: `"), "{told}");
        assert!(told.ends_with("holds no private key in PEM"), "{told}");
        write(folder.path());
        std::fs::write(folder.path().join("chain.pem"), "").unwrap();
        assert!(fault().await.ends_with("holds no certificate in PEM"));
        let other = rcgen::KeyPair::generate().unwrap();
        write(folder.path());
        write_key(folder.path(), &other);
        assert!(fault().await.starts_with("`server.tls_key` is not the key"));
    }
}
