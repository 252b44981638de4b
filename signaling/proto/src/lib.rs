//! Every message on the wire: Sora signaling, SDP offers and answers, the JSON API.
