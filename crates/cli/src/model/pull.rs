//! Pulling a whole model, which appears complete or not at all.

use std::path::Path;

use indicatif::DecimalBytes;

use super::{
    catalogue::Model,
    download::Download,
    hub::{Hub, Listing},
    manifest::Manifest,
    place::Place,
    progress::Progress,
    retries::Retries,
};
use crate::failure::Failure;

/// What to pull, from where and to where.
pub(crate) struct Pull<'a> {
    pub(crate) hub: &'a Hub,
    pub(crate) model: &'a Model,
    /// A branch, a tag or a commit.
    pub(crate) revision: &'a str,
    /// The folder that models are installed in.
    pub(crate) dir: &'a Path,
}

impl Pull<'_> {
    /// Pulls what is missing or damaged and gives what is installed then.
    pub(crate) async fn run(&self) -> Result<Manifest, Failure> {
        let Model { name, repo, .. } = self.model;
        let place = Place::claim(self.dir, name)?;
        let listing = self.list(repo).await?;
        let manifest = Manifest {
            name: (*name).to_owned(),
            repo: (*repo).to_owned(),
            revision: self.revision.to_owned(),
            commit: listing.commit,
            files: self.model.choose(listing.files)?,
        };
        self.announce(&manifest);
        place.tidy(&manifest.files)?;
        self.gather(&place, &manifest).await?;
        place.install(&manifest)?;
        Ok(manifest)
    }

    async fn list(&self, repo: &str) -> Result<Listing, Failure> {
        let progress = Progress::hidden();
        let mut retries = Retries::new(&progress);
        loop {
            match self.hub.list(repo, self.revision).await {
                Ok(listing) => return Ok(listing),
                Err(fault) => retries.wait(fault).await?,
            }
        }
    }

    fn announce(&self, manifest: &Manifest) {
        let (files, size) = (manifest.files.len(), DecimalBytes(manifest.size()));
        let (repo, commit) = (&manifest.repo, &manifest.commit);
        let from = self.hub.address();
        eprintln!("pulling `{repo}` at {commit} from {from}: {files} files, {size}");
    }

    async fn gather(&self, place: &Place, manifest: &Manifest) -> Result<(), Failure> {
        let progress = Progress::of(manifest.size());
        let missing = place.missing(&manifest.files, &progress)?;
        place.check_space(&missing)?;
        for file in missing {
            progress.name(file.path.as_str());
            let download = Download {
                hub: self.hub,
                manifest,
                file,
                progress: &progress,
            };
            download.run(&place.staging).await?;
        }
        Ok(())
    }
}
