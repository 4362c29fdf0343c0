//! Runs the service: workers, each with its own connections, the background duties, and the metrics on a port of their own.

use crate::app;
use crate::config::Config;
use crate::crm::duplicates::{self, IDENTITY_KEYS};
use crate::crm::intake::resealing;
use crate::platform::auth::Auth;
use crate::platform::contract::Contract;
use crate::platform::db::Db;
use crate::platform::duty::Duty;
use crate::platform::event_kinds;
use crate::platform::gatekeeper::Platform;
use crate::platform::limits::{Limits, SignIns};
use crate::platform::metrics::Metrics;
use crate::platform::records::catch_up;
use crate::platform::records::entry::SEARCH_ENTRIES;
use crate::platform::replica::Place;
use crate::platform::tokens::Secrets;
use crate::{event, jobs, opportunity, search, time};
use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// For the document, whose pieces are put together deep within each other.
const CONTRACT_STACK: usize = 16 * 1024 * 1024;

/// A server that is accepting requests.
pub struct Running {
    pub address: SocketAddr,
    pub platform: web::Data<Platform>,
    handle: ServerHandle,
    metrics: Option<ServerHandle>,
    duties: Vec<Duty>,
}

impl Running {
    /// Stops accepting, lets requests and background duties under way finish, then returns.
    pub async fn stop(self) {
        self.platform.stop();
        self.handle.stop(true).await;
        for duty in self.duties {
            duty.stop().await;
        }
        if let Some(metrics) = self.metrics {
            metrics.stop(false).await;
        }
    }
}

/// The contract, put together on a thread of its own: the document is many times larger than what is kept of it, and its
/// memory goes back with the thread.
fn contract() -> Result<Contract, Failure> {
    let builder = std::thread::Builder::new()
        .name("contract".to_owned())
        .stack_size(CONTRACT_STACK);
    let built = builder.spawn(|| Contract::new(&app::document()))?.join();
    built.map_err(|_| "the contract could not be put together".into())
}

/// What all workers share.
///
/// # Errors
/// When a secret or a figure's definition cannot be used.
pub fn platform(config: &Config, secret: &str) -> Result<web::Data<Platform>, Failure> {
    let secrets = Secrets::new(secret, config.strong_previous_secret()?)?;
    event_kinds::declare(&app::resources());
    Ok(web::Data::new(Platform {
        auth: Auth::new(Arc::new(secrets)),
        contract: contract()?,
        limits: Limits::new(config.rate_per_user, config.rate_per_tenant),
        sign_ins: SignIns::default(),
        hand_overs: app::hand_overs(),
        leave_seats: app::leave_seats,
        ships: app::SHIPS.to_vec(),
        metrics: Metrics::new()?,
        stopping: AtomicBool::new(false),
        import_max_bytes: config.import_max_bytes,
    }))
}

/// Starts serving on `config.listen` from a database that is migrated.
///
/// # Errors
/// When an address is taken or a setting cannot be used.
pub async fn start(config: &Config, url: &str, platform: web::Data<Platform>) -> Result<Running, Failure> {
    let listener = TcpListener::bind(config.listen)?;
    let address = listener.local_addr()?;
    let place = Place {
        url: url.to_owned(),
        read_url: config.database_read_url.clone(),
    };
    let coordinator = config.database_coordinator_url.as_deref().unwrap_or(url);
    let mut duties = vec![
        event::sequencer::spawn(coordinator)?,
        time::engine::spawn(url, app::TIMERS)?,
        time::maintenance::spawn(coordinator, platform.clone())?,
        catch_up::spawn(coordinator, &IDENTITY_KEYS, duplicates::RESOURCES.to_vec())?,
        catch_up::spawn(coordinator, &SEARCH_ENTRIES, search::RESOURCES.to_vec())?,
        opportunity::overdue::fill::spawn(coordinator)?,
        jobs::worker::spawn(&place, app::JOBS)?,
    ];
    if platform.auth.secrets.has_previous() {
        duties.push(resealing::spawn(url, Arc::clone(&platform.auth.secrets))?);
    }
    let (shared, connections) = (platform.clone(), config.connections_per_worker);
    // A first pool proves here that the settings are possible; the workers make their own, on their own runtimes.
    place.connections(connections)?;
    let origins = config.cors_origins.clone();
    let server = HttpServer::new(move || {
        #[expect(
            clippy::expect_used,
            reason = "the same settings made a pool just before; a worker without one cannot run"
        )]
        let db = place.connections(connections).expect("a pool");
        shared.metrics.watch(db.connections());
        app::service(shared.clone(), db, cors(&origins))
    })
    .workers(config.workers)
    .client_request_timeout(Duration::from_secs(10))
    .shutdown_timeout(20)
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    let metrics = match config.metrics_listen {
        Some(address) => Some(serve_metrics(address, url, platform.clone())?),
        None => None,
    };
    Ok(Running {
        address,
        platform,
        handle,
        metrics,
        duties,
    })
}

fn cors(origins: &[String]) -> actix_cors::Cors {
    let cors = actix_cors::Cors::default()
        .allowed_methods(["GET", "POST", "PATCH", "PUT", "DELETE"])
        .allowed_headers([
            "authorization",
            "content-type",
            "if-match",
            "if-none-match",
            "idempotency-key",
            "prefer",
            "accept-language",
            "last-event-id",
            "x-request-id",
        ])
        .expose_headers([
            "etag",
            "link",
            "location",
            "retry-after",
            "ratelimit",
            "ratelimit-policy",
            "x-request-id",
            "idempotent-replayed",
            "preference-applied",
        ])
        .max_age(3600);
    origins
        .iter()
        .fold(cors, |cors, origin| cors.allowed_origin(origin))
}

fn serve_metrics(
    address: SocketAddr,
    url: &str,
    platform: web::Data<Platform>,
) -> Result<ServerHandle, Failure> {
    let url = url.to_owned();
    let server = HttpServer::new(move || {
        #[expect(
            clippy::expect_used,
            reason = "the workers' pools were made of the same URL just before"
        )]
        let db = web::Data::new(Db::new(&url, 1).expect("a pool"));
        App::new().app_data(platform.clone()).app_data(db).route(
            "/metrics",
            web::get().to(|platform: web::Data<Platform>, db: web::Data<Db>| async move {
                platform.metrics.count(&db).await;
                HttpResponse::Ok()
                    .content_type("text/plain; version=0.0.4")
                    .body(platform.metrics.text())
            }),
        )
    })
    .workers(1)
    .disable_signals()
    .bind(address)?
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok(handle)
}
