//! The hand-over clock: a sales-qualified lead that somebody gets is to be responded to within working hours. A hand-over
//! begins when such a lead gets an owner and ends with the first response, with the owner taking the lead further, or at
//! the deadline, when it goes on to somebody who has not had it yet.

pub mod follow;
pub mod http;
pub mod record;
pub mod resources;
pub mod timers;
