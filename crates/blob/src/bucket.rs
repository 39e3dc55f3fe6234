//! A bucket of an object store.

use std::{collections::BTreeMap, process, str::FromStr, sync::Arc, time::Duration};

use http::Method;
use object_store::{
    BackoffConfig, ObjectStore, ObjectStoreExt as _, ObjectStoreScheme, RetryConfig,
    aws::AmazonS3Builder, azure::MicrosoftAzureBuilder, gcp::GoogleCloudStorageBuilder, path::Path,
    signer::Signer,
};
use url::Url;

/// The bucket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// The URL names none.
    #[error("`{url}` is no bucket: `s3://<bucket>/<path>`, `gs://…` and `azure://…` are")]
    NotABucket {
        /// What was given.
        url: String,
    },
    /// What the environment says does not fit together, or the store does not do what is needed.
    #[error("the bucket `{url}` cannot be {action} ({settings})")]
    Unusable {
        /// Which.
        url: Url,
        /// `opened`, `written to`, `read` or `erased from`.
        action: &'static str,
        /// What was tried: variables of the environment, secrets left out.
        settings: String,
        /// Why.
        source: object_store::Error,
    },
}

/// How long something that failed is tried again. Somebody waits for it.
const RETRY_TIME: Duration = Duration::from_secs(20);

/// A bucket, and where in it pictures are.
#[derive(Debug)]
pub(crate) struct Bucket {
    url: Url,
    /// What it was opened with, without secrets.
    settings: String,
    storage: Arc<dyn ObjectStore>,
    signer: Arc<dyn Signer>,
    prefix: Path,
}

impl Bucket {
    /// A bucket with what these variables say of it. Nothing is asked of the store yet.
    pub(crate) fn open(text: &str, variables: &Variables) -> Result<Self, Box<BucketError>> {
        let not_a_bucket = || {
            Box::new(BucketError::NotABucket {
                url: text.to_owned(),
            })
        };
        let url = Url::parse(text).map_err(|_| not_a_bucket())?;
        let (scheme, prefix) = ObjectStoreScheme::parse(&url).map_err(|_| not_a_bucket())?;
        let kind = Kind::of(&scheme).ok_or_else(not_a_bucket)?;
        // Fails when the process chose a provider already, which then is the one to use.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let built = kind.build(&url, variables);
        let (storage, signer) = built.map_err(|source| BucketError::Unusable {
            url: url.clone(),
            action: "opened",
            settings: variables.describe(kind),
            source,
        })?;
        Ok(Self {
            url,
            settings: variables.describe(kind),
            storage,
            signer,
            prefix,
        })
    }

    pub(crate) fn storage(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.storage)
    }

    /// The path that everything lies below; empty where that is the whole bucket.
    pub(crate) const fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// An address that hands out an object for a while.
    pub(crate) async fn sign(
        &self,
        path: &Path,
        valid: Duration,
    ) -> Result<Url, object_store::Error> {
        self.signer.signed_url(Method::GET, path, valid).await
    }

    /// Writes, reads and erases an object of no use: a right that is missing is found at start.
    pub(crate) async fn probe(&self) -> Result<(), Box<BucketError>> {
        let name = format!("probe-{}-{}", process::id(), rand::random::<u64>());
        let path = self.prefix.clone().join(name);
        let written = self.storage.put(&path, "probe".into()).await;
        written.map_err(self.unusable("written to"))?;
        let read = self.storage.get(&path).await;
        let erased = self.storage.delete(&path).await;
        read.map_err(self.unusable("read"))?;
        erased.map_err(self.unusable("erased from"))
    }

    fn unusable(&self, action: &'static str) -> impl Fn(object_store::Error) -> Box<BucketError> {
        move |source| {
            Box::new(BucketError::Unusable {
                url: self.url.clone(),
                action,
                settings: self.settings.clone(),
                source,
            })
        }
    }
}

/// Whose protocol a store speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    S3,
    Gcs,
    Azure,
}

type Built = (Arc<dyn ObjectStore>, Arc<dyn Signer>);

impl Kind {
    const fn of(scheme: &ObjectStoreScheme) -> Option<Self> {
        match scheme {
            ObjectStoreScheme::AmazonS3 => Some(Self::S3),
            ObjectStoreScheme::GoogleCloudStorage => Some(Self::Gcs),
            ObjectStoreScheme::MicrosoftAzure => Some(Self::Azure),
            _ => None,
        }
    }

