//! Safetensors files and the index that names them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, File},
    ops::Range,
    path::{Path, PathBuf},
};

use memmap2::Mmap;
use safetensors::SafeTensors;
use serde::Deserialize;

use super::dtype::Dtype;
use crate::{error::LoadError, layout};

/// Where a tensor lies.
#[derive(Debug)]
pub(super) struct Entry {
    /// Which of the files.
    pub(super) file: usize,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Offsets in the file.
    pub(super) bytes: Range<usize>,
}

/// A safetensors file in memory.
#[derive(Debug)]
pub(super) struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

impl MappedFile {
    fn open(path: PathBuf) -> Result<Self, LoadError> {
        let file = File::open(&path).map_err(LoadError::unreadable(&path))?;
        #[expect(
            unsafe_code,
            reason = "the file is mapped read-only; that nobody shortens it while it is used is \
                      the operator's to see to, who replaces files and never writes into one"
        )]
        let map = unsafe { Mmap::map(&file) }.map_err(LoadError::unreadable(&path))?;
        Ok(Self { path, map })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.map[range]
    }

    /// What the header lists.
    pub(super) fn entries(&self, file: usize) -> Result<Vec<(String, Entry)>, LoadError> {
        layout::refuse_format(&self.path, &self.map)?;
        let tensors = SafeTensors::deserialize(&self.map)
            .map_err(|error| LoadError::damaged(&self.path, error))?;
        // Before the types: a file of another layout is to be called that.
        layout::refuse_names(&self.path, tensors.iter().map(|(name, _)| name))?;
        let start = self.map.as_ptr() as usize;
        let entry = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
            let dtype = Dtype::of(view.dtype()).ok_or_else(|| LoadError::Dtype {
                path: self.path.clone(),
                name: name.to_owned(),
                found: view.dtype().to_string(),
                expected: "F32, F16, BF16 or F8_E4M3",
            })?;
            let offset = view.data().as_ptr() as usize - start;
            let entry = Entry {
                file,
                dtype,
                shape: view.shape().to_vec(),
                bytes: offset..offset + view.data().len(),
            };
            Ok((name.to_owned(), entry))
        };
        // How many batches a norm saw in training: no weight, and a type of its own.
        let weights = tensors
            .iter()
            .filter(|(name, _)| !name.ends_with(".num_batches_tracked"));
        weights.map(entry).collect()
    }
}

/// Opens the file, or the shards in the folder.
pub(super) fn open_all(path: &Path) -> Result<Vec<MappedFile>, LoadError> {
    let shards = if path.is_dir() {
        shards(path)?
    } else {
        vec![path.to_owned()]
    };
    shards.into_iter().map(MappedFile::open).collect()
}

fn shards(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    if let Some((_, index)) = read_index(folder)? {
        let names: BTreeSet<&String> = index.weight_map.values().collect();
        return Ok(names.into_iter().map(|name| folder.join(name)).collect());
    }
    let found = list(folder, ".safetensors")?;
    match found.len() {
        1 => Ok(found),
        0 => Err(LoadError::damaged(folder, "it has no `.safetensors` file")),
        _ => Err(LoadError::damaged(
            folder,
            "it has several `.safetensors` files and no `.safetensors.index.json`",
        )),
    }
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

fn read_index(folder: &Path) -> Result<Option<(PathBuf, Index)>, LoadError> {
    let Some(path) = list(folder, ".safetensors.index.json")?.pop() else {
        return Ok(None);
    };
    let text = fs::read(&path).map_err(LoadError::unreadable(&path))?;
    let index: Index =
        serde_json::from_slice(&text).map_err(|error| LoadError::damaged(&path, error))?;
    let outside = |name: &&String| Path::new(name).file_name() != Some(OsStr::new(name));
    if let Some(name) = index.weight_map.values().find(outside) {
        let reason = format!("it names `{name}`, which is not a file beside it");
        return Err(LoadError::damaged(&path, reason));
    }
    Ok(Some((path, index)))
}

/// Files of the folder whose names end so, in order.
fn list(folder: &Path, suffix: &str) -> Result<Vec<PathBuf>, LoadError> {
    let unreadable = |error| LoadError::unreadable(folder)(error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.ends_with(suffix) && !name.starts_with('.')) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Checks that every tensor of the index is in a shard.
pub(super) fn check_index(path: &Path, tensors: &BTreeMap<String, Entry>) -> Result<(), LoadError> {
    if !path.is_dir() {
        return Ok(());
    }
    let Some((_, index)) = read_index(path)? else {
        return Ok(());
    };
    let missing = |(name, _): &(&String, &String)| !tensors.contains_key(*name);
    match index.weight_map.iter().find(missing) {
        None => Ok(()),
        Some((name, file)) => Err(LoadError::MissingTensor {
            path: path.join(file),
            name: name.clone(),
        }),
    }
}
