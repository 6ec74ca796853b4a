//! TLS of a listener: which certificate a client gets, and the settings that all connections share.
//!
//! Only TLS 1.2 and 1.3, no early data. A replacement is whole or not at all, and open connections
//! keep what they began with.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SignatureAlgorithm};

use super::certificate::Certificate;
pub use super::certificate::{CertificateFiles, Expiry, TlsFault, TlsFaults};
use super::clients::{self, ClientCertificates};
use super::issued::{Issued, Proofs};
use crate::peer::CertNames;

/// The certificates and TLS settings of a listener, replaceable while it serves.
#[derive(Debug)]
pub struct Tls {
    loaded: ArcSwap<Loaded>,
    proofs: Arc<Proofs>,
}

/// Where a listener's certificates come from, and whose it asks its clients for.
#[derive(Clone, Copy, Debug, Default)]
pub struct TlsSources<'s> {
    /// Files; the first is shown where a client names no server.
    pub files: &'s [CertificateFiles],
    /// Whose certificates clients are asked for. Then nothing is resumed, so that each connection
    /// proves itself by the lists that are in force.
    pub clients: Option<&'s ClientCertificates>,
    /// Whether an authority issues certificates later, so that there may be no file.
    pub issued: bool,
}

/// What one connection begins with.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
    /// When the authorities of clients end; none where clients are not asked.
    authorities: Option<Expiry>,
    /// When the lists of revoked certificates end.
    lists: Vec<Expiry>,
}

/// Certificates by name; those of one name begin with the cheapest to sign with.
#[derive(Debug, Default)]
struct Certificates {
    exact: HashMap<Box<str>, Vec<Arc<Certificate>>>,
    /// By what follows `*.`.
    wildcard: HashMap<Box<str>, Vec<Arc<Certificate>>>,
    default: Vec<Arc<Certificate>>,
    /// Those of files.
    files: Vec<Arc<Certificate>>,
    /// Those of files, then those that were issued.
    all: Vec<Arc<Certificate>>,
}

impl Tls {
    /// Reads and checks all certificates at `wall_millis` (Unix milliseconds).
    ///
    /// The first certificate is the default: it answers clients that name no host or another one.
    ///
    /// # Errors
    /// Every mistake in all files: unreadable, not PEM, a key of another certificate, expired, not
    /// yet valid, without a name; or an empty list.
    pub fn load(files: &[CertificateFiles], wall_millis: u64) -> Result<Self, TlsFaults> {
        Self::load_from(&TlsSources { files, ..TlsSources::default() }, wall_millis)
    }

    /// The same of all that a listener may have.
    ///
    /// # Errors
    /// Every mistake in all files, those for clients too.
    pub fn load_from(sources: &TlsSources<'_>, wall_millis: u64) -> Result<Self, TlsFaults> {
        let TlsSources { files, clients, issued } = *sources;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let now = i64::try_from(wall_millis / 1000).unwrap_or(i64::MAX);
        let mut faults = Vec::new();
        let mut all = Vec::new();
        for pair in files {
            match Certificate::load(pair, &provider, now) {
                Ok(certificate) => all.push(Arc::new(certificate)),
                Err(mut found) => faults.append(&mut found),
            }
        }
        let believed = clients.map(|clients| clients::load(clients, Arc::clone(&provider), now));
        let believed = believed.transpose().map_err(|mut found| faults.append(&mut found));
        if files.is_empty() && !issued {
            faults.push(TlsFault { file: "certificates".into(), what: "none is given".into() });
        }
        let believed = match believed {
            Ok(believed) if faults.is_empty() => believed,
            _ => return Err(TlsFaults(faults)),
        };
        let certificates = Arc::new(Certificates::new(all, &[]));
        let (verifier, ends) =
            believed.map(|own| (own.verifier, (own.authorities, own.lists))).unzip();
        let (authorities, lists) = ends.unzip();
        let config = server_config(provider, &certificates, verifier).map_err(|e| {
            let what = format!("the TLS library refuses to start: {e}");
            TlsFaults(vec![TlsFault { file: "certificates".into(), what }])
        })?;
        let (config, lists) = (Arc::new(config), lists.unwrap_or_default());
        let loaded = Loaded { config, certificates, authorities, lists };
        Ok(Self { loaded: ArcSwap::from_pointee(loaded), proofs: Arc::default() })
    }

    /// Takes over everything from `new`, but for proofs that are under way here. Open connections
    /// go on as they are.
    pub fn replace_with(&self, new: Self) {
        self.loaded.store(new.loaded.into_inner());
    }

