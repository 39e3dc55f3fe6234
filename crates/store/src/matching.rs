//! Which sample goes to which node.

use std::collections::{BTreeSet, VecDeque};

use tryon_core::task::Provider;

/// An account that waits for a provider, and what of it may be given out, oldest first.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    pub(crate) account: String,
    pub(crate) turn: i64,
    pub(crate) due: VecDeque<T>,
}

/// At most `count` pieces of work, each of the account with the lowest turn, which is then raised
/// by one.
pub(crate) fn by_turns<T>(waiting: &mut [Waiting<T>], count: usize) -> Vec<T> {
    let next = || {
        let next = waiting
            .iter_mut()
            .filter(|waiting| !waiting.due.is_empty())
            .min_by(|a, b| (a.turn, &a.account).cmp(&(b.turn, &b.account)))?;
        next.turn += 1;
        next.due.pop_front()
    };
    std::iter::from_fn(next).take(count).collect()
}

/// An account in the queue of a provider.
#[derive(Debug)]
pub(crate) struct Turns {
    pub(crate) account: String,
    /// The turn at which the first of what waits is served.
    pub(crate) turn: i64,
    /// How much waits.
    pub(crate) waiting: i64,
}

/// How many are served before a sample: `own` is what its account has waiting before it, and the
/// others are served as [`by_turns`] does.
pub(crate) fn count_ahead(own: &Turns, all: &[Turns]) -> i64 {
    let last = own.turn + own.waiting;
    let others = all.iter().filter(|other| other.account != own.account);
    let served = others.map(|other| {
        let before = last - other.turn + i64::from(other.account < own.account);
        other.waiting.min(before.max(0))
    });
    own.waiting + served.sum::<i64>()
}

/// A node that can be given work. They sort in the order in which they are taken: those that did
/// not fail last time; those that offer little, so that versatile ones are left for others; one of
/// which it is not known how long it takes, and then the fastest; of those that are about as fast,
/// the longest idle one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IdleNode {
    /// How often it failed since it last made a picture.
    pub(crate) faults: i64,
    /// How many providers it answers for.
    pub(crate) offers: usize,
    /// Its [`pace`]; 0 where that is not known.
    pub(crate) pace: i64,
    /// When it was last given work.
    pub(crate) assigned_at: i64,
    /// Its name.
    pub(crate) name: String,
    /// The providers it answers for.
    pub(crate) providers: Vec<Provider>,
}

/// How slow a machine is that took this many milliseconds for so many steps: the binary digits of
/// the microseconds of one. Machines that differ by less than that are alike.
pub(crate) fn pace(inference_ms: u64, steps: u32) -> i64 {
    let step = inference_ms.saturating_mul(1000) / u64::from(steps.max(1));
    i64::from(u64::BITS - step.max(1).leading_zeros())
}

/// Those of these providers that at least one of these nodes offers, each with the number of its
/// nodes: more samples of it cannot be placed.
pub(crate) fn offered(providers: &[Provider], idle: &BTreeSet<IdleNode>) -> Vec<(Provider, usize)> {
    let count = |provider| {
        idle.iter()
            .filter(|node| node.providers.contains(&provider))
            .count()
    };
    let counted = providers
        .iter()
        .map(|&provider| (provider, count(provider)));
    counted.filter(|&(_, count)| count > 0).collect()
}

/// One queue of several: each keeps its order, and they take turns, the first one first.
pub(crate) fn merge<T>(queues: Vec<Vec<T>>) -> Vec<T> {
    let mut queues: Vec<_> = queues.into_iter().map(Vec::into_iter).collect();
    let mut merged = Vec::new();
    loop {
        let before = merged.len();
        merged.extend(queues.iter_mut().filter_map(Iterator::next));
        if merged.len() == before {
            return merged;
        }
    }
}

/// Pairs work with nodes, in the order of the work, at most `limit` pairs. Each piece takes the
/// first node that offers its provider.
pub(crate) fn pair<T>(
    due: impl IntoIterator<Item = (Provider, T)>,
    mut idle: BTreeSet<IdleNode>,
    limit: usize,
) -> Vec<((Provider, T), String)> {
    let mut pairs = Vec::new();
    for (provider, work) in due {
        if pairs.len() == limit || idle.is_empty() {
            break;
        }
        if let Some(node) = take_node(&mut idle, provider) {
            pairs.push(((provider, work), node.name));
        }
    }
    pairs
}

