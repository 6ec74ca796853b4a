//! The schemes that come with the program.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

use super::definitions;
use crate::scheme::{Definition, Scheme};

/// The files, by name.
const FILES: [(&str, &str); 8] = [
    ("gateway.toml", include_str!("../../../config/schemes/gateway.toml")),
    ("webhooks.toml", include_str!("../../../config/schemes/webhooks.toml")),
    ("payments.toml", include_str!("../../../config/schemes/payments.toml")),
    ("callbacks.toml", include_str!("../../../config/schemes/callbacks.toml")),
    ("exchanges.toml", include_str!("../../../config/schemes/exchanges.toml")),
    ("gaming.toml", include_str!("../../../config/schemes/gaming.toml")),
    ("cloud.toml", include_str!("../../../config/schemes/cloud.toml")),
    ("services.toml", include_str!("../../../config/schemes/services.toml")),
];

struct Builtin {
    definition: Definition,
    /// Compiled, with its vector tried, when it is first asked for.
    scheme: OnceLock<Option<Arc<Scheme>>>,
}

static ALL: LazyLock<BTreeMap<String, Builtin>> = LazyLock::new(|| {
    let all = FILES.iter().flat_map(|(name, text)| definitions(name, text));
    let ready = |definition| Builtin { definition, scheme: OnceLock::new() };
    all.map(|(name, definition)| (name, ready(definition))).collect()
});

/// A built-in scheme.
pub fn builtin(name: &str) -> Option<Arc<Scheme>> {
    let found = ALL.get(name)?;
    let compile = || Scheme::compile(name, &found.definition).ok().map(Arc::new);
    found.scheme.get_or_init(compile).clone()
}

/// The names of the built-in schemes, in order.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    ALL.keys().map(String::as_str)
}

/// Every built-in scheme.
pub fn builtin_schemes() -> impl Iterator<Item = Arc<Scheme>> {
    builtin_names().filter_map(builtin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scheme_compiles_and_holds_its_vector() {
        assert!(ALL.len() >= 74);
        for (name, found) in &*ALL {
            let compiled = Scheme::compile(name, &found.definition);
            assert!(compiled.is_ok(), "{name}: {:?}", compiled.err());
            assert!(!found.definition.about.is_empty(), "{name} says nothing about itself");
        }
    }

    #[test]
    fn every_algorithm_of_http_message_signatures_has_a_scheme() {
        for name in
            ["rfc9421", "rfc9421-ed25519", "rfc9421-ecdsa-p256-sha256", "rfc9421-rsa-pss-sha512"]
        {
            let scheme = builtin(name);
            let protocol = scheme.as_deref().and_then(Scheme::http_signatures);
            let algorithm = protocol.map(|protocol| protocol.algorithm.name());
            let expected = name.strip_prefix("rfc9421-").unwrap_or("hmac-sha256");
            assert_eq!(algorithm, Some(expected), "{name}");
        }
    }

    #[test]
    fn no_name_stands_in_two_files() {
        let count: usize = FILES.iter().map(|(name, text)| definitions(name, text).len()).sum();
        assert_eq!(count, ALL.len());
    }
}
