//! What is dialled, and above all what is not: the network under test records every address.

use crate::webhooks::{
    address::Reach,
    connect::{DialError, Dialer, Net},
    receiver::Receiver,
};
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
};

/// Answers each resolution with the next of `answers`, the last one for ever; connects nowhere, or
/// to `instead`.
#[derive(Default)]
struct RecordingNet {
    answers: Mutex<Vec<Vec<&'static str>>>,
    dialled: Mutex<Vec<SocketAddr>>,
    instead: Option<SocketAddr>,
}

#[async_trait::async_trait]
impl Net for RecordingNet {
    async fn resolve(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        Ok(answer.into_iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.dialled.lock().unwrap().push(address);
        match self.instead {
            Some(instead) => TcpStream::connect(instead).await,
            None => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

impl RecordingNet {
    fn answering(answers: &[&[&'static str]]) -> Arc<Self> {
        let answers = answers.iter().map(|answer| answer.to_vec()).collect();
        Arc::new(Self { answers: Mutex::new(answers), ..Self::default() })
    }

    fn dialled(&self) -> Vec<String> {
        self.dialled.lock().unwrap().iter().map(ToString::to_string).collect()
    }
}

fn https(host: &str) -> Receiver {
    Receiver::parse(&format!("https://{host}/hook"), true).unwrap()
}

async fn dial(net: &Arc<RecordingNet>, reach: Reach, receiver: &Receiver) -> DialError {
    let net: Arc<dyn Net> = Arc::clone(net) as _;
    Dialer::new(reach, net).dial(receiver).await.err().unwrap()
}

const INNER: [&str; 16] = [
    "127.0.0.1",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "224.0.0.1",
    "168.63.129.16",
    "::",
    "::1",
    "fd00:ec2::254",
    "fe80::1",
    "::ffff:100.64.0.1",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::",
];

#[tokio::test]
async fn no_packet_leaves_for_an_address_that_is_not_public() {
    for inner in INNER {
        let net = RecordingNet::answering(&[&[inner]]);
        let host = if inner.contains(':') { format!("[{inner}]") } else { inner.to_owned() };
        for receiver in [https(&host), https("hooks.example")] {
            let error = dial(&net, Reach::default(), &receiver).await;
            assert!(matches!(error, DialError::Refused(_)), "{inner}: {error}");
            assert!(error.to_string().contains("non-public IP address"), "{error}");
        }
        assert_eq!(net.dialled(), [""; 0], "{inner}");
    }
}

#[tokio::test]
async fn of_a_name_with_several_addresses_only_the_public_ones_are_dialled() {
    let net = RecordingNet::answering(&[&["127.0.0.1", "8.8.8.8", "fd00::1", "2a00::1"]]);
    let error = dial(&net, Reach::default(), &https("hooks.example")).await;
    assert!(matches!(error, DialError::Connect { .. }), "{error}");
    assert_eq!(net.dialled(), ["8.8.8.8:443", "[2a00::1]:443"]);
}

#[tokio::test]
async fn a_name_that_rebinds_gains_nothing() {
    let net = RecordingNet::answering(&[&["8.8.8.8"], &["169.254.169.254"]]);
    let dialer = Dialer::new(Reach::default(), Arc::clone(&net) as _);
    let receiver = https("rebinds.example");
    assert_eq!(dialer.addresses(&receiver).await.unwrap().len(), 1, "the check when it is made");
    let error = dialer.dial(&receiver).await.err().unwrap();
    assert!(matches!(error, DialError::Refused(_)), "{error}");
    assert_eq!(net.dialled(), [""; 0]);
}

/// Whatever lies between, the peer of the connection itself counts; it is not sent a byte.
#[tokio::test]
async fn a_connection_that_ends_up_elsewhere_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let net = Arc::new(RecordingNet {
        answers: Mutex::new(vec![vec!["8.8.8.8"]]),
        instead: Some(listener.local_addr().unwrap()),
        ..RecordingNet::default()
    });
    let error = dial(&net, Reach::default(), &https("hooks.example")).await;
    assert!(matches!(error, DialError::Refused(_)), "{error}");
    let (mut stream, _) = listener.accept().await.unwrap();
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0, "closed without a byte");
}

#[tokio::test]
async fn plain_http_is_for_the_operators_networks() {
    let reach = || Reach::new(vec!["10.1.0.0/16".parse().unwrap()]);
    let http = |host: &str| Receiver::parse(&format!("http://{host}/"), true).unwrap();
    let net = RecordingNet::answering(&[&["8.8.8.8", "10.1.2.3"]]);
    let error = dial(&net, reach(), &http("8.8.8.8")).await.to_string();
    assert!(error.contains("scheme http is only for the networks"), "{error}");
    assert_eq!(net.dialled(), [""; 0]);
    dial(&net, reach(), &http("hooks.example")).await;
    assert_eq!(net.dialled(), ["10.1.2.3:80"]);
}

#[tokio::test]
async fn a_name_without_an_address_is_told() {
    let net = RecordingNet::answering(&[&[]]);
    let error = dial(&net, Reach::default(), &https("nobody.example")).await;
    assert_eq!(error.to_string(), "cannot resolve nobody.example: it has no address");
}
