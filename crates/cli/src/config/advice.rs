//! What works, and is hardly meant.

use std::net::IpAddr;

use tryon_gateway::config::ServerConfig;

/// What to say of a gateway that the network reaches and whose links to outputs it does not:
/// without a name of its own, one that listens everywhere calls itself by this machine's.
pub(crate) fn find_lost_links(server: &ServerConfig) -> Option<String> {
    let host = server.host.trim_matches(['[', ']']).parse::<IpAddr>();
    let everywhere = host.is_ok_and(|host| host.is_unspecified());
    (everywhere && server.public_url.is_none()).then(|| {
        format!(
            "links to outputs start with `{}`, where no other machine finds them: say what \
             clients call the gateway with `server.public_url` or `--public-url`",
            server.link_base()
        )
    })
}

/// Says so on standard error.
pub(crate) fn warn_of_links(server: &ServerConfig) {
    if let Some(advice) = find_lost_links(server) {
        eprintln!("warning: {advice}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_gateway_that_listens_everywhere_needs_a_name() {
        let server = |host: &str| ServerConfig {
            host: host.to_owned(),
            ..ServerConfig::default()
        };
        for host in ["0.0.0.0", "::", "[::]"] {
            let mut server = server(host);
            let advice = find_lost_links(&server).unwrap();
            assert!(advice.contains("http://127.0.0.1:8080"), "{advice}");
            server.public_url = Some("https://try.example".parse().unwrap());
            assert_eq!(find_lost_links(&server), None);
        }
        for host in ["127.0.0.1", "::1", "10.0.0.7", "localhost", "try.example"] {
            assert_eq!(find_lost_links(&server(host)), None, "{host}");
        }
    }
}
