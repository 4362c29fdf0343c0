//! A caller of the API, as the demo's people are: everything the demo holds was entered through the front door.

use crate::run::Failure;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// The API at an address, anonymous.
#[derive(Clone)]
pub struct Api {
    client: Client,
    base: String,
}

/// Somebody signed in.
#[derive(Clone)]
pub struct Caller {
    api: Api,
    token: String,
}

impl Api {
    pub fn new(address: SocketAddr) -> Api {
        Api {
            client: Client::new(),
            base: format!("http://{address}"),
        }
    }

    /// # Errors
    /// When the credentials are refused.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<Caller, Failure> {
        let request = self
            .client
            .post(format!("{}/v1/auth/login", self.base))
            .json(&json!({ "email": email, "password": password }));
        let answer = answer(request, "POST /v1/auth/login").await?;
        let token = answer["access_token"].as_str().unwrap_or_default().to_owned();
        Ok(Caller {
            api: self.clone(),
            token,
        })
    }
}

impl Caller {
    /// # Errors
    /// When the answer is not 2xx; the error names the call and the problem.
    pub async fn post(&self, path: &str, body: Value) -> Result<Value, Failure> {
        self.send(Method::POST, path, body).await
    }

    /// # Errors
    /// As `post`.
    pub async fn put(&self, path: &str, body: Value) -> Result<Value, Failure> {
        self.send(Method::PUT, path, body).await
    }

    /// # Errors
    /// As `post`.
    pub async fn patch(&self, path: &str, body: Value) -> Result<Value, Failure> {
        self.send(Method::PATCH, path, body).await
    }

    /// # Errors
    /// As `post`.
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = self
            .api
            .client
            .get(format!("{}{path}", self.api.base))
            .bearer_auth(&self.token);
        answer(request, path).await
    }

    /// Makes a record and answers its id.
    ///
    /// # Errors
    /// As `post`.
    pub async fn make(&self, path: &str, body: Value) -> Result<String, Failure> {
        let made = self.post(path, body).await?;
        made["id"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| format!("POST {path} answered without an id").into())
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> Result<Value, Failure> {
        let name = format!("{method} {path}");
        let request = self
            .api
            .client
            .request(method, format!("{}{path}", self.api.base))
            .bearer_auth(&self.token)
            .json(&body);
        answer(request, &name).await
    }
}

async fn answer(request: reqwest::RequestBuilder, name: &str) -> Result<Value, Failure> {
    let response = request.send().await?;
    let status = response.status();
    let text = response.text().await?;
    if !status.is_success() {
        return Err(format!("{name}: {status} {text}").into());
    }
    Ok(if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text)?
    })
}
