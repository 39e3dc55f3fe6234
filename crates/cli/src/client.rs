//! The public API as commands use it.

use tryon_client::{ApiErrorCode, Client, Error, InputFault, JobId, Picture, Refusal};

use crate::failure::Failure;

const NO_GATEWAY: &str = "is there a tryon gateway at this address? `tryon serve` starts one";

/// A picture file, to be sent along.
pub(crate) fn picture(file: &[u8]) -> Result<Picture, Failure> {
    Picture::from_bytes(file).map_err(|fault| Error::from(fault).into())
}

/// Downloads an output.
pub(crate) async fn download(client: &Client, link: &str) -> Result<Vec<u8>, Failure> {
    client.download(link).await.map_err(|error| {
        Failure::from_error("the picture cannot be downloaded", &error)
            .hint("links start with the gateway's `server.public_url`: can this machine reach it?")
    })
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Input(fault) => wrong(&fault),
            Error::Refused(refusal) => refused(&refusal),
            Error::Unreachable(source) => {
                Self::from_error("the gateway did not answer", &source).hint(NO_GATEWAY)
            }
            Error::NotThisApi(source) => {
                let problem = Self::from_error("the answer is not one of this API", &source);
                problem.hint("is there a tryon gateway at this address, no newer than this client?")
            }
            Error::JobFailed { failure, .. } => {
                let failure = Self::new(format!("the job failed with {failure}"));
                failure.hint("a failed job is not charged")
            }
            Error::Lost { job, cause } => Self::from(*cause).also(&goes_on(job)),
            Error::TimedOut { job, .. } => Self::new(error.to_string()).hint(goes_on(job)),
            other => Self::from_error("the gateway cannot be asked", &other)
                .hint("the system's certificates may be absent: install `ca-certificates`"),
        }
    }
}

fn goes_on(job: JobId) -> String {
    format!("the job may go on: its id is {job}")
}

fn wrong(fault: &InputFault) -> Failure {
    let failure = Failure::new(fault.to_string());
    failure.hint(match fault {
        InputFault::Address => "name one with `--url`, such as `http://127.0.0.1:8080`",
        InputFault::Key => "name a valid key with `--key` or TRYON_API_KEY",
        InputFault::Picture | InputFault::PictureUrl => "name a PNG, JPEG or WebP file",
        InputFault::Link | InputFault::Name => "this is a fault of tryon: please report it",
    })
}

fn refused(refusal: &Refusal) -> Failure {
    let failure = Failure::new(format!("the gateway answered {refusal}"));
    if refusal.is(ApiErrorCode::UnauthorizedAccess) {
        return failure.hint("name a valid key with `--key` or TRYON_API_KEY");
    }
    if refusal.is(ApiErrorCode::OutOfCredits) {
        return failure.hint("`tryon credits grant ACCOUNT AMOUNT` gives more");
    }
    if refusal.is(ApiErrorCode::BadRequest) {
        return failure.hint("`tryon submit --help` lists what can be asked for");
    }
    if refusal.status == 429 {
        return failure.hint("wait, or raise the limit with `tryon account limits`");
    }
    let request = refusal.request_id.as_deref();
    let request = request.unwrap_or("the answer's `x-request-id`");
    failure.hint(format!("the gateway's log says more, under {request}"))
}
