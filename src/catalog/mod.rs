//! What deals are made of and judged by: products, competitors, loss reasons, exchange rates.

pub mod resources;
pub mod shipped;

use crate::platform::records::Resource;

/// The declared resources of this area.
pub const RESOURCES: &[&Resource] = &[
    &resources::PRODUCT,
    &resources::COMPETITOR,
    &resources::LOSS_REASON,
    &resources::EXCHANGE_RATE,
];
