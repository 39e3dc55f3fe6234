//! Steps are reported as they end and stages as they begin, and a cancelled run stops at the next step.

use tryon_core::task;
use tryon_engine::{Engine, EngineError, Monitor, Request, Stage, Step};
use tryon_engine_preview::PreviewEngine;
use tryon_testkit::drawing::{Cloth, Garment, Person, Region, draw_garment, draw_person, paint};

use crate::{
    scene::{clothes, rgba},
    tattoo,
};

/// Notes steps and stages, and cancels at one of the steps.
#[derive(Default)]
struct Watch {
    steps: Vec<Step>,
    stages: Vec<Stage>,
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

    fn stage(&mut self, stage: Stage) {
        self.stages.push(stage);
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
        let mut watch = Watch::default();
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
                cancel_at: Some(cancel_at),
                ..Watch::default()
            };
            let stopped = PreviewEngine::new().run(&request, &mut watch).unwrap_err();
            assert!(matches!(stopped, EngineError::Cancelled));
            assert_eq!(watch.steps.len(), cancel_at as usize);
            assert_eq!(watch.stages.len(), cancel_at as usize);
        }
    }
}

#[test]
fn each_stage_is_told_of_as_it_begins() {
    let order = PreviewEngine::new().describe().stages;
    assert_eq!(order, [Stage::ReadGarment, Stage::ReadPerson, Stage::Dress]);
    for request in requests() {
        let mut watch = Watch::default();
        PreviewEngine::new().run(&request, &mut watch).unwrap();
        assert_eq!(watch.stages, order);
    }
}

#[test]
fn of_a_tattoo_no_garment_is_read() {
    let region = task::Region {
        x: 0.4,
        y: 0.4,
        w: 0.2,
        h: 0.2,
    };
    let request = tattoo::request(rgba(&draw_person(&Person::default())), region);
    let mut watch = Watch::default();
    PreviewEngine::new().run(&request, &mut watch).unwrap();
    assert_eq!(watch.stages, [Stage::ReadPerson, Stage::Dress]);
}
