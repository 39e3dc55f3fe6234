//! Where a request comes from.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{FromRef, FromRequestParts, Request},
    http::{HeaderMap, request::Parts},
};
use ipnet::IpNet;

use crate::app::App;

/// Who opened the connection that a request came on: the listener adds it to each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The network that a request is counted for, as an extractor.
pub(crate) struct Network(pub(crate) IpNet);

impl<S> FromRequestParts<S> for Network
where
    S: Send + Sync,
    Arc<App>: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let proxies = &Arc::<App>::from_ref(state).config.server.trusted_proxies;
        let peer = parts.extensions.get().copied();
        Ok(Self(network_of(&parts.headers, peer, proxies)))
    }
}

/// Where each proxy on a request's way says that it had it from, the last one last.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The network that a request is counted for: its client's address, or the 64 bits of an IPv6
/// address that a provider gives to one customer.
pub(crate) fn find_network(request: &Request, proxies: &[IpNet]) -> IpNet {
    let peer = request.extensions().get().copied();
    network_of(request.headers(), peer, proxies)
}

fn network_of(headers: &HeaderMap, peer: Option<Peer>, proxies: &[IpNet]) -> IpNet {
    // Without our listener nobody tells the peers, and all of them are one.
    let Peer(peer) = peer.unwrap_or(Peer(Ipv4Addr::UNSPECIFIED.into()));
    let (address, bits) = match find_client(headers, peer, proxies) {
        IpAddr::V4(address) => (address.into(), 32),
        IpAddr::V6(address) => (address.into(), 64),
    };
    let network = IpNet::new(address, bits).expect("BUG: an address has that many bits");
    network.trunc()
}

/// The last address on a request's way that is none of the trusted proxies'. What a client itself
/// wrote into the header stands before that and is not believed.
fn find_client(headers: &HeaderMap, peer: IpAddr, proxies: &[IpNet]) -> IpAddr {
    let values = headers.get_all(FORWARDED_FOR).iter().rev();
    let texts = values.map(|value| value.to_str().unwrap_or_default());
    let mut way = texts.flat_map(|text| text.rsplit(',')).map(parse);
    let is_trusted = |address: &IpAddr| proxies.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    while is_trusted(&client)
        && let Some(Some(before)) = way.next()
    {
        client = before;
    }
    client
}

/// An address, with a port or without.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.trim_matches(['[', ']']).parse::<IpAddr>();
    let address = bare.or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn network(peer: &str, forwarded: &[&str]) -> String {
        let mut request = Request::new(Body::empty());
        request.extensions_mut().insert(Peer(peer.parse().unwrap()));
        for value in forwarded {
            let value = value.parse().unwrap();
            request.headers_mut().append(FORWARDED_FOR, value);
        }
        let proxies = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        find_network(&request, &proxies).to_string()
    }

    #[test]
    fn an_address_is_counted_alone_and_one_of_ipv6_with_its_64_bits() {
        assert_eq!(network("192.0.2.7", &[]), "192.0.2.7/32");
        assert_eq!(network("::ffff:192.0.2.7", &[]), "192.0.2.7/32");
        assert_eq!(network("2001:db8:1:2:3::4", &[]), "2001:db8:1:2::/64");
    }

    #[test]
    fn of_what_proxies_say_the_last_address_that_is_not_theirs_counts() {
        for (forwarded, expected) in [
            (["192.0.2.7"].as_slice(), "192.0.2.7/32"),
            (&["198.51.100.1, 192.0.2.7, 10.1.1.1"], "192.0.2.7/32"),
            (&["198.51.100.1", "192.0.2.7:443,10.1.1.1"], "192.0.2.7/32"),
            (&["[2001:db8::1]:443"], "2001:db8::/64"),
            (&["[2001:db8::1]"], "2001:db8::/64"),
            (&["192.0.2.7, unknown"], "10.0.0.1/32"),
            (&["10.1.1.1"], "10.1.1.1/32"),
            (&[""], "10.0.0.1/32"),
            (&[], "10.0.0.1/32"),
        ] {
            assert_eq!(network("10.0.0.1", forwarded), expected, "{forwarded:?}");
        }
        assert_eq!(network("fd00::1", &["192.0.2.7"]), "192.0.2.7/32");
    }

    #[test]
    fn who_is_no_proxy_is_not_asked_for_whom_it_speaks() {
        assert_eq!(network("192.0.2.1", &["192.0.2.7"]), "192.0.2.1/32");
    }
}
