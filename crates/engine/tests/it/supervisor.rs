use std::{
    sync::mpsc,
    time::{Duration, Instant, SystemTime},
};

use image::{Rgba, RgbaImage};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tryon_core::{
    category::Category,
    task::{GarmentPhotoType, ModerationLevel, Provider, Task},
};
use tryon_engine::{
    Options, Output, Refusal, Request, Stage, StageTime, Step,
    supervisor::{RunEnd, RunError, Supervisor, SupervisorConfig, Unavailable, WorkerState},
};
use tryon_testkit::fake_worker;

/// Longer than anything here takes unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Shorter than anybody waits for.
const MOMENT: Duration = Duration::from_millis(20);

fn start() -> Supervisor {
    start_with("ok", |_| {})
}

fn start_with(load: &str, change: impl FnOnce(&mut SupervisorConfig)) -> Supervisor {
    let mut config = SupervisorConfig::new(fake_worker::command_with(load));
    change(&mut config);
    Supervisor::start(config)
}

pub(crate) fn ready(supervisor: &Supervisor) {
    assert_eq!(supervisor.wait_loaded(), WorkerState::Ready);
}

pub(crate) fn request(prompt: &str) -> Request {
    request_of(prompt, RgbaImage::from_pixel(6, 4, Rgba([90, 80, 70, 255])))
}

fn request_of(prompt: &str, person: RgbaImage) -> Request {
    let options = Options {
        task: Task::Clothes,
        category: Category::Tops,
        subcategory: None,
        garment_photo: GarmentPhotoType::Auto,
        segmentation_free: true,
        region: None,
        placement: None,
        haircut: None,
        hair_color: None,
        seed: 5,
        steps: 3,
        cfg: 1.0,
        prompt: Some(prompt.to_owned()),
        size: None,
        moderation: ModerationLevel::None,
    };
    let garment = Some(RgbaImage::new(3, 2));
    Request {
        provider: Provider::Preview,
        options,
        person,
        garment,
    }
}

/// Starts a run and returns where its end arrives.
pub(crate) fn run(
    supervisor: &Supervisor,
    request: Request,
) -> mpsc::Receiver<Result<Output, RunError>> {
    let (end, ended) = mpsc::channel();
    let on_end = Box::new(move |it: RunEnd| drop(end.send(it.result)));
    supervisor
        .run(request, Box::new(|_| {}), on_end)
        .expect("the worker is ready");
    ended
}

pub(crate) fn outcome(supervisor: &Supervisor, prompt: &str) -> Result<Output, RunError> {
    run(supervisor, request(prompt))
        .recv_timeout(PATIENCE)
        .expect("a run ends")
}

pub(crate) fn crash_reason(supervisor: &Supervisor, prompt: &str) -> String {
    match outcome(supervisor, prompt) {
        Err(RunError::Crashed { reason }) => reason,
        other => panic!("{prompt}: {other:?}"),
    }
}

#[test]
fn a_run_reports_its_steps_and_returns_the_picture() {
    let supervisor = start();
    ready(&supervisor);
    let (steps, stepped) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    let on_step = Box::new(move |step| steps.send(step).unwrap());
    let on_end = Box::new(move |it: RunEnd| drop(end.send(it.result)));
    supervisor.run(request(""), on_step, on_end).unwrap();
    let output: Output = ended.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(output.picture.dimensions(), (6, 4));
    assert_eq!(output.picture.get_pixel(0, 0).0, [85, 75, 65]);
    assert_eq!(
        output.metadata,
        [("Comment".to_owned(), "a test double".to_owned())]
    );
    let steps: Vec<Step> = stepped.iter().collect();
    assert_eq!(steps, [1, 2, 3].map(|done| Step { done, total: 3 }));
    assert_eq!(supervisor.description().unwrap().model_type, "fake");
}

fn names(stages: &[StageTime]) -> Vec<Stage> {
    stages.iter().map(|it| it.stage).collect()
}

/// The end of a run, and when it was between.
fn timed(supervisor: &Supervisor, prompt: &str) -> (RunEnd, [SystemTime; 2]) {
    let (end, ended) = mpsc::channel();
    let on_end = Box::new(move |it| drop(end.send(it)));
    let began = SystemTime::now();
    supervisor
        .run(request(prompt), Box::new(|_| {}), on_end)
        .unwrap();
    let end = ended.recv_timeout(PATIENCE).unwrap();
    (end, [began, SystemTime::now()])
}

