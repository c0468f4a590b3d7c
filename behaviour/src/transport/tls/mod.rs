//! TLS 1.3 as libp2p specifies it, with the cipher that this processor is fastest at.
//!
//! libp2p's own configuration lists ChaCha20 first, keeps sessions for resumption, and offers no
//! way to change either. What makes certificates and checks them is libp2p's.
//!
//! Specification: <https://github.com/libp2p/specs/blob/master/tls/tls.md>.

mod buffer;
mod stream;

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    PeerId, identity,
    tls::certificate::{self, GenError},
};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    SupportedCipherSuite,
    client::{
        Resumption, UnbufferedClientConnection,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        CryptoProvider,
        aws_lc_rs::{
            cipher_suite::{
                TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
            },
            default_provider, sign,
        },
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        NoServerSessionStorage, UnbufferedServerConnection,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS13,
};
use thiserror::Error;

use stream::Session;

use crate::connections::ENCRYPTION_COST;

pub(super) use stream::TlsStream;

/// The name of the application protocol in every handshake (libp2p's specification).
const APPLICATION_PROTOCOL: &[u8] = b"libp2p";

/// Ciphers where the processor has AES instructions: AES-128 in GCM encrypts several times as
/// fast there as ChaCha20 does (docs/PERFORMANCE.md).
const AES_FIRST: &[SupportedCipherSuite] = &[
    TLS13_AES_128_GCM_SHA256,
    TLS13_AES_256_GCM_SHA384,
    TLS13_CHACHA20_POLY1305_SHA256,
];

/// Ciphers that a listener without AES instructions accepts.
const CHACHA_FIRST: &[SupportedCipherSuite] = &[
    TLS13_CHACHA20_POLY1305_SHA256,
    TLS13_AES_128_GCM_SHA256,
    TLS13_AES_256_GCM_SHA384,
];

/// The cipher that a dialer without AES instructions offers: the listener chooses among what is
/// offered, and one with AES instructions would choose AES.
const CHACHA_ONLY: &[SupportedCipherSuite] = &[TLS13_CHACHA20_POLY1305_SHA256];

/// Signatures that a peer may use: those of libp2p's specification, the preferred first.
const SIGNATURES: [SignatureScheme; 9] = [
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA512,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA256,
];

/// Bytes of a peer's certificate, at most. The library keeps it as long as the connection. With the
/// longest usual key, RSA of 4096 bits, it has less than 2 KiB.
const MAX_CERTIFICATE_LEN: usize = 4 << 10;

/// Bytes that one connection holds, at most: encrypted bytes in both directions, decrypted bytes
/// that are not read yet, and the peer's certificate.
const MAX_HELD: usize = 3 * buffer::LEN + MAX_CERTIFICATE_LEN;
const _: () = assert!(MAX_HELD as u64 <= ENCRYPTION_COST);

/// Why TLS could not be set up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsSetupError {
    /// No certificate could be made for our key.
    #[error(transparent)]
    Certificate(#[from] GenError),
    /// The library rejected the certificate or the ciphers.
    #[error(transparent)]
    Library(#[from] Error),
}

/// Our side of TLS connections. Cheap to clone.
#[derive(Clone)]
pub(super) struct Tls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Tls {
    /// TLS for the node of `keypair`, with a new certificate.
    pub(super) fn new(keypair: &identity::Keypair) -> Result<Self, TlsSetupError> {
        Self::with_aes(keypair, has_aes_instructions())
    }

    fn with_aes(keypair: &identity::Keypair, has_aes: bool) -> Result<Self, TlsSetupError> {
        if has_aes {
            Self::with_ciphers(keypair, AES_FIRST, AES_FIRST)
        } else {
            Self::with_ciphers(keypair, CHACHA_ONLY, CHACHA_FIRST)
        }
    }

    /// Offers and accepts these ciphers, the preferred first.
    fn with_ciphers(
        keypair: &identity::Keypair,
        offered: &[SupportedCipherSuite],
        accepted: &[SupportedCipherSuite],
    ) -> Result<Self, TlsSetupError> {
        let (certificate, key) = certificate::generate(keypair)?;
        let key = CertifiedKey::new(vec![certificate], sign::any_ecdsa_type(&key)?);
        let key = Arc::new(SingleCertAndKey::from(key));
        let verifier = Arc::new(PeerVerifier);

        let mut client = ClientConfig::builder_with_provider(provider(offered))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
            .with_client_cert_resolver(Arc::clone(&key) as _);
        client.alpn_protocols = vec![APPLICATION_PROTOCOL.to_vec()];
        // A session shown to another listener would tell both that they know the same peer.
        client.resumption = Resumption::disabled();

        let mut server = ServerConfig::builder_with_provider(provider(accepted))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(key);
        server.alpn_protocols = vec![APPLICATION_PROTOCOL.to_vec()];
        server.ignore_client_order = true;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;

        Ok(Self {
            client: Arc::new(client),
            server: Arc::new(server),
        })
    }

    /// The handshake of a listener: the peer's id, and the encrypted connection.
    pub(super) async fn accept<C>(self, socket: C) -> io::Result<(PeerId, TlsStream<C>)>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let session = UnbufferedServerConnection::new(self.server).map_err(io::Error::other)?;
        authenticated(TlsStream::handshake(socket, Session::Server(Box::new(session))).await?)
    }

    /// The handshake of a dialer: the peer's id, and the encrypted connection.
    pub(super) async fn connect<C>(self, socket: C) -> io::Result<(PeerId, TlsStream<C>)>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        // An address in place of a name: no server name is sent, as the specification demands.
        let no_name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into());
        let session =
            UnbufferedClientConnection::new(self.client, no_name).map_err(io::Error::other)?;
        authenticated(TlsStream::handshake(socket, Session::Client(Box::new(session))).await?)
    }
}

