//! The program as people run it: arguments in, output, files and exit status out.

mod support {
    use std::path::Path;
    use std::process::{Command, Output, Stdio};

    /// A run of the program, without what the environment of the test brings along.
    pub(crate) fn countersign(arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(arguments).env_remove("COUNTERSIGN_SECRET").stdin(Stdio::null());
        command
    }

    pub(crate) fn run(arguments: &[&str]) -> Output {
        countersign(arguments).output().unwrap()
    }

    pub(crate) fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    /// Standard output of a run that must succeed.
    pub(crate) fn good(output: &Output) -> &str {
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    pub(crate) fn shell(script: &str) -> Output {
        Command::new("bash").args(["-c", script]).output().unwrap()
    }

    pub(crate) fn path(path: &Path) -> &str {
        path.to_str().unwrap()
    }
}

mod certs {
    use super::support::*;
    use std::os::unix::fs::PermissionsExt;

    const FILES: [(&str, u32); 6] = [
        ("ca.pem", 0o644),
        ("gate.pem", 0o644),
        ("gate.key", 0o600),
        ("gate-rsa.pem", 0o644),
        ("gate-rsa.key", 0o600),
        ("secrets.txt", 0o600),
    ];

    #[test]
    fn openssl_verifies_what_is_made() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("dev");
        let output = run(&["certs", "dev", "--dir", path(&dir)]);
        let shown = good(&output);
        for (name, mode) in FILES {
            let file = dir.join(name);
            assert!(shown.contains(path(&file)), "{shown}");
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, mode, "{name}");
        }
        for name in ["gate", "gate-rsa"] {
            for subject in ["-verify_hostname localhost", "-verify_ip 127.0.0.1", "-verify_ip ::1"]
            {
                let verified = shell(&format!(
                    "cd {} && openssl verify -x509_strict -purpose sslserver {subject} \
                     -CAfile ca.pem {name}.pem",
                    path(&dir)
                ));
                assert_eq!(good(&verified).trim(), format!("{name}.pem: OK"));
            }
            let same_key = shell(&format!(
                "cd {} && diff <(openssl x509 -in {name}.pem -noout -pubkey) \
                 <(openssl pkey -in {name}.key -pubout)",
                path(&dir)
            ));
            good(&same_key);
        }
        // Good for 89 days from now, and no longer good after 91.
        let ends = |days: u32| {
            let script = format!("openssl x509 -in gate.pem -noout -checkend {}", days * 86_400);
            shell(&format!("cd {} && {script}", path(&dir))).status.success()
        };
        assert!(ends(89) && !ends(91));
        let secrets = std::fs::read_to_string(dir.join("secrets.txt")).unwrap();
        for secret in secrets.split_whitespace().filter(|word| !word.starts_with("pk_")) {
            assert!(secret.len() >= 64 && !shown.contains(secret));
        }
    }

    #[test]
    fn nothing_is_overwritten_unless_asked() {
        let place = tempfile::tempdir().unwrap();
        let key = place.path().join("gate.key");
        std::fs::write(&key, "precious").unwrap();
        let dir = path(place.path());
        let refused = run(&["certs", "dev", "--dir", dir]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(text(&refused.stderr).contains("gate.key: exists already"));
        assert_eq!(std::fs::read(&key).unwrap(), b"precious");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
        good(&run(&["certs", "dev", "--dir", dir, "--force"]));
        assert_ne!(std::fs::read(&key).unwrap(), b"precious");
    }
}

mod sign {
    use super::support::*;

    const SECRET: &str = "0123456789abcdef0123456789";
    const BODY: &str = "{\"note\":\"it's\",\n \"amount\":500}";

    fn secret_file(place: &tempfile::TempDir) -> String {
        let file = place.path().join("secret");
        std::fs::write(&file, format!("{SECRET}\n")).unwrap();
        path(&file).to_owned()
    }

    #[test]
    fn kwikpaisa_agrees_with_openssl() {
        let place = tempfile::tempdir().unwrap();
        let file = secret_file(&place);
        let output = run(&[
            "sign",
            "--key-id=pk_test_acme",
            "--secret-file",
            &file,
            "--timestamp=1700000000",
            "--url=https://localhost:8443/v1/orders",
            "--data",
            BODY,
        ]);
        let body = place.path().join("body");
        std::fs::write(&body, format!("{BODY}1700000000")).unwrap();
        let script =
            format!("openssl dgst -sha256 -r -hmac {SECRET} {} | cut -d' ' -f1", path(&body));
        let openssl = shell(&script);
        let expected = format!(
            "Content-Type: application/json\nX-API-KEY: pk_test_acme\nX-TIMESTAMP: 1700000000\n\
             X-SIGNATURE: {}",
            good(&openssl)
        );
        assert_eq!(good(&output), expected);
    }

