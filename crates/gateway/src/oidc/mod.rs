//! Signing in at a provider of OpenID Connect.
//!
//! The authorization code flow with PKCE. What a browser has to bring back ([`Flow`]) is in its own
//! cookie, so that nothing is written for somebody who only asks, and any gateway takes it back. What
//! the provider says of itself and its keys are asked for when they are first needed ([`Provider`]).
//! Who comes back is known by what the provider calls them, issuer and subject, and by nothing else
//! from the second time on ([`login`]).

mod flow;
pub(crate) mod login;
mod provider;
mod transport;

pub(crate) use self::{
    flow::Flow,
    provider::{OidcError, Person, Provider},
};
