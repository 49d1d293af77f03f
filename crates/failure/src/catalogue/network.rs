//! The catalogue's rows for what networks, registries and the engine say: first match wins. A flat
//! table, to be read and extended.

use super::row::{ALL_BUT_EXEC, ANY, NO_STATUS, NO_TEXT, Row, rows};
use crate::class::Class;
use crate::phase::Phase;
use crate::verdict::Remedy;

use Phase::{Blob, Boot, Exec, Export, Push, Resolve, Token};

/// The rows, in the order of their look-up.
pub(super) const NETWORK: &[Row] = rows! {
    // The user's own.
    { &["failed to calculate checksum of ref", "failed to compute cache key: \"/"], NO_STATUS, ANY } => Build Never
        "A COPY or ADD source is not in the build context; .dockerignore may exclude it.";
        (Exec, "failed to calculate checksum of ref abc: \"/x\": not found", None),
        (Resolve, "failed to compute cache key: \"/x\" not found", None);
    { &["dockerfile parse error", "failed to parse dockerfile", "unknown instruction", "failed to process \"", "failed to read dockerfile"], NO_STATUS, ANY } => Build Never
        "";
        (Resolve, "dockerfile parse error on line 3: unknown instruction: RUNN", None),
        (Exec, "failed to read dockerfile: open Dockerfile: no such file or directory", None);

    // The engine.
    { &["no active session", "graceful_stop", "error reading server preface", "error reading from server: eof", "closing transport due to",
        "transport is closing", "lost connection to buildkit", "the client connection is closing"], NO_STATUS, ANY } => Builder Backoff
        "The builder went away during the build.";
        (Exec, "rpc error: code = Unavailable desc = error reading from server: EOF", None),
        (Resolve, "no active session for x: context deadline exceeded", None),
        (Export, "received GRACEFUL_STOP", None),
        (Boot, "connection error: desc = \"error reading server preface: EOF\"", None);
    { &["inconsistent graph state", "failed to get edge", "locked for…unavailable"], NO_STATUS, ANY } => Builder Backoff
        "";
        (Exec, "inconsistent graph state in edge", None),
        (Exec, "failed to get edge", None),
        (Exec, "ref layer-sha256:x locked for 3.2s (since x): unavailable", None);

    // Credentials that make things worse when they are tried again.
    { &["too many failed login attempts"], NO_STATUS, ALL_BUT_EXEC } => Auth Never
        "The registry has locked logins for now: log in with the right password, then wait some minutes.";
        (Token, "toomanyrequests: too many failed login attempts for username or IP address", Some(429));
    // Rates.
    { &["pull rate limit"], NO_STATUS, ALL_BUT_EXEC } => Rate Pace
        "The registry's pull limit is used up: log in, add a mirror, or wait some hours.";
        (Resolve, "toomanyrequests: You have reached your unauthenticated pull rate limit.", Some(429));
    { NO_TEXT, &[429], ALL_BUT_EXEC } => Rate Pace
        "The server is limiting requests.";
        (Blob, "", Some(429)), (Blob, "toomanyrequests: Rate exceeded", Some(429));
    { &["toomanyrequests", "too many requests", "rate exceeded"], NO_STATUS, ALL_BUT_EXEC } => Rate Pace
        "The server is limiting requests.";
        (Resolve, "unexpected status: 429 Too Many Requests", None);

    // Configuration, before the network.
    { &["server gave http response to https client", "does not look like a tls handshake", "client sent an http request to an https server",
        "http request was sent to https port", "wrong version number", "received corrupt message of type invalidcontenttype"], NO_STATUS, ALL_BUT_EXEC } => Config Never
        "One side speaks HTTPS, the other plain HTTP: mark the registry as plain HTTP (insecure), or correct its scheme.";
        (Resolve, "http: server gave HTTP response to HTTPS client", None),
        (Resolve, "tls: first record does not look like a TLS handshake", None),
        (Resolve, "Client sent an HTTP request to an HTTPS server.", Some(400)),
        (Resolve, "received corrupt message of type InvalidContentType", None);
    { &["certificate signed by unknown authority", "unknownissuer", "certificate is valid for", "certificate not valid for name", "notvalidforname",
        "certificate has expired", "certificate expired", "not yet valid", "x509:", "invalid peer certificate", "self-signed certificate"], NO_STATUS, ALL_BUT_EXEC } => Config Never
        "The server's certificate is not trusted: add its CA for this host (certs.d/HOST/ca.crt), correct the name, or check the clock.";
        (Resolve, "x509: certificate signed by unknown authority", None),
        (Resolve, "x509: certificate is valid for a.example, not b.example", None),
        (Resolve, "tls: failed to verify certificate: x509: certificate has expired or is not yet valid", None),
        (Blob, "invalid peer certificate: UnknownIssuer", None);
    { &["certificate required", "certificaterequired", "bad certificate", "badcertificate", "unknown certificate authority"], NO_STATUS, ALL_BUT_EXEC } => Config Never
        "The server wants a client certificate that it knows: put client.cert and client.key into certs.d/HOST.";
        (Resolve, "remote error: tls: certificate required", None),
        (Resolve, "received fatal alert: CertificateRequired", None);
    { NO_TEXT, &[407], ALL_BUT_EXEC } => Config Never
        "The proxy requires a user name and a password.";
        (Token, "", Some(407)), (Token, "Proxy Authentication Required", Some(407));
    { &["proxyconnect tcp", "proxy authentication required", "socks connect"], NO_STATUS, ALL_BUT_EXEC } => Config Never
        "The proxy does not work: check its address, its user and password, and NO_PROXY.";
        (Token, "proxyconnect tcp: dial tcp 127.0.0.1:7890: connect: connection refused", None),
        (Token, "Proxy Authentication Required", None);
    { &["lookup https:", "lookup https on", "lookup http on", "lookup http:"], NO_STATUS, ALL_BUT_EXEC } => Config Never
        "A mirror was written with its scheme where only a host belongs.";
        (Resolve, "dial tcp: lookup https on 127.0.0.53:53: no such host", None);
    { &["no such host", "name or service not known", "no address associated with hostname", "nodename nor servname"], NO_STATUS, ALL_BUT_EXEC } => Config Once
        "This name does not exist in DNS: check its spelling, the resolver, or set a proxy.";
        (Resolve, "dial tcp: lookup registry.exmaple on 1.1.1.1:53: no such host", None),
        (Resolve, "failed to lookup address information: Name or service not known", None);
    { &["network is unreachable…[", "no route to host…[", "[…]:…network is unreachable", "[…]:…no route to host"], NO_STATUS, ALL_BUT_EXEC } => Config Once
        "DNS offers IPv6 addresses, but this network has no IPv6 route.";
        (Resolve, "dial tcp [2600:1f18::1]:443: connect: network is unreachable", None),
        (Resolve, "dial tcp [2600:1f18::1]:443: connect: no route to host", None);
    { &["html instead of json", "invalid character '<' looking for beginning of value", "(text/html) from remote"], NO_STATUS, ALL_BUT_EXEC } => Config Never
        "A web page was returned instead of the registry's response: a captive portal, a login page or a firewall is in the way.";
        (Token, "invalid character '<' looking for beginning of value", None),
        (Token, "HTML instead of JSON", Some(200)),
        (Resolve, "failed to copy: httpReadSeeker: failed open: could not fetch content descriptor sha256:8d (text/html) from remote: not found", None);

    // Wrong bytes.
    { &["digest mismatch sha256:"], NO_STATUS, ALL_BUT_EXEC } => Corrupt Never
        "The file's checksum is not the Dockerfile's: the file was changed at its source, or damaged in transit.";
        (Blob, "digest mismatch sha256:44: sha256:9f", None);
    { &["unexpected commit digest", "failed size validation", "unexpected digest", "digest_invalid", "size_invalid", "digest mismatch", "does not match digest", "error verifying sha256", "did not match uploaded content", "read past expected size", "() from remote: not found"], NO_STATUS, ALL_BUT_EXEC } => Corrupt Never
        "A server returned the wrong content; it is not used again in this run.";
        (Blob, "failed commit on ref \"layer-sha256:x\": unexpected commit digest sha256:a, expected sha256:b", None),
        (Blob, "failed size validation: 1 != 2: failed precondition", None),
        (Push, "{\"errors\":[{\"code\":\"DIGEST_INVALID\"}]}", Some(400)),
        (Push, "SIZE_INVALID", Some(400)),
        (Blob, "failed to copy: httpReadSeeker: read past expected size 173: failed precondition", None),
        (Resolve, "could not fetch content descriptor sha256:4c () from remote: not found", None),
        (Push, "failed to push r/y:1: unknown: provided digest did not match uploaded content", None);
    { NO_TEXT, &[416], ALL_BUT_EXEC } => Corrupt Once
        "A server says that the content is shorter than it is.";
        (Blob, "", Some(416));

    // Platforms and names.
    { &["no match for platform in manifest", "no matching manifest for", "no image found in image index for", "no child with platform"], NO_STATUS, ANY } => Absent Never
        "The image does not exist for this platform.";
        (Resolve, "no match for platform in manifest: not found", None),
        (Resolve, "no matching manifest for linux/arm64/v8 in the manifest list entries", None);
    { &["repository does not exist or may require authorization", "insufficient_scope", "pull access denied"], NO_STATUS, ALL_BUT_EXEC } => Absent Never
        "A typing error in the name, a private image without credentials, or an image that only the local docker daemon has.";
        (Resolve, "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed", None),
        (Resolve, "error=\"insufficient_scope\"", Some(401));
    { &["tag is immutable"], NO_STATUS, &[Push] } => Config Never
        "The tag exists and cannot be overwritten.";
        (Push, "failed to push r/y:1: unknown: The image tag '1' already exists in the 'x' repository and cannot be overwritten because the tag is immutable.", None);
    { &["immutable"], &[400, 409, 412], &[Push] } => Config Never
        "The tag exists and cannot be overwritten.";
        (Push, "tag 1 is immutable in x", Some(412));
    { &["requested access to the resource is denied", "permission_denied", "action: push", "no push permission", "failed to push…: denied", "failed to push…: unauthorized", "error writing layer blob: denied", "error writing layer blob: unauthorized"], NO_STATUS, ALL_BUT_EXEC } => Auth Never
        "These credentials do not permit this.";
        (Push, "denied: requested access to the resource is denied", Some(401)),
        (Push, "failed to push r/y:1: denied", None),
        (Push, "denied: permission_denied: write_package", Some(403)),
        (Push, "unauthorized to access repository: p/r, action: push", Some(401));
    { &["incorrect username or password", "authorization token has expired", "no basic auth credentials", "invalid username/password", "authentication required"], &[400, 403], ALL_BUT_EXEC } => Auth Never
        "Log in again: the stored credentials are wrong or have expired.";
        (Token, "denied: Your authorization token has expired. Reauthenticate and try again.", Some(403));
    { &["incorrect username or password", "authorization token has expired", "no basic auth credentials", "invalid username/password"], NO_STATUS, ALL_BUT_EXEC } => Auth Never
        "Log in again: the stored credentials are missing, wrong or have expired.";
        (Token, "unauthorized: incorrect username or password", Some(401)),
        (Token, "no basic auth credentials", None);
    { NO_TEXT, &[401], &[Token] } => Auth Never
        "The token server refuses these credentials: docker login HOST.";
        (Token, "", Some(401));
    { NO_TEXT, &[404, 410], &[Token] } => Config Never
        "The token server does not have this path: the registry, or a mirror in front of it, names the wrong one.";
        (Token, "", Some(404));
    { NO_TEXT, &[401], ALL_BUT_EXEC } => Auth Never
        "The registry requires credentials, or other ones: docker login HOST.";
        (Resolve, "{\"errors\":[{\"code\":\"UNAUTHORIZED\"}]}", Some(401));
    { NO_TEXT, &[403], ALL_BUT_EXEC } => Auth Never
        "Access is refused; stored credentials may be stale, or the image private.";
        (Resolve, "", Some(403));
    { NO_TEXT, &[404, 410], ALL_BUT_EXEC } => Absent Never
        "Check the name and its tag; some registries say this of private images too.";
        (Resolve, "", Some(404)), (Resolve, "", Some(410)),
        (Resolve, "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\"}]}", Some(404));

    // The network, by status.
    { NO_TEXT, &[408, 499, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527], ALL_BUT_EXEC } => Network Backoff
        "";
        (Blob, "", Some(500)), (Blob, "", Some(502)), (Blob, "", Some(503)), (Blob, "", Some(504)),
        (Blob, "", Some(408)), (Blob, "", Some(499)), (Blob, "", Some(520)), (Blob, "", Some(527)),
        (Resolve, "unexpected status: not found", Some(503));

    // The network, by text.
    { &["connection refused"], NO_STATUS, ALL_BUT_EXEC } => Network Few
        "Nothing listens there: check host and port, or start the service.";
        (Resolve, "dial tcp 127.0.0.1:5000: connect: connection refused", None);
    { &["i/o timeout", "connection reset", "broken pipe", "tls handshake timeout", "timeout awaiting response headers", "unexpected eof", ": eof",
        "server closed idle connection", "use of closed network connection", "context deadline exceeded", "client.timeout exceeded", "connection timed out",
        "operation timed out", "connection closed before message completed", "network is unreachable", "no route to host"], NO_STATUS, ALL_BUT_EXEC } => Network Backoff
        "";
        (Token, "failed to fetch oauth token: Post \"https://auth.docker.io/token\": dial tcp 104.18.121.25:443: i/o timeout", None),
        (Blob, "read tcp 1.2.3.4:5->6.7.8.9:443: read: connection reset by peer", None),
        (Push, "write: broken pipe", None),
        (Resolve, "net/http: TLS handshake timeout", None),
        (Resolve, "net/http: timeout awaiting response headers", None),
        (Blob, "unexpected EOF", None),
        (Resolve, "Get \"https://r/v2/\": EOF", None),
        (Blob, "http: server closed idle connection", None),
        (Blob, "use of closed network connection", None),
        (Blob, "dial tcp 10.0.0.1:443: connect: no route to host", None);
    { &["500 internal server error", "502 bad gateway", "503 service unavailable", "504 gateway time"], NO_STATUS, ALL_BUT_EXEC } => Network Backoff
        "";
        (Resolve, "unexpected status from GET request to https://r/token: 503 Service Unavailable", None),
        (Blob, "unexpected status: 502 Bad Gateway", None);
    { &["401 unauthorized", "403 forbidden"], NO_STATUS, ALL_BUT_EXEC } => Auth Never
        "The registry refuses these credentials, or requires some.";
        (Resolve, "unexpected status from HEAD request to https://r/v2/x: 401 Unauthorized", None),
        (Push, "unexpected status from POST request to https://r/v2/x: 403 Forbidden", None);
    { &["internal_error", "goaway", "stream error", "refused_stream", "http2: "], NO_STATUS, ALL_BUT_EXEC } => Network Backoff
        "";
        (Blob, "stream error: stream ID 7; INTERNAL_ERROR; received from peer", None),
        (Blob, "http2: server sent GOAWAY and closed the connection", None);
    { &["server misbehaving", "temporary failure in name resolution", "lookup…timeout"], NO_STATUS, ALL_BUT_EXEC } => Network Backoff
        "The DNS resolver does not answer.";
        (Resolve, "lookup auth.docker.io on 127.0.0.53:53: server misbehaving", None),
        (Resolve, "failed to lookup address information: Temporary failure in name resolution", None);
    { &["manifest unknown", "manifest_unknown", "name unknown", "name_unknown", "blob_unknown", "blob unknown", "not found", "does not exist"], NO_STATUS, ALL_BUT_EXEC } => Absent Never
        "Check the name and its tag; some registries say this of private images too.";
        (Resolve, "docker.io/library/nothere:1: not found", None),
        (Resolve, "manifest unknown: manifest unknown", None),
        (Blob, "BLOB_UNKNOWN", None);
    { &["code = internal", "code = unavailable", "code = unimplemented", "code = aborted", "status: internal", "status: unavailable"], NO_STATUS, ANY } => Builder Backoff
        "";
        (Exec, "rpc error: code = Unavailable desc = x", None),
        (Export, "rpc error: code = Internal desc = x", None);
};
