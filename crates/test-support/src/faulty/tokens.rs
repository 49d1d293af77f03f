//! Issues Bearer tokens and checks them (distribution's token specification).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::wire::Head;

/// Who gets tokens, for what, and for how long.
#[derive(Debug, Clone)]
pub struct TokenRules {
    accounts: Vec<(String, String)>,
    anonymous: bool,
    several_scopes: bool,
    lifetime: Duration,
}

impl TokenRules {
    /// Grants pulling to anyone, pushing to nobody. Tokens live five minutes and may be for several
    /// repositories.
    #[must_use]
    pub const fn anonymous() -> Self {
        Self {
            accounts: Vec::new(),
            anonymous: true,
            several_scopes: true,
            lifetime: Duration::from_secs(300),
        }
    }

    /// Grants nothing without an account.
    #[must_use]
    pub const fn private() -> Self {
        let mut rules = Self::anonymous();
        rules.anonymous = false;
        rules
    }

    /// Adds an account, which may pull and push everything. Its identity token is
    /// `identity-of-NAME`.
    #[must_use]
    pub fn account(mut self, name: &str, password: &str) -> Self {
        self.accounts.push((name.to_owned(), password.to_owned()));
        self
    }

    /// Grants only the first of the scopes that a request asks for.
    #[must_use]
    pub const fn one_scope(mut self) -> Self {
        self.several_scopes = false;
        self
    }

    /// Lets tokens live so long, and says so in `expires_in`.
    #[must_use]
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }
}

/// The tokens that were issued.
#[derive(Debug)]
pub(super) struct Tokens {
    rules: TokenRules,
    issued: HashMap<String, Grant>,
}

#[derive(Debug)]
struct Grant {
    scopes: Vec<Scope>,
    ends: Instant,
}

/// `repository:NAME:ACTION,ACTION`.
#[derive(Debug, Clone)]
struct Scope {
    name: String,
    actions: Vec<String>,
}

/// Who asks.
enum Caller {
    Anonymous,
    Account,
    Unknown,
}

impl Tokens {
    pub(super) fn new(rules: TokenRules) -> Self {
        Self {
            rules,
            issued: HashMap::new(),
        }
    }

    /// Forgets all tokens: the next use of one is answered 401.
    pub(super) fn revoke(&mut self) {
        self.issued.clear();
    }

    /// Answers a request for a token: status and document.
    pub(super) fn issue(&mut self, head: &Head, body: &[u8]) -> (u16, Value) {
        let (method, target) = head.request();
        let form = if method == "POST" {
            String::from_utf8_lossy(body).into_owned()
        } else {
            let query = target.split_once('?').map(|(_, query)| query);
            query.unwrap_or_default().to_owned()
        };
        let fields: Vec<(String, String)> = form.split('&').filter_map(field).collect();
        let caller = self.caller(method, head, &fields);
        match caller {
            Caller::Unknown => return (401, json!({"details": "incorrect username or password"})),
            Caller::Anonymous if !self.rules.anonymous => {
                return (401, json!({"details": "authentication required"}));
            }
            _ => {}
        }
        let trusted = matches!(caller, Caller::Account);
        let token = self.remember(scopes(&fields), trusted);
        let mut document = json!({
            "token": token, "access_token": token,
            "expires_in": self.rules.lifetime.as_secs(),
        });
        let wants_identity = value(&fields, "offline_token") == Some("true")
            || value(&fields, "access_type") == Some("offline");
        if let (true, Some((name, _))) = (wants_identity && trusted, self.rules.accounts.first()) {
            document["refresh_token"] = json!(format!("identity-of-{name}"));
        }
        (200, document)
    }

    fn remember(&mut self, mut scopes: Vec<Scope>, trusted: bool) -> String {
        if !self.rules.several_scopes {
            scopes.truncate(1);
        }
        if !trusted {
            for scope in &mut scopes {
                scope.actions.retain(|action| action == "pull");
            }
        }
        let token = format!("token-{}", self.issued.len() + 1);
        let token = format!("{token}-{:016x}", fastrand::u64(..));
        let ends = Instant::now() + self.rules.lifetime;
        self.issued.insert(token.clone(), Grant { scopes, ends });
        token
    }

    fn caller(&self, method: &str, head: &Head, fields: &[(String, String)]) -> Caller {
        let account = match (method, value(fields, "grant_type")) {
            ("POST", Some("refresh_token")) => {
                let token = value(fields, "refresh_token").unwrap_or_default();
                let mut accounts = self.rules.accounts.iter();
                return if accounts.any(|(name, _)| token == format!("identity-of-{name}")) {
                    Caller::Account
                } else {
                    Caller::Unknown
                };
            }
            ("POST", _) => Some((
                value(fields, "username").unwrap_or_default().to_owned(),
                value(fields, "password").unwrap_or_default().to_owned(),
            )),
            _ => basic(head),
        };
        match account {
            None => Caller::Anonymous,
            Some(account) if self.rules.accounts.contains(&account) => Caller::Account,
            Some(_) => Caller::Unknown,
        }
    }

    /// Returns whether a request carries a token that allows `action` on `repository`.
    pub(super) fn allows(&self, head: &Head, repository: &str, action: &str) -> bool {
        let token = head
            .header("authorization")
            .and_then(|text| text.strip_prefix("Bearer "));
        let Some(grant) = token.and_then(|token| self.issued.get(token)) else {
            return false;
        };
        let granted = |scope: &Scope| {
            scope.name == repository && scope.actions.iter().any(|known| known == action)
        };
        grant.ends > Instant::now() && (repository.is_empty() || grant.scopes.iter().any(granted))
    }
}

fn scopes(fields: &[(String, String)]) -> Vec<Scope> {
    fields
        .iter()
        .filter(|(name, _)| name == "scope")
        .flat_map(|(_, text)| text.split(' '))
        .filter_map(|text| {
            let (name, actions) = text.strip_prefix("repository:")?.rsplit_once(':')?;
            Some(Scope {
                name: name.to_owned(),
                actions: actions.split(',').map(str::to_owned).collect(),
            })
        })
        .collect()
}

/// Reads `Authorization: Basic …`.
pub(crate) fn basic_account(value: &str) -> Option<(String, String)> {
    let encoded = value.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

fn basic(head: &Head) -> Option<(String, String)> {
    basic_account(head.header("authorization")?)
}

fn value<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = fields.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str())
}

fn field(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    Some((decode(name), decode(value)))
}

/// Undoes percent-encoding and the plus signs of forms.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(byte) = bytes.get(place) {
        let digits = text.get(place + 1..place + 3);
        match (byte, digits.map(|digits| u8::from_str_radix(digits, 16))) {
            (b'%', Some(Ok(code))) => {
                decoded.push(code);
                place += 3;
                continue;
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(*byte),
        }
        place += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
