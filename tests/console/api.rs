//! A gate with a store, and programs that hold tokens of its admin API.

use std::path::{Path, PathBuf};

use countersign::administration::verbs;
use countersign::console::Routes;
use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::process::{Process, Site, countersign};
use crate::support::request::{HOST, Request};
use crate::support::setup::Setup;

/// A running gate whose state folder holds a store with one token in it.
pub(crate) struct Api {
    pub(crate) gate: Process,
    pub(crate) site: Site,
    owner: String,
}

/// A program with a token.
pub(crate) struct Operator<'a> {
    api: &'a Api,
    pub(crate) token: String,
}

impl Api {
    pub(crate) fn start() -> Self {
        let site = Site::new(Setup::new());
        let folder = site.folder.path();
        let (status, said) = countersign(folder, &["master", "create", "--config", CONFIG]);
        assert!(status.success(), "{said}");
        let owner = first_token(folder, "owner");
        let gate = site.serve();
        gate.wait_ready();
        Self { gate, site, owner }
    }

    /// The program with the first token.
    pub(crate) fn owner(&self) -> Operator<'_> {
        self.holder(&self.owner)
    }

    /// A program with this token.
    pub(crate) fn holder(&self, token: &str) -> Operator<'_> {
        Operator { api: self, token: token.to_owned() }
    }

    /// A program with a new token of a role, for all or for one merchant.
    pub(crate) fn operator(&self, role: &str, merchant: Option<&str>) -> Operator<'_> {
        let made = self
            .owner()
            .post("/admin/v1/tokens", json!({ "name": role, "role": role, "merchant": merchant }));
        self.holder(made.json()["secret"].as_str().expect("a token"))
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.site.folder.path().join("state")
    }

    /// Sends a request as it is.
    pub(crate) fn send(&self, request: &Request) -> Answer {
        self.connect().ask(request)
    }

    pub(crate) fn connect(&self) -> Client {
        Client::dial(self.gate.operations, HOST, &["http/1.1"]).expect("operations listener")
    }

    /// A merchant with one credential: its key id and its secret.
    pub(crate) fn credential(&self, merchant: &str) -> (String, String) {
        let owner = self.owner();
        let rate = "9/9";
        owner.post(
            "/admin/v1/merchants",
            json!({ "merchant": merchant, "name": "M", "rate": rate }),
        );
        let made = owner.post("/admin/v1/credentials", credential_of(merchant)).json();
        let text = |name: &str| made[name].as_str().expect(name).to_owned();
        (text("key_id"), text("secret"))
    }

    /// Calls by verb and code, as they are counted.
    pub(crate) fn count(&self, verb: &str, code: &str) -> f64 {
        let text = self.gate.operation("/metrics").text();
        let own = |line: &&str| {
            line.starts_with("countersign_admin_requests_total{")
                && line.contains(&format!("code=\"{code}\""))
                && line.contains(&format!("verb=\"{verb}\""))
        };
        let line = text.lines().find(own).and_then(|line| line.rsplit_once(' '));
        line.map_or(0.0, |(_, value)| value.parse().expect("a number"))
    }
}

pub(crate) const CONFIG: &str = "countersign.toml";

/// What makes a credential of a merchant.
pub(crate) fn credential_of(merchant: &str) -> Value {
    json!({
        "merchant": merchant,
        "name": "Orders",
        "environment": "test",
        "scheme": "kwikpaisa",
        "scopes": ["POST /v1/orders"],
    })
}

/// The token that the command line makes.
pub(crate) fn first_token(folder: &Path, role: &str) -> String {
    let out = folder.join(format!("{role}.token"));
    let arguments = ["token", "create", "--config", CONFIG, "--name", "first", "--role", role];
    let into = ["--secret-out", out.to_str().expect("a path")];
    let (status, said) = countersign(folder, &[&arguments[..], &into].concat());
    assert!(status.success(), "{said}");
    std::fs::read_to_string(out).expect("a token").trim_end().to_owned()
}

impl Operator<'_> {
    /// A request with the token.
    pub(crate) fn request(&self, method: &str, target: &str) -> Request {
        Request::new(method, target).header("Authorization", format!("Bearer {}", self.token))
    }

    /// A request with the token and a body of JSON.
    pub(crate) fn with_body(&self, method: &str, target: &str, body: &Value) -> Request {
        let request = self.request(method, target).header("Content-Type", "application/json");
        request.body(body.to_string().as_bytes())
    }

    pub(crate) fn send(&self, request: &Request) -> Answer {
        self.api.send(request)
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.send(&self.request("GET", target))
    }

    pub(crate) fn post(&self, target: &str, body: Value) -> Answer {
        self.send(&self.with_body("POST", target, &body))
    }

    pub(crate) fn delete(&self, target: &str) -> Answer {
        self.send(&self.request("DELETE", target))
    }
}

/// The code of a problem; fails the test when the answer is none of the right form.
pub(crate) fn code(answer: &Answer) -> String {
    let shown = format!("{answer:?} {}", answer.text());
    assert_eq!(answer.value("content-type"), Some("application/problem+json"), "{shown}");
    assert_eq!(answer.value("cache-control"), Some("no-store"), "{shown}");
    let problem = answer.json();
    let members = problem.as_object().expect("members");
    for name in ["type", "title", "status", "code", "detail", "request_id"] {
        assert!(members.contains_key(name), "{name} in {shown}");
    }
    for name in members.keys() {
        let known = ["type", "title", "status", "code", "detail", "request_id", "at"];
        assert!(known.contains(&name.as_str()), "{name} in {shown}");
    }
    assert_eq!(problem["status"], answer.status, "{shown}");
    assert_eq!(problem["request_id"].as_str(), answer.value("x-request-id"), "{shown}");
    let code = problem["code"].as_str().expect("a code").to_owned();
    assert_eq!(problem["type"], format!("urn:countersign:problem:{code}"));
    code
}

/// The name of the verb that a request is for.
pub(crate) fn verb_of(request: &Request) -> &'static str {
    let method = request.method.parse().expect("a method");
    let path = request.target.split('?').next().unwrap_or_default();
    let found = Routes::new().find(&method, path).expect("a path");
    verbs().find(|verb| verb.name == found.verb.name).expect("a verb").name
}
