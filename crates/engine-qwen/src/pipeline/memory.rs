//! Whether a model fits.

use std::{fs, path::Path};

use super::files::{ModelFiles, Sizes};
use crate::{backend::Cpu, error::LoadError};

/// What stays in memory between requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Residency {
    /// Everything if there is room for it, otherwise as much as there is room for.
    #[default]
    Auto,
    /// Everything.
    Whole,
    /// The transformer and the autoencoder. The text encoder is loaded for a request and freed
    /// before the transformer needs room to compute in.
    Swapped,
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

/// What a device with memory of its own computes in at most, beside the weights: the autoencoder's
/// largest tensors at four megapixels, and what its libraries take.
const WORKSPACE: u64 = 4 << 30;

/// The memory that a model is loaded into.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Bytes that are free; `None` where nothing can be found out.
    free: Option<u64>,
    /// Bytes to leave for what is computed.
    workspace: u64,
}

impl Room {
    /// The device's own memory, or else what this process may still use of the machine's, of which
    /// the system gives some back when it has to.
    pub(super) fn of(device: Option<u64>) -> Self {
        match device {
            Some(free) => Self {
                free: Some(free),
                workspace: WORKSPACE,
            },
            None => Self {
                free: available(),
                workspace: 0,
            },
        }
    }
}

/// Bytes of its own memory that a device has to have for a model to be kept in this way, and what is
/// computed in it; the least there is where that is to be found out.
///
/// # Errors
///
/// A model that is not there, or cannot be used.
pub fn device_memory(files: &ModelFiles, wanted: Residency) -> Result<u64, LoadError> {
    // In the types of its files, which a device keeps it in or in narrower ones.
    let sizes = files.survey(&Cpu)?.sizes;
    let residency = match wanted {
        Residency::Auto => Residency::Parts,
        decided => decided,
    };
    Ok(needed(residency, sizes, WORKSPACE))
}

/// What a residency comes to in this room, or why the model cannot be loaded at all.
pub(super) fn decide(
    wanted: Residency,
    sizes: Sizes,
    room: Room,
    path: &Path,
) -> Result<Residency, LoadError> {
    let needed = |residency| needed(residency, sizes, room.workspace);
    let fits = |residency: &Residency| room.free.is_none_or(|free| needed(*residency) <= free);
    let decided = match wanted {
        Residency::Auto => [Residency::Whole, Residency::Swapped, Residency::Parts]
            .into_iter()
            .find(fits)
            .unwrap_or(Residency::Parts),
        decided => decided,
    };
    if fits(&decided) {
        return Ok(decided);
    }
    Err(LoadError::TooLarge {
        path: path.to_owned(),
        needed_mib: needed(decided).div_ceil(MIB),
        available_mib: room.free.unwrap_or_default() / MIB,
    })
}

/// Bytes of a model that is kept in this way, with what is computed in.
fn needed(residency: Residency, sizes: Sizes, workspace: u64) -> u64 {
    match residency {
        Residency::Auto => unreachable!("BUG: it was decided"),
        Residency::Whole => sizes.whole() + workspace,
        Residency::Swapped => {
            // The encoder is gone when there is most to compute in; it takes little itself.
            let stays = sizes.transformer + sizes.vae + workspace;
            stays.max(sizes.whole())
        }
        Residency::Parts => sizes.largest() + workspace,
    }
}

/// Bytes that this process may still use: what the machine has, or its control group allows,
/// whichever is less. `None` where nothing can be found out.
fn available() -> Option<u64> {
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
        let room = Room {
            free: Some(gib << 30),
            workspace: 0,
        };
        decide_in(wanted, room)
    }

    fn decide_in(wanted: Residency, room: Room) -> Result<Residency, String> {
        let decided = decide(wanted, SIZES, room, Path::new("/models/qwen"));
        decided.map_err(|error| error.to_string())
    }

    #[test]
    fn a_device_keeps_room_to_compute_in() {
        let on = |gib: u64| decide_in(Residency::Auto, Room::of(Some(gib << 30)));
        assert_eq!(on(79), Ok(Residency::Whole));
        assert_eq!(on(46), Ok(Residency::Whole));
        assert_eq!(on(43), Ok(Residency::Swapped));
        assert_eq!(on(40), Ok(Residency::Parts));
        assert!(on(23).unwrap_err().contains("31744 MiB"));
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
