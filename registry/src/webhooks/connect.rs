//! Connections to receivers. The address is judged where it is dialled: a name is resolved once,
//! and what it resolved to is what is connected to, so that a name which changes its answer between
//! a check and the connection gains nothing.

use super::{
    address::{Reach, refusal},
    receiver::{Name, Receiver},
};
use rustls::pki_types::ServerName;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// MLflow's own.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// The network as the operating system offers it. Tests bring their own, which sees every address
/// that would have been dialled.
#[async_trait::async_trait]
pub trait Net: Send + Sync + 'static {
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream>;
}

pub struct SystemNet;

#[async_trait::async_trait]
impl Net for SystemNet {
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((name, port)).await?.collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The operator's rules forbid every address of the receiver. Nothing was sent.
    #[error("{0}")]
    Refused(String),
    #[error("cannot resolve {host}: {detail}")]
    Resolve { host: String, detail: String },
    #[error("cannot connect to {host}: {detail}")]
    Connect { host: String, detail: String },
    #[error("no TLS connection to {host}: {detail}")]
    Tls { host: String, detail: String },
}

/// A connection, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

pub struct Dialer {
    reach: Reach,
    net: Arc<dyn Net>,
    tls: OnceLock<Result<TlsConnector, String>>,
}

impl Dialer {
    pub fn new(reach: Reach, net: Arc<dyn Net>) -> Self {
        Self { reach, net, tls: OnceLock::new() }
    }

    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// The addresses of `receiver` that may be dialled: at least one.
    pub async fn addresses(&self, receiver: &Receiver) -> Result<Vec<SocketAddr>, DialError> {
        let found = match &receiver.host {
            Name::Address(ip) => vec![SocketAddr::new(*ip, receiver.port)],
            Name::Domain(name) => self.resolve(name, receiver.port).await?,
        };
        let admitted: Vec<SocketAddr> =
            found.iter().copied().filter(|a| self.reach.admits(a.ip(), receiver.encrypted)).collect();
        match found.first() {
            Some(first) if admitted.is_empty() => Err(DialError::Refused(refused(receiver, first.ip()))),
            _ => Ok(admitted),
        }
    }

    async fn resolve(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
        let failed = |detail: String| DialError::Resolve { host: name.to_owned(), detail };
        let found = timeout(RESOLVE_TIMEOUT, self.net.resolve(name, port))
            .await
            .map_err(|_| failed(format!("no answer within {} s", RESOLVE_TIMEOUT.as_secs())))?
            .map_err(|error| failed(error.to_string()))?;
        if found.is_empty() { Err(failed("it has no address".to_owned())) } else { Ok(found) }
    }

    /// Connects to the first of the receiver's addresses that takes the connection.
    pub async fn dial(&self, receiver: &Receiver) -> Result<Pin<Box<dyn Stream>>, DialError> {
        let host = receiver.host.to_string();
        let mut last = String::new();
        for address in self.addresses(receiver).await?.into_iter().take(ADDRESSES_MAX) {
            match timeout(CONNECT_TIMEOUT, self.net.connect(address)).await {
                Ok(Ok(stream)) => {
                    self.check_peer(receiver, &stream)?;
                    return self.encrypt(receiver, stream).await;
                }
                Ok(Err(error)) => last = format!("{address}: {error}"),
                Err(_) => last = format!("{address}: no answer within {} s", CONNECT_TIMEOUT.as_secs()),
            }
        }
        Err(DialError::Connect { host, detail: last })
    }

    /// The peer of the connection itself, whatever was asked for.
    fn check_peer(&self, receiver: &Receiver, stream: &TcpStream) -> Result<(), DialError> {
        let failed = |error: io::Error| DialError::Connect {
            host: receiver.host.to_string(),
            detail: error.to_string(),
        };
        let peer = stream.peer_addr().map_err(failed)?.ip();
        if self.reach.admits(peer, receiver.encrypted) {
            return Ok(());
        }
        Err(DialError::Refused(refused(receiver, peer)))
    }

    async fn encrypt(
        &self,
        receiver: &Receiver,
        stream: TcpStream,
    ) -> Result<Pin<Box<dyn Stream>>, DialError> {
        if !receiver.encrypted {
            return Ok(Box::pin(stream));
        }
        let host = receiver.host.to_string();
        let failed = |detail: String| DialError::Tls { host: host.clone(), detail };
        let connector = self.tls.get_or_init(tls).as_ref().map_err(|detail| failed(detail.clone()))?;
        let name = match &receiver.host {
            Name::Address(ip) => ServerName::IpAddress((*ip).into()),
            Name::Domain(name) => {
                ServerName::try_from(name.clone()).map_err(|error| failed(error.to_string()))?
            }
        };
        let stream = connector.connect(name, stream).await.map_err(|error| failed(error.to_string()))?;
        Ok(Box::pin(stream))
    }
}

/// MLflow's words, and what the operator can do.
fn refused(receiver: &Receiver, ip: IpAddr) -> String {
    let host = super::receiver::quoted(&receiver.host.to_string());
    match refusal(ip) {
        Some(class) => format!(
            "Webhook URL must not resolve to a non-public IP address. {host} resolves to {ip}. That address is \
             {class}; `waybill serve --webhook-allow NETWORK` permits the networks that you name."
        ),
        None => format!(
            "Webhook URL scheme http is only for the networks of `waybill serve --webhook-allow`, and {host} \
             resolves to {ip}. Use https."
        ),
    }
}

/// The system's certificate authorities, read with the first use; `SSL_CERT_FILE` names others.
fn tls() -> Result<TlsConnector, String> {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(format!("the system has no certificate authorities ({})", errors.join("; ")));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
