//! A Sora-protocol client on the webrtc crate: the demo's publisher, load generator, interop peer.