#[test]
fn a_run_ends_with_the_times_of_its_stages_in_order() {
    let supervisor = start();
    ready(&supervisor);
    let all = [Stage::EncodeInputs, Stage::Denoise, Stage::DecodeLatents];
    let (end, [began, ended]) = timed(&supervisor, "sleep:30,step-sleep:20");
    assert!(end.result.is_ok());
    assert_eq!(names(&end.stages), all);
    assert_eq!(supervisor.description().unwrap().stages, all);
    let mut before = began;
    for it in &end.stages {
        assert!(before <= it.began, "{it:?} begins before {before:?}");
        before = it.began + it.took;
    }
    assert!(before <= ended, "{:?} after {ended:?}", end.stages);
    // As long as the engine slept in each of them, with three steps.
    assert!(end.stages[0].took >= Duration::from_millis(30));
    assert!(end.stages[1].took >= Duration::from_millis(60));

    // One that is refused stops in a stage, and one that crashes tells nothing.
    let (refused, _) = timed(&supervisor, "refuse:pose");
    assert_eq!(names(&refused.stages), [Stage::EncodeInputs]);
    let (crashed, _) = timed(&supervisor, "crash");
    assert_eq!(crashed.stages, []);
}

#[test]
fn a_picture_of_forty_megapixels_passes() {
    let supervisor = start();
    ready(&supervisor);
    let person = RgbaImage::from_pixel(8000, 5000, Rgba([40, 50, 60, 255]));
    let output = run(&supervisor, request_of("", person))
        .recv_timeout(PATIENCE)
        .unwrap()
        .unwrap();
    assert_eq!(output.picture.dimensions(), (8000, 5000));
    assert_eq!(output.picture.get_pixel(7999, 4999).0, [35, 45, 55]);
}

#[test]
fn one_run_at_a_time() {
    let supervisor = start();
    ready(&supervisor);
    let first = run(&supervisor, request("sleep:200"));
    let second = supervisor.run(request(""), Box::new(|_| {}), Box::new(|_| {}));
    assert_eq!(second.unwrap_err(), Unavailable::Busy);
    first.recv_timeout(PATIENCE).unwrap().unwrap();
    outcome(&supervisor, "").unwrap();
}

#[test]
fn refusals_leave_the_worker_alive() {
    let supervisor = start();
    ready(&supervisor);
    let pid = supervisor.pid();
    for (word, refusal) in [
        ("pose", Refusal::Pose),
        ("input", Refusal::Input),
        ("moderation", Refusal::Moderation),
    ] {
        let message = format!("refused: {word}");
        let error = outcome(&supervisor, &format!("refuse:{word}")).unwrap_err();
        assert_eq!(error, RunError::Refused { refusal, message });
    }
    let error = outcome(&supervisor, "oom").unwrap_err();
    assert_eq!(
        error,
        RunError::OutOfMemory {
            needed: "7 GiB".to_owned()
        }
    );
    outcome(&supervisor, "").unwrap();
    assert_eq!(supervisor.pid(), pid);
}

#[test]
fn a_crash_ends_the_run_and_the_next_one_succeeds() {
    for (prompt, words) in [
        ("crash", "signal 11"),
        ("abort", "signal 6"),
        ("kill", "signal 9"),
        ("exit:3", "status 3"),
        ("panic", "panicked: asked to panic"),
        ("fault:the device is lost", "the device is lost"),
    ] {
        let supervisor = start();
        ready(&supervisor);
        let reason = crash_reason(&supervisor, prompt);
        assert!(reason.contains(words), "{prompt}: {reason}");
        ready(&supervisor);
        outcome(&supervisor, "").unwrap();
    }
}

#[test]
fn nobody_is_let_in_between_a_crash_and_the_next_worker() {
    let supervisor = start_with("load-sleep:300", |_| {});
    let refused = supervisor.run(request(""), Box::new(|_| {}), Box::new(|_| {}));
    assert_eq!(refused.unwrap_err(), Unavailable::Loading);
    ready(&supervisor);
    crash_reason(&supervisor, "crash");
    let refused = supervisor.run(request(""), Box::new(|_| {}), Box::new(|_| {}));
    assert_eq!(refused.unwrap_err(), Unavailable::Loading);
    ready(&supervisor);
}

