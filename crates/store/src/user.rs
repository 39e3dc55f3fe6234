//! Who signs in to the pages, what they did there, and what an account's history shows them.

use tryon_core::{
    id::{AccountId, JobId, UserId},
    ledger::Movement,
    time::Timestamp,
};

use crate::record::Account;

/// Somebody who may sign in to the pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// What they sign in with, in lower case.
    pub login: String,
    /// The account that they look after.
    pub account: AccountId,
    /// Whether they look after the platform, and so after every account.
    pub is_operator: bool,
    /// Their password's hash in the PHC form; `None` for whoever signs in elsewhere.
    pub password: Option<String>,
    /// When they were made known.
    pub created_at: Timestamp,
    /// Since when they may not sign in.
    pub disabled_at: Option<Timestamp>,
}

/// Somebody to be made known.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Their id.
    pub id: UserId,
    /// What they sign in with, in lower case.
    pub login: String,
    /// The account that they look after.
    pub account: AccountId,
    /// Whether they look after the platform.
    pub is_operator: bool,
    /// Their password's hash in the PHC form.
    pub password: Option<String>,
}

/// What a provider of OpenID Connect calls somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The provider, as it calls itself.
    pub issuer: String,
    /// What it calls them, of 1 to 255 characters.
    pub subject: String,
}

/// By what somebody signs in.
#[derive(Clone)]
pub enum Proof {
    /// They named the password of this hash.
    Password(String),
    /// A provider says that they are this.
    Identity(Identity),
}

/// That somebody signs in, in one browser.
#[derive(Clone)]
pub struct NewSession {
    /// SHA-256 of what the browser keeps.
    pub hash: [u8; 32],
    /// Who it is.
    pub user: UserId,
    /// By what they sign in.
    pub proof: Proof,
    /// From when on they have to sign in again.
    pub expires_at: Timestamp,
}

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// Who it is.
    pub user: User,
    /// The account that they look after, as it stands now.
    pub account: Account,
}

/// Something that somebody changed, to be written down.
#[derive(Debug, Clone)]
pub struct NewAction {
    /// The login of who did it, or what stands for the command line.
    pub actor: String,
    /// The account that it concerns.
    pub account: Option<AccountId>,
    /// What it was, such as `key.create`.
    pub action: &'static str,
    /// To what, and how; no secret.
    pub detail: String,
    /// What a form that is to be done once is known by.
    pub form: Option<String>,
}

/// Something that somebody changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Its place in the log.
    pub id: i64,
    /// When it was.
    pub at: Timestamp,
    /// The login of who did it.
    pub actor: String,
    /// The account that it concerns.
    pub account: Option<AccountId>,
    /// What it was.
    pub action: String,
    /// To what, and how.
    pub detail: String,
}

/// A row of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the ledger.
    pub id: i64,
    /// When it was written.
    pub at: Timestamp,
    /// The job that it belongs to; none for a grant.
    pub job: Option<JobId>,
    /// What it moved.
    pub movement: Movement,
}

/// Which page of a list whose entries are numbered: the newest before `before`.
#[derive(Debug, Clone, Copy)]
pub struct Before {
    /// The number of the last entry of the page before; from the newest on where absent.
    pub before: Option<i64>,
    /// How many entries at most.
    pub limit: u32,
}

/// What an account used on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageDay {
    /// The day of UTC, counted from 1970-01-01.
    pub day: i64,
    /// Pictures that were delivered, each a credit.
    pub pictures: u64,
    /// Jobs that ended with pictures.
    pub completed: u64,
    /// Jobs that ended without.
    pub failed: u64,
}
