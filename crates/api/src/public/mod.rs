//! The public API: what clients send and are answered.
//!
//! A request type is what is on the wire, with borrowed texts, so that a picture of 20 MB within a
//! body is not copied to be looked at. Its `check` turns it into a [`Submission`], which cannot be
//! wrong: [`parse`] does both.
//!
//! What is unknown is ignored, `null` is as good as absent, and a known field of a wrong type or
//! value, or one that is there twice, is a [`RequestFault`] that names it.
//!
//! ```
//! use tryon_api::public::{self, ImageSource};
//! use tryon_core::task::{Haircut, Task, TaskOptions};
//!
//! let body = br#"{"face_image": "https://example.org/me.jpg", "haircut": "BobCut"}"#;
//! let submission = public::parse(Task::Hairstyle, body)?;
//! assert!(matches!(submission.person, ImageSource::Url(_)));
//! assert_eq!(
//!     submission.options,
//!     TaskOptions::Hairstyle { haircut: Haircut::BobCut, hair_color: None }
//! );
//!
//! let fault = public::parse(Task::Hairstyle, br#"{"haircut": 7}"#).unwrap_err();
//! assert_eq!(fault.to_string(), "`haircut` is wrong: a number, not a text");
//! # Ok::<(), public::RequestFault>(())
//! ```

mod answer;
mod check;
mod clothes;
mod erasure;
mod fashn;
mod fault;
mod field;
mod follow;
mod hairstyle;
mod image;
mod moment;
mod submission;
mod tattoo;
mod upload;
mod webhook;

pub use self::{
    answer::{CreditAnswer, Credits, ErrorBody, JobFailure, JobStatus, StatusAnswer, Submitted},
    check::{
        CHECKED_FIELD, Check, CheckAnswer, CheckRequest, CheckedRole, MaskedRegion, Masking,
        Prepared, Rectangle, parse_check,
    },
    clothes::{CATEGORIES, ClothesRequest},
    erasure::{
        Deleted, DeletedColumns, DeletedPictures, ErasureStatus, Kept, Receipt, deleted_columns,
        kept,
    },
    fashn::{
        CreditTotalAnswer, CreditTotals, RunAnswer, RunInputs, RunRequest, RunState, RunStatus,
        parse_run,
    },
    fault::RequestFault,
    field::{Text, Whole},
    follow::{JobEvent, JobPage, ListedJob, Progress, SampleProgress, SampleStatus, Stage},
    hairstyle::HairstyleRequest,
    image::ImageSource,
    submission::{
        MAX_END_USER, MAX_SAMPLES, MAX_URL, MAX_WEBHOOK_URL, MAX_WORDS, Submission, end_user,
        parse, picture_fields,
    },
    tattoo::TattooRequest,
    upload::{PictureInfo, Uploaded},
    webhook::{
        Delivery, DeliveryPage, DeliveryState, DeliveryTry, WebhookSecret, parse_webhook_url,
    },
};
