//! The commands, and how they show what they have to say.

pub mod diagnostics;
