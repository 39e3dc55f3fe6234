//! Steps are reported as they end, and a cancelled run stops at the next.

use tryon_engine::{Engine, EngineError, Monitor, Request, Step};
use tryon_engine_preview::PreviewEngine;
use tryon_testkit::drawing::{Cloth, Garment, Person, Region, draw_garment, draw_person, paint};

use crate::scene::{clothes, rgba};

/// Notes the steps and cancels at one of them.
struct Watch {
    steps: Vec<Step>,
    cancel_at: Option<u32>,
}

impl Monitor for Watch {
    fn step(&mut self, step: Step) -> Result<(), EngineError> {
        self.steps.push(step);
        if self.cancel_at == Some(step.done) {
            return Err(EngineError::Cancelled);
        }
        Ok(())
    }
}

/// One request for each of the three ways to dress.
fn requests() -> Vec<Request> {
    let person = Person::default();
    let photo = draw_person(&person);
    let painted = paint(&photo, &person, Region::Top);
    let garment = |cloth| rgba(&draw_garment(&Garment::example(cloth)));
    vec![
        clothes(rgba(&photo), garment(Cloth::Tee)),
        clothes(rgba(&painted), garment(Cloth::Tee)),
        clothes(rgba(&photo), garment(Cloth::Trousers)),
    ]
}

#[test]
fn steps_count_up_to_the_total() {
    let total = PreviewEngine::new().describe().default_steps;
    for request in requests() {
        let mut watch = Watch {
            steps: Vec::new(),
            cancel_at: None,
        };
        PreviewEngine::new().run(&request, &mut watch).unwrap();
        let expected: Vec<Step> = (1..=total).map(|done| Step { done, total }).collect();
        assert_eq!(watch.steps, expected);
    }
}

#[test]
fn a_cancelled_run_stops_at_that_step() {
    let total = PreviewEngine::new().describe().default_steps;
    for request in requests() {
        for cancel_at in 1..=total {
            let mut watch = Watch {
                steps: Vec::new(),
                cancel_at: Some(cancel_at),
            };
            let stopped = PreviewEngine::new().run(&request, &mut watch).unwrap_err();
            assert!(matches!(stopped, EngineError::Cancelled));
            assert_eq!(watch.steps.len(), cancel_at as usize);
        }
    }
}