    /// Shows these issued certificates, in the place of those that were issued before, beside those
    /// of files. For a name that has both, the issued one is shown.
    pub fn show_issued(&self, issued: &[Issued]) {
        self.loaded.rcu(|loaded| loaded.with_issued(issued));
    }

    /// Whether there is any certificate to show.
    pub fn has_certificate(&self) -> bool {
        !self.loaded.load().certificates.all.is_empty()
    }

    /// Where proofs are shown that a name leads here.
    pub fn proofs(&self) -> &Arc<Proofs> {
        &self.proofs
    }

    /// When each certificate ends, in the order in which they were given, and those of the
    /// authorities that clients are checked by.
    pub fn expiries(&self) -> Vec<Expiry> {
        let loaded = self.loaded.load();
        let all = loaded.certificates.all.iter();
        let one = |certificate: &Arc<Certificate>| Expiry {
            name: certificate.name().to_owned(),
            chain: certificate.chain.clone(),
            seconds: certificate.expiry,
        };
        all.map(one).chain(loaded.authorities.iter().cloned()).collect()
    }

    /// When each list of revoked certificates ends. They live for days where certificates live for
    /// months.
    pub fn lists(&self) -> Vec<Expiry> {
        self.loaded.load().lists.clone()
    }

    /// What a connection that begins now uses.
    pub(super) fn current(&self) -> Arc<Loaded> {
        self.loaded.load_full()
    }
}

fn server_config(
    provider: Arc<CryptoProvider>,
    certificates: &Arc<Certificates>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, rustls::Error> {
    let resolver: Arc<dyn ResolvesServerCert> = Arc::<Certificates>::clone(certificates);
    let resumes = verifier.is_none();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_client_cert_verifier(verifier.unwrap_or_else(WebPkiClientVerifier::no_client_auth))
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Sessions live in tickets alone: no memory per client, and every core reads them.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = usize::from(resumes);
    if resumes {
        config.ticketer = aws_lc_rs::Ticketer::new()?;
    }
    // Early data can be replayed.
    config.max_early_data_size = 0;
    Ok(config)
}

impl Loaded {
    /// The same with other issued certificates; what clients resume stays good.
    fn with_issued(&self, issued: &[Issued]) -> Self {
        let certificates = Arc::new(Certificates::new(self.certificates.files.clone(), issued));
        let mut config = ServerConfig::clone(&self.config);
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Certificates>::clone(&certificates);
        config.cert_resolver = resolver;
        let (authorities, lists) = (self.authorities.clone(), self.lists.clone());
        Self { config: Arc::new(config), certificates, authorities, lists }
    }

    /// The names of the certificate that a client with this server name was given.
    pub(super) fn names(&self, server_name: Option<&str>) -> Option<CertNames> {
        self.certificates.candidates(server_name).first().map(|first| first.names.clone())
    }

    /// The names of all certificates.
    pub(super) fn all_names(&self) -> CertNames {
        let names = self.certificates.all.iter().flat_map(|one| one.names.iter());
        CertNames::new(names.map(Box::from).collect())
    }
}

impl Certificates {
    fn new(files: Vec<Arc<Certificate>>, issued: &[Issued]) -> Self {
        let issued: Vec<_> = issued.iter().map(|one| Arc::clone(&one.0)).collect();
        let all = files.iter().chain(&issued).cloned().collect();
        let mut found = Self { all, files, ..Self::default() };
        for certificate in issued.iter().chain(&found.files) {
            for name in certificate.names.iter() {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut found.wildcard, parent),
                    None => (&mut found.exact, name),
                };
                map.entry(name.into()).or_default().push(Arc::clone(certificate));
            }
        }
        for list in found.exact.values_mut().chain(found.wildcard.values_mut()) {
            list.sort_by_key(|certificate| is_rsa(certificate));
        }
        // The default may have a second key type as well: those with the same names.
        let default = found.all.first().map(|first| first.names.clone());
        found.default =
            found.all.iter().filter(|c| Some(&c.names) == default.as_ref()).cloned().collect();
        found.default.sort_by_key(|certificate| is_rsa(certificate));
        found
    }

    fn candidates(&self, server_name: Option<&str>) -> &[Arc<Certificate>] {
        let Some(name) = server_name else { return &self.default };
        let exact = self.exact.get(name);
        let parent = || name.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent));
        exact.or_else(parent).unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let candidates = self.candidates(hello.server_name());
        let schemes = hello.signature_schemes();
        let fitting = candidates.iter().find(|c| c.key.key.choose_scheme(schemes).is_some());
        fitting.or(candidates.first()).map(|certificate| Arc::clone(&certificate.key))
    }
}

fn is_rsa(certificate: &Certificate) -> bool {
    certificate.key.key.algorithm() == SignatureAlgorithm::RSA
}
