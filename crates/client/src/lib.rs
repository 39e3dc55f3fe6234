//! A client of a gateway's public API.
//!
//! | type | is |
//! |---|---|
//! | [`Client`] | sends requests with an account's key |
//! | [`Clothes`], [`Hairstyle`], [`Tattoo`] | what can be asked for |
//! | [`Status`], [`Event`] | how a job stands, and how far it is |
//! | [`Error`] | everything that can go wrong |
//! | [`webhook::Verifier`] | knows which messages are from the gateway |
//!
//! A job is paid for, so the client takes care that none is made twice and none is lost sight of:
//!
//! - [`Client::submit`] gives each submission a name (`Idempotency-Key`) and sends it again under the
//!   same name for as long as nobody knows whether it was taken.
//! - [`Client::wait`] follows the job's events, goes on where a stream broke, and asks for the status
//!   instead where a stream cannot be had, because a proxy holds it back, the account follows too much
//!   already or the gateway has none. A gateway that is started again, or is not heard of for a while,
//!   is put up with.
//!
//! Everything else is one request. An error says whether to send it again
//! ([`Error::is_transient`]); all but [`Client::replay`] changes nothing when it is.
//!
//! ```no_run
//! use tryon_client::{Category, Client, Clothes, Error, Picture, Secret};
//!
//! # async fn try_on() -> Result<(), Box<dyn std::error::Error>> {
//! let key = Secret::new(std::env::var("TRYON_API_KEY")?);
//! let client = Client::new("https://tryon.example.com", key)?;
//!
//! let person = Picture::from_bytes(&std::fs::read("person.jpg")?)?;
//! let garment = Picture::from_url("https://shop.example/shirt.jpg")?;
//! let request = Clothes::new(person, garment).category(Category::Tops).seed(42);
//!
//! match client.run(&request).await {
//!     Ok(done) => std::fs::write("out.png", client.download(&done.outputs[0]).await?)?,
//!     Err(Error::JobFailed { failure, .. }) => println!("no picture: {failure}"),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Where progress is to be shown, submitting and following are apart:
//!
//! ```no_run
//! # use tryon_client::{Client, Clothes, Error};
//! use futures::StreamExt as _;
//!
//! # async fn follow(client: &Client, request: &Clothes) -> Result<(), Error> {
//! let job = client.submit(request).await?;
//! let mut events = client.follow(job);
//! while let Some(event) = events.next().await {
//!     println!("{:?}", event?);
//! }
//! # Ok(())
//! # }
//! ```

mod answer;
mod call;
mod client;
mod error;
mod follow;
mod patience;
mod picture;
mod record;
mod request;
mod sse;
pub mod webhook;

pub use tryon_api::public::{
    Credits, DeliveryState, ErasureStatus, Masking, Progress, Rectangle, SampleProgress,
    SampleStatus, Stage,
};
pub use tryon_core::{
    category::Category,
    error::{ApiErrorCode, JobErrorCode},
    id::{ErasureId, JobId, UploadId},
    secret::Secret,
    task::{
        GarmentPhotoType, Haircut, Mode, ModerationLevel, OutputFormat, Provider, Region, Task,
    },
};

pub use self::{
    answer::{Event, Finished, Job, JobFailure, Status},
    client::{Client, ClientBuilder},
    error::{AnswerFault, Error, InputFault, Refusal},
    follow::Events,
    picture::Picture,
    record::{
        Checked, Deleted, DeletedColumns, DeletedPictures, Delivery, DeliveryTry, Kept, ListedJob,
        Masked, Page, Paging, Receipt, Upload,
    },
    request::{Clothes, Hairstyle, Submission, Tattoo},
};
