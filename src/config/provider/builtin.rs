//! The profiles that come with the program.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::definitions;
use crate::inbox::profile::Profile;

/// The files, by name.
const FILES: [(&str, &str); 6] = [
    ("callbacks.toml", include_str!("../../../config/providers/callbacks.toml")),
    ("fiuu.toml", include_str!("../../../config/providers/fiuu.toml")),
    ("kwikpaisa.toml", include_str!("../../../config/providers/kwikpaisa.toml")),
    ("payments.toml", include_str!("../../../config/providers/payments.toml")),
    ("paykun.toml", include_str!("../../../config/providers/paykun.toml")),
    ("services.toml", include_str!("../../../config/providers/services.toml")),
];

static ALL: LazyLock<BTreeMap<String, Profile>> =
    LazyLock::new(|| FILES.iter().flat_map(|(name, text)| definitions(name, text)).collect());

/// A built-in profile.
pub fn builtin(name: &str) -> Option<&'static Profile> {
    ALL.get(name)
}

/// The names of the built-in profiles, in order.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    ALL.keys().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::config::document::Document;
    use crate::config::scheme;
    use crate::scheme::Scheme;

    #[test]
    fn every_file_is_read_without_a_mistake() {
        for (name, text) in FILES {
            let document = Document::parse(Path::new(name), text);
            let found = super::super::profiles(&document).len();
            let faults: Vec<String> =
                document.into_faults().iter().map(ToString::to_string).collect();
            assert!(faults.is_empty() && found > 0, "{}", faults.join("\n"));
        }
        let count: usize = FILES.iter().map(|(name, text)| definitions(name, text).len()).sum();
        assert_eq!(count, ALL.len(), "no name stands in two files");
    }

    #[test]
    fn every_profile_compiles_for_its_scheme_and_says_what_it_is() {
        let schemes = |name: &str| -> Option<Arc<Scheme>> { scheme::builtin(name) };
        for (name, profile) in &*ALL {
            assert!(!profile.about.is_empty() && profile.secret_is.is_some(), "{name}");
            let scheme = profile.scheme.as_deref().and_then(scheme::builtin);
            let scheme = scheme.unwrap_or_else(|| panic!("{name} names no built-in scheme"));
            if let Err(mistakes) = profile.compile(&scheme, &schemes) {
                panic!("{name}: {mistakes:#?}");
            }
        }
    }
}
