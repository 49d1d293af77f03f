//! Pushes into a registry with bad quirks: one that refuses chunks, keeps less than it was sent,
//! forgets uploads, holds on to its tags, or does not give back what it took.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use sealift_oci::Digest;
use sealift_registry::Error;
use sealift_test_support::{Image, ImageBuilder};
use sealift_transport::Class;

use crate::push::{push, request, store_of};
use crate::scripted_server::{Answer, Asked, ScriptedServer};
use crate::support::{plain, two_platforms, with_credentials};

/// What is wrong with a registry.
#[derive(Default, Clone)]
pub(crate) struct Quirks {
    no_chunks: bool,
    /// Keeps half of the first chunk, and says so.
    keeps_half: bool,
    /// Takes every chunk and keeps nothing of it.
    keeps_nothing: bool,
    /// Keeps half of the first chunk and closes the connection.
    breaks_off: bool,
    /// Closes the connection on chunks larger than this, and keeps nothing of them.
    narrow: Option<usize>,
    /// Does not know the first upload any more when its second chunk comes.
    forgets: bool,
    /// Says 416 to the second chunk, having kept only half of the first.
    misplaces: bool,
    /// Refuses to move tags.
    immutable: bool,
    /// Has no manifest that it took.
    loses_manifests: bool,
    /// Gives back something else.
    twists_manifests: bool,
    /// The host that uploads go on at.
    elsewhere: Option<String>,
    /// Wants this from every request.
    login: Option<String>,
}

#[derive(Default)]
pub(crate) struct QuirkyRegistry {
    quirks: Quirks,
    uploads: HashMap<String, Vec<u8>>,
    pub(crate) blobs: HashMap<String, Vec<u8>>,
    pub(crate) manifests: HashMap<String, Vec<u8>>,
    patches: usize,
}

impl QuirkyRegistry {
    async fn start(quirks: Quirks) -> (ScriptedServer, Arc<Mutex<Self>>) {
        Self::start_with(quirks, |_, _| None).await
    }

    /// Answers by a script first.
    pub(crate) async fn start_with(
        quirks: Quirks,
        script: impl Fn(&Self, &Asked) -> Option<Answer> + Send + Sync + 'static,
    ) -> (ScriptedServer, Arc<Mutex<Self>>) {
        let state = Arc::new(Mutex::new(Self {
            quirks,
            ..Self::default()
        }));
        let answering = Arc::clone(&state);
        let server = ScriptedServer::start(move |asked| {
            let mut state = answering.lock().unwrap();
            script(&state, asked).unwrap_or_else(|| state.answer(asked))
        })
        .await;
        (server, state)
    }

    fn answer(&mut self, asked: &Asked) -> Answer {
        if self.quirks.login.is_some()
            && asked.header("authorization") != self.quirks.login.as_deref()
        {
            return Answer::new(401).header("WWW-Authenticate", "Basic realm=\"state\"");
        }
        let path = asked.target.split('?').next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        match (
            asked.method.as_str(),
            path.contains("/uploads/"),
            path.contains("/manifests/"),
        ) {
            ("POST", true, _) => self.begin(),
            ("PATCH", true, _) => self.patch(&name, asked),
            ("GET", true, _) => match self.uploads.get(&name) {
                Some(bytes) => self.placed(204, &name).header("Range", &range(bytes.len())),
                None => Answer::new(404),
            },
            ("PUT", true, _) => self.finish(&name, asked),
            ("PUT", _, true) => self.publish(&name, asked),
            (_, _, true) => self.manifest(&name),
            _ => self
                .blobs
                .get(&name)
                .map_or(Answer::new(404), |bytes| Answer::ok(bytes.clone())),
        }
    }

    fn placed(&self, status: u16, name: &str) -> Answer {
        let host = self
            .quirks
            .elsewhere
            .as_ref()
            .map(|host| format!("http://{host}"));
        let place = format!(
            "{}/v2/a/blobs/uploads/{name}?state=x%2Fy",
            host.unwrap_or_default()
        );
        Answer::new(status).header("Location", &place)
    }

    fn begin(&mut self) -> Answer {
        let name = format!("u{}", self.uploads.len());
        self.uploads.insert(name.clone(), Vec::new());
        self.placed(202, &name)
    }

