//! The pictures of jobs: kept on disk, in a bucket or in memory, and handed out on signed links.
//!
//! | type | is |
//! |---|---|
//! | [`Key`] | the name of a picture: whose it is, and what part it plays |
//! | [`Blobs`] | where pictures are kept |
//! | [`LinkSigner`] | makes and checks links that open one output until a point in time |
//!
//! A picture is written once, whole: it is not there, or all of it is. Once [`Blobs::put`] has
//! returned it survives a power failure, so that a row of the store may name it.
//!
//! ```
//! use tryon_blob::{Blobs, Key, LinkSigner};
//! use tryon_core::{id::JobId, secret::Secret, task::OutputFormat, time::Timestamp};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let blobs = Blobs::memory();
//! let attempt = JobId::from_bytes([7; 12]).sample(0).attempt(1);
//! let key = Key::output(attempt, OutputFormat::Png);
//! blobs.put(&key, b"a picture".as_slice().into()).await?;
//! assert_eq!(blobs.get(&key).await?.unwrap(), b"a picture".as_slice());
//!
//! let links = LinkSigner::new(&Secret::new("something long and random"));
//! let link = links.sign(&key, Timestamp::from_millis(60_000));
//! assert!(link.starts_with("outputs/070707070707070707070707/0.1.png?expires=60&signature="));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blobs;
mod bucket;
mod key;
mod link;
mod partial;

pub use blobs::{Blob, BlobError, BlobStream, Blobs};
pub use bucket::BucketError;
pub use key::{Folder, Key, ParseKeyError, Role};
pub use link::{LinkError, LinkSigner};
