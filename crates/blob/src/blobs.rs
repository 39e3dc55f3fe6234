//! Where pictures are kept.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use object_store::{
    Attribute, Attributes, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
    local::LocalFileSystem, memory::InMemory, path::Path as ObjectPath,
};
use tryon_core::{
    id::{AccountId, JobId},
    time::Timestamp,
};
use url::Url;

use crate::{
    bucket::{Bucket, BucketError, Variables},
    key::{Folder, Key},
    partial,
};

/// The pictures could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The folder cannot be used.
    #[error("the picture folder `{}` cannot be used", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The bucket cannot be used.
    #[error(transparent)]
    Bucket(#[from] Box<BucketError>),
    /// The storage refused the folder.
    #[error("the picture folder `{}` cannot be opened", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: object_store::Error,
    },
    /// A picture could not be read, written or deleted.
    #[error("the picture `{key}` cannot be {action}")]
    Access {
        /// Which.
        key: Key,
        /// `read`, `written`, `deleted` or `signed`.
        action: &'static str,
        /// Why.
        source: object_store::Error,
    },
    /// The pictures could not be listed.
    #[error("the pictures below `{}` cannot be listed", folder.as_str())]
    List {
        /// Which of them.
        folder: Folder,
        /// Why.
        source: object_store::Error,
    },
}

/// The bytes of a picture as they arrive from the storage.
pub type BlobStream =
    std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, BlobError>> + Send + 'static>>;

/// A picture that was opened.
pub struct Blob {
    /// Its size in bytes.
    pub size: u64,
    /// What changes when the picture does, in quotes as HTTP wants it.
    pub etag: String,
    /// Its bytes.
    pub stream: BlobStream,
}

/// Where pictures are kept. Clones share it.
#[derive(Debug, Clone)]
pub struct Blobs {
    storage: Arc<dyn ObjectStore>,
    /// The folder, where there is one.
    root: Option<Arc<Path>>,
    /// The bucket, where there is one.
    bucket: Option<Arc<Bucket>>,
}

impl Blobs {
    /// Pictures below a folder, which is created for its owner alone where there is none.
    pub fn disk(path: impl AsRef<Path>) -> Result<Self, BlobError> {
        let path = path.as_ref();
        let folder = |source| BlobError::Folder {
            path: path.to_owned(),
            source,
        };
        create_private(path).map_err(folder)?;
        let root = fs::canonicalize(path).map_err(folder)?;
        let storage = LocalFileSystem::new_with_prefix(&root)
            .map_err(|source| BlobError::Open {
                path: root.clone(),
                source,
            })?
            // A row of the store names a picture from the moment that it was put.
            .with_fsync(true)
            .with_automatic_cleanup(true);
        Ok(Self {
            storage: Arc::new(storage),
            root: Some(root.into()),
            bucket: None,
        })
    }

    /// Pictures in a bucket of an object store: `s3://<bucket>/<path>`, `gs://…`, or `azure://…`.
    /// Region, endpoint and credentials are taken from `variables`, an environment, by the names
    /// that the store's own tools give them, such as `AWS_REGION`. Tries to write, read and erase
    /// before it returns.
    ///
    /// # Errors
    ///
    /// [`BlobError::Bucket`]: a URL of another kind, settings that do not fit together, or a store
    /// that does not answer or does not allow one of the three.
    pub async fn bucket(
        url: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, BlobError> {
        let variables = Variables(variables.into_iter().collect());
        let bucket = Bucket::open(url, &variables)?;
        bucket.probe().await?;
        Ok(Self {
            storage: bucket.storage(),
            root: None,
            bucket: Some(Arc::new(bucket)),
        })
    }

    /// Pictures in memory, which end with the last clone.
    pub fn memory() -> Self {
        Self {
            storage: Arc::new(InMemory::new()),
            root: None,
            bucket: None,
        }
    }

    /// Keeps a picture under `key`, in the place of one that was there. When this returns it is
    /// durable; until then nobody sees a part of it.
    pub async fn put(&self, key: &Key, picture: Bytes) -> Result<(), BlobError> {
        let written = self.write(key, picture, PutMode::Overwrite).await;
        written.map_err(access(key, "written"))
    }

    /// Keeps a picture under `key` unless one is there, which stays as it is. True when it was
    /// kept; then it is durable. Until this returns nobody sees a part of it.
    pub async fn put_new(&self, key: &Key, picture: Bytes) -> Result<bool, BlobError> {
        match self.write(key, picture, PutMode::Create).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(access(key, "written")(error)),
        }
    }

