//! Answers of token servers (the distribution project's token and OAuth 2 specifications).

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::scope::Scope;
use crate::code::is_html;
use crate::secret::Secret;

/// Real tokens are below 16 KiB; more is not read.
pub(crate) const BODY_LIMIT: u64 = 64 * 1024;
/// How long a token is good for where its server does not say (token specification).
const LIFE: Duration = Duration::from_secs(60);
/// No token is trusted for longer, whatever its server says.
const LIFE_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// A token and how long it is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) secret: Secret,
    /// What it was asked for.
    pub(crate) scopes: Vec<Scope>,
    /// What it says itself that it grants, where it can be read.
    pub(crate) granted: Option<Vec<Scope>>,
    /// When it was received, by our own clock: the server's may be wrong.
    pub(crate) received: SystemTime,
    pub(crate) life: Duration,
    /// Whether it served before, in this run or an earlier one.
    pub(crate) reused: bool,
}

/// Why an answer holds no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// It is a web page.
    Html,
    /// It is no JSON with a token.
    NoToken,
    /// Its token cannot stand in a header.
    Unprintable,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<Secret>,
    access_token: Option<Secret>,
    /// A number, or its text, as some servers write it.
    expires_in: Option<serde_json::Value>,
}

impl Token {
    /// Reads a token server's answer.
    pub(crate) fn parse(
        body: &[u8],
        scopes: Vec<Scope>,
        received: SystemTime,
    ) -> Result<Self, Malformed> {
        if is_html(body) {
            return Err(Malformed::Html);
        }
        let answer: Answer = serde_json::from_slice(body).map_err(|_| Malformed::NoToken)?;
        let given = |secret: &Secret| !secret.is_empty();
        let secret = answer
            .token
            .filter(given)
            .or(answer.access_token.filter(given));
        let secret = secret.ok_or(Malformed::NoToken)?;
        // A header could not carry it.
        if !secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Malformed::Unprintable);
        }
        let seconds = answer.expires_in.as_ref().and_then(|given| {
            let text = given.as_str().and_then(|text| text.trim().parse().ok());
            given.as_f64().or(text)
        });
        let life = seconds
            .filter(|seconds| *seconds >= 1.0)
            .map_or(LIFE, |seconds| {
                Duration::from_secs_f64(seconds.min(LIFE_LIMIT.as_secs_f64()))
            });
        Ok(Self {
            granted: granted(&secret),
            secret,
            scopes,
            received,
            life,
            reused: false,
        })
    }

    /// Takes a token that was kept.
    pub(crate) fn restored(
        secret: Secret,
        scopes: Vec<Scope>,
        received: SystemTime,
        life: Duration,
    ) -> Self {
        Self {
            granted: granted(&secret),
            secret,
            scopes,
            received,
            life: life.min(LIFE_LIMIT),
            reused: true,
        }
    }

    /// Tells whether a request that starts now may carry it: a fifth of its life, at most a
    /// minute, is kept as a margin.
    pub(crate) fn is_fresh(&self, now: SystemTime) -> bool {
        let margin = (self.life / 5).min(Duration::from_secs(60));
        // A clock that was set back makes the age unknown: take a new token.
        now.duration_since(self.received)
            .is_ok_and(|age| age + margin < self.life)
    }

    /// Tells whether it was asked for this and does not itself deny it.
    pub(crate) fn covers(&self, wanted: &Scope) -> bool {
        let holds = |scopes: &Vec<Scope>| scopes.iter().any(|scope| scope.covers(wanted));
        holds(&self.scopes) && self.granted.as_ref().is_none_or(holds)
    }
}

