//! Logins that token servers refused. Asking again and again could lock the account.

use std::collections::HashMap;
use std::sync::Mutex;

use sealift_transport as transport;

use super::disk::Owner;
use super::lock;
use super::scope::Scope;
use crate::code::Explanation;

/// How many different scopes an account that was never granted one is tried for.
const TRIES: usize = 3;

/// What was refused to whom.
#[derive(Default)]
pub(super) struct Refusals {
    by_owner: Mutex<HashMap<Owner, Account>>,
}

/// What is known of one account at one realm.
#[derive(Default)]
struct Account {
    /// Whether it was granted anything, so that its password is right.
    granted: bool,
    /// The realm says that the password is wrong.
    wrong: Option<transport::Error>,
    /// What it may not do.
    scopes: Vec<(Vec<Scope>, transport::Error)>,
}

impl Refusals {
    /// Returns the refusal that a request for these scopes would repeat, where one is known. That one
    /// repository is refused says nothing of another: a base image may be public and one's own private.
    pub(super) fn known(&self, owner: &Owner, scopes: &[Scope]) -> Option<transport::Error> {
        let accounts = lock(&self.by_owner);
        let account = accounts.get(owner)?;
        let same = account.scopes.iter().find(|(refused, _)| refused == scopes);
        let doubtful = !account.granted && account.scopes.len() >= TRIES;
        let last = account.scopes.last().filter(|_| doubtful);
        let of_scopes = same.or(last).map(|(_, error)| error);
        account.wrong.as_ref().or(of_scopes).cloned()
    }

    pub(super) fn granted(&self, owner: &Owner) {
        lock(&self.by_owner)
            .entry(owner.clone())
            .or_default()
            .granted = true;
    }

    pub(super) fn add(&self, owner: &Owner, scopes: &[Scope], error: &transport::Error) {
        let body = error.body().unwrap_or_default();
        let wrong = Explanation::parse(body.as_bytes()).mentions("password");
        let mut accounts = lock(&self.by_owner);
        let account = accounts.entry(owner.clone()).or_default();
        match wrong {
            true => account.wrong = Some(error.clone()),
            false => account.scopes.push((scopes.to_vec(), error.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use sealift_transport::{Cause, Phase};

    use super::super::scope::Action;
    use super::*;

    fn refused(body: &str) -> transport::Error {
        let status = StatusCode::UNAUTHORIZED;
        let body = body.to_owned();
        transport::Error::new(Cause::Status { status, body }, Phase::Token, "auth", "x")
    }

    fn owner() -> Owner {
        Owner {
            endpoint: "https://r/v2".to_owned(),
            realm: "https://auth/token".to_owned(),
            service: "s".to_owned(),
            account: Some("u".to_owned()),
        }
    }

    fn scope(name: &str) -> Vec<Scope> {
        vec![Scope::repository(name, Action::Pull)]
    }

    #[test]
    fn one_refused_scope_does_not_forbid_another() {
        let (refusals, owner) = (Refusals::default(), owner());
        refusals.add(&owner, &scope("public"), &refused("denied"));
        assert!(refusals.known(&owner, &scope("public")).is_some());
        assert!(refusals.known(&owner, &scope("team/a")).is_none());
        refusals.granted(&owner);
        for name in ["b", "c", "d"] {
            refusals.add(&owner, &scope(name), &refused("denied"));
        }
        assert!(refusals.known(&owner, &scope("team/a")).is_none());
    }

    #[test]
    fn a_wrong_password_is_not_tried_for_every_repository() {
        let (refusals, owner) = (Refusals::default(), owner());
        refusals.add(
            &owner,
            &scope("a"),
            &refused("incorrect username or password"),
        );
        assert!(refusals.known(&owner, &scope("b")).is_some());
        // A realm that says nothing of the password is believed after a few.
        let refusals = Refusals::default();
        for (number, name) in ["a", "b", "c"].iter().enumerate() {
            assert!(refusals.known(&owner, &scope("x")).is_none(), "{number}");
            refusals.add(&owner, &scope(name), &refused("no"));
        }
        assert!(refusals.known(&owner, &scope("x")).is_some());
    }
}
