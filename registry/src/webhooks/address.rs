//! Which addresses a webhook may reach.
//!
//! A server that posts where its callers say is a way into its own network: to services that trust
//! whoever reaches them, and to the cloud's metadata. So only public addresses are dialled, and the
//! networks that the operator names.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A network in CIDR notation; a single address is a network too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNet);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network; expected CIDR notation like 10.1.0.0/16, or an address")]
pub struct InvalidNetwork(String);

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let single = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse::<IpNet>()
            .or_else(|_| single())
            .map(|net| Self(net.trunc()))
            .map_err(|_| InvalidNetwork(text.to_owned()))
    }
}

impl TryFrom<String> for Network {
    type Error = InvalidNetwork;

    fn try_from(text: String) -> Result<Self, InvalidNetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The operator's word on where webhooks may go.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    allowed: Vec<Network>,
}

impl Reach {
    pub fn new(allowed: Vec<Network>) -> Self {
        Self { allowed }
    }

    /// Plain http is for the operator's own networks: elsewhere anybody on the way could read it.
    pub fn offers_http(&self) -> bool {
        !self.allowed.is_empty()
    }

    /// Whether a connection to `ip` may be made, encrypted or not.
    pub fn admits(&self, ip: IpAddr, encrypted: bool) -> bool {
        self.allows(ip) || (encrypted && refusal(ip).is_none())
    }

    fn allows(&self, ip: IpAddr) -> bool {
        let within = |ip: IpAddr| self.allowed.iter().any(|network| network.0.contains(&ip));
        within(ip) || embedded(ip).is_some_and(|inner| within(inner.into()))
    }
}

/// The IPv4 address at which a packet to an IPv6 address ends up.
fn embedded(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = ip else {
        return None;
    };
    let s = v6.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match s {
        // :: and ::1 are addresses of IPv6's own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // ::/96, IPv4-compatible; ::ffff:0:0/96, IPv4-mapped; ::ffff:0:0:0/96, IPv4-translated (RFC
        // 2765); 64:ff9b::/96, NAT64 (RFC 6052); 2002::/16, 6to4 (RFC 3056).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// Why `ip` is not a public address; `None` when it is one.
pub fn refusal(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(v4) => refusal_v4(v4),
        IpAddr::V6(v6) => match embedded(ip) {
            Some(inner) => refusal_v4(inner).or_else(|| deprecated_form(v6)),
            None => refusal_v6(v6),
        },
    }
}

/// Special-purpose addresses of the IANA registry (RFC 6890), and one of a cloud.
fn refusal_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = ip.octets();
    match (a, b, c) {
        (0, ..) => Some("unspecified"),
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => Some("private"),
        (100, 64..=127, _) => Some("shared (carrier-grade NAT)"),
        (127, ..) => Some("loopback"),
        (169, 254, _) => Some("link-local"),
        (192, 0, 0) => Some("a protocol assignment"),
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => Some("for documentation"),
        (192, 88, 99) => Some("a 6to4 relay"),
        (198, 18..=19, _) => Some("for benchmarks"),
        (224..=239, ..) => Some("multicast"),
        (240.., ..) => Some("reserved"),
        // A public address by number, answered by Azure's hosts themselves.
        (168, 63, 129) if ip == Ipv4Addr::new(168, 63, 129, 16) => Some("a cloud's metadata service"),
        _ => None,
    }
}

fn refusal_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let s = ip.segments();
    match s {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("loopback"),
        [0xfc00..=0xfdff, ..] => Some("private"),
        [0xfe80..=0xfebf, ..] => Some("link-local"),
        [0xff00..=0xffff, ..] => Some("multicast"),
        // 2001::/23: Teredo, ORCHID, benchmarks and other protocol assignments.
        [0x2001, 0..=0x01ff, ..] => Some("a protocol assignment"),
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Some("for documentation"),
        // Global unicast is 2000::/3; what is outside has no public route.
        [0x2000..=0x3fff, ..] => None,
        _ => Some("reserved"),
    }
}