fn take_node(idle: &mut BTreeSet<IdleNode>, provider: Provider) -> Option<IdleNode> {
    idle.extract_if(.., |node| node.providers.contains(&provider))
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    use Provider::{Lightxv, Preview, Qwen};

    fn idle<const N: usize>(nodes: [(&str, i64, &[Provider]); N]) -> BTreeSet<IdleNode> {
        let nodes = nodes.map(|(name, pace, providers)| IdleNode {
            faults: i64::from(name == "faulty"),
            offers: providers.len(),
            pace,
            assigned_at: 0,
            name: name.into(),
            providers: providers.to_vec(),
        });
        nodes.into()
    }

    fn names<const N: usize>(due: [Provider; N], idle: BTreeSet<IdleNode>) -> Vec<(usize, String)> {
        let due = due
            .into_iter()
            .enumerate()
            .map(|(at, provider)| (provider, at));
        let pairs = pair(due, idle, 10);
        pairs
            .into_iter()
            .map(|((_, at), node)| (at, node))
            .collect()
    }

    #[test]
    fn versatile_nodes_are_left_for_others() {
        let idle = idle([("both", 1, &[Qwen, Lightxv]), ("one", 9, &[Qwen])]);
        let pairs = names([Qwen, Lightxv, Qwen], idle);
        assert_eq!(pairs, [(0, "one".into()), (1, "both".into())]);
    }

    #[test]
    fn the_fastest_node_is_taken_an_unknown_one_before_it_and_a_faulty_one_last() {
        let idle = idle([
            ("faulty", 0, &[Qwen]),
            ("slow", 9, &[Qwen]),
            ("fast", 5, &[Qwen]),
            ("new", 0, &[Qwen]),
        ]);
        let pairs = names([Qwen, Qwen, Qwen, Qwen], idle);
        let taken: Vec<_> = pairs.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(taken, ["new", "fast", "slow", "faulty"]);
    }

    #[test]
    fn machines_that_take_about_as_long_are_alike() {
        assert_eq!(pace(1100, 4), pace(1900, 4));
        assert_eq!(pace(1100, 4) + 1, pace(2200, 4));
        assert_eq!(pace(1100, 4), pace(11_000, 40));
        assert_eq!((pace(0, 4), pace(7, 0)), (1, pace(7, 1)));
        assert_eq!(pace(u64::MAX, 1), 64);
    }

    #[test]
    fn the_lowest_turn_is_served_and_raised() {
        let waiting = |account: &str, turn, due: &[u8]| Waiting {
            account: account.to_owned(),
            turn,
            due: due.iter().copied().collect(),
        };
        let mut all = [
            waiting("b", 5, &[1, 2, 3]),
            waiting("a", 6, &[4, 5]),
            waiting("c", 0, &[]),
        ];
        assert_eq!(by_turns(&mut all, 4), [1, 4, 2, 5]);
        assert_eq!([all[0].turn, all[1].turn, all[2].turn], [7, 8, 0]);
        assert_eq!(by_turns(&mut all, 4), [3]);
    }

    #[test]
    fn what_is_counted_ahead_is_what_is_served_before() {
        let accounts = [
            ("a", 6, 1),
            ("b", 5, 3),
            ("c", 7, 9),
            ("d", 9, 2),
            ("e", 4, 2),
        ];
        let turns = |account: &str, turn, waiting| Turns {
            account: account.to_owned(),
            turn,
            waiting,
        };
        let all = accounts.map(|(account, turn, waiting)| turns(account, turn, waiting));
        let mut queue = accounts.map(|(account, turn, waiting)| Waiting {
            account: account.to_owned(),
            turn,
            due: (0..waiting).map(|place| (account, place)).collect(),
        });
        let served = by_turns(&mut queue, 100);
        for (account, turn, waiting) in accounts {
            for place in 0..waiting {
                let expected = served.iter().position(|it| *it == (account, place));
                let counted = count_ahead(&turns(account, turn, place), &all);
                assert_eq!(usize::try_from(counted).ok(), expected, "{account} {place}");
            }
        }
    }

    #[test]
    fn work_that_nobody_offers_waits_without_holding_others_up() {
        let pairs = names([Qwen, Preview], idle([("a", 0, &[Preview])]));
        assert_eq!(pairs, [(1, "a".into())]);
    }

    #[test]
    fn the_limit_holds() {
        let idle = idle([("b", 0, &[Qwen]), ("a", 0, &[Qwen])]);
        assert_eq!(
            pair([(Qwen, 1), (Qwen, 2)], idle, 1),
            [((Qwen, 1), "a".into())]
        );
    }

    #[test]
    fn only_what_is_offered_is_looked_for() {
        let idle = idle([("a", 0, &[Qwen]), ("b", 0, &[Qwen, Preview])]);
        assert_eq!(
            offered(&[Preview, Lightxv, Qwen], &idle),
            [(Preview, 1), (Qwen, 2)]
        );
    }

    #[test]
    fn queues_keep_their_orders_and_take_turns() {
        assert_eq!(
            merge(vec![vec![5, 1, 9], vec![], vec![4, 8]]),
            [5, 4, 1, 8, 9]
        );
    }
}
