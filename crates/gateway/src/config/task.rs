//! Who serves which task.

use serde::{Deserialize, Serialize};
use tryon_core::task::{Mode, Provider, Task};
use tryon_store::Plan;

/// One of `tasks`: who serves a task, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskConfig {
    /// The task.
    pub task: Task,
    /// The modes it is served in; all where absent.
    #[serde(default = "every_mode")]
    pub modes: Vec<Mode>,
    /// Who serves it.
    pub provider: Provider,
    /// Denoising steps, 1–100.
    #[serde(default = "one_step")]
    pub steps: u32,
    /// Guidance scale, 0–20.
    #[serde(default = "no_guidance")]
    pub cfg: f32,
    /// Inputs are reduced until their longer side has at most this many pixels.
    #[serde(default = "default_side")]
    pub max_side: u32,
}

fn every_mode() -> Vec<Mode> {
    Mode::ALL.to_vec()
}

const fn one_step() -> u32 {
    1
}

const fn no_guidance() -> f32 {
    1.0
}

const fn default_side() -> u32 {
    1024
}

impl TaskConfig {
    fn serves(&self, task: Task, mode: Mode) -> bool {
        self.task == task && self.modes.contains(&mode)
    }

    fn plan(&self) -> Plan {
        Plan {
            provider: self.provider,
            steps: self.steps,
            cfg: self.cfg,
            max_side: self.max_side,
        }
    }
}

/// What serves this task in this mode.
pub fn find_plan(tasks: &[TaskConfig], task: Task, mode: Mode) -> Option<Plan> {
    tasks
        .iter()
        .find(|entry| entry.serves(task, mode))
        .map(TaskConfig::plan)
}

/// The classical engine for what it can do, larger where quality is asked for. It knows no hair.
pub(super) fn preview() -> Vec<TaskConfig> {
    let sides = [
        (Mode::Performance, 768),
        (Mode::Balanced, 1024),
        (Mode::Quality, 1536),
    ];
    let entries = [Task::Clothes, Task::Tattoo].map(|task| {
        sides.map(|(mode, max_side)| TaskConfig {
            task,
            modes: vec![mode],
            provider: Provider::Preview,
            steps: one_step(),
            cfg: no_guidance(),
            max_side,
        })
    });
    entries.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_that_fits_serves() {
        let entry = |modes: &str, provider: &str| {
            let text = format!(r#"{{"task": "clothes", {modes} "provider": "{provider}"}}"#);
            serde_json::from_str::<TaskConfig>(&text).unwrap()
        };
        let tasks = [
            entry(r#""modes": ["performance"],"#, "lightxv"),
            entry("", "qwen"),
        ];
        let provider = |task, mode| find_plan(&tasks, task, mode).map(|plan| plan.provider);
        assert_eq!(
            provider(Task::Clothes, Mode::Performance),
            Some(Provider::Lightxv)
        );
        assert_eq!(provider(Task::Clothes, Mode::Quality), Some(Provider::Qwen));
        assert_eq!(provider(Task::Hairstyle, Mode::Quality), None);
    }
}
