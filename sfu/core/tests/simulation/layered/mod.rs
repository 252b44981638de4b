//! Layers: latched, chosen, switched, thinned out, cached, tapped, in every codec that has them.

mod joins;
mod shape;
mod shards;
mod source;
mod stage;
mod switching;
mod viewer;

pub use self::stage::{SIMULCAST, Stage};
