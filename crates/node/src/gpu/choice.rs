//! Which of a machine's devices is the worker's.

use std::env;

/// What tells a device from others.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidate {
    /// Its number, as NVML counts: by place.
    pub(super) index: u32,
    pub(super) name: Option<String>,
    pub(super) uuid: Option<String>,
    /// The processes that compute on it.
    pub(super) pids: Vec<u32>,
}

/// Which devices CUDA counts in the worker, and how. A worker has the environment of its node.
#[derive(Debug, Default)]
pub(super) struct Counting {
    /// `CUDA_VISIBLE_DEVICES`: numbers or ids; all devices where it is not set.
    pub(super) visible: Option<String>,
    /// Whether it counts by place, as NVML does, rather than the fastest first.
    pub(super) by_place: bool,
}

impl Counting {
    pub(super) fn of_environment() -> Self {
        let order = env::var("CUDA_DEVICE_ORDER");
        Self {
            visible: env::var("CUDA_VISIBLE_DEVICES").ok(),
            by_place: order.is_ok_and(|order| order == "PCI_BUS_ID"),
        }
    }

    /// What CUDA calls its first device.
    fn first(&self) -> &str {
        let visible = self.visible.as_deref().unwrap_or("0");
        visible.split(',').next().unwrap_or_default().trim()
    }

    /// Whether a number of CUDA's means the same device to NVML. The fastest of several that are
    /// alike is none: they are counted by place whatever is asked for.
    fn is_nvmls(&self, candidates: &[Candidate]) -> bool {
        let name = candidates.first().and_then(|it| it.name.as_ref());
        let alike = || name.is_some() && candidates.iter().all(|it| it.name.as_ref() == name);
        self.by_place || candidates.len() == 1 || alike()
    }
}

/// NVML's number of the device that the process `pid` computes on. Where no device knows the
/// process, as in a container that counts processes by itself, it is the first that CUDA has
/// there; none where that cannot be told, or CUDA has none.
pub(super) fn choose(
    candidates: &[Candidate],
    pid: Option<u32>,
    counting: &Counting,
) -> Option<u32> {
    let runs = |it: &&Candidate| pid.is_some_and(|pid| it.pids.contains(&pid));
    let own = candidates.iter().find(runs);
    let chosen = own.or_else(|| find_first(candidates, counting))?;
    Some(chosen.index)
}

fn find_first<'a>(candidates: &'a [Candidate], counting: &Counting) -> Option<&'a Candidate> {
    let first = counting.first();
    if first.starts_with("GPU-") {
        // Its beginning will do for CUDA where no other device's is the same.
        let is_meant = |it: &&Candidate| it.uuid.as_ref().is_some_and(|it| it.starts_with(first));
        let mut meant = candidates.iter().filter(is_meant);
        return meant.next().filter(|_| meant.next().is_none());
    }
    // What is no number is a part of a card (`MIG-…`), or hides them all.
    let number: u32 = first.parse().ok()?;
    let mut numbered = candidates.iter().filter(|it| it.index == number);
    numbered.next().filter(|_| counting.is_nvmls(candidates))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(names: &[&str]) -> Vec<Candidate> {
        let candidate = |(index, name): (u32, &&str)| Candidate {
            index,
            name: Some((*name).to_owned()),
            uuid: Some(format!("GPU-0{index}-a")),
            pids: vec![index + 100],
        };
        (0..).zip(names).map(candidate).collect()
    }

    fn counting(visible: Option<&str>) -> Counting {
        Counting {
            visible: visible.map(str::to_owned),
            by_place: false,
        }
    }

    fn choose_visible(names: &[&str], visible: Option<&str>) -> Option<u32> {
        choose(&candidates(names), Some(7), &counting(visible))
    }

    #[test]
    fn the_device_that_knows_the_worker_is_its_own() {
        let devices = candidates(&["L4", "H200", "L4"]);
        for visible in [None, Some("0"), Some("GPU-00"), Some("MIG-1"), Some("")] {
            assert_eq!(choose(&devices, Some(101), &counting(visible)), Some(1));
        }
        assert_eq!(choose(&[], Some(101), &counting(None)), None);
        assert_eq!(choose(&[], None, &counting(None)), None);
    }

    #[test]
    fn a_number_counts_where_both_count_alike() {
        let alike = ["L4", "L4", "L4"];
        assert_eq!(choose_visible(&alike, None), Some(0));
        assert_eq!(choose_visible(&alike, Some("2,1")), Some(2));
        assert_eq!(choose_visible(&alike, Some(" 1 ")), Some(1));
        assert_eq!(choose_visible(&alike, Some("3")), None);
        assert_eq!(choose_visible(&["L4"], Some("0")), Some(0));

        let different = ["L4", "H200"];
        assert_eq!(choose_visible(&different, None), None);
        assert_eq!(choose_visible(&different, Some("1")), None);
        let by_place = Counting {
            by_place: true,
            ..counting(Some("1"))
        };
        assert_eq!(choose(&candidates(&different), None, &by_place), Some(1));
        let mut nameless = candidates(&alike);
        nameless[1].name = None;
        assert_eq!(choose(&nameless, None, &counting(None)), None);
    }

    /// One that NVML cannot open does not change the numbers of the others.
    #[test]
    fn numbers_are_nvmls_own() {
        let rest = candidates(&["L4", "L4", "L4"]).split_off(1);
        assert_eq!(choose(&rest, None, &counting(Some("2"))), Some(2));
        assert_eq!(choose(&rest, None, &counting(Some("0"))), None);
    }

    #[test]
    fn an_id_counts_whatever_the_order() {
        let different = ["L4", "H200"];
        let ids = [
            ("GPU-01-a", Some(1)),
            ("GPU-01,GPU-00", Some(1)),
            ("GPU-0", None),
            ("GPU-2", None),
        ];
        for (visible, expected) in ids {
            assert_eq!(choose_visible(&different, Some(visible)), expected);
        }
    }

    #[test]
    fn where_cuda_has_no_device_there_is_none() {
        for visible in ["", "-1", "-1,0", "NoDevFiles", "MIG-GPU-00-a/1/0"] {
            assert_eq!(choose_visible(&["L4"], Some(visible)), None, "{visible}");
        }
    }
}
