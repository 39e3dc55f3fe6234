//! What NVML tells of a device.

use nvml_wrapper::{
    Device, bitmasks::device::ThrottleReasons, enum_wrappers::device::TemperatureSensor,
};
use tryon_api::node::GpuReport;

/// What keeps clocks down, in the words of `nvidia-smi`; but for having nothing to do.
pub(super) const REASONS: [(&str, ThrottleReasons); 8] = [
    ("sw_power_cap", ThrottleReasons::SW_POWER_CAP),
    ("hw_slowdown", ThrottleReasons::HW_SLOWDOWN),
    ("hw_thermal_slowdown", ThrottleReasons::HW_THERMAL_SLOWDOWN),
    (
        "hw_power_brake_slowdown",
        ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN,
    ),
    ("sw_thermal_slowdown", ThrottleReasons::SW_THERMAL_SLOWDOWN),
    ("sync_boost", ThrottleReasons::SYNC_BOOST),
    (
        "applications_clocks_setting",
        ThrottleReasons::APPLICATIONS_CLOCKS_SETTING,
    ),
    (
        "display_clock_setting",
        ThrottleReasons::DISPLAY_CLOCK_SETTING,
    ),
];

/// Asks for everything. What this device, or this driver, does not tell is left out.
pub(super) fn take(device: &Device<'_>) -> GpuReport {
    let memory = device.memory_info().ok();
    let utilization = device.utilization_rates().ok();
    let reasons = device.current_throttle_reasons().ok();
    GpuReport {
        index: device.index().ok(),
        uuid: device.uuid().ok(),
        name: device.name().ok(),
        memory_total_bytes: memory.as_ref().map(|memory| memory.total),
        memory_used_bytes: memory.map(|memory| memory.used),
        utilization_percent: utilization.map(|utilization| utilization.gpu),
        temperature_celsius: device.temperature(TemperatureSensor::Gpu).ok(),
        power_watts: device.power_usage().ok().map(to_watts),
        power_limit_watts: device.enforced_power_limit().ok().map(to_watts),
        throttled_by: reasons.map(list_reasons),
    }
}

fn to_watts(milliwatts: u32) -> f64 {
    f64::from(milliwatts) / 1000.0
}

fn list_reasons(reasons: ThrottleReasons) -> Vec<String> {
    let given = REASONS
        .iter()
        .filter(|(_, reason)| reasons.contains(*reason));
    given.map(|(name, _)| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn having_nothing_to_do_is_no_throttling() {
        assert!(list_reasons(ThrottleReasons::NONE).is_empty());
        assert!(list_reasons(ThrottleReasons::GPU_IDLE).is_empty());
        let reasons = ThrottleReasons::GPU_IDLE
            | ThrottleReasons::HW_THERMAL_SLOWDOWN
            | ThrottleReasons::HW_SLOWDOWN;
        assert_eq!(
            list_reasons(reasons),
            ["hw_slowdown", "hw_thermal_slowdown"]
        );
    }

    #[test]
    fn every_reason_but_that_has_a_name() {
        let named = list_reasons(ThrottleReasons::all());
        assert_eq!(named, REASONS.map(|(name, _)| name));
        let known = REASONS.iter().map(|(_, reason)| *reason);
        let all = known.fold(ThrottleReasons::GPU_IDLE, |all, reason| all | reason);
        assert_eq!(all, ThrottleReasons::all());
    }

    #[test]
    fn nvml_speaks_of_milliwatts() {
        assert!((to_watts(612_400) - 612.4).abs() < 1e-9);
    }
}
