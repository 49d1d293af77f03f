//! Makes the images of this crate and stores them in a plain registry on loopback, for
//! demonstrations and benchmarks in shell.

#![allow(
    clippy::print_stdout,
    reason = "a program for scripts, which read its output"
)]

use std::net::SocketAddr;

use clap::{Parser, Subcommand};
use sealift_test_support::{Http, Image, busybox, push_image, random_image};

/// Makes an image and pushes it.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    image: Make,
    /// Address of the registry.
    #[arg(long, global = true, default_value = "127.0.0.1:5000")]
    registry: SocketAddr,
    /// Repository.
    #[arg(long, global = true, default_value = "library/busybox")]
    repository: String,
    /// Tag.
    #[arg(long, global = true, default_value = "latest")]
    tag: String,
    /// Platforms of the image.
    #[arg(
        long,
        global = true,
        value_delimiter = ',',
        default_value = "linux/amd64,linux/arm64"
    )]
    platform: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Make {
    /// A shell and its tools, from Debian's busybox-static.
    Busybox,
    /// Layers of pseudo-random bytes, different ones for each platform.
    Random {
        /// Seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Sizes of one platform's layers, in bytes.
        #[arg(long, value_delimiter = ',', required = true)]
        sizes: Vec<usize>,
    },
}

fn main() {
    let arguments = Arguments::parse();
    let platforms: Vec<&str> = arguments.platform.iter().map(String::as_str).collect();
    let image: Image = match &arguments.image {
        Make::Busybox => busybox(&platforms),
        Make::Random { seed, sizes } => random_image(*seed, &platforms, sizes),
    };
    push_image(
        &Http::new(arguments.registry),
        &image,
        &arguments.repository,
        &arguments.tag,
    );
    println!("{}", image.digest());
}
