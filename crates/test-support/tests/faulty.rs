//! The faulty registry, against skopeo and plain requests; the forward proxies, against curl.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use sealift_test_support::{
    DockerRegistry, Fault, FaultPlan, FaultyRegistry, Http, HttpProxy, Image, Kind, Ranges,
    SocksProxy, TokenRules, program, random_image,
};

fn skopeo(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program("skopeo"))
        .args(arguments)
        .output()
        .expect("skopeo runs");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if output.status.success() {
        Ok(text)
    } else {
        Err(text)
    }
}

fn pull(registry: &FaultyRegistry) -> Result<String, String> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let source = format!("docker://{}/team/app:1", registry.host());
    let target = format!("oci:{}", folder.path().display());
    skopeo(&["copy", "--all", "--src-tls-verify=false", &source, &target])
}

/// A client that takes what these images are made of.
fn reader(address: SocketAddr) -> Http {
    Http::new(address).header("Accept", "application/vnd.oci.image.index.v1+json")
}

fn stocked() -> (DockerRegistry, Image) {
    let registry = DockerRegistry::start();
    let image = random_image(5, &["linux/amd64", "linux/arm64"], &[300_000, 20]);
    registry.push(&image, "team/app", "1");
    (registry, image)
}

fn blob_path(image: &Image) -> String {
    format!("/v2/team/app/blobs/{}", image.blobs[1].descriptor.digest)
}

#[test]
fn skopeo_pulls_with_an_anonymous_token() {
    let (upstream, image) = stocked();
    let registry = FaultyRegistry::with_tokens(
        upstream.address(),
        TokenRules::anonymous(),
        FaultPlan::none(),
    );
    pull(&registry).unwrap();
    assert_eq!(registry.count(Kind::Token), 1);
    assert_eq!(registry.count(Kind::Manifest), 3);
    assert_eq!(registry.count(Kind::Blob), image.blobs.len());
    assert_eq!(registry.bytes(Kind::Blob), image.size());
}

