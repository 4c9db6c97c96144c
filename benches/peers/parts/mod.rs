//! The parts of the benchmark; each returns its rows.

pub(crate) mod cache;
pub(crate) mod changes;
pub(crate) mod profile;
pub(crate) mod queries;
pub(crate) mod signed;
pub(crate) mod sizes;
pub(crate) mod starts;
pub(crate) mod transfers;
pub(crate) mod watching;
pub(crate) mod workers;
