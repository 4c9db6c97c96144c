//! Questions to other servers: what a machine may ask of the world, and whose turn it is.

pub mod admission;
pub mod exchange;
