//! `tryon nodes`: what computes, and what is given nothing more.

use std::time::Duration;

use clap::Subcommand;
use tryon_core::time::Timestamp;
use tryon_store::{Node, NodeState, Store};

use super::{note, now, store_failed};
use crate::failure::Failure;

/// How often a node that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What to do with nodes.
#[derive(Debug, Subcommand)]
pub(crate) enum NodesCommand {
    /// List the gateways' nodes and what each is doing
    List,
    /// Give a node nothing more; what it works on ends as ever
    Drain {
        /// Its name, as `tryon nodes list` prints it
        name: String,
        /// Return once it works on nothing
        #[arg(long)]
        wait: bool,
    },
    /// Give a drained node work again
    Resume {
        /// Its name, as `tryon nodes list` prints it
        name: String,
    },
}

/// Runs one of them.
pub(crate) async fn run(command: &NodesCommand, store: &dyn Store) -> Result<(), Failure> {
    match command {
        NodesCommand::List => list(store).await,
        NodesCommand::Drain { name, wait } => {
            set_drained(name, true, store).await?;
            while *wait && find(name, store).await?.attempt.is_some() {
                tokio::time::sleep(LOOK).await;
            }
            println!("{}", line(&find(name, store).await?, now()));
            Ok(())
        }
        NodesCommand::Resume { name } => {
            set_drained(name, false, store).await?;
            println!("{}", line(&find(name, store).await?, now()));
            Ok(())
        }
    }
}

async fn list(store: &dyn Store) -> Result<(), Failure> {
    for node in store.list_nodes().await.map_err(store_failed)? {
        println!("{}", line(&node, now()));
    }
    Ok(())
}

async fn set_drained(name: &str, drained: bool, store: &dyn Store) -> Result<(), Failure> {
    let action = if drained { "node.drain" } else { "node.resume" };
    note(store, None, action, name.to_owned()).await?;
    let known = store.set_node_drained(name, drained).await;
    if known.map_err(store_failed)? {
        return Ok(());
    }
    Err(no_such_node(name))
}

async fn find(name: &str, store: &dyn Store) -> Result<Node, Failure> {
    let nodes = store.list_nodes().await.map_err(store_failed)?;
    let found = nodes.into_iter().find(|node| node.name == name);
    found.ok_or_else(|| no_such_node(name))
}

fn no_such_node(name: &str) -> Failure {
    Failure::new(format!("there is no node `{name}`")).hint(
        "`tryon nodes list` lists them; a node is known once a gateway that names it in `nodes` \
         has started, or once it registered",
    )
}

fn line(node: &Node, now: Timestamp) -> String {
    let drained = if node.drained { ", drained" } else { "" };
    let held = node.hold_until.since(now).as_secs();
    let work = match (node.attempt, node.state) {
        (Some(attempt), _) => format!("works on {attempt}"),
        (None, NodeState::Ready) if held > 0 => format!("held for {held} s"),
        (None, NodeState::Ready) => "idle".to_owned(),
        (None, _) => "is given nothing".to_owned(),
    };
    let providers: Vec<_> = node.providers.iter().map(|it| it.as_str()).collect();
    let faults = match node.faults {
        0 => String::new(),
        faults => format!("  {faults} faults in a row"),
    };
    let known = match node.registration {
        None => "listed".to_owned(),
        Some(registration) => {
            let ago = now.since(registration.seen_at).as_secs();
            format!("registered, heard of {ago} s ago")
        }
    };
    format!(
        "{}  {}  {}{drained}  {work}  [{}]  {known}{faults}",
        node.name,
        node.url,
        node.state.as_str(),
        providers.join(", "),
    )
}
