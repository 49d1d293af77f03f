//! The catalogue's rows for build steps: the logs of the programs that they run, then their exit
//! codes. They are looked up after the machine's rows and hold in no other phase.
//!
//! A step is the user's own. What its downloads met on the network is told apart, because that may
//! pass, or lies with the proxy or the trust that the step was given. The texts are those of curl,
//! wget, git, apt, pip, npm, go, cargo and maven, taken from real runs: `tests/it/steps.rs` runs
//! these programs against faulty servers.

use super::row::{NO_STATUS, Row, rows};
use crate::class::Class;
use crate::phase::Phase;
use crate::verdict::Remedy;

use Phase::{Exec, Export};

const STEP: &[Phase] = &[Exec];

/// The rows, in the order of their look-up.
pub(super) const STEPS: &[Row] = rows! {
    // The way to the server: nothing that a repetition would change.
    { &["could not resolve proxy", "proxyconnect tcp", "proxy authentication required", "requested url returned error: 407", "code 407 from proxy",
        "tunnel failed, response 407", "connect tunnel failed", "tunnel connection failed", "got 407", "status code: 407", "npm error code e407",
        "cannot connect to proxy", "unable to tunnel through proxy", "proxy tunneling failed"], NO_STATUS, STEP } => Config Never
        "The step's proxy does not let its downloads through: check its address and account (HTTP_PROXY as the step sees it), and NO_PROXY.";
        (Exec, "curl: (5) Could not resolve proxy: proxy.example", None),
        (Exec, "curl: (56) CONNECT tunnel failed, response 407", None),
        (Exec, "curl: (56) Received HTTP code 407 from proxy after CONNECT", None),
        (Exec, "E: Failed to fetch http://deb.example.org/x  407  Proxy Authentication Required", None),
        (Exec, "ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407'))", None),
        (Exec, "Get \"https://a.example/x\": proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection refused", None);
    { &["wrong version number", "wrong_version_number", "does not look like a tls handshake", "unexpected tls packet was received",
        "server gave http response to https client", "unsupported or unrecognized ssl message"], NO_STATUS, STEP } => Config Never
        "The step uses HTTPS where the server speaks plain HTTP: correct the URL, or the scheme of the proxy.";
        (Exec, "curl: (35) OpenSSL/3.0.19: error:0A00010B:SSL routines::wrong version number", None),
        (Exec, "gnutls_handshake() failed: An unexpected TLS packet was received.", None),
        (Exec, "Could not transfer artifact a:a:1: Unsupported or unrecognized SSL message", None);
    { &["ssl certificate problem", "certificate verification failed", "certificate verify failed", "certificate_verify_failed", "x509: certificate",
        "unable_to_verify_leaf_signature", "self_signed_cert", "unable_to_get_issuer_cert", "unable to get local issuer certificate", "cert_has_expired", "err_tls_cert_altname_invalid",
        "pkix path", "the certificate of…is not trusted", "cannot verify…certificate"], NO_STATUS, STEP } => Config Never
        "The step does not trust that server's certificate, or a proxy's in between: add its CA to the image (for programs with a bundle of their own: NODE_EXTRA_CA_CERTS, PIP_CERT, REQUESTS_CA_BUNDLE), or check the clock.";
        (Exec, "curl: (60) SSL certificate problem: self-signed certificate", None),
        (Exec, "server certificate verification failed. CAfile: none CRLfile: none", None),
        (Exec, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)", None),
        (Exec, "npm error code DEPTH_ZERO_SELF_SIGNED_CERT", None),
        (Exec, "tls: failed to verify certificate: x509: certificate signed by unknown authority", None),
        (Exec, "PKIX path building failed: unable to find valid certification path to requested target", None),
        (Exec, "ERROR: The certificate of 'a.example' is not trusted.", None);
    { &["invalid json response body", "invalid character '<' looking for beginning of value", "does the network require authentication"], NO_STATUS, STEP } => Config Never
        "A web page was returned instead of the step's download: a captive portal, a login page or a firewall is in the way.";
        (Exec, "npm error invalid json response body at http://a.example/x reason: Unexpected token '<'", None),
        (Exec, "invalid response from proxy \"http://a.example/go\": invalid character '<' looking for beginning of value", None),
        (Exec, "Signed file isn't valid, got 'NODATA' (does the network require authentication?)", None);

    // What a server refuses to give.
    { &["404  not found"], NO_STATUS, STEP } => Build Never
        "The package's file is gone from the server: the package index in the image is older than the server's; update it in the same RUN.";
        (Exec, "E: Failed to fetch http://deb.example.org/x.deb  404  Not Found", None);
    { &["401  unauthorized", "403  forbidden", "requested url returned error: 401", "requested url returned error: 403", "could not read username for",
        "401 unauthorized", "403 forbidden", "error 403: forbidden", "username/password authentication failed", "npm error code e401", "npm error code e403", "got 403", "authenticated registries require", "status code: 401", "status code: 403"], NO_STATUS, STEP } => Build Never
        "The server refuses what the step downloads: give the step the credentials (RUN --mount=type=secret), or correct the URL.";
        (Exec, "curl: (22) The requested URL returned error: 403", None),
        (Exec, "E: Failed to fetch http://deb.example.org/x.deb  403  Forbidden [IP: 192.0.2.1 80]", None),
        (Exec, "fatal: could not read Username for 'https://git.example': terminal prompts disabled", None),
        (Exec, "reading http://a.example/go/x/@v/v1.0.0.info: 401 Unauthorized", None);
    { &["too many requests", "requested url returned error: 429", "npm error code e429", "got 429", "status code: 429"], NO_STATUS, STEP } => Rate Backoff
        "The server that the step downloads from is limiting requests: a mirror or an account may help.";
        (Exec, "curl: (22) The requested URL returned error: 429", None),
        (Exec, "2026-11-24 11:19:49 ERROR 429: Too Many Requests.", None);

    // The network, as the programs say it.
    { &["temporary failure resolving", "temporary failure in name resolution", "could not resolve host", "could not resolve '", "unable to resolve host address", "wget: bad address '", "name or service not known",
        "no such host", "enotfound", "eai_again", "unknownhostexception", "name resolution"], NO_STATUS, STEP } => Network Backoff
        "The step could not resolve a host name; finished steps are cached. If this persists, check the name, and the DNS servers or the proxy that steps are given.";
        (Exec, "Temporary failure resolving 'deb.example.org'", None),
        (Exec, "curl: (6) Could not resolve host: example.org", None),
        (Exec, "wget: bad address 'dl.example.org'", None),
        (Exec, "E: Failed to fetch http://a.example/InRelease  Could not resolve 'a.example'", None),
        (Exec, "dial tcp: lookup a.example on 192.0.2.53:53: no such host", None),
        (Exec, "npm error code ENOTFOUND", None);
    { &["failed to fetch", "connection timed out", "etimedout", "econnreset", "econnrefused", "read timed out", "operation timed out", "download timed out", "temporary error (try again later)", "network timeout", "tls handshake timeout", "i/o timeout", "connection reset",
        "curl: (6)", "curl: (7)", "curl: (28)", "curl: (35)", "curl: (52)", "curl: (56)", "curl: (18)", "empty reply from server", "transfer closed with", "recv failure", "operation too slow", "timeout was reached",
        "transferred a partial file", "the tls connection was non-properly terminated", "failed to connect to", "connection refused", "network is unreachable", "no route to host", "unexpected eof", "\": eof", "early eof", "rpc failed; curl",
        "remote end closed connection", "incompleteread", "socket hang up", "connection broken by", "no data received", "connection closed at byte", "premature end of content", "failed to respond"],
        NO_STATUS, STEP } => Network Backoff
        "The step's download was interrupted; finished steps are cached.";
        (Exec, "E: Failed to fetch http://deb.example.org/x.deb  Connection failed", None),
        (Exec, "npm error code ETIMEDOUT", None),
        (Exec, "npm error code ECONNRESET", None),
        (Exec, "pip._vendor.urllib3.exceptions.ReadTimeoutError: Read timed out.", None),
        (Exec, "go: github.com/x/y: net/http: TLS handshake timeout", None),
        (Exec, "curl: (28) Connection timed out after 30001 milliseconds", None),
        (Exec, "wget: download timed out", None),
        (Exec, "WARNING: fetching https://a.example/alpine/APKINDEX.tar.gz: temporary error (try again later)", None),
        (Exec, "curl: (56) Recv failure", None),
        (Exec, "curl: (52) Empty reply from server", None),
        (Exec, "fatal: unable to access 'http://a.example/x.git/': transfer closed with 99500 bytes remaining to read", None),
        (Exec, "Get \"http://a.example/go/x/@v/v1.0.0.info\": EOF", None),
        (Exec, "connection broken by 'NewConnectionError('Failed to establish a new connection: [Errno 111] Connection refused')'", None),
        (Exec, "fatal: early EOF", None);
    { &["requested url returned error: 5", "500 internal server error", "502 bad gateway", "503 service unavailable", "504 gateway time", "500  internal server error", "502  bad gateway", "503  service unavailable", "504  gateway time",
        "npm error code e500", "npm error code e502", "npm error code e503", "npm error code e504", "got 500", "got 502", "got 503", "got 504", "error 500:", "error 502:", "error 503:", "error 504:",
        "status code: 500", "status code: 502", "status code: 503", "status code: 504", "requested url returned error: 408"], NO_STATUS, STEP } => Network Backoff
        "The server that the step downloads from, or a proxy in front of it, failed; finished steps are cached.";
        (Exec, "curl: (22) The requested URL returned error: 503", None),
        (Exec, "npm error 502 Bad Gateway - GET http://a.example/npm/left-pad", None),
        (Exec, "failed to get successful HTTP response from `http://a.example/index/config.json` (192.0.2.1), got 503", None),
        (Exec, "Err:1 http://a.example InRelease  502  Bad Gateway [IP: 192.0.2.1 80]", None);
    // Programs that were told to be silent say it by their exit code alone.
    { &["curl …exit code: 5\n"], NO_STATUS, STEP } => Config Never
        "The host name of the step's proxy cannot be resolved.";
        (Exec, "process \"/bin/sh -c curl -s a.example\" did not complete successfully: exit code: 5\n", None);
    { &["curl …exit code: 60\n", "wget …exit code: 5\n"], NO_STATUS, STEP } => Config Never
        "The step does not trust that server's certificate, or a proxy's in between: add its CA to the image, or check the clock.";
        (Exec, "process \"/bin/sh -c curl -s https://a.example\" did not complete successfully: exit code: 60\n", None),
        (Exec, "process \"/bin/sh -c wget -q https://a.example\" did not complete successfully: exit code: 5\n", None);
    { &["curl …exit code: 6\n", "curl …exit code: 7\n", "curl …exit code: 18\n", "curl …exit code: 28\n", "curl …exit code: 35\n", "curl …exit code: 52\n", "curl …exit code: 56\n", "wget …exit code: 4\n"], NO_STATUS, STEP } => Network Backoff
        "The step's download was interrupted; finished steps are cached.";
        (Exec, "process \"/bin/sh -c curl -s a.example\" did not complete successfully: exit code: 56\n", None),
        (Exec, "process \"/bin/sh -c wget -q http://a.example/x\" did not complete successfully: exit code: 4\n", None);
    { &["(from versions: none)"], NO_STATUS, STEP } => Build Never
        "pip prints this for a name that does not exist, and also when its index refuses or fails: check the index's address.";
        (Exec, "ERROR: Could not find a version that satisfies the requirement nothing-here (from versions: none)", None);
    { &["did not complete successfully: exit code"], NO_STATUS, &[Exec, Export] } => Build Never
        "";
        (Exec, "process \"/bin/sh -c false\" did not complete successfully: exit code: 1", None);
};