#[test]
fn a_worker_killed_while_idle_is_replaced() {
    let supervisor = start();
    ready(&supervisor);
    let (told, states) = mpsc::channel();
    supervisor.on_change(move |state| drop(told.send(state.clone())));
    let pid = supervisor.pid().unwrap();
    kill(pid);
    assert_eq!(states.recv_timeout(PATIENCE).unwrap(), WorkerState::Loading);
    assert_eq!(states.recv_timeout(PATIENCE).unwrap(), WorkerState::Ready);
    assert_ne!(supervisor.pid().unwrap(), pid);
    outcome(&supervisor, "").unwrap();
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

pub(crate) fn kill(pid: u32) {
    kill_process(pid_of(pid), Signal::KILL).unwrap();
}

#[test]
fn a_run_that_hangs_is_ended_and_its_worker_replaced() {
    let supervisor = start_with("ok", |config| {
        config.job_timeout = Duration::from_millis(300);
    });
    ready(&supervisor);
    let error = outcome(&supervisor, "hang").unwrap_err();
    assert_eq!(
        error,
        RunError::TimedOut {
            after: Duration::from_millis(300)
        }
    );
    ready(&supervisor);
    outcome(&supervisor, "").unwrap();
}

#[test]
fn loading_that_hangs_is_ended() {
    let supervisor = start_with("load-sleep:60000", |config| {
        config.load_timeout = Duration::from_millis(50);
    });
    let WorkerState::Failed { reason } = supervisor.wait_loaded() else {
        panic!("it loaded")
    };
    assert!(reason.contains("loading took longer"), "{reason}");
}

#[test]
fn a_cancelled_run_stops_at_its_next_step() {
    let supervisor = start();
    ready(&supervisor);
    let (steps, stepped) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    let on_step = Box::new(move |step: Step| steps.send(step).unwrap());
    let on_end = Box::new(move |it| drop(end.send(it)));
    let mut request = request("step-sleep:100");
    request.options.steps = 100;
    let handle = supervisor.run(request, on_step, on_end).unwrap();
    stepped.recv_timeout(PATIENCE).unwrap();
    handle.cancel();
    let cancelled: RunEnd = ended.recv_timeout(PATIENCE).unwrap();
    assert_eq!(cancelled.result.unwrap_err(), RunError::Cancelled);
    // The stage in which it stopped is the last.
    let expected = [Stage::EncodeInputs, Stage::Denoise];
    assert_eq!(names(&cancelled.stages), expected);
    // A cancellation that comes too late touches nobody else's run.
    handle.cancel();
    outcome(&supervisor, "").unwrap();
}

#[test]
fn ten_crashes_in_a_minute_give_the_worker_up_until_it_is_told() {
    let supervisor = start();
    for _ in 0..10 {
        ready(&supervisor);
        crash_reason(&supervisor, "crash");
    }
    let WorkerState::Failed { reason } = supervisor.wait_loaded() else {
        panic!("it goes on")
    };
    assert!(reason.contains("signal 11"), "{reason}");
    let refused = supervisor.run(request(""), Box::new(|_| {}), Box::new(|_| {}));
    assert_eq!(refused.unwrap_err(), Unavailable::Failed { reason });
    let (told, states) = mpsc::channel();
    supervisor.on_change(move |state| drop(told.send(state.clone())));
    supervisor.restart();
    assert_eq!(states.recv_timeout(PATIENCE).unwrap(), WorkerState::Loading);
    ready(&supervisor);
    outcome(&supervisor, "").unwrap();
}

#[test]
fn a_worker_that_was_given_up_is_tried_again_by_itself() {
    let supervisor = start_with("ok", |config| {
        config.crash_limit = 1;
        config.back_off = Duration::from_millis(50);
    });
    ready(&supervisor);
    let (told, states) = mpsc::channel();
    supervisor.on_change(move |state| drop(told.send(state.clone())));
    crash_reason(&supervisor, "crash");
    let mut states = states.iter();
    assert!(states.any(|state| matches!(state, WorkerState::Failed { .. })));
    assert!(states.any(|state| state == WorkerState::Ready));
    outcome(&supervisor, "").unwrap();
}

#[test]
fn an_engine_that_cannot_be_loaded_says_why() {
    let supervisor = start_with("load-fail", |config| config.load_pause = MOMENT);
    let WorkerState::Failed { reason } = supervisor.wait_loaded() else {
        panic!("it loaded")
    };
    assert!(reason.contains("the weights are missing"), "{reason}");
}

#[test]
fn a_program_that_does_not_exist_is_named() {
    let mut config = SupervisorConfig::new(fake_worker::command());
    config.command.program = "/nowhere/tryon".into();
    config.load_pause = MOMENT;
    let supervisor = Supervisor::start(config);
    let WorkerState::Failed { reason } = supervisor.wait_loaded() else {
        panic!("it loaded")
    };
    assert!(
        reason.contains("`/nowhere/tryon` cannot be started"),
        "{reason}"
    );
}

#[test]
fn what_an_engine_prints_does_not_disturb_the_protocol() {
    let supervisor = start();
    ready(&supervisor);
    outcome(&supervisor, "print").unwrap();
}

#[test]
fn a_shutdown_ends_the_run_and_the_process() {
    let supervisor = start();
    ready(&supervisor);
    let pid = supervisor.pid().unwrap();
    let ended = run(&supervisor, request("hang"));
    supervisor.shutdown();
    let error = ended.recv_timeout(PATIENCE).unwrap().unwrap_err();
    assert!(matches!(error, RunError::Crashed { .. }), "{error:?}");
    assert!(
        test_kill_process(pid_of(pid)).is_err(),
        "the worker lives on"
    );
    let refused = supervisor.run(request(""), Box::new(|_| {}), Box::new(|_| {}));
    assert!(matches!(refused, Err(Unavailable::Failed { .. })));
}

#[test]
fn a_worker_ends_with_its_node() {
    // The worker's own command, with a pipe that we close as a dead node's would be.
    let command = fake_worker::command();
    let mut worker = std::process::Command::new(command.program)
        .args(command.args)
        .envs(command.env)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    drop(worker.stdin.take());
    let start = Instant::now();
    while worker.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < PATIENCE, "the worker outlives its node");
        std::thread::yield_now();
    }
}
