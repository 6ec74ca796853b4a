//! The account with an authority, and its key.

use instant_acme::{Account, AccountBuilder, ExternalAccountKey, Key, NewAccount};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use zeroize::Zeroizing;

use super::Spec;
use super::authority::speak;
use super::fault::Fault;
use super::keeper::Keeper;
use super::vault::Vault;
use crate::telemetry::Level;

/// The key as the library takes it. What it would only hand back, unwiped, is left empty.
type Signing = (Key, PrivateKeyDer<'static>);

impl Keeper {
    /// The account of the key that is kept, or a new one. It knows the contacts, unless the
    /// authority keeps none: that one issues certificates all the same.
    pub(super) async fn account(&self, spec: &Spec, vault: &Vault) -> Result<Account, Fault> {
        let (builder, directory) = (|| speak(spec, &self.clock), spec.directory.to_string());
        let account = match (self.kept(vault)?, &spec.external) {
            (Some(key), None) => builder().create_from_key(key, directory).await?.0,
            (None, None) => builder().create_from_key(make(vault)?, directory).await?.0,
            (None, Some(_)) => bind(builder(), spec, vault).await?,
            (Some(key), Some(_)) => {
                match builder().from_key(key, directory).await.map_err(Fault::from) {
                    Err(fault) if fault.is("accountDoesNotExist") => {
                        bind(builder(), spec, vault).await?
                    }
                    found => found?.0,
                }
            }
        };
        drop(account.update_contacts(&contacts(spec)).await);
        Ok(account)
    }

    /// The key that is kept. One that is damaged is put aside: then the account is a new one.
    fn kept(&self, vault: &Vault) -> Result<Option<Signing>, Fault> {
        let Some(pem) = vault.account().map_err(Fault::local)? else { return Ok(None) };
        let key = std::str::from_utf8(&pem).ok().and_then(|pem| KeyPair::from_pem(pem).ok());
        let key = key.map(Zeroizing::new).and_then(|key| signing(&key).ok());
        if key.is_none() {
            vault.set_account_aside().map_err(Fault::local)?;
            self.log.event(Level::Warn, "account_key_set_aside", json!({}));
        }
        Ok(key)
    }
}

/// A new key, on the disk before anybody hears of it: an account whose key is lost is of no use.
fn make(vault: &Vault) -> Result<Signing, Fault> {
    let key =
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(Zeroizing::new).map_err(Fault::local)?;
    keep(vault, &key)?;
    signing(&key)
}

/// A new account that belongs to another (RFC 8555, section 7.3.4), of a key that the library
/// makes: it binds no other.
async fn bind(builder: AccountBuilder, spec: &Spec, vault: &Vault) -> Result<Account, Fault> {
    let (contact, directory) = (&*contacts(spec), spec.directory.to_string());
    let mac = spec.external.as_ref();
    let mac = mac.map(|own| ExternalAccountKey::new(own.id.to_string(), own.key.expose()));
    let (terms_of_service_agreed, only_return_existing) = (true, false);
    let wanted = NewAccount { contact, terms_of_service_agreed, only_return_existing };
    let (account, credentials) = builder.create(&wanted, directory, mac.as_ref()).await?;
    let key = KeyPair::try_from(credentials.private_key()).map_err(Fault::local)?;
    keep(vault, &Zeroizing::new(key))?;
    Ok(account)
}

fn contacts(spec: &Spec) -> Vec<&str> {
    spec.contacts.iter().map(|contact| &**contact).collect()
}

fn keep(vault: &Vault, key: &KeyPair) -> Result<(), Fault> {
    vault.keep_account(&Zeroizing::new(key.serialize_pem())).map_err(Fault::local)
}

fn signing(key: &KeyPair) -> Result<Signing, Fault> {
    let own = Key::from_pkcs8_der(PrivatePkcs8KeyDer::from(key.serialized_der()))?;
    Ok((own, PrivatePkcs8KeyDer::from(Vec::new()).into()))
}
