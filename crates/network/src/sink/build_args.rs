//! Build arguments that give RUN steps their proxies. BuildKit predefines these names: they change
//! no cache key and appear in no image.

use std::collections::BTreeMap;

use crate::Network;

use super::{Caveat, NetworkView, Variable, proxy_variables, unreachable};

/// Why a proxy on loopback is not handed over.
const UNREACHABLE: &str = "it listens on this machine's loopback, which a step on a network of its \
    own cannot reach: build with --network host and --allow network.host, or have the proxy listen \
    on an address of this machine and name that";

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
