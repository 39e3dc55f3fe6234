//! What loading a transformer takes: the weights that stay, and one tensor.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use peak_alloc::PeakAlloc;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tryon_engine_qwen::{
    backend::Cpu,
    dit::{Transformer, TransformerConfig},
    lora::Lora,
    weights::{Fp8, Weights},
};

use crate::golden;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Set for the process that measures: other tests allocate too.
const ALONE: &str = "TRYON_MEMORY_ALONE";

/// The width of the tiny checkpoint, and that of its enlarged copies: 16 times as many heads.
const WIDTHS: (usize, usize) = (48, 768);

/// What allocators and threads keep, and names and shapes of tensors.
const SLACK: usize = 1 << 20;

/// A transformer of zeros, wide enough that its matrices are all that counts.
struct Wide {
    folder: tempfile::TempDir,
    /// Bytes of its largest tensor.
    largest: usize,
    /// Bytes that a product with a matrix of 8 or 16 bits takes besides, tile by tile.
    tile: usize,
}

impl Wide {
    /// An enlarged copy of the tensors in these files, with matrices in `dtype` if that is given.
    fn of(files: &[PathBuf], dtype: Option<Dtype>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = fs::read(golden::path("checkpoint/tiny-2511/transformer/config.json"));
        let mut config: serde_json::Value = serde_json::from_slice(&config.unwrap()).unwrap();
        config["num_attention_heads"] = (WIDTHS.1 / 16).into();
        fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let largest = enlarge(files, dtype, &folder.path().join("model.safetensors"));
        let tile = if dtype == Some(Dtype::F32) {
            0
        } else {
            16 << 20
        };
        Self {
            folder,
            largest,
            tile,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self) -> Weights {
        Weights::open(&self.path("model.safetensors")).unwrap()
    }

    fn load(&self, lora: Option<&Path>) -> Transformer<Cpu> {
        let config = TransformerConfig::read(&self.path("config.json")).unwrap();
        let mut weights = self.open();
        if let Some(lora) = lora {
            weights = weights.with_lora(Lora::open(lora, 1.0).unwrap()).unwrap();
        }
        Transformer::load(&Cpu, weights, Fp8::Dynamic, &config, &[]).unwrap()
    }

    /// Loads it, and holds what that took to what stays and `extra` bytes.
    fn assert_loads(&self, what: &str, lora: Option<&Path>, extra: usize) {
        let resident = Transformer::resident_bytes(&Cpu, &self.open());
        let resident = usize::try_from(resident).unwrap();
        let before = HEAP.current_usage();
        HEAP.reset_peak_usage();
        let mut model = self.load(lora);
        let taken = HEAP.peak_usage() - before;
        let kept = HEAP.current_usage() - before;
        println!("{what}: {resident} bytes of weights, {kept} kept, {taken} at most");
        assert!(kept <= resident + SLACK, "{what}: {kept} of {resident}");
        let most = resident + self.largest + self.tile + extra + SLACK;
        assert!(taken <= most, "{what}: {taken} of {most}");

        // The layers of the timestep come and go one by one.
        HEAP.reset_peak_usage();
        let before = HEAP.current_usage();
        model.prepare(&Cpu, &[1.0, 0.5]).unwrap();
        let taken = HEAP.peak_usage() - before;
        println!(
            "{what}: {taken} for two timesteps, {} the largest tensor",
            self.largest
        );
        assert!(taken <= self.largest + self.tile + SLACK, "{what}: {taken}");
    }
}

/// Writes the tensors of files to one, all zeros, and gives the size of the largest in bytes.
fn enlarge(files: &[PathBuf], dtype: Option<Dtype>, to: &Path) -> usize {
    let mut tensors = BTreeMap::new();
    for file in files {
        let bytes = fs::read(file).unwrap();
        for (name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
            let shape: Vec<usize> = view.shape().iter().map(|side| widened(*side)).collect();
            let dtype = dtype.filter(|_| shape.len() == 2).unwrap_or(view.dtype());
            // Scales have to be above 0.
            let value = if name.ends_with("_scale") {
                1.0_f32
            } else {
                0.0
            };
            let count = shape.iter().product::<usize>();
            let bytes = match dtype {
                Dtype::F32 => value.to_le_bytes().repeat(count),
                _ => vec![0; count * dtype.bitsize() / 8],
            };
            // Later files replace what earlier ones have, as FP8 matrices do.
            tensors.insert(name, (dtype, shape, bytes));
        }
    }
    let views = tensors.iter().map(|(name, (dtype, shape, bytes))| {
        (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize_to_file(views, None, to).unwrap();
    tensors
        .values()
        .map(|(_, _, bytes)| bytes.len())
        .max()
        .unwrap()
}

/// A side of a tensor in the enlarged copy: multiples of the width grow with it.
fn widened(side: usize) -> usize {
    if side.is_multiple_of(WIDTHS.0) {
        side / WIDTHS.0 * WIDTHS.1
    } else {
        side
    }
}

fn tiny() -> Vec<PathBuf> {
    let folder = golden::path("checkpoint/tiny-2511/transformer");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "safetensors"))
        .collect()
}

#[test]
fn loading_takes_the_weights_and_one_tensor() {
    if env::var_os(ALONE).is_none() {
        let output = Command::new(env::current_exe().unwrap())
            .args([
                "memory::loading_takes_the_weights_and_one_tensor",
                "--exact",
                "--nocapture",
            ])
            .env(ALONE, "")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        return println!("{said}");
    }
    // Threads and their buffers come with the first product, and stay. Not every thread has a part
    // in every product, so each makes one of its own, this one too.
    let first = Wide::of(&tiny(), None);
    rayon::broadcast(|_| drop(first.load(None)));
    drop(first.load(None));
    drop(first);
    for (what, dtype) in [("32 bits", Dtype::F32), ("16 bits", Dtype::BF16)] {
        let model = Wide::of(&tiny(), Some(dtype));
        model.assert_loads(what, None, 0);
        let lora = model.path("lora.safetensors");
        let tiny = golden::path("checkpoint/lora.safetensors");
        enlarge(&[tiny], None, &lora);
        // Of an adapter, some rows at a time.
        let rows = 4 * 512 * 4 * WIDTHS.1;
        model.assert_loads(&format!("{what}, adapted"), Some(&lora), 2 * rows);
    }
    let fp8 = golden::path("checkpoint/fp8.safetensors");
    Wide::of(&[fp8], None).assert_loads("8 bits", None, 0);
}
