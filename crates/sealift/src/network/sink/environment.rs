//! The environment of a buildkitd process: BuildKit takes proxies from there and from nowhere else.

use crate::network::Network;

use super::{Caveat, Sight, Variable, proxy_variables, unreachable};

/// Why a proxy on loopback is not handed over.
const UNREACHABLE: &str = "it listens on this machine's loopback, which a builder on a network of \
    its own cannot reach: put the builder on the host's network, or have the proxy listen on an \
    address of this machine and name that";

/// The variables of a buildkitd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The variables.
    pub variables: Vec<Variable>,
    /// Proxies that cannot work there.
    pub caveats: Vec<Caveat>,
}

/// Makes the environment of a buildkitd that sees the network as `sight` says.
#[must_use]
pub fn of(network: &Network, sight: Sight) -> Environment {
    let mut caveats = Vec::new();
    let variables = proxy_variables(&network.proxies, &network.direct, |name, proxy| {
        let reachable = sight == Sight::Host || !proxy.value.is_loopback();
        if !reachable {
            unreachable(&mut caveats, name, proxy, UNREACHABLE);
        }
        reachable
    });
    Environment { variables, caveats }
}
