//! Checkpoints that cannot be used, and what is said about them: the file and the tensor or key.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;
use tryon_engine_qwen::{
    LoadError,
    backend::Cpu,
    dit::{Transformer, TransformerConfig},
    lora::Lora,
    weights::{Fp8, Weights},
};

use crate::golden;

struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// A copy of the tiny transformer, to be damaged.
struct Copy {
    folder: tempfile::TempDir,
    tensors: BTreeMap<String, Tensor>,
    config: Value,
}

const QUERY: &str = "transformer_blocks.1.attn.to_q.weight";
const MODULATION: &str = "transformer_blocks.1.txt_mod.1.weight";

impl Copy {
    fn new() -> Self {
        let model = golden::path("checkpoint/tiny-2511/transformer");
        let config = fs::read(model.join("config.json")).unwrap();
        let files = fs::read_dir(model)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let shards = files.filter(|path| path.extension().is_some_and(|end| end == "safetensors"));
        Self {
            folder: tempfile::tempdir().unwrap(),
            tensors: shards.flat_map(|shard| tensors(&shard)).collect(),
            config: serde_json::from_slice(&config).unwrap(),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("model.safetensors")
    }

    fn write(&self) {
        let views = self.tensors.iter().map(|(name, tensor)| {
            let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes);
            (name, view.unwrap())
        });
        safetensors::serialize_to_file(views, None, &self.file()).unwrap();
        fs::write(
            self.folder.path().join("config.json"),
            self.config.to_string(),
        )
        .unwrap();
    }

    fn load(&self) -> Result<Transformer<Cpu>, LoadError> {
        self.write();
        self.load_written(None)
    }

    fn load_written(&self, lora: Option<Lora>) -> Result<Transformer<Cpu>, LoadError> {
        let config = TransformerConfig::read(&self.folder.path().join("config.json"))?;
        let mut weights = Weights::open(&self.file())?;
        if let Some(lora) = lora {
            weights = weights.with_lora(lora)?;
        }
        Transformer::load(&Cpu, weights, Fp8::Dynamic, &config, &[])
    }

    fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.get_mut(name).unwrap()
    }

    /// Why it cannot be loaded. That names the file, whatever else.
    fn fault(&self) -> LoadError {
        let Err(error) = self.load() else {
            panic!("it was loaded");
        };
        let folder = self.folder.path().to_str().unwrap();
        assert!(error.to_string().contains(folder), "{error}");
        error
    }

    /// An adapter of rank 1 for the matrix `module`.
    fn adapter(&self, module: &str, inputs: usize, outputs: usize) -> PathBuf {
        let path = self.folder.path().join("lora.safetensors");
        let bytes = vec![0; 4 * inputs.max(outputs)];
        let view = |shape: [usize; 2]| {
            let length = 4 * shape[0] * shape[1];
            TensorView::new(Dtype::F32, shape.to_vec(), &bytes[..length]).unwrap()
        };
        let tensors = [
            (format!("{module}.lora_down.weight"), view([1, inputs])),
            (format!("{module}.lora_up.weight"), view([outputs, 1])),
        ];
        safetensors::serialize_to_file(tensors, None, &path).unwrap();
        path
    }
}

fn tensors(shard: &Path) -> Vec<(String, Tensor)> {
    let file = fs::read(shard).unwrap();
    let tensors = SafeTensors::deserialize(&file).unwrap().tensors();
    let copy = |(name, view): (String, TensorView<'_>)| {
        let tensor = Tensor {
            dtype: view.dtype(),
            shape: view.shape().to_vec(),
            bytes: view.data().to_vec(),
        };
        (name, tensor)
    };
    tensors.into_iter().map(copy).collect()
}

#[test]
fn an_undamaged_copy_is_loaded() {
    Copy::new().load().unwrap();
}

#[test]
fn a_renamed_tensor_is_named() {
    for name in [QUERY, MODULATION, "proj_out.bias", "norm_out.linear.weight"] {
        let mut copy = Copy::new();
        let tensor = copy.tensors.remove(name).unwrap();
        copy.tensors.insert(
            name.replace("weight", "kernel").replace("bias", "offset"),
            tensor,
        );
        let error = copy.fault();
        assert!(
            matches!(&error, LoadError::MissingTensor { name: missing, .. } if missing == name)
        );
    }
}

