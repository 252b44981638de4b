//! The SFU's shell: UDP sockets, media threads, the tap.