    fn build(self, url: &Url, variables: &Variables) -> Result<Built, object_store::Error> {
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: 5,
            retry_timeout: RETRY_TIME,
        };
        Ok(match self {
            Self::S3 => {
                let builder = AmazonS3Builder::new().with_url(url.as_str());
                let builder = self.fold(variables, builder, AmazonS3Builder::with_config);
                share(builder.with_retry(retry).build()?)
            }
            Self::Gcs => {
                let builder = GoogleCloudStorageBuilder::new().with_url(url.as_str());
                let builder = self.fold(variables, builder, GoogleCloudStorageBuilder::with_config);
                share(builder.with_retry(retry).build()?)
            }
            Self::Azure => {
                let builder = MicrosoftAzureBuilder::new().with_url(url.as_str());
                let builder = self.fold(variables, builder, MicrosoftAzureBuilder::with_config);
                share(builder.with_retry(retry).build()?)
            }
        })
    }

    /// Tells a builder every variable that means something to it.
    fn fold<Builder, Key: FromStr>(
        self,
        variables: &Variables,
        builder: Builder,
        set: impl Fn(Builder, Key, String) -> Builder,
    ) -> Builder {
        variables.of(self).fold(builder, |builder, (name, value)| {
            match name.to_ascii_lowercase().parse() {
                Ok(key) => set(builder, key, value.clone()),
                Err(_) => builder,
            }
        })
    }

    /// What the names of its variables begin with.
    const fn variables(self) -> &'static str {
        match self {
            Self::S3 => "AWS_",
            Self::Gcs => "GOOGLE_",
            Self::Azure => "AZURE_",
        }
    }
}

fn share<S: ObjectStore + Signer>(store: S) -> Built {
    let store = Arc::new(store);
    (Arc::clone(&store) as _, store)
}

/// Variables of an environment, by name.
#[derive(Debug)]
pub(crate) struct Variables(pub(crate) BTreeMap<String, String>);

impl Variables {
    fn of(&self, kind: Kind) -> impl Iterator<Item = (&String, &String)> {
        let ours = move |(name, _): &(&String, _)| name.starts_with(kind.variables());
        self.0.iter().filter(ours)
    }

    /// What they say to a store, in words. Only what is no secret is shown.
    fn describe(&self, kind: Kind) -> String {
        let is_open = |name: &str| {
            let words = ["ENDPOINT", "REGION", "ALLOW_HTTP"];
            words.iter().any(|word| name.contains(word))
        };
        let said: Vec<String> = self
            .of(kind)
            .map(|(name, value)| {
                if is_open(name) {
                    format!("{name}={value}")
                } else {
                    format!("{name} is set")
                }
            })
            .collect();
        if said.is_empty() {
            return format!("no variable {}* is set", kind.variables());
        }
        said.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(of: &[(&str, &str)]) -> Variables {
        let of = of
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Variables(of.collect())
    }

    #[test]
    fn only_buckets_are_taken() {
        for url in [
            "",
            "bucket",
            "file:///tmp",
            "memory:///",
            "https://example.com/b",
            "s3:/b",
        ] {
            let error = Bucket::open(url, &variables(&[])).unwrap_err();
            assert!(
                matches!(*error, BucketError::NotABucket { .. }),
                "{url}: {error}"
            );
        }
    }

    #[test]
    fn each_kind_of_bucket_is_opened_with_variables_of_its_own() {
        let variables = variables(&[
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "s3cret"),
            ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
            ("AZURE_STORAGE_ACCOUNT_KEY", "a2V5"),
        ]);
        for (url, prefix) in [
            ("s3://pictures", ""),
            ("s3://pictures/a/b/", "a/b"),
            ("gs://pictures/a", "a"),
            ("azure://pictures/a", "a"),
        ] {
            let bucket = Bucket::open(url, &variables).unwrap();
            assert_eq!(bucket.prefix.as_ref(), prefix, "{url}");
            assert!(!format!("{bucket:?}").contains("s3cret"));
        }
    }

    #[test]
    fn what_was_tried_is_said_without_secrets() {
        let variables = variables(&[
            ("AWS_SECRET_ACCESS_KEY", "s3cret"),
            ("AWS_ENDPOINT_URL", "http://10.0.0.9:9000"),
            ("GOOGLE_BUCKET", "other"),
            ("HOME", "/root"),
        ]);
        assert_eq!(
            variables.describe(Kind::S3),
            "AWS_ENDPOINT_URL=http://10.0.0.9:9000, AWS_SECRET_ACCESS_KEY is set"
        );
        assert_eq!(
            variables.describe(Kind::Azure),
            "no variable AZURE_* is set"
        );
    }
}
