//! Build arguments that give RUN steps their proxies. BuildKit predefines these names: they change
//! no cache key and appear in no image.

use std::collections::BTreeMap;
use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use sealift_config::Sourced;
use sealift_transport::proxy::Proxy;

use crate::Network;
use crate::proxy::ProxyUrl;

use super::{Caveat, NetworkView, Value, Variable, proxy_variables, unreachable};

/// Why a proxy on loopback is not handed over.
const UNREACHABLE: &str = "it listens on this machine's loopback, which a step on a network of its \
    own cannot reach: build with --network host and --allow network.host, or have the proxy listen \
    on an address of this machine and name that";

/// Why a proxy on loopback will not serve steps.
const NOBODY: &str = "nothing listens there: start the proxy, or take the setting away";

/// How long a connection to this machine itself may take.
const PATIENCE: Duration = Duration::from_millis(300);

/// The arguments of a solve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildArgs {
    /// The arguments to add to the user's own.
    pub arguments: Vec<Variable>,
    /// Proxies that cannot work in a step.
    pub caveats: Vec<Caveat>,
}

/// Makes the arguments for steps that see the network as `view` says. What the user has set by
/// hand, in either case and even to nothing, is left alone.
#[must_use]
pub fn of(network: &Network, view: NetworkView, given: &BTreeMap<String, String>) -> BuildArgs {
    let mut caveats = Vec::new();
    if network
        .build_proxy
        .as_ref()
        .is_some_and(|wanted| !wanted.value)
    {
        return BuildArgs {
            arguments: Vec::new(),
            caveats,
        };
    }
    let by_hand = |name: &str| given.keys().any(|key| key.eq_ignore_ascii_case(name));
    let mut arguments = proxy_variables(&network.step_proxies, &network.direct, |name, proxy| {
        if by_hand(name) {
            return false;
        }
        let reachable = view == NetworkView::Host || !proxy.value.is_loopback();
        if !reachable {
            unreachable(&mut caveats, name, proxy, UNREACHABLE);
        }
        reachable
    });
    arguments.retain(|argument| !by_hand(&argument.name));
    BuildArgs { arguments, caveats }
}

/// Names the proxies on this machine's loopback where nothing listens: steps that are given them will
/// download nothing. Others are not tried, for they may answer the steps and not us.
#[must_use]
pub fn dead(arguments: &[Variable]) -> Vec<Caveat> {
    let mut caveats = Vec::new();
    for argument in arguments {
        let Value::Proxy(proxy) = &argument.value else {
            continue;
        };
        let known = argument
            .name
            .starts_with(|first: char| first.is_lowercase());
        if known || !proxy.is_loopback() || answers(proxy) {
            continue;
        }
        for from in &argument.from {
            let proxy = Sourced::new(proxy.clone(), from.clone());
            unreachable(&mut caveats, &argument.name, &proxy, NOBODY);
        }
    }
    caveats
}

fn answers(proxy: &ProxyUrl) -> bool {
    let Proxy { host, port, .. } = proxy.proxy();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = (host, *port).to_socket_addrs().into_iter().flatten();
    let refused = |address| {
        let dialed = TcpStream::connect_timeout(&address, PATIENCE);
        dialed.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    };
    let mut addresses = addresses.peekable();
    addresses.peek().is_none() || !addresses.all(refused)
}
