//! Prometheus figures, served on a port of their own.

use actix_web::http::Method;
use prometheus::{Encoder, HistogramOpts, HistogramVec, Registry, TextEncoder};
use std::time::Duration;

pub struct Metrics {
    registry: Registry,
    requests: HistogramVec,
}

impl Metrics {
    /// # Errors
    /// When a figure's definition is not valid.
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        let buckets = vec![
            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        ];
        let options = HistogramOpts::new(
            "penstock_http_request_seconds",
            "Time to answer, by route and status",
        )
        .buckets(buckets);
        let requests = HistogramVec::new(options, &["method", "route", "status"])?;
        registry.register(Box::new(requests.clone()))?;
        Ok(Metrics { registry, requests })
    }

    pub fn observe(&self, method: &Method, route: &str, status: u16, took: Duration) {
        let mut digits = [b'0'; 3];
        for (place, digit) in digits
            .iter_mut()
            .zip([status / 100, status / 10 % 10, status % 10])
        {
            *place += u8::try_from(digit).unwrap_or_default();
        }
        let status = std::str::from_utf8(&digits).unwrap_or("000");
        self.requests
            .with_label_values(&[method.as_str(), route, status])
            .observe(took.as_secs_f64());
    }

    /// The figures in Prometheus' text form.
    pub fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be written");
        }
        text
    }
}
