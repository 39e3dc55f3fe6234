//! Keeping what a run computes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{backend::Backend, error::ComputeError, tap::Tap};

/// Keeps, under each name, what is seen first: a transformer's tensors are those of the first
/// step, as in the golden files.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    wanted: Option<BTreeSet<String>>,
    values: BTreeMap<String, Vec<f64>>,
}

impl Recorder {
    /// Keeps everything.
    pub fn all() -> Self {
        Self::default()
    }

    /// Keeps what has one of these names.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            wanted: Some(names.into_iter().map(str::to_owned).collect()),
            values: BTreeMap::new(),
        }
    }

    /// What was seen under this name, row by row.
    pub fn find(&self, name: &str) -> Option<&[f64]> {
        self.values.get(name).map(Vec::as_slice)
    }

    /// The names that were seen, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    fn wants(&self, name: &str) -> bool {
        let wanted = self.wanted.as_ref();
        wanted.is_none_or(|wanted| wanted.contains(name)) && !self.values.contains_key(name)
    }
}

impl<B: Backend> Tap<B> for Recorder {
    fn is_on(&self) -> bool {
        true
    }

    fn see(
        &mut self,
        backend: &B,
        name: fmt::Arguments<'_>,
        tensor: &B::Tensor,
    ) -> Result<(), ComputeError> {
        let name = name.to_string();
        if self.wants(&name) {
            let values = backend.download(tensor)?;
            self.values
                .insert(name, values.into_iter().map(f64::from).collect());
        }
        Ok(())
    }

    fn note(&mut self, name: fmt::Arguments<'_>, values: &[f64]) {
        let name = name.to_string();
        if self.wants(&name) {
            self.values.insert(name, values.to_vec());
        }
    }
}
