//! Every message on the wire: Sora signaling, SDP offers and answers, the JSON API.
//!
//! Pure: text and values in, text and values out. Nothing here knows a socket, a room or a clock, and nothing that comes from
//! the wire can make it panic.

pub mod api;
pub mod sdp;
pub mod sora;
