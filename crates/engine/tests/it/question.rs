//! What of a photo would be masked is told beside the runs.

use std::sync::mpsc;

use image::RgbaImage;
use tryon_core::category::Category;
use tryon_engine::{
    Masked, Refusal,
    supervisor::{RunError, Supervisor, SupervisorConfig, Unavailable},
};
use tryon_testkit::fake_worker;

use crate::supervisor::{PATIENCE, ready, request, run};

type Answer = Result<Option<Masked>, RunError>;

fn start() -> Supervisor {
    let supervisor = Supervisor::start(SupervisorConfig::new(fake_worker::command()));
    ready(&supervisor);
    supervisor
}

fn ask(supervisor: &Supervisor, category: Category) -> mpsc::Receiver<Answer> {
    let (tell, told) = mpsc::channel();
    let on_answer = Box::new(move |answer| drop(tell.send(answer)));
    supervisor
        .ask(RgbaImage::new(40, 20), category, on_answer)
        .expect("the worker is ready");
    told
}

fn answer(supervisor: &Supervisor, category: Category) -> Answer {
    let told = ask(supervisor, category);
    told.recv_timeout(PATIENCE).expect("a question is answered")
}

/// The left half.
const FOUND: Masked = Masked {
    share: 0.5,
    frame: [0.0, 0.0, 0.5, 1.0],
};

#[test]
fn a_region_nothing_or_why_not() {
    let supervisor = start();
    assert_eq!(answer(&supervisor, Category::Tops), Ok(Some(FOUND)));
    assert_eq!(answer(&supervisor, Category::Bottoms), Ok(None));
    assert_eq!(
        answer(&supervisor, Category::OnePieces),
        Err(RunError::Refused {
            refusal: Refusal::Pose,
            message: "refused: pose".to_owned()
        })
    );
}

#[test]
fn a_question_is_answered_while_a_run_goes_on_and_does_not_end_it() {
    let supervisor = start();
    let ended = run(&supervisor, request("hang"));
    for category in [Category::Tops, Category::Eyewear] {
        let told = answer(&supervisor, category);
        match category {
            Category::Tops => assert_eq!(told, Ok(Some(FOUND))),
            _ => assert!(
                matches!(&told, Err(RunError::Crashed { reason }) if reason.contains("panicked")),
                "{told:?}"
            ),
        }
        assert!(supervisor.is_busy() && ended.try_recv().is_err());
    }
}

#[test]
fn a_worker_that_dies_leaves_no_question_open() {
    let supervisor = start();
    let open = ask(&supervisor, Category::Footwear);
    supervisor.restart();
    let told = open.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(told, Err(RunError::Crashed { .. })), "{told:?}");
    ready(&supervisor);
    let told = answer(&supervisor, Category::Headwear);
    assert!(
        matches!(&told, Err(RunError::Crashed { reason }) if reason.contains("signal 9")),
        "{told:?}"
    );
    ready(&supervisor);
    assert_eq!(answer(&supervisor, Category::Tops), Ok(Some(FOUND)));
}

#[test]
fn a_worker_that_loads_is_not_asked() {
    let command = fake_worker::command_with("load-sleep:60000");
    let supervisor = Supervisor::start(SupervisorConfig::new(command));
    let asked = supervisor.ask(RgbaImage::new(1, 1), Category::Tops, Box::new(|_| {}));
    assert_eq!(asked, Err(Unavailable::Loading));
}
