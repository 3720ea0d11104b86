//! What the tests stand on: parts of the world, in this process, that count.

pub mod engine;
pub mod upstream;
