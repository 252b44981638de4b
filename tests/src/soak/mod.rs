//! A soak: peers that come and go for minutes or hours, and a judgement of what the server keeps of them.

mod growth;
mod load;

pub use self::growth::{Growth, Sample};
pub use self::load::{Load, Turns};
