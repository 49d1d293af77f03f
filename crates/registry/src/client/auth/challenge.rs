//! `WWW-Authenticate` challenges (RFC 9110, 11.3; the distribution project's token
//! specification): which way a registry wants to be convinced.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// No header of a registry needs more; the rest is not looked at.
const HEADER_LIMIT: usize = 8 * 1024;

/// A way to authenticate that a registry offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A token of a realm.
    Bearer(Bearer),
    /// User name and password with each request.
    Basic,
}

/// Where tokens come from, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Bearer {
    /// Address of the token server, as it was given.
    pub(crate) realm: String,
    /// Name of the registry as the token server knows it.
    pub(crate) service: Option<String>,
    /// What the refused request needs, scopes separated by blanks.
    pub(crate) scope: Option<String>,
    /// Why the token that came with the request was refused, such as `insufficient_scope`.
    pub(crate) error: Option<String>,
}

impl Challenge {
    /// Takes the strongest challenge of a response: Bearer before Basic, others left out.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut basic = None;
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let Ok(text) = value.to_str() else { continue };
            for (scheme, params) in challenges(&text[..text.len().min(HEADER_LIMIT)]) {
                if scheme.eq_ignore_ascii_case("bearer") {
                    if let Some(bearer) = Bearer::of(params) {
                        return Some(Self::Bearer(bearer));
                    }
                } else if scheme.eq_ignore_ascii_case("basic") {
                    basic = Some(Self::Basic);
                }
            }
        }
        basic
    }
}

impl Bearer {
    fn of(params: Vec<(&str, String)>) -> Option<Self> {
        let mut bearer = Self {
            realm: String::new(),
            service: None,
            scope: None,
            error: None,
        };
        for (name, value) in params {
            match name.to_ascii_lowercase().as_str() {
                "realm" => bearer.realm = value,
                "service" => bearer.service = Some(value),
                "scope" => bearer.scope = Some(value).filter(|scope| !scope.trim().is_empty()),
                "error" => bearer.error = Some(value),
                _ => {}
            }
        }
        (!bearer.realm.is_empty()).then_some(bearer)
    }
}

/// Splits a header into its challenges: a scheme, then `name=value` pairs separated by commas.
/// What is malformed ends the list; what came before it stays.
fn challenges(text: &str) -> Vec<(&str, Vec<(&str, String)>)> {
    let mut found: Vec<(&str, Vec<(&str, String)>)> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = token(rest);
        if word.is_empty() {
            return found;
        }
        let after_blank = after.trim_start();
        if let (Some(after), Some((_, params))) = (after_blank.strip_prefix('='), found.last_mut())
        {
            let Some((value, after)) = value(after.trim_start()) else {
                return found;
            };
            params.push((word, value));
            rest = after;
        } else {
            found.push((word, Vec::new()));
            rest = after;
        }
    }
}

/// A run of token characters (RFC 9110, 5.6.2), and what follows.
fn token(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    text.split_at(text.find(|c| !is_token(c)).unwrap_or(text.len()))
}

/// A quoted string, or anything up to a comma or blank: some registries leave the quotes out.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        Challenge::of(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer(Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
            error: None,
        }))
    }

    #[test]
    fn reads_what_registries_send() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/busybox:pull,push""#;
        assert_eq!(
            of(&[hub]),
            bearer(
                "https://auth.docker.io/token",
                Some("registry.docker.io"),
                Some("repository:library/busybox:pull,push")
            )
        );
        assert_eq!(of(&["Basic realm=\"r, x\""]), Some(Challenge::Basic));
        assert_eq!(
            of(&[r#"BASIC realm=r, bearer REALM=http://t/x, Service = "s""#]),
            bearer("http://t/x", Some("s"), None)
        );
        assert_eq!(
            of(&["Basic realm=r", r#"Bearer realm="http://t""#]),
            bearer("http://t", None, None)
        );
        assert_eq!(
            of(&[r#"Bearer realm="a\"b",scope="""#]),
            bearer("a\"b", None, None)
        );
    }

    #[test]
    fn leaves_out_what_is_malformed_or_unknown() {
        for text in [
            "",
            "Negotiate",
            "Bearer",
            r#"Bearer realm="open"#,
            "=,=",
            "Bearer service=\"s\"",
        ] {
            assert_eq!(of(&[text]), None, "{text}");
        }
    }
}
