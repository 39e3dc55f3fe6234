//! What the pages of somebody who is signed in have in common.

use std::time::{Duration, UNIX_EPOCH};

use tryon_core::{id::AccountId, time::Timestamp};
use tryon_store::NewAction;

use crate::{app::App, error::ApiError, session::Session};

/// The last one that has a year of four digits.
const LAST_MILLISECOND: u64 = 253_402_300_799_999;

/// Entries of a list on one page.
pub(super) const PAGE: u32 = 25;

/// What every page of somebody who is signed in shows.
pub(super) struct Frame {
    pub(super) login: String,
    pub(super) is_operator: bool,
    /// Whether they have a password that signs them in.
    pub(super) has_password: bool,
    /// What its forms carry.
    pub(super) proof: String,
    /// What a form of this page that is to be done once is known by.
    pub(super) form: String,
    /// What was done, or could not be.
    pub(super) notice: Notice,
}

/// What a page says of what was just asked for.
#[derive(Default)]
pub(super) enum Notice {
    #[default]
    None,
    Done(String),
    Failed(String),
}

impl Frame {
    pub(super) fn of(app: &App, session: &Session) -> Self {
        let mut form = [0; 16];
        app.random.fill(&mut form);
        Self {
            form: hex::encode(form),
            login: session.visitor.user.login.clone(),
            is_operator: session.visitor.user.is_operator,
            has_password: has_password(app, session),
            proof: session.proof(),
            notice: Notice::None,
        }
    }

    pub(super) fn saying(self, notice: Notice) -> Self {
        Self { notice, ..self }
    }
}

/// Whether somebody has a password that signs them in.
pub(super) fn has_password(app: &App, session: &Session) -> bool {
    app.config.sign_in.passwords && session.visitor.user.password.is_some()
}

impl Session {
    /// Writes down what this user is about to change. It is written first: what cannot be written
    /// down is not done, and neither is what the same form asked for before.
    pub(super) async fn note(
        &self,
        app: &App,
        account: Option<AccountId>,
        action: &'static str,
        detail: String,
    ) -> Result<(), ApiError> {
        let actor = self.visitor.user.login.clone();
        tracing::info!(%actor, action, detail, "changed in a page");
        let action = NewAction {
            actor,
            account,
            action,
            detail,
            form: self.form.clone(),
        };
        if app.store.record_action(action, app.clock.now()).await? {
            return Ok(());
        }
        let reason = "this form was sent before: look whether it was done, and load its page anew to \
                      do it again";
        Err(ApiError::bad_request(reason))
    }
}

/// A time as people read it: `2026-01-31 14:05`, of UTC.
pub(super) fn moment(time: Timestamp) -> String {
    let text = rfc3339(time);
    format!("{} {}", &text[..10], &text[11..16])
}

/// The same for programs.
pub(super) fn rfc3339(time: Timestamp) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or_default();
    let time = UNIX_EPOCH + Duration::from_millis(millis.min(LAST_MILLISECOND));
    humantime::format_rfc3339_seconds(time).to_string()
}

/// A duration in its largest unit: `4 s`, `12 min`, `3 h`, `2 days`.
pub(super) fn span(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min", seconds / 60),
        seconds @ 3_600..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_are_read_by_people() {
        let time = Timestamp::from_millis(1_700_000_000_123);
        assert_eq!(moment(time), "2023-11-14 22:13");
        assert_eq!(rfc3339(time), "2023-11-14T22:13:20Z");
        let never = Timestamp::from_millis(i64::MAX);
        assert_eq!(rfc3339(never), "9999-12-31T23:59:59Z");
        let spans = [0, 59, 60, 3_599, 3_600, 172_799, 172_800].map(Duration::from_secs);
        assert_eq!(
            spans.map(span),
            ["0 s", "59 s", "1 min", "59 min", "1 h", "47 h", "2 days"]
        );
    }
}
