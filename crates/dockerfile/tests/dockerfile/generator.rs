//! Makes Dockerfiles from a seed: whole ones out of fragments, and damaged ones.

use fastrand::Rng;
use sealift_oci::{Platform, Reference};

use crate::corpus::Case;

pub(crate) struct Generator {
    rng: Rng,
}

const IMAGES: [&str; 16] = [
    "busybox",
    "alpine:3.20",
    "docker.io/library/debian:12",
    "ghcr.io/foo/tool:1",
    "quay.io/a/b",
    "localhost:5000/c/d:2",
    "user/repo",
    "busybox@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "$BASE",
    "${BASE}",
    "${TAGGED:-busybox}:${TAG:-1}",
    "${BASE%:*}:${TAG#v}",
    "img-$TARGETARCH",
    "$REGISTRY/tool",
    "\"quoted\"",
    "${NOPE:+x}fallback",
];

const STRANGE_IMAGES: [&str; 8] = [
    "Busybox",
    "$NOPE",
    "a//b",
    "${",
    "${BASE:?}",
    "${NOPE:?unset}",
    "a:b:c",
    "docker.io/library/scratch",
];

const NAMES: [&str; 12] = [
    "build", "Base", "final", "tools", "a-b", "x.y", "scratch", "context", "busybox", "s1", "deps",
    "alpine",
];

const PLATFORMS: [&str; 12] = [
    "$BUILDPLATFORM",
    "${TARGETPLATFORM}",
    "linux/arm64",
    "linux/amd64",
    "linux/$TARGETARCH",
    "linux/arm/v7",
    "arm64",
    "linux/${TARGETARCH}${TARGETVARIANT:+/$TARGETVARIANT}",
    "$NOPE",
    "linux/arm64/v8",
    "windows(10.0.17763)/amd64",
    "bad platform",
];

const GLOBALS: [&str; 18] = [
    "BASE=busybox:1.36",
    "BASE",
    "TAG=v3",
    "TAG=${NOPE:-9}",
    "TAG",
    "REGISTRY=reg.example.com:5000",
    "REGISTRY=${BASE}",
    "TAGGED='single'",
    "TAGGED=\"double $TAG\"",
    "BASE=alpine TAG=3",
    "TARGETARCH=riscv64",
    "TARGETPLATFORM",
    "BUILDPLATFORM=linux/s390x",
    "SOURCE_DATE_EPOCH=123",
    "X=${BASE/box/bee}",
    "X=${TAG//v/w}",
    "X=${NOPE:?must}",
    "X=${BASE:0:3}",
];

const PLAIN: [&str; 46] = [
    "RUN echo hello",
    "RUN [\"/bin/sh\", \"-c\", \"x\"]",
    "RUN --network=host --security=sandbox x",
    "RUN --network=moon x",
    "RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t x",
    "RUN --mount=type=secret,id=s --mount=type=ssh x",
    "RUN --mount=target=/src,rw x",
    "RUN --mount=type=cache,target=$T,id=${ID:-x} x",
    "RUN --mount=\"type=bind,target=/a b\" x",
    "RUN --mount x",
    "RUN --device=vendor.com/d=a,required x",
    "RUN --device=a,b x",
    "RUN a \\\n  && b \\\n# comment\n\n  && c",
    "RUN <<EOF\necho a\nEOF",
    "RUN cat <<A <<-B > /f\na\nA\n\tb\n\tB",
    "RUN 3<<'EOF' cat\n$x\nEOF",
    "RUN <<EOF\nnever closed",
    "RUN echo \"it's <<EOF\"",
    "COPY a b",
    "COPY a b c /d/",
    "COPY [\"a b\", \"/c\"]",
    "COPY --chown=1:2 --chmod=644 --link --parents --exclude=*.md --exclude=x a b",
    "COPY <<f <<\"g\" /d/\nx\nf\ny\ng",
    "COPY a <<f\nf",
    "COPY a",
    "COPY --form=x a b",
    "ADD --checksum=sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa https://e.com/x /x",
    "ADD --keep-git-dir=true --unpack=false https://github.com/a/b.git /b",
    "ADD --from=x a b",
    "ENV A=1 B=\"2 3\" C=$A",
    "ENV OLD form of it",
    "ENV ONLY",
    "ENV A=1 B",
    "LABEL a=b \"c d\"='e f'",
    "ARG A",
    "ARG BASE TAG=x",
    "ARG =x",
    "EXPOSE 80 443/tcp $P",
    "HEALTHCHECK --interval=5s --retries=3 CMD x",
    "HEALTHCHECK NONE",
    "HEALTHCHECK --interval=5 CMD x",
    "SHELL [\"/bin/bash\", \"-c\"]",
    "SHELL bash",
    "USER me\nWORKDIR /w\nVOLUME /v\nVOLUME [\"/a\", \"/b\"]\nSTOPSIGNAL SIGTERM\nCMD x\nENTRYPOINT [\"y\"]",
    "MAINTAINER me <me@example.com>",
    "run x\ncopy a b\nfoo bar",
];

