//! Sockets on loopback that nobody reads, and the two ways to send to them.

use std::net::{SocketAddr, UdpSocket};

use anyhow::Result;
use quinn_udp::{UdpSockRef, UdpSocketState};

/// Addresses that take everything; the kernel drops what does not fit into their small buffers.
pub struct Sink {
    socket: UdpSocket,
    state: UdpSocketState,
    receivers: Vec<UdpSocket>,
    /// Without it nothing is sent: only what comes before the kernel is counted.
    pub sends: bool,
    /// System calls so far.
    pub calls: u64,
}

impl Sink {
    /// Binds `count` receivers.
    ///
    /// # Errors
    /// When loopback sockets cannot be made.
    pub fn new(count: usize) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        state.set_send_buffer_size(UdpSockRef::from(&socket), 4 << 20)?;
        let mut receivers = Vec::with_capacity(count);
        for _ in 0..count {
            let receiver = UdpSocket::bind("127.0.0.1:0")?;
            socket2::SockRef::from(&receiver).set_recv_buffer_size(4096)?;
            receivers.push(receiver);
        }
        Ok(Self { socket, state, receivers, sends: true, calls: 0 })
    }

    /// Where the receivers are.
    ///
    /// # Errors
    /// When a socket has no address.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>> {
        Ok(self.receivers.iter().map(UdpSocket::local_addr).collect::<Result<_, _>>()?)
    }

    /// One `sendto`.
    pub fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        if self.sends {
            self.calls += 1;
            // A full buffer drops, as it does in the server.
            let _ = self.socket.send_to(datagram, to);
        }
    }

    /// One segmented send of datagrams of `segment` bytes.
    pub fn send_segments(&mut self, destination: SocketAddr, contents: &[u8], segment: usize) {
        if contents.len() <= segment {
            return self.send(destination, contents);
        }
        if self.sends {
            self.calls += 1;
            let transmit = quinn_udp::Transmit { destination, ecn: None, contents, segment_size: Some(segment), src_ip: None };
            let _ = self.state.try_send(UdpSockRef::from(&self.socket), &transmit);
        }
    }
}
