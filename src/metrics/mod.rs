//! Events to Prometheus metrics: the only place that knows the `prometheus` crate. The names and labels are a contract with
//! dashboards and alert rules.

pub mod record;
pub mod registry;
pub mod render;
pub mod tally;
mod zones;
