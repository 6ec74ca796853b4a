//! How the authority looks whether a name leads to the gate: over the wire, as authorities do.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::support::client::{Client, Ended};

/// id-pe-acmeIdentifier (RFC 8737, section 6.1).
const IDENTIFIER: &str = "1.3.6.1.5.5.7.1.31";

/// RFC 8555, section 8.3.
pub(crate) fn in_clear(
    at: SocketAddr,
    name: &str,
    token: &str,
    wanted: &str,
) -> Result<(), String> {
    let mut socket = TcpStream::connect(at).map_err(|fault| fault.to_string())?;
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let request = format!(
        "GET /.well-known/acme-challenge/{token} HTTP/1.1\r\nHost: {name}\r\n\
         User-Agent: validation\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\
         Connection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).map_err(|fault| fault.to_string())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).map_err(|fault| fault.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no whole answer")?;
    match head.starts_with("HTTP/1.1 200 ") && body == wanted {
        true => Ok(()),
        false => Err(format!("answered {answer}")),
    }
}

/// RFC 8737, section 3.
pub(crate) fn over_tls(at: SocketAddr, name: &str, wanted: &str) -> Result<(), String> {
    let (mut client, der) = shown(at, name, &["acme-tls/1"]).map_err(|fault| fault.to_string())?;
    if client.protocol().as_deref() != Some("acme-tls/1") {
        return Err("another protocol".into());
    }
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|fault| fault.to_string())?;
    let names = certificate.subject_alternative_name().map_err(|fault| fault.to_string())?;
    let names = &names.ok_or("no names")?.value.general_names;
    if !matches!(names.as_slice(), [GeneralName::DNSName(own)] if *own == name) {
        return Err(format!("names {names:?}"));
    }
    let own = certificate.extensions().iter().find(|one| one.oid.to_id_string() == IDENTIFIER);
    let own = own.filter(|own| own.critical).ok_or("no critical acmeIdentifier")?;
    // An OCTET STRING of 32 bytes.
    let digest = digest(&SHA256, wanted.as_bytes());
    if own.value != [&[4, 32], digest.as_ref()].concat() {
        return Err("another key authorization".into());
    }
    // Whatever is said after the handshake, nobody answers.
    client.send(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n"));
    match client.end() {
        Ended::Silent => Err("the connection stays open".into()),
        _ => Ok(()),
    }
}

/// A connection with these protocols, and the certificate that was shown, whatever it is.
pub(crate) fn shown(
    at: SocketAddr,
    name: &str,
    alpn: &[&str],
) -> std::io::Result<(Client, CertificateDer<'static>)> {
    let provider = Arc::new(provider::default_provider());
    let taker = Arc::new(Taker { provider: Arc::clone(&provider), taken: Mutex::default() });
    let verifier: Arc<dyn ServerCertVerifier> = Arc::<Taker>::clone(&taker);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let client = Client::dial_with(at, name, Arc::new(config))?;
    let taken = taker.taken.lock().unwrap().take().unwrap();
    Ok((client, taken))
}

/// Takes any certificate whose key signs the handshake.
#[derive(Debug)]
struct Taker {
    provider: Arc<CryptoProvider>,
    taken: Mutex<Option<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Taker {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.taken.lock().unwrap() = Some(end_entity.clone().into_owned());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken here".into()))
    }

    /// By the bare key: the library takes no certificate with an extension that it does not know.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let (_, own) = X509Certificate::from_der(cert).unwrap();
        let key = SubjectPublicKeyInfoDer::from(own.public_key().raw);
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
