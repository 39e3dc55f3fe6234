//! How long a job that waits still takes.

use std::time::Duration;

use tryon_store::{Inference, LONGEST_WAIT, Plan};

/// How long until a sample has ended that has `ahead` before it, where `nodes` work side by side.
/// `None` where no such picture was made lately, no node is there, or there are more before it than
/// are counted.
pub(super) fn remaining(
    plan: &Plan,
    ahead: u32,
    nodes: usize,
    lately: &[Inference],
) -> Option<Duration> {
    if ahead >= LONGEST_WAIT {
        return None;
    }
    let nodes = u32::try_from(nodes).ok().filter(|nodes| *nodes > 0)?;
    let rounds = (ahead + 1).div_ceil(nodes);
    Some(mean(plan, lately)? * rounds)
}

/// How long such pictures took: those of the same model, steps and size.
fn mean(plan: &Plan, lately: &[Inference]) -> Option<Duration> {
    let alike = lately.iter().filter(|it| {
        let made = &it.plan;
        made.provider == plan.provider && made.steps == plan.steps && made.max_side == plan.max_side
    });
    let took: Vec<_> = alike.map(|it| it.took).collect();
    let count = u32::try_from(took.len()).ok().filter(|count| *count > 0)?;
    Some(took.iter().sum::<Duration>() / count)
}

#[cfg(test)]
mod tests {
    use tryon_core::task::Provider;

    use super::*;

    #[test]
    fn who_waits_is_told_how_long_by_how_long_such_pictures_took() {
        let plan = Plan {
            provider: Provider::Qwen,
            steps: 4,
            cfg: 1.0,
            max_side: 1024,
        };
        let took = |plan: Plan, seconds| Inference {
            plan,
            took: Duration::from_secs(seconds),
        };
        let longer = Plan { steps: 40, ..plan };
        let lately = [took(plan, 2), took(longer, 90), took(plan, 4)];
        let seconds =
            |plan, ahead, nodes| remaining(plan, ahead, nodes, &lately).map(|it| it.as_secs());
        assert_eq!(seconds(&plan, 0, 1), Some(3));
        assert_eq!(seconds(&plan, 5, 1), Some(18));
        assert_eq!(seconds(&plan, 5, 4), Some(6), "in two rounds");
        assert_eq!(seconds(&plan, 3, 4), Some(3));
        assert_eq!(seconds(&longer, 0, 1), Some(90));
        assert_eq!(
            seconds(&plan, LONGEST_WAIT, 1),
            None,
            "nobody counted further"
        );
        let smaller = Plan {
            max_side: 512,
            ..plan
        };
        assert_eq!(seconds(&smaller, 0, 1), None, "none was made lately");
        assert_eq!(seconds(&plan, 0, 0), None, "nobody is there to make it");
    }
}