    fn patch(&mut self, name: &str, asked: &Asked) -> Answer {
        if self.quirks.no_chunks {
            return Answer::new(405);
        }
        if self.quirks.keeps_nothing {
            return self.placed(202, name).header("Range", "0-0");
        }
        let narrow = self.quirks.narrow;
        if narrow.is_some_and(|most| asked.body.len() > most) {
            return Answer::new(Answer::NONE);
        }
        self.patches += 1;
        let number = self.patches;
        if self.quirks.forgets && number == 2 {
            self.uploads.remove(name);
        }
        let Some(upload) = self.uploads.get_mut(name) else {
            return Answer::new(404);
        };
        let start = asked
            .header("content-range")
            .and_then(|text| text.split('-').next()?.parse().ok());
        if start != Some(upload.len()) {
            return Answer::new(416);
        }
        let (first, half) = (number == 1, asked.body.len() / 2);
        let Quirks {
            keeps_half,
            breaks_off,
            misplaces,
            ..
        } = self.quirks;
        let kept = if first && (keeps_half || breaks_off || misplaces) {
            half
        } else {
            asked.body.len()
        };
        upload.extend(&asked.body[..kept]);
        let said = if misplaces && first {
            asked.body.len()
        } else {
            upload.len()
        };
        if first && breaks_off {
            return Answer::new(Answer::NONE);
        }
        self.placed(202, name).header("Range", &range(said))
    }

    fn finish(&mut self, name: &str, asked: &Asked) -> Answer {
        let Some(mut bytes) = self.uploads.remove(name) else {
            return Answer::new(404);
        };
        bytes.extend(&asked.body);
        let digest = Digest::sha256(&bytes).to_string();
        let wanted = asked
            .target
            .rsplit("digest=")
            .next()
            .unwrap_or_default()
            .replace("%3A", ":");
        if digest != wanted {
            return Answer::new(400).body(crate::scripted_server::Body::Whole(
                br#"{"errors":[{"code":"DIGEST_INVALID"}]}"#.to_vec(),
            ));
        }
        self.blobs.insert(digest, bytes);
        Answer::new(201)
    }

    fn publish(&mut self, name: &str, asked: &Asked) -> Answer {
        let is_tag = !name.contains(':');
        if is_tag && self.quirks.immutable {
            return Answer::new(400).body(crate::scripted_server::Body::Whole(
                br#"{"errors":[{"code":"TAG_INVALID","message":"the tag 1 is immutable"}]}"#
                    .to_vec(),
            ));
        }
        self.manifests.insert(name.to_owned(), asked.body.clone());
        Answer::new(201)
    }

    fn manifest(&mut self, name: &str) -> Answer {
        let found = self.manifests.get(name).cloned();
        let Some(mut bytes) = found.filter(|_| !self.quirks.loses_manifests) else {
            return Answer::new(404);
        };
        let digest = Digest::sha256(&bytes).to_string();
        if self.quirks.twists_manifests {
            bytes.push(b' ');
            return Answer::ok(bytes);
        }
        Answer::ok(bytes).header("Docker-Content-Digest", &digest)
    }
}

fn range(length: usize) -> String {
    format!("0-{}", length.saturating_sub(1))
}

/// One layer that goes in two chunks.
fn large() -> Image {
    ImageBuilder::new("linux/amd64")
        .random(70, 40 << 20)
        .build()
}

/// Pushes an image that needs chunks, and looks whether all of it came.
async fn arrives(quirks: Quirks) -> (ScriptedServer, Arc<Mutex<QuirkyRegistry>>) {
    let image = large();
    let (server, state) = QuirkyRegistry::start(quirks).await;
    let text = format!("{}/a:1", server.host());
    push(&plain(), &store_of(&image), request(&image, &[text]))
        .await
        .unwrap();
    {
        let state = state.lock().unwrap();
        for blob in &image.blobs {
            let kept = &state.blobs[&blob.descriptor.digest.to_string()];
            assert!(*kept == blob.bytes, "{} differs", blob.descriptor.digest);
        }
        assert!(state.manifests["1"] == image.root.bytes);
    }
    (server, state)
}

fn methods(server: &ScriptedServer, method: &str) -> Vec<Asked> {
    server
        .asked()
        .into_iter()
        .filter(|one| one.method == method)
        .collect()
}

#[tokio::test]
async fn where_chunks_are_not_kept_blobs_go_whole() {
    let quirks = Quirks {
        keeps_nothing: true,
        ..Quirks::default()
    };
    let (server, _) = arrives(quirks).await;
    let puts = methods(&server, "PUT");
    assert!(puts.iter().any(|one| one.body.len() > 40 << 20));
}

#[tokio::test]
async fn where_no_large_chunk_comes_through_small_ones_do() {
    let quirks = Quirks {
        narrow: Some(5 << 20),
        ..Quirks::default()
    };
    let (server, _) = arrives(quirks).await;
    let sizes: Vec<usize> = methods(&server, "PATCH")
        .iter()
        .map(|one| one.body.len() >> 20)
        .collect();
    assert_eq!(sizes[..4], [32, 16, 8, 4]);
    assert!(sizes.len() < 40, "{sizes:?}");
}