    async fn write(
        &self,
        key: &Key,
        picture: Bytes,
        mode: PutMode,
    ) -> Result<(), object_store::Error> {
        let options = PutOptions {
            mode,
            attributes: self.attributes(key),
            ..PutOptions::default()
        };
        let path = self.path(key);
        let written = self.storage.put_opts(&path, picture.into(), options).await;
        written.map(drop)
    }

    /// The picture under `key`, whole.
    pub async fn get(&self, key: &Key) -> Result<Option<Bytes>, BlobError> {
        let result = match self.storage.get(&self.path(key)).await {
            Ok(found) => found.bytes().await.map(Some),
            Err(error) => Err(error),
        };
        absent_is_none(result).map_err(access(key, "read"))
    }

    /// The picture under `key`, to be read in pieces.
    pub async fn open(&self, key: &Key) -> Result<Option<Blob>, BlobError> {
        let found = self.storage.get(&self.path(key)).await.map(Some);
        let Some(found) = absent_is_none(found).map_err(access(key, "read"))? else {
            return Ok(None);
        };
        let key = *key;
        Ok(Some(Blob {
            size: found.meta.size,
            etag: etag(&found.meta),
            stream: found.into_stream().map_err(access(&key, "read")).boxed(),
        }))
    }

    /// When the picture under `key` was put, if there is one.
    pub async fn written_at(&self, key: &Key) -> Result<Option<Timestamp>, BlobError> {
        let found = self.storage.head(&self.path(key)).await.map(Some);
        let found = absent_is_none(found).map_err(access(key, "read"))?;
        Ok(found.map(|meta| written(&meta)))
    }

    /// How many pictures an account has staged after `since`, counted no further than `most`.
    pub async fn count_staged(
        &self,
        account: AccountId,
        since: Timestamp,
        most: usize,
    ) -> Result<usize, BlobError> {
        let folder = Folder::Staged;
        let prefix = self.below(&format!("{}/{account}", folder.as_str()));
        let young = |meta: &ObjectMeta| written(meta) > since;
        let staged = self.list_below(&prefix);
        let staged = staged.try_filter(|meta| std::future::ready(young(meta)));
        let staged = staged.take(most);
        let counted = staged.try_fold(0, |count, _| std::future::ready(Ok(count + 1)));
        counted
            .await
            .map_err(|source| BlobError::List { folder, source })
    }

