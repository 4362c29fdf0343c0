//! Pipelines: what a company's sales process is. The document of a version and its faults, the course of its stages,
//! and the gate of each stage.

pub mod definition;
