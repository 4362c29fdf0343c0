//! What every area may build on: small, pure parts that know neither HTTP nor the database.
pub mod expression;
pub mod text;
