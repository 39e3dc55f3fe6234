//! Which addresses a stranger may make us connect to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::config::FetchConfig;

/// Who can be behind an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Anybody on the internet.
    Public,
    /// A machine of the operator's, which an operator may open.
    Private,
    /// Nobody who serves pictures: a cloud's metadata service, a group, a placeholder, or another
    /// address in disguise.
    Never,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(head: [u16; 3], tail: u16, prefix: u8) -> Ipv6Net {
    let [a, b, c] = head;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, tail), prefix)
}

/// Where clouds hand credentials to whoever asks, in networks that are private or even public.
const METADATA_V4: [Ipv4Net; 5] = [
    v4(169, 254, 169, 254, 32),
    v4(169, 254, 170, 2, 32),
    v4(169, 254, 170, 23, 32),
    v4(100, 100, 100, 200, 32),
    v4(168, 63, 129, 16, 32),
];

/// This machine, carrier NAT, link-local, benchmarks (`198.18.0.0/15`) and private networks.
const PRIVATE_V4: [Ipv4Net; 7] = [
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
];

/// "This network", protocol assignments, documentation, 6to4 relays, multicast, reserved.
const NEVER_V4: [Ipv4Net; 8] = [
    v4(0, 0, 0, 0, 8),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
];

const METADATA_V6: [Ipv6Net; 3] = [
    v6([0xfd00, 0x0ec2, 0], 0x0254, 128),
    v6([0xfd20, 0x00ce, 0], 0x0254, 128),
    Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128),
];

/// This machine, private networks, link-local.
const PRIVATE_V6: [Ipv6Net; 3] = [
    v6([0, 0, 0], 1, 128),
    v6([0xfc00, 0, 0], 0, 7),
    v6([0xfe80, 0, 0], 0, 10),
];

/// The only addresses of IPv6 that are given out for the internet. IPv4 in disguise lies outside:
/// mapped (`::ffff:0:0/96`), compatible (`::/96`) and NAT64 (`64:ff9b::/96`).
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0], 0, 3);

/// Protocol assignments with Teredo, documentation, 6to4.
const NEVER_V6: [Ipv6Net; 4] = [
    v6([0x2001, 0, 0], 0, 23),
    v6([0x2001, 0x0db8, 0], 0, 32),
    v6([0x2002, 0, 0], 0, 16),
    v6([0x3fff, 0, 0], 0, 20),
];

fn reach(ip: IpAddr) -> Reach {
    match ip {
        IpAddr::V4(ip) => reach_v4(ip),
        IpAddr::V6(ip) => reach_v6(ip),
    }
}

fn reach_v4(ip: Ipv4Addr) -> Reach {
    let is_in = |networks: &[Ipv4Net]| networks.iter().any(|network| network.contains(&ip));
    if is_in(&METADATA_V4) || is_in(&NEVER_V4) {
        Reach::Never
    } else if is_in(&PRIVATE_V4) {
        Reach::Private
    } else {
        Reach::Public
    }
}

fn reach_v6(ip: Ipv6Addr) -> Reach {
    let is_in = |networks: &[Ipv6Net]| networks.iter().any(|network| network.contains(&ip));
    if is_in(&METADATA_V6) || is_in(&NEVER_V6) {
        Reach::Never
    } else if is_in(&PRIVATE_V6) {
        Reach::Private
    } else if GLOBAL_V6.contains(&ip) {
        Reach::Public
    } else {
        Reach::Never
    }
}

/// Decides which addresses are connected to.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    allow_private: bool,
    hosts: Vec<String>,
    networks: Vec<IpNet>,
}

impl Guard {
    pub(super) fn new(config: &FetchConfig) -> Self {
        Self {
            allow_private: config.allow_private,
            hosts: config
                .allowed_hosts
                .iter()
                .map(|host| plain(host).to_owned())
                .collect(),
            networks: config.allowed_networks.clone(),
        }
    }

    /// Whether `host`, which stands for `ip`, may be connected to there. A metadata service is
    /// reached only through a network that the operator named.
    pub(super) fn permits(&self, host: &str, ip: IpAddr) -> bool {
        let named = self.networks.iter().any(|network| network.contains(&ip));
        named
            || match reach(ip) {
                Reach::Public => true,
                Reach::Private => self.allow_private || self.knows(host),
                Reach::Never => false,
            }
    }

    /// Whether the operator opened this host, a name or an address, to what is private.
    pub(super) fn opens(&self, host: &str) -> bool {
        let ip = plain(host).parse::<IpAddr>().ok();
        let named = ip.is_some_and(|ip| self.networks.iter().any(|network| network.contains(&ip)));
        named || self.allow_private || self.knows(host)
    }

    fn knows(&self, host: &str) -> bool {
        self.hosts
            .iter()
            .any(|known| known.eq_ignore_ascii_case(plain(host)))
    }
}

/// A host without the dot that may end its name, or the brackets around its address.
fn plain(host: &str) -> &str {
    host.trim_end_matches('.')
        .trim_start_matches('[')
        .trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        Guard::new(&FetchConfig::default())
    }

    fn permits(guard: &Guard, ip: &str) -> bool {
        guard.permits("pictures.example", ip.parse().unwrap())
    }

    #[test]
    fn the_internet_is_open() {
        for ip in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700:4700::1111",
        ] {
            assert!(permits(&guard(), ip), "{ip}");
        }
    }

    #[test]
    fn everything_else_is_closed() {
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "168.63.129.16",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fe80::a9fe:a9fe",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!permits(&guard(), ip), "{ip}");
        }
    }

    #[test]
    fn an_operator_opens_private_addresses_but_no_metadata_service() {
        let config = FetchConfig {
            allow_private: true,
            ..FetchConfig::default()
        };
        let guard = Guard::new(&config);
        for ip in ["10.0.0.1", "127.0.0.1", "::1", "fd12::1"] {
            assert!(permits(&guard, ip), "{ip}");
        }
        for ip in [
            "169.254.169.254",
            "fd00:ec2::254",
            "0.0.0.0",
            "224.0.0.1",
            "::ffff:10.0.0.1",
        ] {
            assert!(!permits(&guard, ip), "{ip}");
        }
    }

    #[test]
    fn an_operator_opens_single_hosts_and_networks() {
        let config = FetchConfig {
            allowed_hosts: vec!["Media.internal".to_owned()],
            allowed_networks: vec!["10.1.0.0/16".parse().unwrap()],
            ..FetchConfig::default()
        };
        let guard = Guard::new(&config);
        assert!(guard.permits("media.internal.", "10.2.0.1".parse().unwrap()));
        assert!(!guard.permits("media.internal", "169.254.169.254".parse().unwrap()));
        assert!(permits(&guard, "10.1.255.1"));
        assert!(!permits(&guard, "10.2.0.1"));
    }
}
