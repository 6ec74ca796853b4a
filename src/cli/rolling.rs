//! `--roll`: the request is sealed by rolling keys, and the keys that its answer brings are kept
//! for the next one.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use countersign::client::roll::Wallet;
use countersign::roll::KeySet;
use countersign::secret::text::anchor_bytes;

use super::Failure;
use super::secret_source::secret_in;

/// By which keys.
#[derive(Debug, Args)]
#[command(next_help_heading = "How keys roll")]
pub(crate) struct RollingArguments {
    /// Seal the request by rolling keys, and open its answer
    #[arg(long, requires = "anchor_file")]
    #[arg(conflicts_with_all = ["seal", "timestamp", "content_type"])]
    pub(crate) roll: bool,

    /// File with the anchor (css_…) that sessions begin with
    #[arg(long, value_name = "FILE", requires = "roll")]
    anchor_file: Option<PathBuf>,

    /// Which version of the anchor it is
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    anchor_version: u32,

    /// File that keeps the newest keys, for its owner alone [default: the anchor's file with .roll
    /// behind its name]
    #[arg(long, value_name = "FILE", requires = "roll")]
    roll_state: Option<PathBuf>,
}

/// A wallet and where it is kept.
pub(crate) struct KeptWallet {
    pub(crate) wallet: Wallet,
    state: PathBuf,
}

impl RollingArguments {
    /// The wallet as the last command left it, where the request is to be sealed by one.
    pub(crate) fn wallet(&self) -> Result<Option<KeptWallet>, Failure> {
        let Some(anchor) = self.anchor_file.as_ref().filter(|_| self.roll) else {
            return Ok(None);
        };
        let text = zeroize::Zeroizing::new(secret_in(anchor)?);
        let bytes = anchor_bytes(&text).ok_or_else(|| {
            let problem = "this is no anchor, or it was mistyped; it begins with css_";
            Failure::failed(format_args!("{}: {problem}", anchor.display()))
        })?;
        let mut wallet = Wallet::new(self.anchor_version, KeySet::from_bytes(&bytes));
        let state = self.roll_state.clone().unwrap_or_else(|| beside(anchor));
        match std::fs::read(&state).map(zeroize::Zeroizing::new) {
            Ok(kept) => wallet.resume(&kept).map_err(|fault| {
                let hint = "remove the file to begin anew";
                Failure::failed(format_args!("{}: {fault}; {hint}", state.display()))
            })?,
            Err(none) if none.kind() == std::io::ErrorKind::NotFound => {}
            Err(fault) => {
                return Err(Failure::failed(format_args!("{}: {fault}", state.display())));
            }
        }
        Ok(Some(KeptWallet { wallet, state }))
    }
}

fn beside(anchor: &Path) -> PathBuf {
    let mut name = anchor.as_os_str().to_owned();
    name.push(".roll");
    name.into()
}

impl KeptWallet {
    /// Keeps the newest keys: whole or not at all, for the owner alone.
    pub(crate) fn keep(&self) -> Result<(), Failure> {
        let Some(state) = self.wallet.to_state() else { return Ok(()) };
        let written = write_private(&self.state, &state);
        written.map_err(|fault| Failure::failed(format_args!("{}: {fault}", self.state.display())))
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".fresh");
    let fresh = PathBuf::from(fresh);
    // One that was left behind may have other permissions.
    match std::fs::remove_file(&fresh) {
        Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => return Err(fault),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(fresh, path)
}
