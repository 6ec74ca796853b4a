//! A language of `docs/signing/`: its programs compiled, and told whom to trust.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::certificates::authority;

/// The programs of one language, ready to run.
pub(crate) struct Language {
    pub(crate) name: &'static str,
    package: &'static str,
    /// The words that begin the command line of each program.
    send: Vec<String>,
    seal: Vec<String>,
    /// What was compiled, and the authority of this run in every form that a client wants.
    folder: TempDir,
}

impl Language {
    pub(crate) fn curl() -> Self {
        let send = vec!["bash".into(), source("curl/send.sh")];
        Self::with("curl", "curl openssl", send, Vec::new())
    }

    pub(crate) fn python() -> Self {
        let send = vec!["python3".into(), source("python/send.py")];
        Self::with("python", "python3", send, Vec::new())
    }

    pub(crate) fn php() -> Self {
        let [send, seal] =
            ["send", "seal"].map(|name| vec!["php".into(), source(&format!("php/{name}.php"))]);
        Self::with("php", "php-cli", send, seal)
    }

    pub(crate) fn node() -> Self {
        let [send, seal] =
            ["send", "seal"].map(|name| vec!["node".into(), source(&format!("node/{name}.js"))]);
        Self::with("node", "nodejs", send, seal)
    }

    pub(crate) fn java() -> Self {
        let mut java = Self::with("java", "default-jdk-headless", Vec::new(), Vec::new());
        let folder = java.folder.path().display().to_string();
        java.tool(&["javac", "-d", &folder, &source("java/Send.java"), &source("java/Seal.java")]);
        let store = format!("{folder}/ca.p12");
        let ca = format!("{folder}/ca.pem");
        java.tool(&[
            "keytool",
            "-importcert",
            "-noprompt",
            "-alias",
            "ca",
            "-storepass",
            PASSWORD,
            "-file",
            &ca,
            "-keystore",
            &store,
        ]);
        let trust = format!("-Djavax.net.ssl.trustStore={store}");
        let password = format!("-Djavax.net.ssl.trustStorePassword={PASSWORD}");
        [java.send, java.seal] = ["Send", "Seal"].map(|class| {
            ["java", &trust, &password, "-cp", &folder, class].map(String::from).to_vec()
        });
        java
    }

    pub(crate) fn go() -> Self {
        let mut go = Self::with("go", "golang-go", Vec::new(), Vec::new());
        [go.send, go.seal] = ["send", "seal"].map(|name| {
            let built = go.built(name);
            go.tool(&["go", "build", "-o", &built, &source(&format!("go/{name}.go"))]);
            vec![built]
        });
        go
    }

    /// By Mono, as Debian has no newer .NET.
    pub(crate) fn csharp() -> Self {
        let packages = "mono-mcs mono-runtime libmono-system-net-http4.0-cil";
        let mut csharp = Self::with("csharp", packages, Vec::new(), Vec::new());
        [csharp.send, csharp.seal] = ["Send", "Seal"].map(|name| {
            let built = csharp.built(&format!("{name}.exe"));
            let out = format!("-out:{built}");
            let source = source(&format!("csharp/{name}.cs"));
            csharp.tool(&["mcs", "-warnaserror", &out, "-r:System.Net.Http.dll", &source]);
            vec!["mono".into(), built]
        });
        csharp
    }

    fn with(
        name: &'static str,
        package: &'static str,
        send: Vec<String>,
        seal: Vec<String>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = authority().write(folder.path());
        let language = Self { name, package, send, seal, folder };
        // Mono wants the file named by a digest of the authority's name, as OpenSSL does.
        let hash = language.tool(&["openssl", "x509", "-noout", "-hash", "-in", path(&ca)]);
        let store = language.folder.path().join(".mono/new-certs/Trust");
        fs::create_dir_all(&store).unwrap();
        fs::copy(&ca, store.join(format!("{}.0", hash.trim()))).unwrap();
        language
    }

    /// Sends a file by a scheme; `None` in place of a file: a GET without a body.
    pub(crate) fn sends(
        &self,
        url: &str,
        key_id: &str,
        file: Option<&Path>,
        scheme: &str,
        secret: &str,
    ) -> Output {
        let mut command = self.command(&self.send);
        command.env("COUNTERSIGN_SECRET", secret);
        self.run(command.args([url, key_id, file.map_or("-", path), scheme]))
    }

    /// Sends a file, and believes only an answer that the second secret signed.
    pub(crate) fn verifies(
        &self,
        url: &str,
        key_id: &str,
        file: &Path,
        scheme: &str,
        [secret, answers]: [&str; 2],
    ) -> Output {
        let mut command = self.command(&self.send);
        command.env("COUNTERSIGN_SECRET", secret).env("COUNTERSIGN_ANSWER_SECRET", answers);
        self.run(command.args([url, key_id, path(file), scheme]))
    }

    /// The sealed text of a file.
    pub(crate) fn seals(&self, file: &Path, secret: &str) -> Output {
        let mut command = self.command(&self.seal);
        self.run(command.env("COUNTERSIGN_SECRET", secret).arg(file))
    }

    fn command(&self, words: &[String]) -> Command {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        self.trust(&mut command);
        command
    }

    /// What each client reads to find the authorities that it believes, and nothing between it and
    /// the gate.
    fn trust(&self, command: &mut Command) {
        let ca = self.folder.path().join("ca.pem");
        for name in ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"] {
            command.env(name, &ca);
        }
        command.env("XDG_CONFIG_HOME", self.folder.path()).env("NO_PROXY", "localhost");
        command.env("no_proxy", "localhost").env("LC_ALL", "C.UTF-8");
    }

    /// Runs a compiler or the like, which must succeed, and tells what it says.
    fn tool(&self, words: &[&str]) -> String {
        let mut command = Command::new(words[0]);
        // Go keeps what it compiled here rather than at home.
        command.args(&words[1..]).env("GOCACHE", self.folder.path().join("cache"));
        let output = self.run(&mut command);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}, of {}: {said}", self.package);
        String::from_utf8(output.stdout).unwrap()
    }

    fn run(&self, command: &mut Command) -> Output {
        let name = command.get_program().to_string_lossy().into_owned();
        command.output().unwrap_or_else(|fault| {
            let Self { name: language, package, .. } = self;
            panic!(
                "{name}, for the samples in {language}, cannot be run ({fault}); install it: \
                    apt-get install {package}"
            )
        })
    }

    fn built(&self, name: &str) -> String {
        path(&self.folder.path().join(name)).to_owned()
    }
}

const PASSWORD: &str = "changeit";

pub(crate) fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/signing")
}

fn source(name: &str) -> String {
    path(&samples().join(name)).to_owned()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
