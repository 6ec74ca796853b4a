//! A stranger's fuzzer, schemathesis, with nothing but the document that the gate serves: what the
//! document allows must never be a fault of the gate, what it does not allow must be refused, and
//! every answer must be one that the document names.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::api::Api;
use crate::support::certificates::authority;

/// What is looked at in each answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,negative_data_rejection,\
    unsupported_method,allow_header_conformance";

/// With names that are there, and with any: half of all calls would otherwise find nothing.
#[test]
fn schemathesis_finds_no_fault() {
    let api = Api::start();
    let (key_id, _) = api.credential("shop");
    let policy = json!({ "policy": "yearly", "max_age": "365d" });
    assert_eq!(api.owner().post("/admin/v1/policies", policy).status, 201);
    let there = format!(
        "[parameters]\n\"path.merchant\" = \"shop\"\n\"path.key_id\" = \"{key_id}\"\n\
         \"path.policy\" = \"yearly\"\n\"path.kind\" = \"signing\"\n\"path.version\" = 1\n"
    );
    for (config, examples) in [(there.as_str(), 25), ("", 15)] {
        run(&api, config, examples);
    }
    assert_eq!(api.gate.operation("/readyz").status, 200);
    let log = api.gate.output();
    assert!(!log.contains("panicked"), "{log}");
}

fn run(api: &Api, config: &str, examples: u32) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("schemathesis.toml"), config).unwrap();
    let ca = authority().write(folder.path());
    let base = format!("https://localhost:{}", api.gate.operations.port());
    let output = Command::new(tool())
        .current_dir(folder.path())
        .args(["run", &format!("{base}/admin/v1/openapi.json"), "--no-color"])
        .args(["--header", &format!("Authorization: Bearer {}", api.owner().token)])
        .args(["--tls-verify", ca.to_str().unwrap(), "--checks", CHECKS])
        .args(["--phases", "coverage,fuzzing", "--max-examples", &examples.to_string()])
        // The same calls in every run, so that a fault that was found is found again.
        .args(["--seed", "1", "--generation-database", "none", "--continue-on-failure"])
        // It writes files of any name, as the owner of the store may.
        .args(["--exclude-operation-id", "storeBackup"])
        // Would end the fuzzer's own merchant, or take long.
        .args(["--exclude-operation-id", "merchantClose"])
        .args(["--suppress-health-check", "all", "--warnings", "off"])
        .output()
        .expect("schemathesis runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
}

/// Where `tests/run` puts it.
fn tool() -> PathBuf {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemathesis/bin/schemathesis");
    assert!(
        tool.exists(),
        "{}: tests/run installs it, or: /usr/bin/python3 -m venv target/schemathesis && \
         target/schemathesis/bin/pip install -r tests/console/requirements.txt",
        tool.display()
    );
    tool
}
