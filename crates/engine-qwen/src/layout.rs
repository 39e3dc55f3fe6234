//! Files that look like a checkpoint of the reference, and are not.
//!
//! The same weights are published for several programs. Most of the other files would fail at a
//! missing tensor, some would load and give noise; each that is known is refused with what to use
//! instead.

use std::path::Path;

use crate::{error::LoadError, weights::Weights};

const SAFETENSORS: &str = "use the safetensors files of the model's own repository";
const DIFFUSERS: &str = "use the diffusers folder of the model's own repository, or LightX2V's \
                         `…_fp8_e4m3fn_scaled….safetensors` without `comfyui` in its name";

/// Refuses a file by its first bytes.
pub(crate) fn refuse_format(path: &Path, bytes: &[u8]) -> Result<(), LoadError> {
    let begins = |magic: &[u8]| bytes.starts_with(magic);
    let (kind, remedy) = if begins(b"GGUF") {
        ("a GGUF file", SAFETENSORS)
    } else if begins(b"PK\x03\x04") {
        ("a PyTorch archive", SAFETENSORS)
    } else if begins(b"version https://git-lfs") {
        let remedy = "download the file that it stands for, such as with `git lfs pull`";
        ("the pointer that Git LFS keeps in place of a file", remedy)
    } else {
        return Ok(());
    };
    Err(other(path, kind, remedy))
}

/// Refuses a safetensors file of another layout by the names of its tensors.
pub(crate) fn refuse_names<'a>(
    path: &Path,
    mut names: impl Iterator<Item = &'a str>,
) -> Result<(), LoadError> {
    let kind = names.find_map(|name| {
        let last = name.rsplit('.').next().unwrap_or(name);
        match last {
            "scaled_fp8" | "scale_weight" | "scale_input" => Some("ComfyUI's form of FP8"),
            "comfy_quant" => Some("ComfyUI's mixed-precision form"),
            "__index_timestep_zero__" => Some("a file for ComfyUI"),
            "qweight" | "qzeros" | "absmax" | "quant_state" => {
                Some("quantised in a way that is not supported")
            }
            _ => None,
        }
    });
    kind.map_or(Ok(()), |kind| Err(other(path, kind, DIFFUSERS)))
}

/// Refuses what cannot be a transformer.
pub(crate) fn refuse_transformer(weights: &Weights) -> Result<(), LoadError> {
    let path = weights.path();
    for name in weights.names() {
        if name.contains(".lora_") {
            let remedy = "give the model that it adapts, and this file as its LoRA";
            return Err(other(path, "an adapter and not a model", remedy));
        }
        if name.starts_with("model.diffusion_model.") || name.starts_with("diffusion_model.") {
            return Err(other(path, "ComfyUI's all-in-one form", DIFFUSERS));
        }
    }
    Ok(())
}

/// Refuses to adapt what has been adapted already. The file says so in its name alone.
pub(crate) fn refuse_second_adapter(path: &Path) -> Result<(), LoadError> {
    let name = path.file_name().unwrap_or(path.as_os_str());
    let name = name.to_string_lossy().to_lowercase();
    if name.contains("lightning") {
        let kind = "a checkpoint with the Lightning adapter merged into it";
        let remedy = "give it no LoRA, or give the LoRA with the base model";
        return Err(other(path, kind, remedy));
    }
    Ok(())
}

fn other(path: &Path, kind: &'static str, remedy: &'static str) -> LoadError {
    LoadError::OtherLayout {
        path: path.to_owned(),
        kind,
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{refuse_format, refuse_names, refuse_second_adapter};

    const PATH: &str = "/models/x.safetensors";

    #[test]
    fn other_formats_are_known_by_their_beginning() {
        let path = Path::new(PATH);
        for (bytes, kind) in [
            (&b"GGUF\x03\0\0\0"[..], "GGUF"),
            (b"PK\x03\x04\0\0", "PyTorch"),
            (b"version https://git-lfs.github.com/spec/v1\n", "LFS"),
        ] {
            let error = refuse_format(path, bytes).unwrap_err().to_string();
            assert!(error.contains(kind) && error.contains(PATH), "{error}");
        }
        refuse_format(path, b"\x40\0\0\0\0\0\0\0{").unwrap();
    }

    #[test]
    fn other_layouts_are_known_by_a_name() {
        let path = Path::new(PATH);
        for (name, kind) in [
            ("scaled_fp8", "ComfyUI"),
            ("transformer_blocks.0.attn.to_q.scale_weight", "ComfyUI"),
            ("transformer_blocks.0.attn.to_q.comfy_quant", "ComfyUI"),
            ("__index_timestep_zero__", "ComfyUI"),
            ("transformer_blocks.0.attn.to_q.qweight", "quantised"),
        ] {
            let names = ["img_in.weight", name].into_iter();
            let error = refuse_names(path, names).unwrap_err().to_string();
            assert!(error.contains(kind) && error.contains(PATH), "{error}");
        }
        let own = [
            "img_in.weight",
            "transformer_blocks.0.attn.to_q.weight_scale",
        ];
        refuse_names(path, own.into_iter()).unwrap();
    }

    #[test]
    fn a_merged_file_is_known_by_its_name() {
        let merged = "qwen_image_edit_2511_fp8_e4m3fn_scaled_lightning_4steps_v1.0.safetensors";
        let error = refuse_second_adapter(Path::new(merged)).unwrap_err();
        assert!(error.to_string().contains("no LoRA"), "{error}");
        let plain = "qwen_image_edit_2511_fp8_e4m3fn_scaled.safetensors";
        refuse_second_adapter(Path::new(plain)).unwrap();
        refuse_second_adapter(Path::new("/lightning/transformer")).unwrap();
    }
}
