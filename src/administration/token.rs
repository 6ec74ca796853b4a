//! Verbs about tokens of the admin API.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::disclosure::Shown;
use super::form::{Moment, Page, Span, as_word};
use super::verb::{Output, Verb, verb};
use super::{Code, Office, Problem, merchant, name};
use crate::crypto::{random, sha256};
use crate::secret::text;
use crate::store::row::{Role, TokenRow};
use crate::store::{Actor, View};

/// Verbs about tokens.
pub(super) const VERBS: &[Verb] = &[
    verb!(
        "token create",
        Post "/admin/v1/tokens",
        Owner,
        "Make a token for the admin API, and show it once",
        create
    )
    .discloses(),
    verb!("token list", Get "/admin/v1/tokens", Auditor, "List tokens of the admin API", list)
        .columns(&["token", "name", "role", "merchant", "expires_at", "revoked_at"]),
    verb!(
        "token show",
        Get "/admin/v1/tokens/{token}",
        Auditor,
        "Show a token of the admin API, without its text",
        show
    ),
    verb!(
        "token revoke",
        Post "/admin/v1/tokens/{token}:revoke",
        Security,
        "Refuse a token from now on, for good",
        revoke
    )
    .drastic(),
];

/// How long a token is good, where nothing is said.
const LIFE: Duration = Duration::from_secs(90 * 86_400);
/// How long a token may be good.
const LIFE_MAX: Duration = Duration::from_secs(400 * 86_400);

as_word! {
    /// What a token may do; each may what the ones before it may.
    RoleWord of Role:
    "auditor" = Role::Auditor,
    "security" = Role::Security,
    "admin" = Role::Admin,
    "owner" = Role::Owner,
}

/// A token, without its text.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Token {
    /// Its id.
    pub token: String,
    /// Its name for people.
    pub name: String,
    /// What it may do.
    pub role: RoleWord,
    /// The one merchant that it is for; none: all.
    pub merchant: Option<String>,
    /// When it was made.
    pub created_at: Moment,
    /// The last second in which it is good.
    pub expires_at: Moment,
    /// When it was revoked.
    pub revoked_at: Option<Moment>,
    /// Rises with each change.
    pub revision: u64,
    /// Its text, shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Shown>,
}

impl Output for Token {
    fn secret(&self) -> Option<&Shown> {
        self.secret.as_ref()
    }
}

impl From<TokenRow> for Token {
    fn from(row: TokenRow) -> Self {
        Self {
            token: row.id,
            name: row.name,
            role: RoleWord(row.role),
            merchant: row.merchant,
            created_at: Moment(row.created_at),
            expires_at: Moment(row.expires_at),
            revoked_at: row.revoked_at.map(Moment),
            revision: row.revision,
            secret: None,
        }
    }
}

/// What makes a token.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Its name for people.
    pub name: String,
    /// What it may do.
    pub role: RoleWord,
    /// The one merchant that it is for; without, all.
    pub merchant: Option<String>,
    /// How long it is good, at most 400 days; without, 90 days.
    pub life: Option<Span>,
}

fn create(office: &Office, actor: &Actor, input: Create) -> Result<Token, Problem> {
    name::check_label(&input.name)?;
    let life = input.life.map_or(LIFE, |span| Duration::from_secs(span.0));
    if life > LIFE_MAX || life.is_zero() {
        return Err(Problem::new(Code::InvalidInput, "a token is good for 1 second to 400 days"));
    }
    if input.merchant.is_some() && input.role.0 == Role::Owner {
        let detail = "an owner is for all merchants: give the token another role";
        return Err(Problem::new(Code::InvalidInput, detail));
    }
    let secret = text::api_token(&random()?);
    office.store()?.change(actor, |change| {
        if let Some(merchant) = &input.merchant {
            merchant::find_open(change, merchant)?;
        }
        let now = change.now();
        let row = TokenRow {
            id: name::token_id(now)?,
            name: input.name,
            role: input.role.0,
            merchant: input.merchant,
            digest: sha256(secret.expose()),
            created_at: now,
            expires_at: now.saturating_add(life),
            revoked_at: None,
            revision: 0,
        };
        change.put_token(&row)?;
        let detail = json!({ "name": row.name, "role": input.role, "merchant": row.merchant });
        change.audit("token.created", &row.id, detail, None)?;
        Ok(Token { secret: Shown::of(&secret), ..find(change, &row.id)?.into() })
    })
}

/// Nothing but who asks.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {}

fn list(office: &Office, _: &Actor, _: List) -> Result<Page<Token>, Problem> {
    let rows = office.store()?.read(|view| view.tokens())?;
    Ok(Page { items: rows.into_iter().map(Token::from).collect(), next: None })
}

/// A token that is looked at.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// Its id.
    pub token: String,
}

fn show(office: &Office, _: &Actor, input: Show) -> Result<Token, Problem> {
    office.store()?.read(|view| Ok(find(view, &input.token)?.into()))
}

/// A token that is refused from now on.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// Its id.
    pub token: String,
    /// Why, for the audit log.
    pub reason: Option<String>,
}

fn revoke(office: &Office, actor: &Actor, input: Revoke) -> Result<Token, Problem> {
    office.store()?.change(actor, |change| {
        let row = find(change, &input.token)?;
        if row.revoked_at.is_none() {
            let revoked_at = Some(change.now());
            change.put_token(&TokenRow { revoked_at, ..row })?;
            change.audit("token.revoked", &input.token, json!({}), input.reason.as_deref())?;
        }
        Ok(find(change, &input.token)?.into())
    })
}

fn find(view: &View<'_>, id: &str) -> Result<TokenRow, Problem> {
    let found = view.tokens()?.into_iter().find(|row| row.id == id);
    found.ok_or_else(|| Problem::new(Code::NotFound, format!("there is no token {id}")))
}
