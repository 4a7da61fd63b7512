//! TLS: what a connection is made with, from files in PEM that may be renewed while the process runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

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
