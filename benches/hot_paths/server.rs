//! The release server as a process of its own.

use crate::Failure;
use crate::http::{self, Connection};
use serde_json::json;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Good enough for a server that lives for a benchmark, on loopback.
pub const SECRET: &str = "bench-only-qwertzuiop-1234567890-asdfghjkl";
const MOST_STARTING: Duration = Duration::from_secs(30);

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// From the start of the process to the first good answer of `/health/ready`.
    pub start_to_ready: Duration,
}

impl Server {
    /// Starts the server on a migrated database and waits until it is ready.
    pub async fn start(database_url: &str) -> Result<Server, Failure> {
        let address = free_address()?;
        let begun = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_penstock"))
            .arg("serve")
            .env("DATABASE_URL", database_url)
            .env("PENSTOCK_LISTEN", address.to_string())
            .env("PENSTOCK_SECRET", SECRET)
            .env("PENSTOCK_LOG", "warn")
            .env("PENSTOCK_RATE_LIMIT_PER_USER", "100000000")
            .env("PENSTOCK_RATE_LIMIT_PER_TENANT", "100000000")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let mut server = Server {
            child,
            address,
            start_to_ready: Duration::ZERO,
        };
        while !is_ready(address).await {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("the server ended before it was ready: {status}").into());
            }
            if begun.elapsed() > MOST_STARTING {
                return Err("the server did not become ready".into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        server.start_to_ready = begun.elapsed();
        Ok(server)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub async fn connect(&self) -> Result<Connection, Failure> {
        Connection::open(self.address).await
    }

    /// Signs somebody in; the access token.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<String, Failure> {
        let body = json!({ "email": email, "password": password }).to_string();
        let request = http::request("POST", "/v1/auth/login", "", &body);
        let answer = self.connect().await?.ask(&request, 200).await?;
        let token = answer["access_token"].as_str();
        Ok(token.ok_or("no access token")?.to_owned())
    }

    /// Ends the server as its operator would, and waits until it is gone.
    pub async fn stop(mut self) -> Result<(), Failure> {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.pid())?);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begun.elapsed() > MOST_STARTING {
                return Err("the server did not stop".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) && self.child.kill().is_ok() {
            // Only so that no zombie stays; how it ended does not matter.
            let _ = self.child.wait();
        }
    }
}

/// An address that nobody listens on at this moment.
fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

async fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut connection) = Connection::open(address).await else {
        return false;
    };
    let answer = connection
        .call(&http::request("GET", "/health/ready", "", ""))
        .await;
    answer.is_ok_and(|answer| answer.status == 200)
}