    /// What is stored below `prefix`, but for what another sweep deletes while it is listed.
    fn list_below(
        &self,
        prefix: &ObjectPath,
    ) -> impl Stream<Item = Result<ObjectMeta, object_store::Error>> + use<'_> {
        let is_there = |item: &Result<_, _>| !matches!(item, Err(error) if is_absent(error));
        let listed = self.storage.list(Some(prefix));
        listed.filter(move |item| std::future::ready(is_there(item)))
    }

    /// Deletes pictures. One that is absent is as good as deleted; the first failure is returned
    /// after all were tried.
    pub async fn delete(&self, keys: &[Key]) -> Result<(), BlobError> {
        let mut outcome = Ok(());
        for key in keys {
            let deleted = self.storage.delete(&self.path(key)).await.map(Some);
            let deleted = absent_is_none(deleted).map_err(access(key, "deleted"));
            outcome = outcome.and(deleted.map(drop));
        }
        outcome
    }

    /// The pictures of a kind that were put before `older_than`, in no order. Files that are not
    /// pictures of ours are left out.
    pub async fn list(&self, folder: Folder, older_than: Timestamp) -> Result<Vec<Key>, BlobError> {
        let prefix = self.below(folder.as_str());
        let old = |meta: &ObjectMeta| written(meta) < older_than;
        self.list_below(&prefix)
            .try_filter(|meta| std::future::ready(old(meta)))
            .try_filter_map(|meta| std::future::ready(Ok(self.key_of(&meta))))
            .try_collect()
            .await
            .map_err(|source| BlobError::List { folder, source })
    }

    /// An address at which the store itself hands out the picture under `key` for `valid`, which
    /// is at most seven days; `None` where pictures are not in a bucket. Nothing is asked: there
    /// may be no such picture.
    pub async fn sign(&self, key: &Key, valid: Duration) -> Result<Option<Url>, BlobError> {
        let Some(bucket) = &self.bucket else {
            return Ok(None);
        };
        let signed = bucket.sign(&self.path(key), valid).await;
        signed.map(Some).map_err(access(key, "signed"))
    }

    /// Every picture of a job.
    pub async fn list_job(&self, job: JobId) -> Result<Vec<Key>, BlobError> {
        let mut found = Vec::new();
        for folder in Folder::OF_JOBS {
            let prefix = self.below(&format!("{}/{job}", folder.as_str()));
            let keys: Vec<Option<Key>> = self
                .list_below(&prefix)
                .map_ok(|meta| self.key_of(&meta))
                .try_collect()
                .await
                .map_err(|source| BlobError::List { folder, source })?;
            found.extend(keys.into_iter().flatten());
        }
        Ok(found)
    }

    /// Deletes every picture of a job, whoever knows of it, and what was begun of one.
    pub async fn erase_job(&self, job: JobId) -> Result<(), BlobError> {
        let found = self.list_job(job).await?;
        self.delete(&found).await?;
        let Some(root) = self.root.clone() else {
            return Ok(());
        };
        let path = root.to_path_buf();
        tokio::task::spawn_blocking(move || partial::erase_job(&root, job))
            .await
            .expect("BUG: erasing files does not panic")
            .map_err(|source| BlobError::Folder { path, source })
    }

    /// Where they are: `disk`, `bucket` or `memory`.
    pub const fn storage_name(&self) -> &'static str {
        match (&self.root, &self.bucket) {
            (Some(_), _) => "disk",
            (None, Some(_)) => "bucket",
            (None, None) => "memory",
        }
    }

    fn path(&self, key: &Key) -> ObjectPath {
        self.below(&key.to_string())
    }

    fn below(&self, name: &str) -> ObjectPath {
        let within = self.bucket.as_ref().map(|bucket| bucket.prefix().as_ref());
        let parts = within.into_iter().chain([name]);
        parts
            .flat_map(|part| part.split('/'))
            .filter(|part| !part.is_empty())
            .collect()
    }

    fn key_of(&self, meta: &ObjectMeta) -> Option<Key> {
        let location = meta.location.as_ref();
        let name = match &self.bucket {
            Some(bucket) => location.strip_prefix(bucket.prefix().as_ref())?,
            None => location,
        };
        name.trim_start_matches('/').parse().ok()
    }

    /// What the store says of a picture to whoever follows its link. Files have no such thing.
    fn attributes(&self, key: &Key) -> Attributes {
        match key {
            Key::Output { format, .. } if self.bucket.is_some() => Attributes::from_iter([
                (Attribute::ContentType, format.mime()),
                (Attribute::CacheControl, "private, immutable"),
            ]),
            _ => Attributes::new(),
        }
    }

    /// Erases what was being written when a process ended, and was not touched since
    /// `older_than`. Returns how many such files there were.
    pub async fn erase_partial(&self, older_than: Timestamp) -> Result<usize, BlobError> {
        let Some(root) = self.root.clone() else {
            return Ok(0);
        };
        let path = root.to_path_buf();
        tokio::task::spawn_blocking(move || partial::erase(&root, older_than))
            .await
            .expect("BUG: erasing files does not panic")
            .map_err(|source| BlobError::Folder { path, source })
    }
}