/// Forms that carry a public IPv4 address and still have no business on the wire.
fn deprecated_form(ip: Ipv6Addr) -> Option<&'static str> {
    match ip.segments() {
        [0, 0, 0, 0, 0 | 0xffff, 0, ..] => Some("reserved"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn public_addresses_are_reached() {
        for text in [
            "93.184.216.34",
            "8.8.8.8",
            "172.15.255.255",
            "172.32.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "169.253.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "192.0.1.1",
            "168.63.129.15",
            "2606:2800:220:1:248:1893:25c8:1946",
            "2001:4860:4860::8888",
            "2a00::1",
            // Public addresses in another form.
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert_eq!(refusal(ip(text)), None, "{text}");
        }
    }

    #[test]
    fn every_other_class_is_refused_in_every_form() {
        for (text, why) in [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("10.0.0.1", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("100.64.0.1", "shared (carrier-grade NAT)"),
            ("100.100.100.200", "shared (carrier-grade NAT)"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.255", "loopback"),
            ("169.254.169.254", "link-local"),
            ("192.0.0.192", "a protocol assignment"),
            ("192.0.2.1", "for documentation"),
            ("198.51.100.1", "for documentation"),
            ("203.0.113.1", "for documentation"),
            ("192.88.99.1", "a 6to4 relay"),
            ("198.18.0.1", "for benchmarks"),
            ("198.19.255.255", "for benchmarks"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "reserved"),
            ("168.63.129.16", "a cloud's metadata service"),
        ] {
            assert_eq!(refusal(ip(text)), Some(why), "{text}");
            let v4: Ipv4Addr = text.parse().unwrap();
            for form in forms(v4) {
                if form != Ipv6Addr::UNSPECIFIED {
                    assert_eq!(refusal(form.into()), Some(why), "{form} holds {text}");
                }
            }
        }
        for (text, why) in [
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("fc00::1", "private"),
            ("fd00:ec2::254", "private"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("fec0::1", "reserved"),
            ("ff02::1", "multicast"),
            ("ff0e::1", "multicast"),
            ("2001::1", "a protocol assignment"),
            ("2001:10::1", "a protocol assignment"),
            ("2001:db8::1", "for documentation"),
            ("3fff::1", "for documentation"),
            ("100::1", "reserved"),
            ("64:ff9b:1::1", "reserved"),
            ("5f00::1", "reserved"),
            ("4000::1", "reserved"),
            ("::8.8.8.8", "reserved"),
            ("::ffff:0:8.8.8.8", "reserved"),
        ] {
            assert_eq!(refusal(ip(text)), Some(why), "{text}");
        }
    }

    /// Every way to write an IPv4 address as IPv6.
    fn forms(v4: Ipv4Addr) -> [Ipv6Addr; 5] {
        let number = u32::from(v4);
        let (high, low) = ((number >> 16) as u16, number as u16);
        [
            v4.to_ipv6_mapped(),
            Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 7, 0, 0, 0, 1),
        ]
    }

    #[test]
    fn the_operators_networks_are_reached_in_every_form() {
        let reach = Reach::new(vec!["127.0.0.0/8".parse().unwrap(), "fd12::/16".parse().unwrap()]);
        for form in forms(Ipv4Addr::new(127, 0, 0, 2)) {
            assert!(reach.admits(form.into(), false), "{form}");
        }
        assert!(reach.admits(ip("fd12::7"), false));
        for text in ["::1", "10.0.0.1", "169.254.169.254", "fd13::1"] {
            assert!(!reach.admits(ip(text), true), "{text}");
        }
        assert!(reach.admits(ip("8.8.8.8"), true) && !reach.admits(ip("8.8.8.8"), false));
    }

    #[test]
    fn networks_are_read_and_refused() {
        for (text, shown) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("::1", "::1/128"),
            ("fd00::/8", "fd00::/8"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), shown);
        }
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0/8", "*", "10.0.0.0/8 "] {
            assert!(text.parse::<Network>().is_err(), "{text:?}");
        }
    }

    proptest! {
        /// No form of an address is public when the address is not.
        #[test]
        fn no_form_hides_an_address(number: u32) {
            let v4 = Ipv4Addr::from(number);
            let refused = refusal(v4.into()).is_some();
            for form in forms(v4) {
                prop_assert!(!refused || refusal(form.into()).is_some(), "{} holds {}", form, v4);
            }
        }

        /// The standard library's own classes are all refused.
        #[test]
        fn what_the_standard_library_calls_special_is_refused(number: u32, wide: u128) {
            let v4 = Ipv4Addr::from(number);
            let special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast()
                || v4.is_broadcast() || v4.is_documentation() || v4.is_unspecified();
            prop_assert!(!special || refusal(v4.into()).is_some());
            let v6 = Ipv6Addr::from(wide);
            let special = v6.is_loopback() || v6.is_multicast() || v6.is_unspecified()
                || v6.is_unique_local() || v6.is_unicast_link_local();
            prop_assert!(!special || refusal(v6.into()).is_some());
        }

        #[test]
        fn any_text_is_a_network_or_refused(text in "\\PC{0,40}") {
            let _ = text.parse::<Network>();
        }
    }
}