    /// The nine lines of SCHEMES, put together here once more.
    #[test]
    fn countersign_v1_agrees_with_openssl() {
        let place = tempfile::tempdir().unwrap();
        let file = secret_file(&place);
        let output = run(&[
            "sign",
            "--json",
            "--scheme=countersign-v1",
            "--key-id=pk_test_acme",
            "--secret-file",
            &file,
            "--timestamp=1700000000",
            "--url=https://API.example.test:8443/v1/orders?a=%20",
            "--method=PUT",
            "--content-type=text/plain",
            "--data=x",
        ]);
        let json: serde_json::Value = serde_json::from_str(good(&output)).unwrap();
        let header = |name: &str| {
            let headers = json["headers"].as_array().unwrap();
            headers.iter().find(|header| header[0] == name).unwrap()[1].as_str().unwrap()
        };
        let digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
        let message = [
            "countersign-v1",
            "pk_test_acme",
            "1700000000",
            header("X-NONCE"),
            "PUT",
            "api.example.test:8443",
            "/v1/orders?a=%20",
            "text/plain",
            digest,
        ]
        .join("\n");
        let signed = place.path().join("message");
        std::fs::write(&signed, message).unwrap();
        let script =
            format!("openssl dgst -sha256 -r -hmac {SECRET} {} | cut -d' ' -f1", path(&signed));
        assert_eq!(header("X-SIGNATURE"), good(&shell(&script)).trim());
    }

    #[test]
    fn secrets_come_from_lists_and_the_environment() {
        let place = tempfile::tempdir().unwrap();
        let list = place.path().join("list");
        std::fs::write(&list, format!("# ids\nother {SECRET}x\nk {SECRET}\n")).unwrap();
        let arguments = ["sign", "--key-id=k", "--timestamp=1700000000", "--url=https://h/"];
        let listed = [&arguments[..], &["--secret-list", path(&list)]].concat();
        let environment = countersign(&arguments).env("COUNTERSIGN_SECRET", SECRET).output();
        assert_eq!(good(&run(&listed)), good(&environment.unwrap()));
    }

    #[test]
    fn a_curl_line_holds_the_very_request() {
        let place = tempfile::tempdir().unwrap();
        let file = secret_file(&place);
        let arguments = [
            "sign",
            "--key-id=k",
            "--secret-file",
            &file,
            "--timestamp=1700000000",
            "--url=https://localhost:8443/v1/a?b=[c]",
            "--header=X-Trace: a'b",
            "--data",
            BODY,
        ];
        let line = run(&[&arguments[..], &["--curl"]].concat());
        // curl's place is taken by a function that shows what it was given.
        let script = format!("curl() {{ printf '<%s>\\n' \"$@\"; }}\n{}", good(&line));
        let words = shell(&script);
        let words = good(&words);
        for header in good(&run(&arguments)).lines() {
            assert!(words.contains(&format!("<--header>\n<{header}>\n")), "{header} {words}");
        }
        assert!(words.contains("<--header>\n<X-TRACE: a'b>\n"), "{words}");
        assert!(words.contains(&format!("<--data-raw>\n<{BODY}>\n")), "{words}");
        assert!(words.ends_with("<https://localhost:8443/v1/a?b=[c]>\n"), "{words}");
        assert!(!words.contains(SECRET));
    }

    #[test]
    fn mistakes_are_named() {
        let place = tempfile::tempdir().unwrap();
        let file = secret_file(&place);
        let short = place.path().join("short");
        std::fs::write(&short, "too short\n").unwrap();
        let base = ["sign", "--key-id=k", "--url=https://h/v1"];
        let with_secret = [&base[..], &["--secret-file", &file]].concat();
        let cases: [(&[&str], Option<i32>, &str); 7] = [
            (&base, Some(2), "--secret-file"),
            (&[&base[..], &["--secret-file", path(&short)]].concat(), Some(1), "at least 16 bytes"),
            (&[&base[..], &["--secret-file", "/nowhere"]].concat(), Some(1), "/nowhere: cannot"),
            (&[&base[..], &["--secret-list", &file]].concat(), Some(1), "no line begins with k"),
            (&[&with_secret[..], &["--scheme=md5"]].concat(), Some(2), "countersign-v1"),
            (&[&with_secret[..], &["-H", "X-Signature: 1"]].concat(), Some(2), "x-signature"),
            (&["sign", "--key-id=k", "--url=http://h/"], Some(2), "https://host"),
        ];
        for (arguments, status, said) in cases {
            let output = run(arguments);
            assert_eq!(output.status.code(), status, "{arguments:?}");
            assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
            assert!(!text(&output.stderr).contains(SECRET));
        }
    }
}

mod send {
    use super::support::*;

    #[test]
    fn a_dead_port_is_named() {
        let place = tempfile::tempdir().unwrap();
        let dir = path(place.path());
        good(&run(&["certs", "dev", "--dir", dir]));
        let ca = format!("{dir}/ca.pem");
        let list = format!("{dir}/secrets.txt");
        // Bound but not listening: nobody else can take the port meanwhile.
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        let url = format!("--url=https://localhost:{port}/v1");
        let address = format!("--connect=127.0.0.1:{port}");
        let output = run(&[
            "send",
            "--key-id=pk_test_acme",
            "--secret-list",
            &list,
            "--ca",
            &ca,
            &url,
            &address,
        ]);
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(said.contains(&format!("cannot connect to 127.0.0.1:{port}")), "{said}");
        assert!(said.contains("is the gate running there?"), "{said}");
    }
}
