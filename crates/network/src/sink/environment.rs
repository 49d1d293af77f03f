//! The environment of a buildkitd process: BuildKit takes proxies from there and from nowhere else.

use crate::Network;

use super::{Caveat, NAMES, NetworkView, Variable, proxy_variables, unreachable};

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

impl Environment {
    /// Returns what to set for a process. Proxies of the surroundings that the model does not have
    /// are set to nothing, which Go takes as unset.
    #[must_use]
    pub fn to_set(&self) -> Vec<(String, String)> {
        let names = NAMES
            .iter()
            .flat_map(|name| [(*name).to_owned(), name.to_ascii_lowercase()]);
        names
            .map(|name| {
                let own = self.variables.iter().find(|variable| variable.name == name);
                let value = own.map(|variable| variable.value.expose().to_owned());
                (name, value.unwrap_or_default())
            })
            .collect()
    }
}

/// Makes the environment of a buildkitd that sees the network as `view` says.
#[must_use]
pub fn of(network: &Network, view: NetworkView) -> Environment {
    let mut caveats = Vec::new();
    let variables = proxy_variables(&network.proxies, &network.direct, |name, proxy| {
        let reachable = view == NetworkView::Host || !proxy.value.is_loopback();
        if !reachable {
            unreachable(&mut caveats, name, proxy, UNREACHABLE);
        }
        reachable
    });
    Environment { variables, caveats }
}
