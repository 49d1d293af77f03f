//! A plan and its pins turned into orders for BuildKit.

use std::path::PathBuf;
use std::sync::Arc;

use super::authority::Lender;
use super::order::{
    DockerfileOnDisk, Order, Product, StepOptions, StepProxy, folder_of, named_images,
};
use crate::builder::Builder;
use crate::context::Context;
use crate::error::{Error, Kind, Result};
use crate::plan::{Plan, Request};
use crate::prefetch::Pins;
use sealift_network::sink::{NetworkView, build_args};

/// Orders, with the Dockerfiles that they read.
#[derive(Debug)]
pub struct Orders {
    /// One a unit.
    pub orders: Vec<Order>,
    _dockerfiles: Vec<DockerfileOnDisk>,
}

/// What is made of every unit.
#[derive(Debug, Clone, Default)]
pub struct Products {
    /// Whether an image is made.
    pub image: bool,
    /// The folders that the target's files go to.
    pub folders: Vec<PathBuf>,
}

impl Orders {
    /// Makes an order for each unit of a plan.
    ///
    /// # Errors
    /// [`Kind::Local`] where a Dockerfile from standard input can't be kept.
    pub fn make(
        request: &Request,
        plan: &Plan,
        pins: &Pins,
        products: &Products,
        options: StepOptions,
    ) -> Result<Self> {
        let options = Arc::new(options);
        let failed = |error| {
            let text = "cannot keep the Dockerfile from standard input";
            Error::new(Kind::Local, text).because(error)
        };
        let on_disk = |input: &Arc<crate::plan::Input>| {
            DockerfileOnDisk::of(&input.component.dockerfile.origin).map_err(failed)
        };
        let dockerfiles: Vec<_> = request.inputs.iter().map(on_disk).collect::<Result<_>>()?;
        let orders = plan.units.iter().map(|unit| {
            let (input, platform) = (&request.inputs[unit.input], &unit.id.platform);
            let several = input.platforms.len() > 1;
            let folders = products.folders.iter();
            let files = folders.map(|folder| Product::Files(folder_of(folder, platform, several)));
            Order {
                unit: unit.id.clone(),
                after: Vec::new(),
                input: Arc::clone(input),
                dockerfile: dockerfiles[unit.input].path.clone(),
                images: named_images(unit, pins),
                products: files
                    .chain(products.image.then_some(Product::Image))
                    .collect(),
                options: Arc::clone(&options),
            }
        });
        Ok(Self {
            orders: orders.collect(),
            _dockerfiles: dockerfiles,
        })
    }
}

impl StepOptions {
    /// Gives RUN the proxies that the network model has for it, unless the user set them by hand, and
    /// an unsealed builder its accounts and tokens.
    pub fn add_network(&mut self, context: &Context, builder: &Builder, request: &Request) {
        let registries = &context.registries;
        let (client, credentials) = (registries.client.clone(), registries.credentials.clone());
        self.authority = Some(Arc::new(Lender::new(client, credentials)));
        let network = self.network.map(super::StepNetwork::as_str);
        let view = if builder.shares_loopback(network) {
            NetworkView::Host
        } else {
            NetworkView::Isolated
        };
        let given = request
            .inputs
            .iter()
            .flat_map(|input| input.build_args.clone());
        for scheme in ["http", "https"] {
            let Some(proxy) = registries.network.step_proxies.of_scheme(scheme) else {
                continue;
            };
            if let Some(host) = proxy.value.host() {
                self.proxies.push(StepProxy {
                    url: proxy.value.to_string(),
                    host: host.name().to_owned(),
                    port: host.port(),
                    from: proxy.from.to_string(),
                });
            }
        }
        let made = build_args::of(&registries.network, view, &given.collect());
        for caveat in &made.caveats {
            context
                .events
                .warn(format!("steps will not use the proxy: {caveat}"));
        }
        for caveat in build_args::dead(&made.arguments) {
            let text = format!("steps cannot download through the proxy {caveat}");
            context.events.warn(text);
        }
        let arguments = made.arguments.into_iter();
        self.build_args
            .extend(arguments.map(|argument| (argument.name, argument.value.expose().to_owned())));
    }
}