fn written(meta: &ObjectMeta) -> Timestamp {
    Timestamp::from_millis(meta.last_modified.timestamp_millis())
}

fn access(key: &Key, action: &'static str) -> impl Fn(object_store::Error) -> BlobError + use<> {
    let key = *key;
    move |source| BlobError::Access {
        key,
        action,
        source,
    }
}

fn is_absent(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
}

fn absent_is_none<T>(
    result: Result<Option<T>, object_store::Error>,
) -> Result<Option<T>, object_store::Error> {
    match result {
        Err(error) if is_absent(&error) => Ok(None),
        result => result,
    }
}

fn etag(meta: &ObjectMeta) -> String {
    match &meta.e_tag {
        Some(tag) if tag.starts_with('"') => tag.clone(),
        Some(tag) => format!("\"{tag}\""),
        None => format!(
            "\"{:x}-{:x}\"",
            meta.last_modified.timestamp_millis(),
            meta.size
        ),
    }
}

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(test)]
mod tests {
    use tryon_core::{id::UploadId, task::OutputFormat};

    use super::*;
    use crate::key::Role;

    const FUTURE: Timestamp = Timestamp::from_millis(i64::MAX);

    fn job(byte: u8) -> JobId {
        JobId::from_bytes([byte; 12])
    }

    fn each_storage() -> (tempfile::TempDir, [Blobs; 2]) {
        let folder = tempfile::tempdir().unwrap();
        let disk = Blobs::disk(folder.path().join("a/b")).unwrap();
        (folder, [disk, Blobs::memory()])
    }

    #[tokio::test]
    async fn what_was_put_is_read_whole_and_in_pieces() {
        let (_folder, storages) = each_storage();
        for blobs in storages {
            let key = Key::output(job(1).sample(0).attempt(1), OutputFormat::Jpeg);
            assert_eq!(blobs.get(&key).await.unwrap(), None);
            assert!(blobs.open(&key).await.unwrap().is_none());
            blobs.put(&key, Bytes::from_static(b"first")).await.unwrap();
            blobs
                .put(&key, Bytes::from_static(b"second"))
                .await
                .unwrap();
            assert_eq!(blobs.get(&key).await.unwrap().unwrap(), "second");
            let blob = blobs.open(&key).await.unwrap().unwrap();
            assert_eq!(blob.size, 6);
            assert!(
                blob.etag.starts_with('"') && blob.etag.ends_with('"'),
                "{}",
                blob.etag
            );
            let pieces: Vec<Bytes> = blob.stream.try_collect().await.unwrap();
            assert_eq!(pieces.concat(), b"second");
        }
    }

    #[tokio::test]
    async fn of_many_put_at_once_one_stays() {
        let (_folder, storages) = each_storage();
        for blobs in storages {
            let key = Key::output(job(6).sample(0).attempt(1), OutputFormat::Png);
            let put = |byte: u8| {
                let (blobs, picture) = (blobs.clone(), Bytes::from(vec![byte; 1000]));
                tokio::spawn(async move { blobs.put_new(&key, picture).await.unwrap() })
            };
            let put = futures::future::join_all((0..8).map(put)).await;
            let kept: Vec<u8> = (0..8)
                .zip(put)
                .filter_map(|(byte, kept)| kept.unwrap().then_some(byte))
                .collect();
            assert_eq!(kept.len(), 1);
            let found = blobs.get(&key).await.unwrap().unwrap();
            assert_eq!(found, vec![kept[0]; 1000]);
            assert!(!blobs.put_new(&key, Bytes::new()).await.unwrap());
            assert_eq!(blobs.get(&key).await.unwrap().unwrap(), found);
        }
    }

