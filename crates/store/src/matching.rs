//! Which sample goes to which node.

use tryon_core::task::Provider;

/// A node that can be given work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdleNode {
    /// Its name.
    pub(crate) name: String,
    /// The providers it answers for.
    pub(crate) providers: Vec<Provider>,
}

/// The providers that at least one of these nodes offers, each with the number of its nodes:
/// more samples of it cannot be placed.
pub(crate) fn offered(idle: &[IdleNode]) -> Vec<(Provider, usize)> {
    let count = |provider| {
        idle.iter()
            .filter(|node| node.providers.contains(&provider))
            .count()
    };
    let counted = Provider::ALL
        .iter()
        .map(|&provider| (provider, count(provider)));
    counted.filter(|&(_, count)| count > 0).collect()
}

/// Pairs work with nodes, in the order of the work, at most `limit` pairs.
///
/// Each piece takes the node that offers the fewest providers besides its own, so that versatile
/// nodes are left for others; among equals the first one listed.
pub(crate) fn pair<T>(
    due: impl IntoIterator<Item = (Provider, T)>,
    mut idle: Vec<IdleNode>,
    limit: usize,
) -> Vec<(T, String)> {
    let mut pairs = Vec::new();
    for (provider, work) in due {
        if pairs.len() == limit || idle.is_empty() {
            break;
        }
        if let Some(node) = take_node(&mut idle, provider) {
            pairs.push((work, node.name));
        }
    }
    pairs
}

fn take_node(idle: &mut Vec<IdleNode>, provider: Provider) -> Option<IdleNode> {
    let offering = idle
        .iter()
        .enumerate()
        .filter(|(_, node)| node.providers.contains(&provider));
    let (at, _) = offering.min_by_key(|(_, node)| node.providers.len())?;
    Some(idle.remove(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    use Provider::{Lightxv, Preview, Qwen};

    fn node(name: &str, providers: &[Provider]) -> IdleNode {
        IdleNode {
            name: name.into(),
            providers: providers.to_vec(),
        }
    }

    #[test]
    fn older_work_comes_first_and_versatile_nodes_are_left_for_others() {
        let idle = vec![node("both", &[Qwen, Lightxv]), node("one", &[Qwen])];
        let pairs = pair([(Qwen, 1), (Lightxv, 2), (Qwen, 3)], idle, 10);
        assert_eq!(pairs, [(1, "one".into()), (2, "both".into())]);
    }

    #[test]
    fn work_that_nobody_offers_waits_without_holding_others_up() {
        let idle = vec![node("a", &[Preview])];
        assert_eq!(pair([(Qwen, 1), (Preview, 2)], idle, 10), [(2, "a".into())]);
    }

    #[test]
    fn the_limit_and_the_order_of_equals_hold() {
        let idle = vec![node("b", &[Qwen]), node("a", &[Qwen])];
        assert_eq!(pair([(Qwen, 1), (Qwen, 2)], idle, 1), [(1, "b".into())]);
    }

    #[test]
    fn only_what_is_offered_is_looked_for() {
        let idle = [node("a", &[Qwen]), node("b", &[Qwen, Preview])];
        assert_eq!(offered(&idle), [(Qwen, 2), (Preview, 1)]);
    }
}