fn provider(ciphers: &[SupportedCipherSuite]) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: ciphers.to_vec(),
        ..default_provider()
    })
}

/// Whether AES is fast here. Elsewhere it takes tables, and ChaCha20 is faster.
fn has_aes_instructions() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

/// Reads the peer's id from the certificate that the handshake has verified.
fn authenticated<C>(stream: TlsStream<C>) -> io::Result<(PeerId, TlsStream<C>)>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let Some([certificate]) = stream.state().peer_certificates() else {
        return Err(io::Error::other("no certificate was sent"));
    };
    let peer = certificate::parse(certificate).map_err(io::Error::other)?;
    let peer = peer.peer_id();
    Ok((peer, stream))
}

/// Checks the certificate of a peer: exactly one, signed by itself and by the peer's key.
#[derive(Debug)]
struct PeerVerifier;

impl PeerVerifier {
    fn verify(
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        if !intermediates.is_empty() {
            return Err(Error::General("more than one certificate was sent".into()));
        }
        if certificate.len() > MAX_CERTIFICATE_LEN {
            return Err(Error::General("the certificate is too long".into()));
        }
        certificate::parse(certificate)?;
        Ok(())
    }

    fn verify_signature(
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = certificate::parse(certificate)?;
        certificate.verify_signature(signed.scheme, message, signed.signature())?;
        Ok(HandshakeSignatureValid::assertion())
    }

    fn refuse_tls12() -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken".into()))
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Self::verify(certificate, intermediates)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::refuse_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::verify_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SIGNATURES.to_vec()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Self::verify(certificate, intermediates)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::refuse_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::verify_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SIGNATURES.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use libp2p::tls;
    use rustls::{CipherSuite, ClientConnection, NamedGroup, ServerConnection};

    use super::*;

    fn node(has_aes: bool) -> Tls {
        Tls::with_aes(&identity::Keypair::generate_ed25519(), has_aes).unwrap()
    }

    /// Lets a dialer and a listener shake hands: the cipher that they agree on.
    fn cipher(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> CipherSuite {
        let no_name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into());
        let mut client = ClientConnection::new(client, no_name).unwrap();
        let mut server = ServerConnection::new(server).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut sent = Vec::new();
            client.write_tls(&mut sent).unwrap();
            server.read_tls(&mut &*sent).unwrap();
            server.process_new_packets().unwrap();
            sent.clear();
            server.write_tls(&mut sent).unwrap();
            client.read_tls(&mut &*sent).unwrap();
            client.process_new_packets().unwrap();
        }
        let group = client.negotiated_key_exchange_group().unwrap();
        assert_eq!(group.name(), NamedGroup::X25519MLKEM768);
        client.negotiated_cipher_suite().unwrap().suite()
    }

    #[test]
    fn the_cipher_is_the_one_that_the_slower_processor_is_fast_at() {
        const AES: CipherSuite = CipherSuite::TLS13_AES_128_GCM_SHA256;
        const CHACHA: CipherSuite = CipherSuite::TLS13_CHACHA20_POLY1305_SHA256;
        for (dialer_has_aes, listener_has_aes, expected) in [
            (true, true, AES),
            (true, false, CHACHA),
            (false, true, CHACHA),
            (false, false, CHACHA),
        ] {
            let (dialer, listener) = (node(dialer_has_aes), node(listener_has_aes));
            let agreed = cipher(dialer.client, listener.server);
            assert_eq!(agreed, expected, "{dialer_has_aes}, {listener_has_aes}");
        }
    }

    #[test]
    fn a_certificate_that_is_too_long_is_refused() {
        let (mut certificate, _) =
            certificate::generate(&identity::Keypair::generate_ed25519()).unwrap();
        assert!(PeerVerifier::verify(&certificate, &[]).is_ok());
        // The library ignores what comes after a certificate.
        for len in [MAX_CERTIFICATE_LEN, MAX_CERTIFICATE_LEN + 1] {
            let mut bytes = certificate.to_vec();
            bytes.resize(len, 0);
            certificate = bytes.into();
            let verified = PeerVerifier::verify(&certificate, &[]);
            assert_eq!(verified.is_ok(), len == MAX_CERTIFICATE_LEN);
        }
    }

    #[test]
    fn a_dialer_that_prefers_another_cipher_gets_ours() {
        let keypair = identity::Keypair::generate_ed25519();
        let libp2p = tls::make_client_config(&keypair, None).unwrap();
        let agreed = cipher(Arc::new(libp2p), node(true).server);
        assert_eq!(agreed, CipherSuite::TLS13_AES_128_GCM_SHA256);
    }
}