    #[tokio::test]
    async fn deleting_leaves_the_others_and_forgives_the_absent() {
        let (_folder, storages) = each_storage();
        for blobs in storages {
            let [person, garment] = Role::ALL.map(|role| Key::upload(job(2), role));
            blobs.put(&person, Bytes::from_static(b"p")).await.unwrap();
            blobs.put(&garment, Bytes::from_static(b"g")).await.unwrap();
            blobs.delete(&[person]).await.unwrap();
            blobs
                .delete(&[person, Key::upload(job(3), Role::Person)])
                .await
                .unwrap();
            assert_eq!(blobs.get(&person).await.unwrap(), None);
            assert_eq!(blobs.get(&garment).await.unwrap().unwrap(), "g");
        }
    }

    #[tokio::test]
    async fn a_list_holds_one_kind_and_only_what_is_old_enough() {
        let (_folder, storages) = each_storage();
        for blobs in storages {
            let upload = Key::upload(job(4), Role::Person);
            let prepared = Key::prepared(job(4), Role::Person);
            for key in [upload, prepared] {
                blobs.put(&key, Bytes::from_static(b"x")).await.unwrap();
            }
            assert_eq!(blobs.list(Folder::Uploads, FUTURE).await.unwrap(), [upload]);
            assert_eq!(
                blobs.list(Folder::Prepared, FUTURE).await.unwrap(),
                [prepared]
            );
            assert_eq!(blobs.list(Folder::Outputs, FUTURE).await.unwrap(), []);
            let past = Timestamp::from_millis(0);
            assert_eq!(blobs.list(Folder::Uploads, past).await.unwrap(), []);
        }
    }

    #[tokio::test]
    async fn what_is_staged_is_counted_for_its_account_alone() {
        let (_folder, storages) = each_storage();
        for blobs in storages {
            let [mine, other] = [1, 2].map(|byte| AccountId::from_bytes([byte; 12]));
            let key = |account, byte| Key::staged(account, UploadId::from_bytes([byte; 12]));
            for key in [key(mine, 1), key(mine, 2), key(mine, 3), key(other, 1)] {
                blobs.put(&key, Bytes::from_static(b"x")).await.unwrap();
                assert!(blobs.written_at(&key).await.unwrap().is_some());
            }
            let past = Timestamp::default();
            assert_eq!(blobs.count_staged(mine, past, 100).await.unwrap(), 3);
            assert_eq!(blobs.count_staged(mine, past, 2).await.unwrap(), 2);
            assert_eq!(blobs.count_staged(mine, FUTURE, 100).await.unwrap(), 0);
            blobs.delete(&[key(other, 1)]).await.unwrap();
            assert_eq!(blobs.written_at(&key(other, 1)).await.unwrap(), None);
            assert_eq!(blobs.count_staged(other, past, 100).await.unwrap(), 0);
            assert_eq!(blobs.list(Folder::Staged, FUTURE).await.unwrap().len(), 3);
        }
    }

    #[tokio::test]
    async fn an_unfinished_file_is_no_picture_and_can_be_erased() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::disk(folder.path()).unwrap();
        let key = Key::upload(job(5), Role::Person);
        blobs.put(&key, Bytes::from_static(b"x")).await.unwrap();
        let unfinished = folder
            .path()
            .join(format!("{}#1", Key::upload(job(5), Role::Garment)));
        fs::write(&unfinished, b"half").unwrap();
        assert_eq!(blobs.list(Folder::Uploads, FUTURE).await.unwrap(), [key]);
        assert_eq!(
            blobs
                .erase_partial(Timestamp::from_millis(0))
                .await
                .unwrap(),
            0
        );
        assert_eq!(blobs.erase_partial(FUTURE).await.unwrap(), 1);
        assert!(!unfinished.exists());
        assert!(blobs.get(&key).await.unwrap().is_some());
    }

    #[cfg(unix)]
    #[test]
    fn the_folder_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("pictures");
        Blobs::disk(&root).unwrap();
        assert_eq!(
            fs::metadata(root).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
}