#[tokio::test]
async fn where_chunks_are_refused_blobs_go_whole() {
    let quirks = Quirks {
        no_chunks: true,
        ..Quirks::default()
    };
    let (server, _) = arrives(quirks).await;
    let puts = methods(&server, "PUT");
    assert!(
        puts.iter().any(|one| one.body.len() > 40 << 20),
        "one PUT had all of it"
    );
    assert!(
        puts.iter()
            .all(|one| !one.target.contains("/uploads/")
                || one.target.contains("state=x%2Fy&digest="))
    );
}

#[tokio::test]
async fn a_registry_that_kept_less_gets_the_rest() {
    for quirks in [
        Quirks {
            keeps_half: true,
            ..Quirks::default()
        },
        Quirks {
            breaks_off: true,
            ..Quirks::default()
        },
        Quirks {
            misplaces: true,
            ..Quirks::default()
        },
    ] {
        let (server, _) = arrives(quirks).await;
        let starts = methods(&server, "POST").len();
        assert_eq!(starts, 2, "no upload was begun anew: one for each blob");
        let half = (32 << 20) / 2;
        let again = methods(&server, "PATCH").iter().any(|one| {
            one.header("content-range")
                .is_some_and(|text| text.starts_with(&format!("{half}-")))
        });
        assert!(
            again,
            "the upload went on at the offset that the registry reported"
        );
    }
}

#[tokio::test]
async fn a_forgotten_upload_is_begun_anew() {
    let quirks = Quirks {
        forgets: true,
        ..Quirks::default()
    };
    let (server, _) = arrives(quirks).await;
    assert_eq!(methods(&server, "POST").len(), 3);
}

#[tokio::test]
async fn an_immutable_tag_is_success_only_where_it_has_our_digest() {
    let (ours, theirs) = (two_platforms(71, 500), two_platforms(72, 500));
    for (there, same) in [(&ours, true), (&theirs, false)] {
        let quirks = Quirks {
            immutable: true,
            ..Quirks::default()
        };
        let (server, state) = QuirkyRegistry::start(quirks).await;
        state
            .lock()
            .unwrap()
            .manifests
            .insert("1".to_owned(), there.root.bytes.to_vec());
        let text = format!("{}/a:1", server.host());
        let pushed = push(&plain(), &store_of(&ours), request(&ours, &[text])).await;
        match pushed {
            Ok(()) => assert!(same),
            Err(Error::Immutable { actual, wanted, .. }) => {
                assert!(!same);
                assert_eq!((&actual, &wanted), (theirs.digest(), ours.digest()));
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn what_does_not_read_back_gets_no_tag() {
    for quirks in [
        Quirks {
            loses_manifests: true,
            ..Quirks::default()
        },
        Quirks {
            twists_manifests: true,
            ..Quirks::default()
        },
    ] {
        let image = two_platforms(73, 500);
        let (server, state) = QuirkyRegistry::start(quirks).await;
        let text = format!("{}/a:1", server.host());
        let error = push(&plain(), &store_of(&image), request(&image, &[text]))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::ReadBack { .. }), "{error:?}");
        assert!(!state.lock().unwrap().manifests.contains_key("1"));
    }
}

#[tokio::test]
async fn an_upload_that_goes_on_elsewhere_takes_no_credentials_there() {
    let (storage, _) = QuirkyRegistry::start(Quirks::default()).await;
    let quirks = Quirks {
        elsewhere: Some(storage.host()),
        login: Some("Basic dTpw".to_owned()),
        ..Quirks::default()
    };
    let (server, _) = QuirkyRegistry::start(quirks).await;
    let image = two_platforms(74, 500);
    let client = with_credentials(crate::auth::basic(&server.host(), "u", "p"));
    let text = format!("{}/a:1", server.host());
    // The storage knows no upload of that name, so this cannot end well; what counts is who was
    // shown the password.
    push(&client, &store_of(&image), request(&image, &[text]))
        .await
        .unwrap_err();
    assert!(!storage.asked().is_empty());
    assert!(
        storage
            .asked()
            .iter()
            .all(|one| one.header("authorization").is_none())
    );
    assert!(
        server
            .asked()
            .iter()
            .any(|one| one.header("authorization").is_some())
    );
}

#[tokio::test]
async fn a_push_without_the_right_to_it_is_told_and_not_tried_anonymously() {
    let quirks = Quirks {
        login: Some("Basic cmlnaHQ=".to_owned()),
        ..Quirks::default()
    };
    let (server, _) = QuirkyRegistry::start(quirks).await;
    let image = two_platforms(75, 500);
    let client = with_credentials(crate::auth::basic(&server.host(), "u", "planted-secret"));
    let text = format!("{}/a:1", server.host());
    let error = push(&client, &store_of(&image), request(&image, &[text]))
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Auth, "{error:?}");
    assert!(!format!("{error:?} {error} {client:?}").contains("planted-secret"));
}