const ONBUILD: [&str; 9] = [
    "ONBUILD RUN x",
    "ONBUILD COPY a b",
    "ONBUILD COPY --from=SOURCE a b",
    "ONBUILD RUN --mount=from=SOURCE,target=/m x",
    "ONBUILD ONBUILD RUN x",
    "ONBUILD FROM x",
    "ONBUILD FOO x",
    "ONBUILD",
    "ONBUILD RUN <<EOF\nx\nEOF",
];

const TRIGGERS: [&str; 7] = [
    "COPY --from=alpine:edge a b",
    "COPY --from=build a b",
    "COPY --from=0 a b",
    "RUN --mount=from=ghcr.io/t/m:1,target=/m x",
    "RUN x",
    "COPY . /app",
    "ENV A=b",
];

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
        }
    }

    fn one<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.rng.usize(..choices.len())]
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(..100) < percent
    }

    fn image(&mut self) -> &'static str {
        if self.chance(3) {
            return self.one(&STRANGE_IMAGES);
        }
        self.one(&IMAGES)
    }

    /// Something that files can be taken from.
    fn source(&mut self, stages: usize) -> String {
        match self.rng.u32(..10) {
            0..=3 => self.one(&NAMES).to_owned(),
            4 => self.rng.usize(..stages + 2).to_string(),
            5 => self
                .one(&[
                    "-1", "+0", "00", "scratch", "BUILD", "\"x\"", "a\\b", "$X", "x$",
                ])
                .to_owned(),
            _ => self.one(&IMAGES[..8]).to_owned(),
        }
    }

    /// Makes a whole Dockerfile, and a question about it.
    pub(crate) fn case(&mut self, number: usize) -> Case {
        let mut text = String::new();
        if self.chance(10) {
            text.push_str(self.one(&[
                "# syntax=docker/dockerfile:1\n",
                "# escape=`\n",
                "# check=skip=all\n",
                "#escape=\\\n# syntax = a/b c\n",
                "// syntax=x\n",
                "# a comment\n",
            ]));
        }
        for _ in 0..self.rng.usize(..5) {
            text.push_str(&format!("ARG {}\n", self.one(&GLOBALS)));
        }
        let stages = self.rng.usize(1..6);
        for stage in 0..stages {
            self.stage(&mut text, stage, stages);
        }
        let mut case = Case::new(&format!("generated {number}"), &text);
        self.ask(&mut case);
        case
    }

    fn stage(&mut self, text: &mut String, stage: usize, stages: usize) {
        text.push_str(self.one(&["FROM", "FROM", "FROM", "from", "From"]));
        if self.chance(25) {
            text.push_str(&format!(" --platform={}", self.one(&PLATFORMS[..])));
        }
        let base = match self.rng.u32(..10) {
            0 => "scratch",
            1..=4 if stage > 0 => self.one(&NAMES),
            _ => self.image(),
        };
        text.push_str(&format!(" {base}"));
        if self.chance(75) {
            text.push_str(&format!(
                " {} {}",
                self.one(&["AS", "as"]),
                self.one(&NAMES)
            ));
        }
        text.push('\n');
        for _ in 0..self.rng.usize(..4) {
            let line = match self.rng.u32(..10) {
                0..=2 => format!("COPY --from={} a b", self.source(stages)),
                3..=4 => format!("RUN --mount=from={},target=/m x", self.source(stages)),
                5 if self.chance(50) => {
                    let source = self.source(stages);
                    self.one(&ONBUILD[..4]).replace("SOURCE", &source)
                }
                _ if self.chance(4) => self.one(&[&PLAIN[..], &ONBUILD[..]].concat()).to_owned(),
                _ => self.harmless().to_owned(),
            };
            text.push_str(&line);
            text.push('\n');
        }
    }

    /// An instruction that no one refuses.
    fn harmless(&mut self) -> &'static str {
        self.one(&[
            PLAIN[0], PLAIN[1], PLAIN[2], PLAIN[4], PLAIN[5], PLAIN[6], PLAIN[12], PLAIN[13],
            PLAIN[14], PLAIN[18], PLAIN[20], PLAIN[22], PLAIN[29], PLAIN[33], PLAIN[34], PLAIN[35],
            PLAIN[38],
        ])
    }

    /// Chooses build arguments, contexts and what images trigger.
    fn ask(&mut self, case: &mut Case) {
        let query = &mut case.query;
        if self.chance(20) {
            let (name, value) = [
                ("BASE", "debian"),
                ("TAG", ""),
                ("TARGETARCH", "mips64le"),
                ("REGISTRY", "other.example"),
                ("NOPE", "set"),
                ("BUILDKIT_SYNTAX", "front/end:1 --x"),
                ("SOURCE_DATE_EPOCH", "+007"),
                ("TARGETSTAGE", "x"),
            ][self.rng.usize(..8)];
            query.build_args.insert(name.to_owned(), value.to_owned());
        }
        for _ in 0..self.rng.usize(..8).saturating_sub(4) {
            let name = self.one(&[
                "busybox",
                "build",
                "tools",
                "alpine:3.20",
                "ghcr.io/foo/tool:1",
                "base",
                "deps::linux/arm64",
                "s1",
                "busybox::linux/amd64",
            ]);
            let value = self.one(&["docker-image://mirror.example/x:1", "docker-image://busybox", "local:ctx", "docker-image://scratch", "https://e.com/x.tar", "oci-layout://store@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"]);
            case.query
                .contexts
                .insert(name.to_owned(), value.to_owned());
        }
        for _ in 0..self.rng.usize(..4) {
            let image = self.one(&[
                "docker.io/library/busybox:latest",
                "docker.io/library/busybox:1.36",
                "docker.io/library/alpine:3.20",
                "ghcr.io/foo/tool:1",
                "quay.io/a/b:latest",
                "docker.io/library/alpine:edge",
                "mirror.example/x:1",
            ]);
            let trigger = self.one(&TRIGGERS);
            for platform in ["linux/amd64", "linux/arm64"] {
                let reference = Reference::parse(image).unwrap();
                let key = (reference, Platform::parse(platform).unwrap());
                let triggers = case.query.triggers.entry(key).or_default();
                triggers.push(trigger.to_owned());
            }
        }
    }

    /// Damages a case in one to three places.
    pub(crate) fn damaged(&mut self, case: &Case) -> Case {
        const BITS: [&str; 34] = [
            "\\", "\n", "\r\n", " ", "\t", "\"", "'", "$", "{", "}", "<<EOF\n", "EOF\n", "#", "--",
            "=", ",", "[", "]", "`", "\u{e9}", "FROM ", "RUN ", "ONBUILD ", "--from=", "\\\n",
            "<<", "-", ":", "/", "@", "\u{a0}", "\u{feff}", "${x", "0",
        ];
        let mut case = case.clone();
        let mut chars: Vec<char> = case.text.chars().collect();
        for _ in 0..self.rng.usize(1..4) {
            let at = self.rng.usize(..=chars.len());
            let end = (at + self.rng.usize(..4)).min(chars.len());
            let bit: Vec<char> = match self.rng.u32(..3) {
                0 => Vec::new(),
                _ => self.one(&BITS).chars().collect(),
            };
            let keep = self.chance(40);
            let end = if keep { at } else { end };
            chars.splice(at..end, bit);
        }
        case.text = chars.into_iter().collect();
        case.name = format!("damaged {}", case.name);
        case
    }
}