#[test]
fn what_is_not_finite_is_named() {
    for name in [
        QUERY,
        MODULATION,
        "txt_norm.weight",
        "time_text_embed.timestep_embedder.linear_1.bias",
    ] {
        let mut copy = Copy::new();
        copy.tensor(name).bytes[4..8].copy_from_slice(&f32::NAN.to_le_bytes());
        let error = copy.fault();
        assert!(
            matches!(&error, LoadError::NotFinite { name: bad, .. } if bad == name),
            "{error}"
        );
    }
}

#[test]
fn another_type_is_named() {
    for name in [QUERY, MODULATION] {
        let mut copy = Copy::new();
        copy.tensor(name).dtype = Dtype::I32;
        let error = copy.fault();
        assert!(
            matches!(&error, LoadError::Dtype { name: bad, .. } if bad == name),
            "{error}"
        );
    }
}

#[test]
fn fp8_without_its_scale_is_named() {
    let mut copy = Copy::new();
    let tensor = copy.tensor(QUERY);
    tensor.dtype = Dtype::F8_E4M3;
    tensor.bytes.truncate(tensor.shape.iter().product());
    tensor.bytes.fill(0x38);
    let error = copy.fault();
    let scale = format!("{QUERY}_scale");
    assert!(
        matches!(&error, LoadError::MissingTensor { name, .. } if *name == scale),
        "{error}"
    );
}

#[test]
fn a_config_of_another_size_is_told_by_a_tensor() {
    let mut copy = Copy::new();
    copy.config["joint_attention_dim"] = 32.into();
    let error = copy.fault();
    assert!(
        matches!(&error, LoadError::Shape { name, found, expected, .. }
        if name == "txt_norm.weight" && *found == [16] && *expected == [32])
    );
    let mut copy = Copy::new();
    copy.config["num_layers"] = 3.into();
    let error = copy.fault();
    assert!(
        matches!(&error, LoadError::MissingTensor { name, .. }
        if name.starts_with("transformer_blocks.2.")),
        "{error}"
    );
}

#[test]
fn a_config_of_another_family_is_told_by_its_key() {
    let mut copy = Copy::new();
    let vae = golden::path("checkpoint/tiny-2511/vae/config.json");
    copy.config = serde_json::from_slice(&fs::read(vae).unwrap()).unwrap();
    let error = copy.fault();
    assert!(
        matches!(&error, LoadError::Config { key, .. } if !key.is_empty()),
        "{error}"
    );
}

#[test]
fn an_adapter_in_place_of_the_model_is_called_that() {
    let copy = Copy::new();
    copy.write();
    let adapter = copy.adapter("transformer_blocks.0.attn.to_q", 48, 48);
    fs::rename(adapter, copy.file()).unwrap();
    let error = copy.load_written(None).err().unwrap();
    assert!(
        matches!(&error, LoadError::OtherLayout { path, .. } if *path == copy.file()),
        "{error}"
    );
}

#[test]
fn another_programs_layout_is_called_that() {
    let mut copy = Copy::new();
    let tensors = std::mem::take(&mut copy.tensors).into_iter();
    copy.tensors = tensors
        .map(|(name, tensor)| (format!("model.diffusion_model.{name}"), tensor))
        .collect();
    let error = copy.fault();
    assert!(matches!(&error, LoadError::OtherLayout { .. }), "{error}");
}

#[test]
fn an_adapter_of_another_width_is_named() {
    let copy = Copy::new();
    copy.write();
    for module in [
        "transformer_blocks.0.attn.to_q",
        "transformer_blocks.0.img_mod.1",
    ] {
        let adapter = copy.adapter(module, 64, 64);
        let lora = Lora::open(&adapter, 1.0).unwrap();
        let error = copy.load_written(Some(lora)).err().unwrap();
        let down = format!("{module}.lora_down.weight");
        assert!(
            matches!(&error, LoadError::Shape { path, name, .. }
            if *path == adapter && *name == down),
            "{error}"
        );
    }
}

#[test]
fn an_adapter_of_another_model_is_named() {
    let copy = Copy::new();
    copy.write();
    let adapter = copy.adapter("transformer_blocks.0.cross_attn.to_q", 48, 48);
    let lora = Lora::open(&adapter, 1.0).unwrap();
    let error = copy.load_written(Some(lora)).err().unwrap();
    assert!(
        matches!(&error, LoadError::Damaged { path, reason }
        if *path == adapter && reason.contains("cross_attn")),
        "{error}"
    );
}
