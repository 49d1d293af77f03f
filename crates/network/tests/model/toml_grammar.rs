//! What BuildKit v0.34 knows of the tables that sealift writes (`cmd/buildkitd/config`,
//! `util/resolver/config`). buildkitd skips keys that it does not know, so its silence proves
//! nothing about them.

use toml::{Table, Value};

/// Checks a file against the grammar.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let table: Table = toml::from_str(text).map_err(|error| error.to_string())?;
    for (key, value) in &table {
        match (key.as_str(), value) {
            ("dns", Value::Table(dns)) => {
                for (key, value) in dns {
                    if key != "nameservers" {
                        return Err(format!("dns.{key}"));
                    }
                    for server in strings(value)? {
                        server
                            .parse::<std::net::IpAddr>()
                            .map_err(|error| error.to_string())?;
                    }
                }
            }
            ("registry", Value::Table(registries)) => {
                for (host, registry) in registries {
                    let Value::Table(registry) = registry else {
                        return Err(host.clone());
                    };
                    check_registry(host, registry)?;
                }
            }
            _ => return Err(format!("the table {key}")),
        }
    }
    Ok(())
}

fn check_registry(host: &str, registry: &Table) -> Result<(), String> {
    if registry.is_empty() {
        return Err(format!("{host} has an empty table"));
    }
    for (key, value) in registry {
        match (key.as_str(), value) {
            ("http" | "insecure", Value::Boolean(_)) => {}
            ("mirrors", value) => {
                for mirror in strings(value)? {
                    if mirror.contains("://") || mirror.ends_with('/') || mirror.contains(' ') {
                        return Err(format!("the mirror {mirror} of {host}"));
                    }
                }
            }
            ("ca", value) => {
                strings(value)?;
            }
            ("keypair", Value::Array(pairs)) => {
                for pair in pairs {
                    let keys: Vec<_> = pair.as_table().into_iter().flat_map(Table::keys).collect();
                    if keys != ["cert", "key"] {
                        return Err(format!("a key pair of {host} has {keys:?}"));
                    }
                }
            }
            _ => return Err(format!("{key} of {host}")),
        }
    }
    Ok(())
}

fn strings(value: &Value) -> Result<Vec<String>, String> {
    let items = value.as_array().filter(|items| !items.is_empty());
    let items = items.ok_or("expected a list with something in it")?;
    items
        .iter()
        .map(|item| {
            item.as_str()
                .map(str::to_owned)
                .ok_or_else(|| "no string".to_owned())
        })
        .collect()
}