#[test]
fn tokens_hold_for_what_they_were_issued_for() {
    let (upstream, image) = stocked();
    let rules = TokenRules::private().account("ann", "secret").one_scope();
    let registry = FaultyRegistry::with_tokens(upstream.address(), rules, FaultPlan::none());
    let front = reader(registry.address());
    let refused = front.get("/v2/team/app/manifests/1");
    assert_eq!(refused.status, 401);
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(
        challenge.contains(r#"scope="repository:team/app:pull""#),
        "{challenge}"
    );
    let side = Http::new(registry.token_address());
    let query =
        "/token?service=sealift-test&scope=repository%3Ateam%2Fapp%3Apull&scope=repository:x:pull";
    assert_eq!(side.get(query).status, 401);
    let issued = side
        .header("Authorization", "Basic YW5uOnNlY3JldA==")
        .get(query);
    let document: serde_json::Value = serde_json::from_slice(&issued.body).unwrap();
    let bearer = format!("Bearer {}", document["token"].as_str().unwrap());
    let front = front.header("Authorization", &bearer);
    assert_eq!(front.get("/v2/team/app/manifests/1").body, image.root.bytes);
    assert_eq!(front.get("/v2/").status, 200);
    assert_eq!(front.get("/v2/x/manifests/1").status, 401);
    assert_eq!(
        front
            .send("POST", "/v2/team/app/blobs/uploads/", &[])
            .status,
        401
    );
    registry.revoke_tokens();
    assert_eq!(front.get("/v2/team/app/manifests/1").status, 401);
}

#[test]
fn skopeo_pushes_with_an_account() {
    let (upstream, image) = stocked();
    let rules = TokenRules::private().account("ann", "secret");
    let registry = FaultyRegistry::with_tokens(upstream.address(), rules, FaultPlan::none());
    let folder = tempfile::tempdir().unwrap();
    image.write_layout(folder.path(), "x");
    let source = format!("oci:{}:x", folder.path().display());
    let target = format!("docker://{}/team/new:2", registry.host());
    let arguments = ["copy", "--all", "--dest-tls-verify=false", &source, &target];
    assert!(skopeo(&arguments).is_err());
    let account = ["--dest-creds", "ann:secret"];
    skopeo(&[&arguments[..3], &account[..], &arguments[3..]].concat()).unwrap();
    assert_eq!(upstream.get("team/new/manifests/2").body, image.root.bytes);
}

#[test]
fn skopeo_follows_redirects_without_its_credentials() {
    let (upstream, _) = stocked();
    let registry = FaultyRegistry::with_tokens(
        upstream.address(),
        TokenRules::anonymous(),
        FaultPlan::none(),
    );
    registry.redirect_blobs();
    pull(&registry).unwrap();
    let stored: Vec<_> = registry
        .seen()
        .into_iter()
        .filter(|seen| seen.target.starts_with("/storage/"))
        .collect();
    assert!(!stored.is_empty());
    assert!(
        stored
            .iter()
            .all(|seen| seen.status == 200 && seen.authorization.is_none())
    );
}

#[test]
fn every_fault_is_what_it_says() {
    let (upstream, image) = stocked();
    let registry = FaultyRegistry::open(upstream.address(), FaultPlan::none());
    let front = Http::new(registry.address());
    let path = blob_path(&image);
    let with = |fault| {
        registry.set_plan(FaultPlan::seeded(9).first(Kind::Blob, 1, fault));
        front.try_send("GET", &path, &[])
    };
    let whole = &image.blobs[1].bytes;
    assert_eq!(with(Fault::None).unwrap().body, *whole);
    assert_eq!(
        with(Fault::Reset).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    assert_eq!(
        with(Fault::Close).unwrap_err().kind(),
        ErrorKind::UnexpectedEof
    );
    assert_eq!(with(Fault::Status(503)).unwrap().status, 503);
    let slowed = with(Fault::TooMany(Some(7))).unwrap();
    assert_eq!(
        (slowed.status, slowed.header("retry-after")),
        (429, Some("7"))
    );
    assert!(with(Fault::Html).unwrap().text().contains("log in"));
    assert_eq!(
        with(Fault::Cut).unwrap_err().kind(),
        ErrorKind::UnexpectedEof
    );
    assert!(with(Fault::CutReset).is_err());
    let spoiled = with(Fault::Corrupt).unwrap().body;
    let changed = spoiled
        .iter()
        .zip(whole.iter())
        .filter(|(a, b)| a != b)
        .count();
    assert_eq!((spoiled.len(), changed), (whole.len(), 1));
    // The rule was for the first request only.
    assert_eq!(front.get(&path).body, *whole);
}

#[test]
fn stalled_and_silent_answers_hold_the_line() {
    let (upstream, image) = stocked();
    let plan = FaultPlan::seeded(1)
        .first(Kind::Blob, 1, Fault::Stall)
        .first(Kind::Blob, 2, Fault::Silence);
    let registry = FaultyRegistry::open(upstream.address(), plan);
    for _ in 0..2 {
        let mut stream = std::net::TcpStream::connect(registry.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        let request = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", blob_path(&image));
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let error = std::io::copy(&mut stream, &mut std::io::sink()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
    let seen = registry.seen();
    assert!(seen[0].sent < image.blobs[1].descriptor.size);
    assert_eq!(seen[1].status, 0);
}

#[test]
fn parts_of_blobs_come_as_the_plan_says() {
    let (upstream, image) = stocked();
    let registry = FaultyRegistry::open(upstream.address(), FaultPlan::none());
    let path = blob_path(&image);
    let whole = &image.blobs[1].bytes;
    let total = whole.len();
    let part = |ranges, range: &str| {
        registry.set_plan(FaultPlan::none().ranges(ranges));
        let front = Http::new(registry.address()).header("Range", range);
        let response = front.get(&path);
        let declared = response
            .header("content-range")
            .unwrap_or_default()
            .to_owned();
        (response.status, declared, response.body)
    };
    let declared = format!("bytes 100-199/{total}");
    let (status, range, body) = part(Ranges::Honest, "bytes=100-199");
    assert_eq!(
        (status, range, &body[..]),
        (206, declared.clone(), &whole[100..200])
    );
    let (status, range, body) = part(Ranges::Lying, "bytes=100-199");
    assert_eq!((status, range, &body[..]), (206, declared, &whole[..100]));
    let (status, range, body) = part(Ranges::Lying, "bytes=100-");
    assert_eq!(range, format!("bytes 100-{}/{total}", total - 1));
    assert_eq!((status, &body[..]), (206, &whole[..total - 100]));
    let (status, range, body) = part(Ranges::Shifted, "bytes=100-199");
    assert_eq!(range, format!("bytes 0-99/{total}"));
    assert_eq!((status, &body[..]), (206, &whole[..100]));
    let (status, _, body) = part(Ranges::Ignored, "bytes=100-199");
    assert_eq!((status, &body[..]), (200, &whole[..]));
    assert_eq!(part(Ranges::Refused, "bytes=100-199").0, 416);
}

#[test]
fn a_stopped_registry_is_a_bad_gateway_until_it_is_back() {
    let (mut upstream, image) = stocked();
    let registry = FaultyRegistry::open(upstream.address(), FaultPlan::none());
    let front = reader(registry.address());
    upstream.stop();
    assert_eq!(front.get("/v2/team/app/manifests/1").status, 502);
    upstream.restart();
    assert_eq!(front.get("/v2/team/app/manifests/1").body, image.root.bytes);
}

#[test]
fn an_upload_is_cut_in_its_body() {
    let (upstream, image) = stocked();
    let registry = FaultyRegistry::open(upstream.address(), FaultPlan::none());
    let front = Http::new(registry.address());
    let body = &image.blobs[1].bytes;
    let upload = || {
        let begun = front.send("POST", "/v2/team/app/blobs/uploads/", &[]);
        let location = begun.header("location").unwrap();
        assert!(location.starts_with(&registry.url()), "{location}");
        let target = &location[location.find("/v2/").unwrap()..];
        front.try_send("PATCH", target, body)
    };
    // The first request of the two is POST, which has no body to cut.
    registry.set_plan(FaultPlan::seeded(3).first(Kind::Upload, 2, Fault::CutReset));
    assert!(upload().is_err());
    assert_eq!(upload().unwrap().status, 202);
}

fn curl(proxy: &str, url: &str) -> Result<String, i32> {
    let output = Command::new(program("curl"))
        .args([
            "-s",
            "-f",
            "--noproxy",
            "",
            "--proxytunnel",
            "--max-time",
            "20",
            "-x",
            proxy,
            url,
        ])
        .output()
        .expect("curl runs");
    match output.status.code() {
        Some(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        code => Err(code.unwrap_or(-1)),
    }
}

#[test]
fn forward_proxies_demand_their_password_and_look_names_up() {
    let upstream = DockerRegistry::start();
    let hosts = [("registry.test:80", upstream.address())];
    let account = Some(("ann", "secret"));
    let http = HttpProxy::with(account, &hosts);
    let socks = SocksProxy::with(account, &hosts);
    let url = "http://registry.test/v2/";
    for proxy in [http.url(), socks.url()] {
        assert_eq!(curl(&proxy, url).as_deref(), Ok("{}"));
        assert!(curl(&proxy.replace("secret", "wrong"), url).is_err());
        assert!(curl(&proxy, "http://elsewhere.test/v2/").is_err());
    }
    let seen: Vec<_> = http
        .seen()
        .into_iter()
        .map(|tunnel| (tunnel.destination, tunnel.allowed))
        .collect();
    assert_eq!(seen[0], ("registry.test:80".to_owned(), true));
    assert_eq!(seen[1], ("registry.test:80".to_owned(), false));
    assert_eq!(socks.seen()[0].destination, "registry.test:80");
}

#[test]
fn a_plain_request_goes_through_an_http_proxy() {
    let upstream = DockerRegistry::start();
    let proxy = HttpProxy::start();
    let front = Http::new(proxy.address());
    let response = front.get(&format!("{}/v2/", upstream.url()));
    assert_eq!((response.status, response.text().as_str()), (200, "{}"));
    assert_eq!(proxy.seen()[0].method, "GET");
}
