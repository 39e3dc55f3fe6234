//! The models that a node can use, and where they are published.

use super::file::ModelFile;
use crate::failure::Failure;

/// A model: its name is that of its folder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Model {
    /// What it is called here.
    pub(crate) name: &'static str,
    /// Where it is published.
    pub(crate) repo: &'static str,
    /// What of the repository is needed: a file, or a folder and everything in it (`vae/`).
    needs: &'static [&'static str],
    /// About how many bytes it has.
    pub(crate) size: u64,
    /// The licence that its card names.
    pub(crate) licence: &'static str,
    /// What to know about the licence before the model is used.
    pub(crate) caution: Option<&'static str>,
}

/// The folders and files that diffusers loads an editing pipeline from.
const DIFFUSERS: &[&str] = &[
    "model_index.json",
    "scheduler/",
    "text_encoder/",
    "tokenizer/",
    "processor/",
    "transformer/",
    "vae/",
];

/// What a classifier is loaded from; its repositories have the weights in other forms too.
const CLASSIFIER: &[&str] = &[
    "config.json",
    "preprocessor_config.json",
    "model.safetensors",
];

/// Every model there is.
pub(crate) const CATALOGUE: &[Model] = &[
    Model {
        name: "qwen-image-edit-2511",
        repo: "Qwen/Qwen-Image-Edit-2511",
        needs: DIFFUSERS,
        size: 57_700_000_000,
        licence: "Apache-2.0",
        caution: None,
    },
    Model {
        name: "qwen-image-edit-2509",
        repo: "Qwen/Qwen-Image-Edit-2509",
        needs: DIFFUSERS,
        size: 57_700_000_000,
        licence: "Apache-2.0",
        caution: None,
    },
    Model {
        name: "lightning-2511",
        repo: "lightx2v/Qwen-Image-Edit-2511-Lightning",
        needs: &["Qwen-Image-Edit-2511-Lightning-4steps-V1.0-bf16.safetensors"],
        size: 850_000_000,
        licence: "Apache-2.0",
        caution: None,
    },
    Model {
        name: "lightxv-2511-fp8",
        repo: "lightx2v/Qwen-Image-Edit-2511-Lightning",
        needs: &["qwen_image_edit_2511_fp8_e4m3fn_scaled_lightning_4steps_v1.0.safetensors"],
        size: 20_500_000_000,
        licence: "Apache-2.0",
        caution: None,
    },
    Model {
        name: "person-parser",
        repo: "mattmdjaga/segformer_b2_clothes",
        needs: CLASSIFIER,
        size: 110_000_000,
        licence: "MIT on its card; see `pull`",
        caution: Some(
            "the card of `person-parser` says MIT, but it was fine-tuned from `nvidia/mit-b2`, \
             whose licence does not allow commercial use: ask before you use it in a shop",
        ),
    },
    Model {
        name: "moderator",
        repo: "Falconsai/nsfw_image_detection",
        needs: CLASSIFIER,
        size: 343_000_000,
        licence: "Apache-2.0",
        caution: None,
    },
];

/// Reads a model's name on the command line.
pub(crate) fn parse(name: &str) -> Result<&'static Model, String> {
    let found = CATALOGUE.iter().find(|model| model.name == name);
    found.ok_or_else(|| {
        let names: Vec<_> = CATALOGUE.iter().map(|model| model.name).collect();
        format!("it is one of {}", names.join(", "))
    })
}

impl Model {
    /// Those of a repository's files that are needed. Fails when one is not there.
    pub(crate) fn choose(&self, files: Vec<ModelFile>) -> Result<Vec<ModelFile>, Failure> {
        let lacks = |need: &&&str| !files.iter().any(|file| is_part(need, file.path.as_str()));
        if let Some(missing) = self.needs.iter().find(lacks) {
            let (repo, name) = (self.repo, self.name);
            let message = format!("`{repo}` has no `{missing}`, which `{name}` needs");
            return Err(Failure::new(message)
                .hint("`--revision` names a commit that has it; is it the right hub?"));
        }
        let needed = |file: &ModelFile| {
            let path = file.path.as_str();
            self.needs.iter().any(|need| is_part(need, path))
        };
        Ok(files.into_iter().filter(needed).collect())
    }
}

/// Whether `path` is the file `need`, or in the folder `need`.
fn is_part(need: &str, path: &str) -> bool {
    path == need || (need.ends_with('/') && path.starts_with(need))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::file::Digest;

    fn files(paths: &[&str]) -> Vec<ModelFile> {
        let file = |path: &&str| ModelFile {
            path: (*path).to_owned().try_into().unwrap(),
            size: 1,
            digest: Digest::git_blob(&"0".repeat(40)).unwrap(),
        };
        paths.iter().map(file).collect()
    }

    #[test]
    fn what_is_needed_is_chosen_and_nothing_else() {
        let model = parse("moderator").unwrap();
        let needed = [
            "config.json",
            "preprocessor_config.json",
            "model.safetensors",
        ];
        let more = ["README.md", "pytorch_model.bin", "onnx/config.json"];
        let chosen = model.choose(files(&[&more[..], &needed].concat())).unwrap();
        assert_eq!(chosen, files(&needed));
    }

    #[test]
    fn what_is_missing_is_named() {
        let model = parse("qwen-image-edit-2511").unwrap();
        let present = ["model_index.json", "scheduler/a", "vae_old/x", "vae"];
        let said = model.choose(files(&present)).unwrap_err().to_string();
        assert!(said.contains("has no `text_encoder/`"), "{said}");
    }

    #[test]
    fn names_are_those_that_an_engine_looks_for() {
        use tryon_core::task::Provider;
        use tryon_engine_qwen::engine::{EngineConfig, Mode};
        let config = EngineConfig::new(Provider::Qwen, Mode::Fp8, std::path::Path::new(""));
        let folders = [
            config.checkpoint,
            config.fp8,
            config.adapter,
            config.parser,
            config.moderator,
        ];
        for folder in folders {
            assert!(parse(folder.to_str().unwrap()).is_ok(), "{folder:?}");
        }
    }
}
