//! Where commands take a scheme from: the built-in ones, or files of one's own.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use countersign::config::scheme::{builtin, load_schemes};
use countersign::scheme::Scheme;

use super::Failure;

/// The arguments that name a scheme.
#[derive(Debug, Args)]
pub(crate) struct SchemeSource {
    /// How the request is signed; `countersign scheme list` shows the names
    #[arg(long, default_value = "kwikpaisa", value_name = "NAME")]
    scheme: String,

    /// File with schemes of your own; may be repeated
    #[arg(long, value_name = "FILE")]
    schemes: Vec<PathBuf>,
}

impl SchemeSource {
    /// The scheme that is named.
    pub(crate) fn find(&self) -> Result<Arc<Scheme>, Failure> {
        find(&self.scheme, &self.schemes)
    }
}

/// The scheme of a name, in some files or built in.
pub(crate) fn find(name: &str, files: &[PathBuf]) -> Result<Arc<Scheme>, Failure> {
    let own = own(files)?.into_iter().find(|scheme| scheme.name() == name);
    own.or_else(|| builtin(name)).ok_or_else(|| {
        let hint = "`countersign scheme list` shows the names; name files with --schemes";
        Failure::usage(format_args!("no scheme is named {name}; {hint}"))
    })
}

/// Every scheme in some files.
pub(crate) fn own(files: &[PathBuf]) -> Result<Vec<Arc<Scheme>>, Failure> {
    load_schemes(files).map_err(|faults| Failure::configuration(faults.to_string()))
}