/// Reads what a JSON web token claims to grant. It is not verified: a wrong claim only costs a
/// request.
fn granted(secret: &Secret) -> Option<Vec<Scope>> {
    #[derive(Deserialize)]
    struct Claims {
        access: Vec<Access>,
    }
    #[derive(Deserialize)]
    struct Access {
        #[serde(rename = "type")]
        kind: String,
        name: String,
        actions: Option<Vec<String>>,
    }
    let payload = secret.expose().split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD
        .decode(payload)
        .or_else(|_| URL_SAFE.decode(payload));
    let claims: Claims = serde_json::from_slice(&bytes.ok()?).ok()?;
    let scope = |access: Access| {
        Scope::granted(
            &access.kind,
            &access.name,
            access.actions.unwrap_or_default(),
        )
    };
    Some(claims.access.into_iter().map(scope).collect())
}

/// Reads a challenge and a token, for fuzz targets.
#[cfg(feature = "fuzzing")]
pub(in crate::client) fn read_untrusted(headers: &http::HeaderMap, body: &[u8]) {
    if let Some(super::challenge::Challenge::Bearer(bearer)) =
        super::challenge::Challenge::of(headers)
    {
        Scope::parse_list(&bearer.scope.unwrap_or_default());
    }
    let now = SystemTime::UNIX_EPOCH;
    if let Ok(token) = Token::parse(body, Vec::new(), now) {
        let graphic = token
            .secret
            .expose()
            .bytes()
            .all(|byte| byte.is_ascii_graphic());
        assert!(graphic, "a header cannot carry this token");
    }
}

#[cfg(test)]
mod tests {
    use super::super::scope::Action;
    use super::*;

    fn parse(body: &str) -> Result<Token, Malformed> {
        let scope = Scope::repository("a", Action::Pull);
        Token::parse(body.as_bytes(), vec![scope], SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn reads_both_names_and_the_life() {
        let token =
            parse(r#"{"token":"t","expires_in":300,"issued_at":"2001-01-01T00:00:00Z"}"#).unwrap();
        assert_eq!(
            (token.secret.expose(), token.life),
            ("t", Duration::from_secs(300))
        );
        assert_eq!(
            parse(r#"{"token":"","access_token":"u"}"#)
                .unwrap()
                .secret
                .expose(),
            "u"
        );
        for (given, life) in [
            ("-5", LIFE),
            (r#""300""#, Duration::from_secs(300)),
            (r#""soon""#, LIFE),
            ("null", LIFE),
        ] {
            let body = format!(r#"{{"token":"t","expires_in":{given}}}"#);
            assert_eq!(parse(&body).unwrap().life, life, "{given}");
        }
        assert_eq!(
            parse(r#"{"token":"t","expires_in":1e300}"#).unwrap().life,
            LIFE_LIMIT
        );
    }

    #[test]
    fn refuses_what_is_no_token() {
        assert_eq!(parse("<html><body>login"), Err(Malformed::Html));
        assert_eq!(parse("{}"), Err(Malformed::NoToken));
        assert_eq!(
            parse("{\"token\":\"a\\r\\nX: y\"}"),
            Err(Malformed::Unprintable)
        );
    }

    #[test]
    fn is_stale_before_it_expires_and_when_the_clock_went_back() {
        let token = parse(r#"{"token":"t","expires_in":300}"#).unwrap();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(token.is_fresh(at(239)));
        assert!(!token.is_fresh(at(241)));
        assert!(!token.is_fresh(SystemTime::UNIX_EPOCH - Duration::from_secs(1)));
    }

    #[test]
    fn a_token_that_denies_a_scope_does_not_cover_it() {
        let claims = r#"{"access":[{"type":"repository","name":"b","actions":["pull"]}]}"#;
        let jwt = format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims));
        let mut token = parse(&format!(r#"{{"token":"{jwt}"}}"#)).unwrap();
        token.scopes.push(Scope::repository("b", Action::Pull));
        assert!(token.covers(&Scope::repository("b", Action::Pull)));
        assert!(!token.covers(&Scope::repository("a", Action::Pull)));
        let opaque = parse(r#"{"token":"opaque"}"#).unwrap();
        assert!(opaque.covers(&Scope::repository("a", Action::Pull)));
        assert!(!opaque.covers(&Scope::repository("a", Action::Push)));
    }
}
