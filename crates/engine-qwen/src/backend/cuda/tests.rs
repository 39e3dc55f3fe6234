//! What is kept from one computation to the next, and for how long.

use super::{
    super::Backend as _,
    host::refusing::{Call, Refusing},
    *,
};

/// A device with `count` tensors of `numbers` ones, each at a place of its own.
fn with_tensors(count: usize, numbers: usize) -> (Cuda<Host>, Vec<CudaTensor>) {
    let precision = Precision {
        storage: Element::F32,
        ..Precision::default()
    };
    let cuda = Cuda::new(Host::default(), precision);
    let tensors = (0..count)
        .map(|_| cuda.upload(vec![1.0; numbers], &[1, numbers]).unwrap())
        .collect();
    (cuda, tensors)
}

/// As many commands as are worth a capture, and then some.
fn multiple<D: Device>(cuda: &Cuda<D>, x: &CudaTensor) {
    assert_eq!(try_multiple(cuda, x).unwrap(), vec![50.0; x.width()]);
}

fn try_multiple<D: Device>(cuda: &Cuda<D>, x: &CudaTensor) -> Result<Vec<f32>> {
    let mut sum = x.clone();
    for _ in 1..50 {
        sum = cuda.add(&sum, x)?;
    }
    cuda.download(&sum)
}

/// How often it was captured and replayed since `before`.
fn since<D: Device>(cuda: &Cuda<D>, before: Counts) -> [u64; 2] {
    let now = cuda.counts();
    [
        now.captured - before.captured,
        now.replayed - before.replayed,
    ]
}

#[test]
fn the_capture_that_was_not_used_for_longest_is_given_up() {
    let (cuda, tensors) = with_tensors(CAPTURES + 1, 8);
    multiple(&cuda, &tensors[0]);
    let before = cuda.counts();
    assert_eq!((before.planned, before.captured), (1, 0));
    for tensor in &tensors[..CAPTURES] {
        multiple(&cuda, tensor);
    }
    multiple(&cuda, &tensors[0]);
    assert_eq!(since(&cuda, before), [CAPTURES as u64, 1], "all are kept");
    let before = cuda.counts();
    for at in [CAPTURES, 0, 1] {
        multiple(&cuda, &tensors[at]);
    }
    assert_eq!(since(&cuda, before), [2, 1], "but for the second");
    assert_eq!(cuda.counts().planned, 1);
}

/// Forty guided steps, and what is around them.
#[test]
fn a_whole_job_is_replayed_by_the_next() {
    let (cuda, mut tensors) = with_tensors(80, 8);
    let others = (1..=5).map(|numbers| cuda.upload(vec![1.0; numbers], &[1, numbers]).unwrap());
    tensors.extend(others);
    // Each plan once by its commands.
    for tensor in &tensors[79..] {
        multiple(&cuda, tensor);
    }
    assert_eq!(cuda.counts().planned, 6);
    for expected in [[85, 0], [0, 85]] {
        let before = cuda.counts();
        for tensor in &tensors {
            multiple(&cuda, tensor);
        }
        assert_eq!(since(&cuda, before), expected);
    }
}

#[test]
fn a_plan_that_is_not_captured_is_carried_out_by_its_commands() {
    let cuda = Cuda::new(Refusing::new(Call::Capture), Precision::default());
    let x = cuda.upload(vec![1.0; 8], &[1, 8]).unwrap();
    for _ in 0..4 {
        multiple(&cuda, &x);
    }
    let counts = cuda.counts();
    assert_eq!((counts.runs, counts.planned), (4, 1));
    assert_eq!((counts.captured, counts.replayed), (0, 0));
    assert_eq!(cuda.device().refusals(), 1, "it is not asked again");
}

#[test]
fn an_error_ends_neither_a_plan_nor_its_captures() {
    let cuda = Cuda::new(Refusing::sticky(Call::Capture), Precision::default());
    let tensors = [0, 1].map(|_| cuda.upload(vec![1.0; 8], &[1, 8]).unwrap());
    cuda.device().allow(true);
    for _ in 0..2 {
        multiple(&cuda, &tensors[0]);
    }
    cuda.device().allow(false);
    assert!(try_multiple(&cuda, &tensors[1]).is_err());
    let before = cuda.counts();
    multiple(&cuda, &tensors[0]);
    assert_eq!(since(&cuda, before), [0, 1]);
    assert_eq!(cuda.counts().planned, 1);
}

#[test]
fn captures_end_with_their_plan() {
    let (cuda, _) = with_tensors(0, 0);
    let tensors: Vec<CudaTensor> = (1..=PLANS + 1)
        .rev()
        .map(|numbers| cuda.upload(vec![1.0; numbers], &[1, numbers]).unwrap())
        .collect();
    let is_captured = |plan| {
        let mut captured = false;
        cuda.state().captures.retain(|(id, _)| {
            captured |= *id == plan;
            true
        });
        captured
    };
    for _ in 0..2 {
        multiple(&cuda, &tensors[0]);
    }
    assert!(is_captured(1));
    for tensor in &tensors[1..] {
        assert!(is_captured(1));
        multiple(&cuda, tensor);
    }
    assert!(!is_captured(1));
}

#[test]
fn captures_end_with_their_arena() {
    let (cuda, tensors) = with_tensors(1, 8);
    let x = &tensors[0];
    for _ in 0..3 {
        multiple(&cuda, x);
    }
    let before = cuda.counts();
    assert_eq!((before.captured, before.replayed), (1, 1));
    let wide = cuda.upload(vec![1.0; 1 << 16], &[1, 1 << 16]).unwrap();
    multiple(&cuda, &wide);
    multiple(&cuda, x);
    assert_eq!(since(&cuda, before), [1, 0], "captured again");
}

#[test]
fn plans_are_as_many_as_are_kept() {
    let (cuda, _) = with_tensors(0, 0);
    let tensors: Vec<CudaTensor> = (1..=PLANS + 1)
        .map(|numbers| cuda.upload(vec![1.0; numbers], &[1, numbers]).unwrap())
        .collect();
    for tensor in &tensors {
        multiple(&cuda, tensor);
    }
    let planned = cuda.counts().planned;
    multiple(&cuda, &tensors[PLANS]);
    assert_eq!(cuda.counts().planned, planned);
    multiple(&cuda, &tensors[0]);
    assert_eq!(cuda.counts().planned, planned + 1);
}

#[test]
fn what_a_device_keeps_is_given_back_when_memory_runs_out() {
    let cuda = Cuda::new(Host::with_memory(64 << 20), Precision::default());
    assert_eq!(cuda.device().releases(), 0);
    let wide = vec![1.0; 32 << 20];
    assert!(cuda.upload(wide, &[1, 32 << 20]).is_err());
    assert_eq!(
        cuda.device().releases(),
        2,
        "before it is tried again, and in the end"
    );
    cuda.release();
    assert_eq!(cuda.device().releases(), 3);
}
