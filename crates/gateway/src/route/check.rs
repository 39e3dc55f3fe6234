//! What would become of a picture, before a job is paid for it.

use axum::{Extension, Json, body::Body, extract::State};
use bytes::Bytes;
use tokio::task::spawn_blocking;
use tryon_api::{
    node::{CheckReport, MaskReport},
    public::{
        CHECKED_FIELD, CheckAnswer, CheckRequest, CheckedRole, ErrorBody, MaskedRegion, Masking,
        PictureInfo, Prepared, Rectangle, parse_check,
    },
};
use tryon_core::{
    category::Category,
    error::JobError,
    id::AccountId,
    task::{Mode, Provider, Task},
};
use tryon_picture::{
    Limits, Mask, PictureError, encode_png,
    mask::{Marking, find_marked},
    probe,
};
use tryon_store::{Plan, Source};

use super::{
    body, refusal,
    submit::{
        get_plan,
        wanted::{self, Picture},
    },
    upload::tell,
};
use crate::{
    app::App,
    auth::Caller,
    dispatch::{Outcomes, find_mask},
    error::ApiError,
    input::{self, InputError, Inputs},
    prepare::reduce,
    upload,
};

/// Says what would become of a picture: what it is, whether it can be used, what a node would be given,
/// and which region of it would be dressed. Costs no credits, and keeps nothing. It is counted as a
/// submission in the request limit.
#[utoipa::path(
    post,
    path = super::path::CHECK,
    tag = "pictures",
    security(("key" = [])),
    request_body = CheckRequest<'_>,
    responses(
        (status = 200, description = "What would become of it, also where it cannot be used", body = CheckAnswer),
        (status = 400, description = "`BadRequest`: `message` names the field", body = ErrorBody),
        refusal::Limited,
    )
)]
pub(super) async fn check_picture(
    State(outcomes): State<Outcomes>,
    Extension(inputs): Extension<Inputs>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<CheckAnswer>, ApiError> {
    let app = &outcomes.app;
    let body = body::read(body, &caller.account, &app.config.limits, &app.bodies).await?;
    let (bytes, held) = body.into_parts();
    let asked = read(bytes, app.config.limits.picture_bytes).await?;
    let plan = get_plan(app, asked.task, asked.mode)?;
    let share = match asked.picture {
        Picture::Url(_) => {
            // What would not fit even alone is fetched alone.
            let most = app.config.limits.buffered_bytes;
            let most = app.config.fetch.max_bytes.min(most);
            let share = app.bodies.reserve(most).await;
            Some(share.ok_or_else(ApiError::crowded)?)
        }
        Picture::Bytes(_) => None,
    };
    let file = match get_file(app, &inputs, caller.account.id, asked.picture).await {
        Ok(file) => file,
        Err(InputError::Unusable(error)) => return Ok(Json(refused(error, None))),
        Err(InputError::Blob(error)) => return Err(error.into()),
    };
    let dressing = asked.dressing;
    let (info, contents) = examine(app, file, &plan, dressing.is_some()).await;
    let contents = match contents {
        Ok(contents) => contents,
        Err(error) => return Ok(Json(refused(error, info))),
    };
    let answer = answer(info, &contents, plan.provider);
    let (Some(photo), Some(category)) = (contents.file, dressing) else {
        return Ok(Json(answer));
    };
    // Somebody who waits for a node holds no more than what that is sent.
    drop((held, share));
    let report = match app.bodies.reserve(photo.len()).await {
        Some(_share) => find_mask(&outcomes, plan.provider, category, &photo).await?,
        None => None,
    };
    Ok(Json(with_report(answer, report)))
}

/// What a body asks for.
struct Asked {
    picture: Picture,
    task: Task,
    mode: Mode,
    /// What the person is to be dressed in; `None` where the picture is not of a person who is.
    dressing: Option<Category>,
}

async fn read(body: Bytes, picture_limit: usize) -> Result<Asked, ApiError> {
    let small = body.len() <= wanted::SMALL;
    let ask = move || {
        let check = parse_check(&body)?;
        let dresses = check.role == CheckedRole::Person && check.task == Task::Clothes;
        Ok(Asked {
            dressing: dresses.then_some(check.category),
            picture: wanted::picture(CHECKED_FIELD, check.image, picture_limit)?,
            task: check.task,
            mode: check.mode,
        })
    };
    if small {
        return ask();
    }
    spawn_blocking(ask).await.map_err(ApiError::internal)?
}

async fn get_file(
    app: &App,
    inputs: &Inputs,
    account: AccountId,
    picture: Picture,
) -> Result<Bytes, InputError> {
    match picture {
        Picture::Bytes(file) => Ok(file),
        Picture::Url(url) => {
            if let Some(key) = upload::find_named(app, account, url.as_str())
                && !upload::is_kept(app, &key).await?
            {
                return Err(input::gone(CHECKED_FIELD).into());
            }
            let source = Source::Url(url.into());
            inputs.read(account, CHECKED_FIELD, source).await
        }
    }
}

/// A picture as a node would be given it.
struct Contents {
    width: u32,
    height: u32,
    /// What is marked, where that was looked for.
    mask: Option<MaskedRegion>,
    /// The file for a node, where somebody is to be dressed.
    file: Option<Bytes>,
}

/// What was found in a file: what its header says, where that can be read, and what is in it.
async fn examine(
    app: &App,
    file: Bytes,
    plan: &Plan,
    dressed: bool,
) -> (Option<PictureInfo>, Result<Contents, JobError>) {
    let (limits, max_side) = (input::limits(app), plan.max_side);
    let examined = app.darkroom.run(move || {
        let header = match probe(&file, &limits) {
            Ok(header) => header,
            Err(error) => return (None, Err(error)),
        };
        let info = Some(tell(header, file.len()));
        (info, look_into(file, &limits, max_side, dressed))
    });
    match examined.await {
        Ok((info, contents)) => (
            info,
            contents.map_err(|error| input::unusable(CHECKED_FIELD, &error)),
        ),
        Err(panic) => (None, Err(input::undecodable(CHECKED_FIELD, &panic))),
    }
}

fn look_into(
    file: Bytes,
    limits: &Limits,
    max_side: u32,
    dressed: bool,
) -> Result<Contents, PictureError> {
    let picture = reduce(&file, limits, max_side)?;
    drop(file);
    let marked = find_marked(&picture).filter(|_| dressed);
    let mask = marked.and_then(|(marking, mask)| measure(marking, &mask));
    let file = dressed.then(|| encode_png(&picture, &[])).transpose()?;
    Ok(Contents {
        width: picture.width(),
        height: picture.height(),
        mask,
        file: file.map(Bytes::from),
    })
}

fn measure(marking: Marking, mask: &Mask) -> Option<MaskedRegion> {
    let [x, y, w, h] = mask.frame()?;
    Some(MaskedRegion {
        by: match marking {
            Marking::CutOut => "cut-out",
            Marking::Paint => "paint",
        },
        share: mask.share(),
        region: Rectangle { x, y, w, h },
    })
}

fn answer(picture: Option<PictureInfo>, contents: &Contents, provider: Provider) -> CheckAnswer {
    CheckAnswer {
        ok: true,
        usable: true,
        error: None,
        picture,
        prepared: Some(Prepared {
            provider,
            width: contents.width,
            height: contents.height,
        }),
        masking: contents.mask.map(|_| Masking::Marked),
        mask: contents.mask,
    }
}

/// The answer with what a node said of the person. What is marked stays what is dressed.
fn with_report(mut answer: CheckAnswer, report: Option<CheckReport>) -> CheckAnswer {
    let (masking, mask) = match report {
        Some(CheckReport {
            error: Some(error), ..
        }) => {
            let error = JobError::new(error.error_name, error.error);
            return refused(error, answer.picture);
        }
        Some(CheckReport {
            mask: Some(mask), ..
        }) => (Masking::Parsed, Some(parsed(mask))),
        Some(CheckReport { mask: None, .. }) => (Masking::Free, None),
        None => (Masking::Unknown, None),
    };
    if answer.mask.is_none() {
        answer.masking = Some(masking);
        answer.mask = mask;
    }
    answer
}

const fn parsed(mask: MaskReport) -> MaskedRegion {
    MaskedRegion {
        by: "parser",
        share: mask.share,
        region: mask.region,
    }
}

/// That a job with it would fail.
fn refused(error: JobError, picture: Option<PictureInfo>) -> CheckAnswer {
    CheckAnswer {
        ok: true,
        usable: false,
        error: Some(error.into()),
        picture,
        prepared: None,
        masking: None,
        mask: None,
    }
}
