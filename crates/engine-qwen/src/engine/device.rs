//! Which device an engine computes on.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What an engine computes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// A GPU if there is one, otherwise the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU, or nothing.
    Cuda,
}

/// A word that is no device.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no device: it is `auto`, `cpu` or `cuda`")]
pub struct UnknownDevice(String);

impl FromStr for Device {
    type Err = UnknownDevice;

    fn from_str(name: &str) -> Result<Self, UnknownDevice> {
        let all = [Self::Auto, Self::Cpu, Self::Cuda];
        let found = all.into_iter().find(|device| device.to_string() == name);
        found.ok_or_else(|| UnknownDevice(name.to_owned()))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_found_by_its_name() {
        for device in [Device::Auto, Device::Cpu, Device::Cuda] {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
            let json = serde_json::to_string(&device).unwrap();
            assert_eq!(json, format!("\"{device}\""));
        }
        let said = "gpu".parse::<Device>().unwrap_err().to_string();
        assert_eq!(said, "`gpu` is no device: it is `auto`, `cpu` or `cuda`");
    }
}
