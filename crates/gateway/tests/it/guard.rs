//! Names that stand for what must not be reached.

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use tryon_gateway::{
    config::FetchConfig,
    fetch::{FetchError, Fetcher, Lookup},
};

use crate::host::Host;

/// Every name stands for the next of these sets of addresses, the last one for good.
struct Names {
    sets: Vec<Vec<&'static str>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Lookup for Names {
    async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let set = &self.sets[asked.min(self.sets.len() - 1)];
        Ok(set.iter().map(|ip| ip.parse().unwrap()).collect())
    }
}

fn names(sets: Vec<Vec<&'static str>>) -> Arc<Names> {
    Arc::new(Names {
        sets,
        asked: AtomicUsize::new(0),
    })
}

async fn fetch(config: &FetchConfig, names: &Arc<Names>, url: &str) -> Result<usize, FetchError> {
    let fetcher = Fetcher::with_lookup(config, Arc::clone(names) as _).unwrap();
    fetcher.fetch(url).await.map(|file| file.len())
}

#[tokio::test]
async fn a_name_that_stands_for_an_inner_address_is_refused() {
    for ip in [
        "127.0.0.1",
        "::1",
        "169.254.169.254",
        "10.1.2.3",
        "192.168.0.1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "0.0.0.0",
    ] {
        let names = names(vec![vec![ip]]);
        let fetched = fetch(
            &FetchConfig::default(),
            &names,
            "http://pictures.example/a.png",
        )
        .await;
        assert_eq!(fetched, Err(FetchError::NoPublicAddress), "{ip}");
    }
    let nothing = names(vec![vec![]]);
    let fetched = fetch(
        &FetchConfig::default(),
        &nothing,
        "http://pictures.example/a.png",
    )
    .await;
    assert_eq!(fetched, Err(FetchError::NoPublicAddress));
}

#[tokio::test]
async fn of_several_addresses_only_those_that_are_permitted_are_used() {
    let host = Host::start().await;
    let config = FetchConfig {
        allowed_networks: vec!["127.0.0.1/32".parse().unwrap()],
        ..FetchConfig::default()
    };
    let names = names(vec![vec!["127.0.0.2", "169.254.169.254", "127.0.0.1"]]);
    let url = format!(
        "http://pictures.example:{}/picture.png",
        host.address.port()
    );
    assert!(fetch(&config, &names, &url).await.unwrap() > 0);
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_what_was_checked_is_connected_to() {
    let host = Host::start().await;
    let config = FetchConfig {
        allowed_networks: vec!["127.0.0.1/32".parse().unwrap()],
        ..FetchConfig::default()
    };
    // A second look would find another address, as a name server does that rebinds.
    let names = names(vec![vec!["127.0.0.1"], vec!["169.254.169.254"]]);
    let url = format!(
        "http://rebinding.example:{}/picture.png",
        host.address.port()
    );
    assert!(fetch(&config, &names, &url).await.unwrap() > 0);
    assert_eq!(names.asked.load(Ordering::SeqCst), 1);
    // The next fetch looks again, and no connection is left that would spare it.
    assert_eq!(
        fetch(&config, &names, &url).await,
        Err(FetchError::NoPublicAddress)
    );
}

#[tokio::test]
async fn each_redirect_is_looked_up_anew() {
    let host = Host::start().await;
    let config = FetchConfig {
        allowed_networks: vec!["127.0.0.1/32".parse().unwrap()],
        ..FetchConfig::default()
    };
    let names = names(vec![vec!["127.0.0.1"], vec!["169.254.169.254"]]);
    let url = format!(
        "http://one.example:{}/to?url=http://two.example/a",
        host.address.port()
    );
    assert_eq!(
        fetch(&config, &names, &url).await,
        Err(FetchError::NoPublicAddress)
    );
    assert_eq!(names.asked.load(Ordering::SeqCst), 2);
}
