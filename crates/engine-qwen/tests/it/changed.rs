//! A copy of the tiny checkpoint's text encoder, to be changed.

use std::{collections::HashMap, fs, path::Path};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;
use tempfile::TempDir;

use crate::golden;

/// Configuration, tokenizers and weights, in a folder that goes with it.
pub(crate) struct Changed {
    folder: TempDir,
}

/// A tensor by itself.
pub(crate) struct Stored {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

impl Changed {
    /// A copy of everything that is needed.
    pub(crate) fn copy() -> Self {
        let folder = TempDir::new().unwrap();
        for part in ["text_encoder", "tokenizer", "processor"] {
            let from = golden::path("checkpoint/tiny-2511").join(part);
            let to = folder.path().join(part);
            fs::create_dir(&to).unwrap();
            for file in fs::read_dir(from).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), to.join(file.file_name())).unwrap();
            }
        }
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Changes a JSON file.
    pub(crate) fn json(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let path = self.path().join(file);
        let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        fs::write(path, value.to_string()).unwrap();
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.path().join(file), text).unwrap();
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).unwrap()
    }

    pub(crate) fn remove(&self, file: &str) {
        fs::remove_file(self.path().join(file)).unwrap();
    }

    /// Changes the text encoder's tensors, and puts them into one file.
    pub(crate) fn tensors(&self, change: impl FnOnce(&mut HashMap<String, Stored>)) {
        let folder = self.path().join("text_encoder");
        let mut tensors = HashMap::new();
        for shard in ["model-00001-of-00002", "model-00002-of-00002"] {
            let path = folder.join(format!("{shard}.safetensors"));
            let bytes = fs::read(&path).unwrap();
            for (name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
                tensors.insert(name, Stored::new(&view));
            }
            fs::remove_file(path).unwrap();
        }
        fs::remove_file(folder.join("model.safetensors.index.json")).unwrap();
        change(&mut tensors);
        let views = tensors.iter().map(|(name, tensor)| (name, tensor.view()));
        safetensors::serialize_to_file(views, None, &folder.join("model.safetensors")).unwrap();
    }
}

impl Stored {
    fn new(view: &TensorView<'_>) -> Self {
        Self {
            dtype: view.dtype(),
            shape: view.shape().to_vec(),
            bytes: view.data().to_vec(),
        }
    }

    fn view(&self) -> TensorView<'_> {
        TensorView::new(self.dtype, self.shape.clone(), &self.bytes).unwrap()
    }
}
