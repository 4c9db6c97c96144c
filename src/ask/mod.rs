//! Questions to other servers: what a machine may ask of the world.

pub mod exchange;
