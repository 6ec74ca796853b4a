//! A folder with a token in it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use countersign::custody::{MasterSource, TokenSpec};

pub(crate) const PIN: &str = "738294";
/// The label of the token, with a space as some have.
pub(crate) const TOKEN: &str = "the vault";

pub(crate) struct Place {
    folder: PathBuf,
}

impl Place {
    /// A folder that was made before.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.into() }
    }

    /// A token without keys, and a file with its PIN.
    pub(crate) fn make(folder: &Path) -> Self {
        let place = Self::at(folder);
        fs::create_dir(place.path("tokens")).unwrap();
        let settings = format!("directories.tokendir = {}\n", place.path("tokens").display());
        fs::write(place.path("softhsm2.conf"), settings).unwrap();
        place.init_token(TOKEN);
        place.write_pin("pin", PIN);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn init_token(&self, label: &str) {
        let arguments = ["--init-token", "--free", "--so-pin", "so-pin-1", "--pin", PIN, "--label"];
        self.softhsm(&[&arguments[..], &[label]].concat());
    }

    pub(crate) fn softhsm(&self, arguments: &[&str]) {
        let mut command = Command::new("softhsm2-util");
        let output = self.settle(command.args(arguments)).output();
        let output = output.expect("softhsm2-util is missing: apt-get install softhsm2");
        assert!(output.status.success(), "{output:?}");
    }

    pub(crate) fn write_pin(&self, name: &str, pin: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, format!("{pin}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub(crate) fn spec(&self, keys: &[&str]) -> TokenSpec {
        TokenSpec {
            module: module(),
            token: TOKEN.into(),
            keys: keys.iter().map(|label| (*label).into()).collect(),
            pin_file: self.path("pin"),
        }
    }

    pub(crate) fn source(&self, keys: &[&str]) -> MasterSource {
        MasterSource::Token(self.spec(keys))
    }

    /// This program once more, as one of its cases.
    pub(crate) fn process(&self, role: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        self.settle(command.args(["--as", role]).arg(&self.folder));
        command
    }

    fn settle<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("SOFTHSM2_CONF", self.path("softhsm2.conf"))
    }
}

/// Where distributions put SoftHSM.
pub(crate) fn module() -> PathBuf {
    let folders =
        ["/usr/lib/softhsm", "/usr/lib64/softhsm", "/usr/lib64/pkcs11", "/usr/local/lib/softhsm"];
    let files = folders.iter().map(|folder| Path::new(folder).join("libsofthsm2.so"));
    files
        .into_iter()
        .find(|file| file.exists())
        .expect("SoftHSM is missing: apt-get install softhsm2")
}
