//! Certificates as registries have them, made by OpenSSL where nothing else makes them any more.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sealift_transport::{Settings, Tls};

use crate::authority::{Authority, names};
use crate::parts::{https, hurried, once};
use crate::server::{Server, answer};

fn trusting(authorities: &[&str]) -> Settings {
    let authorities = authorities.iter().map(|pem| pem.as_bytes().to_vec());
    let tls = Tls {
        authorities: authorities.collect(),
        ..Tls::default()
    };
    Settings { tls, ..hurried() }
}

async fn serving(certificate: &str, key: &str) -> Server {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config =
        ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
    Server::secure(config, |_| answer(200, &[], b"ok")).await
}

/// Docker's documentation has such a certificate made, for a registry on one machine.
#[tokio::test]
async fn a_servers_own_certificate_is_trusted_where_it_is_configured_and_right() {
    let good = names(&["127.0.0.1"]);
    let mut expired = names(&["127.0.0.1"]);
    expired.not_before = rcgen::date_time_ymd(2020, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2021, 1, 1);
    for (mut params, right) in [(good, true), (expired, false), (names(&["other"]), false)] {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        let server = serving(&certificate, &key.serialize_pem()).await;
        let end = https(&server.authority());
        let asked = once(trusting(&[&certificate]), end.clone()).await;
        assert_eq!(asked.is_ok(), right, "{asked:?}");
        let stranger = Authority::new();
        let asked = once(trusting(&[&stranger.pem]), end).await;
        assert!(asked.is_err(), "another one is configured");
    }
}

#[tokio::test]
async fn one_certificate_that_cannot_be_read_leaves_the_others() {
    let authority = Authority::new();
    let config = authority.server(&names(&["127.0.0.1"]), None);
    let server = Server::secure(config, |_| answer(200, &[], b"ok")).await;
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let unreadable = "-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n";
    for before in [broken, unreadable] {
        let bundle = format!("# an old bundle\n{before}{}", authority.pem);
        let asked = once(trusting(&[&bundle]), https(&server.authority())).await;
        assert_eq!(asked.unwrap().body, "ok");
        let asked = once(trusting(&[before]), https(&server.authority())).await;
        assert!(asked.is_err(), "there is nothing to trust in it");
    }
}

fn openssl(folder: &Path, arguments: &str) {
    let made = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .expect("openssl is installed");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
}

#[tokio::test]
async fn authorities_with_p521_keys_are_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("san"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
    let key = "-newkey ec -nodes -pkeyopt ec_paramgen_curve";
    openssl(
        path,
        &format!("req -x509 {key}:secp521r1 -keyout ca.key -out ca.pem -subj /CN=ca"),
    );
    openssl(
        path,
        &format!("req {key}:prime256v1 -keyout leaf.key -out leaf.csr -subj /CN=leaf"),
    );
    for hash in ["sha512", "sha384", "sha256"] {
        let sign = "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -extfile san -out leaf.pem";
        openssl(path, &format!("{sign} -{hash}"));
        let server = serving(&read("leaf.pem"), &read("leaf.key")).await;
        let asked = once(trusting(&[&read("ca.pem")]), https(&server.authority())).await;
        assert_eq!(asked.unwrap().body, "ok", "{hash}");
        let stranger = Authority::new();
        let asked = once(trusting(&[&stranger.pem]), https(&server.authority())).await;
        assert!(asked.is_err());
    }
}

/// OpenSSL's own server, ended with the test.
struct OldServer(Child);

impl Drop for OldServer {
    fn drop(&mut self) {
        let _already_ended = self.0.kill();
        let _status = self.0.wait();
    }
}

#[tokio::test]
async fn insecure_servers_may_have_certificates_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    openssl(
        path,
        "req -new -newkey rsa:1024 -nodes -keyout old.key -out old.csr -subj /CN=old",
    );
    // Without extensions it is of version 1.
    openssl(path, "x509 -req -in old.csr -signkey old.key -out old.pem");
    let mut child = Command::new("openssl")
        .args([
            "s_server",
            "-accept",
            "127.0.0.1:0",
            "-www",
            "-key",
            "old.key",
            "-cert",
            "old.pem",
        ])
        .args(["-cipher", "DEFAULT@SECLEVEL=0"])
        .current_dir(path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is installed");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let _server = OldServer(child);
    let address = lines.find_map(|line| Some(line.unwrap().strip_prefix("ACCEPT ")?.to_owned()));
    let end = https(&address.expect("it says where it listens"));
    assert!(
        once(hurried(), end.clone()).await.is_err(),
        "nobody vouches for it"
    );
    let tls = Tls {
        skip_verify: true,
        ..Tls::default()
    };
    let asked = once(Settings { tls, ..hurried() }, end).await.unwrap();
    assert_eq!(asked.status.as_u16(), 200);
}
