//! What would become of a picture, before a job is paid for it.

use std::sync::Arc;

use axum::{Extension, Json, body::Body, extract::State};
use bytes::Bytes;
use tokio::task::spawn_blocking;
use tryon_api::public::{
    CHECKED_FIELD, CheckAnswer, CheckRequest, ErrorBody, MarkedRegion, PictureInfo, Prepared,
    Rectangle, parse_check,
};
use tryon_core::{
    error::JobError,
    id::AccountId,
    task::{Mode, Task},
};
use tryon_picture::{
    Limits, Mask, PictureError,
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
    error::ApiError,
    input::{self, InputError, Inputs},
    prepare::reduce,
    upload,
};

/// Says what would become of a picture: what it is, whether it can be used, what a node would be given,
/// and which region is marked in it. Costs no credits, and keeps nothing. It is counted as a submission
/// in the request limit.
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
    State(app): State<Arc<App>>,
    Extension(inputs): Extension<Inputs>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<CheckAnswer>, ApiError> {
    let body = body::read(body, &caller.account, &app.config.limits, &app.bodies).await?;
    let (bytes, _held) = body.into_parts();
    let asked = read(bytes, app.config.limits.picture_bytes).await?;
    let plan = get_plan(&app, asked.task, asked.mode)?;
    let _share = match asked.picture {
        Picture::Url(_) => {
            // What would not fit even alone is fetched alone.
            let most = app.config.limits.buffered_bytes;
            let most = app.config.fetch.max_bytes.min(most);
            let share = app.bodies.reserve(most).await;
            Some(share.ok_or_else(ApiError::crowded)?)
        }
        Picture::Bytes(_) => None,
    };
    match look(&app, &inputs, caller.account.id, (asked.picture, plan)).await {
        Ok(answer) => Ok(Json(answer)),
        Err(InputError::Unusable(error)) => Ok(Json(refused(error, None))),
        Err(InputError::Blob(error)) => Err(error.into()),
    }
}

/// What a body asks for.
struct Asked {
    picture: Picture,
    task: Task,
    mode: Mode,
}

async fn read(body: Bytes, picture_limit: usize) -> Result<Asked, ApiError> {
    let small = body.len() <= wanted::SMALL;
    let ask = move || {
        let check = parse_check(&body)?;
        Ok(Asked {
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

async fn look(
    app: &App,
    inputs: &Inputs,
    account: AccountId,
    (picture, plan): (Picture, Plan),
) -> Result<CheckAnswer, InputError> {
    let file = match picture {
        Picture::Bytes(file) => file,
        Picture::Url(url) => {
            if let Some(key) = upload::find_named(app, account, url.as_str())
                && !upload::is_kept(app, &key).await?
            {
                return Err(input::gone(CHECKED_FIELD).into());
            }
            let source = Source::Url(url.into());
            inputs.read(account, CHECKED_FIELD, source).await?
        }
    };
    let limits = input::limits(app);
    let examined = app
        .darkroom
        .run(move || examine(&file, &limits, plan.max_side))
        .await;
    let examined = examined.map_err(|panic| input::undecodable(CHECKED_FIELD, &panic))?;
    Ok(answer(examined, &plan))
}

/// What was found in a file: what its header says, where that can be read, and what is in it.
type Examined = (Option<PictureInfo>, Result<Contents, PictureError>);

/// A picture as a node would be given it.
struct Contents {
    width: u32,
    height: u32,
    mask: Option<MarkedRegion>,
}

fn examine(file: &Bytes, limits: &Limits, max_side: u32) -> Examined {
    let header = match probe(file, limits) {
        Ok(header) => header,
        Err(error) => return (None, Err(error)),
    };
    let info = Some(tell(header, file.len()));
    (info, look_into(file, limits, max_side))
}

fn look_into(file: &Bytes, limits: &Limits, max_side: u32) -> Result<Contents, PictureError> {
    let picture = reduce(file, limits, max_side)?;
    Ok(Contents {
        width: picture.width(),
        height: picture.height(),
        mask: find_marked(&picture).and_then(|(marking, mask)| measure(marking, &mask)),
    })
}

fn measure(marking: Marking, mask: &Mask) -> Option<MarkedRegion> {
    let [left, top, right, bottom] = mask.bounds()?;
    let across = |pixels: u32| f64::from(pixels) / f64::from(mask.width);
    let down = |pixels: u32| f64::from(pixels) / f64::from(mask.height);
    Some(MarkedRegion {
        by: match marking {
            Marking::CutOut => "cut-out",
            Marking::Paint => "paint",
        },
        share: mask.share(),
        region: Rectangle {
            x: across(left),
            y: down(top),
            w: across(right - left),
            h: down(bottom - top),
        },
    })
}

fn answer((info, contents): Examined, plan: &Plan) -> CheckAnswer {
    let contents = match contents {
        Ok(contents) => contents,
        Err(error) => return refused(input::unusable(CHECKED_FIELD, &error), info),
    };
    CheckAnswer {
        ok: true,
        usable: true,
        error: None,
        picture: info,
        prepared: Some(Prepared {
            provider: plan.provider,
            width: contents.width,
            height: contents.height,
        }),
        mask: contents.mask,
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
        mask: None,
    }
}
