//! TLS: what a connection is made with, from files in PEM that may be renewed while the process runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};

/// Renewed files of a server are noticed by callers that connect so much later.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Files for a connection that this process opens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientFiles {
    /// Certificates that the other side's is to be signed by; absent: those of the system.
    pub ca: Option<PathBuf>,
    /// This side's certificate with those that signed it, and its key; absent: none is shown.
    pub identity: Option<IdentityFiles>,
}

/// A certificate with those that signed it, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The certificates, the own one first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Files for connections that this process takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFiles {
    /// What callers are shown.
    pub identity: IdentityFiles,
    /// Callers must show a certificate that one of these signed; absent: none is asked for.
    pub client_ca: Option<PathBuf>,
}

/// What connections are taken with, renewed with its files.
#[derive(Debug)]
pub(crate) struct ServerTls {
    files: ServerFiles,
    current: ArcSwap<ServerConfig>,
    looked: Mutex<(Instant, Vec<Vec<u8>>)>,
    /// Why renewed files are not taken; the ones before are kept.
    error: ArcSwapOption<String>,
}

impl ServerTls {
    /// With the files as they are now; the error names the file.
    pub(crate) fn new(files: ServerFiles) -> Result<Self, String> {
        let contents = files.contents()?;
        Ok(Self {
            current: ArcSwap::from_pointee(server(&files)?),
            files,
            looked: Mutex::new((Instant::now(), contents)),
            error: ArcSwapOption::empty(),
        })
    }

    /// The current one. Now and then looks at the files, so it is not for threads that have better to do.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.0.elapsed() >= LOOK_EVERY {
            looked.0 = Instant::now();
            match self.files.contents() {
                Ok(contents) if contents == looked.1 => self.error.store(None),
                // They are changed one after the other: a pair that does not fit is looked at again.
                contents => match contents.and_then(|contents| Ok((server(&self.files)?, contents))) {
                    Ok((config, contents)) => {
                        self.current.store(Arc::new(config));
                        looked.1 = contents;
                        self.error.store(None);
                    }
                    Err(error) => self.error.store(Some(Arc::new(error))),
                },
            }
        }
        self.current.load_full()
    }

    /// Why renewed files are not taken, if they are not.
    pub(crate) fn error(&self) -> Option<String> {
        self.error.load_full().map(|error| error.to_string())
    }
}

impl ServerFiles {
    fn contents(&self) -> Result<Vec<Vec<u8>>, String> {
        let own = [&self.identity.certificate, &self.identity.key];
        own.into_iter()
            .chain(&self.client_ca)
            .map(|path| read(path))
            .collect()
    }
}

fn server(files: &ServerFiles) -> Result<ServerConfig, String> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(roots(Some(path))?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                .build()
                .map_err(|error| format!("{} cannot be used: {error}", path.display()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let (chain, key) = identity(&files.identity)?;
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| unfit(&files.identity, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Reads the files as they are now; the error names the file.
pub(crate) fn client(files: &ClientFiles) -> Result<ClientConfig, String> {
    let roots = roots(files.ca.as_deref())?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    match &files.identity {
        None => Ok(builder.with_no_client_auth()),
        Some(files) => {
            let (chain, key) = identity(files)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| unfit(files, &error))
        }
    }
}

/// One provider of ciphers, named: which one is the default of a process depends on what else is built into it.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca {
        for certificate in certificates(path)? {
            roots
                .add(certificate)
                .map_err(|error| format!("a certificate in {} cannot be used: {error}", path.display()))?;
        }
    } else {
        // Some of a system's certificates may be odd; the others count.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err("the system has no certificates; name a file that has".to_owned());
        }
    }
    Ok(roots)
}

fn identity(files: &IdentityFiles) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?).map_err(|_| {
        format!(
            "{} has no private key in PEM that is not encrypted",
            files.key.display()
        )
    })?;
    Ok((chain, key))
}

fn unfit(files: &IdentityFiles, error: &rustls::Error) -> String {
    format!(
        "the certificate in {} and the key in {} cannot be used together: {error}",
        files.certificate.display(),
        files.key.display()
    )
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(format!("{} has no certificate in PEM", path.display())),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}
