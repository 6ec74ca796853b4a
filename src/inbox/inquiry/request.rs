//! The request that a call makes of a delivery.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};

use crate::journal::{Delivery, Facts};
use crate::recipe::{Evaluation, Fault, Subject, Template};
use crate::scheme::{Outgoing, Scheme, SignFault};

use super::address::address;
use super::{Call, Means, Unaskable, give};

impl Call {
    /// The request for a delivery.
    ///
    /// # Errors
    /// When the message lacks what it is made of.
    pub fn request(
        &self,
        delivery: &Delivery,
        means: Means<'_>,
    ) -> Result<Request<Bytes>, Unaskable> {
        let pairs = delivery.headers.iter().filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(value).ok()?))
        });
        let mut headers = HeaderMap::new();
        pairs.for_each(|(name, value)| {
            headers.append(name, value);
        });
        let body = [delivery.body.clone()];
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let message = Subject {
            method: &delivery.method,
            scheme: "https",
            authority: host.unwrap_or_default(),
            target: &delivery.target,
            headers: &headers,
            body: if delivery.body.is_empty() { &[] } else { &body },
            status: None,
            public_url: None,
            secret: Some(means.key.secret().expose()),
            values: means.values,
        };
        self.request_of(message, &delivery.facts, means)
    }

    /// The request for a message and its facts.
    pub(super) fn request_of(
        &self,
        message: Subject<'_>,
        facts: &Facts,
        means: Means<'_>,
    ) -> Result<Request<Bytes>, Unaskable> {
        let mut message = Evaluation::new(message, &self.scope);
        give(&mut message, &self.given, facts);
        let url = message.text(&self.url).map_err(|fault| lacking(&fault))?;
        let url = address(&url).ok_or_else(|| Unaskable("its address is none".to_owned()))?;
        let mut headers = HeaderMap::new();
        for (name, template) in &self.headers {
            headers.insert(name.clone(), header(&message, name, template)?);
        }
        let body = self.body.as_ref().map(|body| message.bytes(body)).transpose();
        let body = body.map_err(|fault| lacking(&fault))?;
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.into_owned()));
        if let Some((scheme, key_id)) = &self.sign {
            let key_id = message.text(key_id).map_err(|fault| lacking(&fault))?;
            self.signed(scheme, &key_id, &url, &mut headers, &body, means)?;
        }
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = url;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn signed(
        &self,
        scheme: &Scheme,
        key_id: &str,
        url: &Uri,
        headers: &mut HeaderMap,
        body: &Bytes,
        means: Means<'_>,
    ) -> Result<(), Unaskable> {
        let unsigned = |fault: SignFault| Unaskable(fault.to_string());
        let key = scheme.signing_key(means.key.secret(), means.values.clone());
        let key = key.map_err(|fault| Unaskable(fault.to_string()))?;
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let outgoing = Outgoing {
            key_id,
            timestamp: means.now,
            method: &self.method,
            authority: url.authority().map_or("", |authority| authority.as_str()),
            target: url.path_and_query().map_or("/", |target| target.as_str()),
            content_type: content_type.unwrap_or_default(),
            headers,
            body,
        };
        let claims = scheme.sign(&key, &outgoing).map_err(unsigned)?;
        headers.extend(claims);
        Ok(())
    }
}

/// A header's value. What is secret in it, or may be, is marked so.
fn header(
    message: &Evaluation<'_>,
    name: &HeaderName,
    template: &Template,
) -> Result<HeaderValue, Unaskable> {
    let value = message.secret_bytes(template).map_err(|fault| lacking(&fault))?;
    let value = HeaderValue::from_bytes(&value);
    let mut value = value.map_err(|_| Unaskable(format!("{name} cannot be sent in a header")))?;
    value.set_sensitive(template.is_secret());
    Ok(value)
}

fn lacking(fault: &Fault) -> Unaskable {
    Unaskable(fault.to_string())
}
