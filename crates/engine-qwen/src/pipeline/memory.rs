//! Whether a model fits.

use std::{fs, path::Path};

use super::files::Sizes;
use crate::error::LoadError;

/// What stays in memory between requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Residency {
    /// Everything if there is room for it, otherwise one part at a time.
    #[default]
    Auto,
    /// Everything.
    Whole,
    /// One part at a time: the text encoder, then the transformer, then the autoencoder, each
    /// loaded for a request and freed before the next.
    Parts,
}

impl Sizes {
    const fn whole(self) -> u64 {
        self.encoder + self.transformer + self.vae
    }

    fn largest(self) -> u64 {
        self.encoder.max(self.transformer).max(self.vae)
    }
}

const MIB: u64 = 1 << 20;

/// What a residency comes to with this much memory, or why the model cannot be loaded at all.
pub(super) fn decide(
    wanted: Residency,
    sizes: Sizes,
    available: Option<u64>,
    path: &Path,
) -> Result<Residency, LoadError> {
    let fits = |needed: u64| available.is_none_or(|available| needed <= available);
    let (decided, needed) = match wanted {
        Residency::Auto if fits(sizes.whole()) => (Residency::Whole, sizes.whole()),
        Residency::Whole => (Residency::Whole, sizes.whole()),
        Residency::Auto | Residency::Parts => (Residency::Parts, sizes.largest()),
    };
    if fits(needed) {
        return Ok(decided);
    }
    Err(LoadError::TooLarge {
        path: path.to_owned(),
        needed_mib: needed.div_ceil(MIB),
        available_mib: available.unwrap_or_default() / MIB,
    })
}

/// Bytes that this process may still use: what the machine has, or its control group allows,
/// whichever is less. `None` where nothing can be found out.
pub(super) fn available() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| from_meminfo(&text));
    let group = |name: &str| fs::read_to_string(format!("/sys/fs/cgroup/memory.{name}")).ok();
    let allowed = group("max").zip(group("current"));
    let allowed = allowed.and_then(|(most, used)| from_group(&most, &used));
    machine.into_iter().chain(allowed).min()
}

fn from_meminfo(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// `max` is a text where there is no limit.
fn from_group(most: &str, used: &str) -> Option<u64> {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    Some(number(most)?.saturating_sub(number(used)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes {
        encoder: 14 << 30,
        transformer: 27 << 30,
        vae: 1 << 28,
    };

    fn decided(wanted: Residency, gib: u64) -> Result<Residency, String> {
        let decided = decide(wanted, SIZES, Some(gib << 30), Path::new("/models/qwen"));
        decided.map_err(|error| error.to_string())
    }

    #[test]
    fn a_model_is_loaded_whole_in_parts_or_not_at_all() {
        assert_eq!(decided(Residency::Auto, 64), Ok(Residency::Whole));
        assert_eq!(decided(Residency::Auto, 30), Ok(Residency::Parts));
        assert_eq!(decided(Residency::Parts, 64), Ok(Residency::Parts));
        let said = decided(Residency::Auto, 20).unwrap_err();
        assert_eq!(
            said,
            "`/models/qwen` needs 27648 MiB of memory, and 20480 MiB are free"
        );
        let said = decided(Residency::Whole, 30).unwrap_err();
        assert!(said.contains("42240 MiB"), "{said}");
    }

    #[test]
    fn memory_is_read_from_what_linux_says() {
        let text = "MemTotal:       24000000 kB\nMemAvailable:   21000000 kB\n";
        assert_eq!(from_meminfo(text), Some(21_000_000 << 10));
        assert_eq!(from_meminfo("nothing"), None);
        assert_eq!(from_group("1000\n", "400\n"), Some(600));
        assert_eq!(from_group("max\n", "400\n"), None);
        assert!(available().is_some_and(|bytes| bytes > 1 << 20));
    }
}
