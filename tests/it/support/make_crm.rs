//! What the tests of accounts, leads and intake have in common.

use super::app::{Answer, Person, anonymous, id};
use hmac::{Hmac, KeyInit, Mac};
use penstock::crm::intake::signature;
use penstock::platform::clock;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::Sha256;

/// A lead, made through the API.
pub async fn lead(person: &Person, name: &str) -> String {
    id(&person
        .post("/v1/leads", json!({ "name": name }))
        .await
        .expect(201))
}

/// An open source with its secret.
pub struct Source {
    pub id: String,
    pub path: String,
    pub secret: String,
}

/// A source that takes deliveries; `more` are further members of it.
pub async fn source(admin: &Person, more: Value) -> Source {
    let mut body = json!({ "key": "website", "name": "官网表单", "channel": "web", "is_intake_open": true });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let id = id(&admin.post("/v1/lead-sources", body).await.expect(201));
    let secret = admin
        .post(&format!("/v1/lead-sources/{id}/rotate-secret"), json!({}))
        .await
        .expect(200);
    Source {
        id,
        path: secret["intake_path"].as_str().unwrap().to_owned(),
        secret: secret["secret"].as_str().unwrap().to_owned(),
    }
}

/// Now, in seconds since 1970.
pub fn now() -> i64 {
    clock::real_now().timestamp()
}

/// A delivery in the making; each part can be forged.
pub struct Delivery {
    pub path: String,
    pub secret: String,
    pub id: String,
    pub at: i64,
    pub body: Vec<u8>,
    pub signatures: Option<String>,
}

impl Source {
    /// A delivery of a JSON body, signed now.
    pub fn delivery(&self, id: &str, body: &Value) -> Delivery {
        self.raw(id, body.to_string().into_bytes())
    }

    /// A delivery of any bytes, signed now.
    pub fn raw(&self, id: &str, body: Vec<u8>) -> Delivery {
        Delivery {
            path: self.path.clone(),
            secret: self.secret.clone(),
            id: id.to_owned(),
            at: now(),
            body,
            signatures: None,
        }
    }

    pub async fn deliver(&self, id: &str, body: &Value) -> Answer {
        self.delivery(id, body).send().await
    }
}

impl Delivery {
    /// The good signature.
    pub fn signature(&self) -> String {
        use base64::Engine;
        let key = signature::key(&self.secret).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{}.", self.id, self.at).as_bytes());
        mac.update(&self.body);
        let signed = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
        format!("v1,{signed}")
    }

    pub async fn send(self) -> Answer {
        let request = anonymous(Method::POST, &self.path).await;
        Answer::of(self.put_into(request)).await
    }

    /// The request with this delivery in it, to whichever server it goes.
    pub fn put_into(self, request: RequestBuilder) -> RequestBuilder {
        let signatures = self.signatures.clone().unwrap_or_else(|| self.signature());
        request
            .header("content-type", "application/json")
            .header("webhook-id", &self.id)
            .header("webhook-timestamp", self.at.to_string())
            .header("webhook-signature", signatures)
            .body(self.body)
    }
}
