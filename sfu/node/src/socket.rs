//! The UDP socket: batches in and out, and the address that a datagram came to.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Instant;

use bytes::BytesMut;
use minamo_sfu_core::transport::{Route, Transmit};
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};

use crate::counts::SocketCounts;

/// Kernel buffers: a key frame to many subscribers leaves at once, and the thread may be away for some milliseconds.
const KERNEL_BUFFER: usize = 4 << 20;

/// Bytes per receive buffer: what one GRO datagram may hold.
const RECEIVE_BUFFER: usize = 65_536;

/// A bound, non-blocking socket with its buffers.
pub(crate) struct MediaSocket {
    wire: Wire,
    receive: Vec<u8>,
    metas: Vec<RecvMeta>,
    pub(crate) counts: SocketCounts,
}

struct Wire {
    socket: mio::net::UdpSocket,
    state: UdpSocketState,
    bound: SocketAddr,
}

impl MediaSocket {
    /// Binds. `[::]` takes IPv4 too.
    pub(crate) fn bind(listen: SocketAddr) -> io::Result<Self> {
        Self::bind_one(listen, false)
    }

    /// Binds so many sockets to one port. The system gives all datagrams of one sender to the same of them, by a hash.
    pub(crate) fn bind_all(listen: SocketAddr, count: usize) -> io::Result<Vec<Self>> {
        if count <= 1 {
            return Ok(vec![Self::bind(listen)?]);
        }
        // Sharing would also let another process of ours in, which would then get a part of our datagrams: first see that there is none.
        let port = Self::bind(listen)?.bound().port();
        let listen = SocketAddr::new(listen.ip(), port);
        (0..count).map(|_| Self::bind_one(listen, true)).collect()
    }

    fn bind_one(listen: SocketAddr, shared: bool) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
        if listen.is_ipv6() {
            socket.set_only_v6(!listen.ip().is_unspecified())?;
        }
        if shared {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&listen.into())?;
        let socket = UdpSocket::from(socket);
        let bound = socket.local_addr()?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        socket.set_nonblocking(true)?;
        // The kernel may give less; it works with less.
        let _ = state.set_send_buffer_size(UdpSockRef::from(&socket), KERNEL_BUFFER);
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), KERNEL_BUFFER);
        let wire = Wire { socket: mio::net::UdpSocket::from_std(socket), state, bound };
        let (receive, metas) = (vec![0; RECEIVE_BUFFER * BATCH_SIZE], vec![RecvMeta::default(); BATCH_SIZE]);
        Ok(Self { wire, receive, metas, counts: SocketCounts::default() })
    }

    /// The address that it is bound to, with the port that the system chose.
    pub(crate) fn bound(&self) -> SocketAddr {
        self.wire.bound
    }

    /// For registration with a poll.
    pub(crate) fn source(&mut self) -> &mut mio::net::UdpSocket {
        &mut self.wire.socket
    }

    /// One `recvmmsg`: each datagram goes to `each`. False when nothing more is there; a datagram that comes later wakes the poll.
    pub(crate) fn receive(&mut self, mut each: impl FnMut(&mut Self, Instant, Route, BytesMut)) -> bool {
        let mut buffers: Vec<IoSliceMut<'_>> = self.receive.chunks_exact_mut(RECEIVE_BUFFER).map(IoSliceMut::new).collect();
        let count = match self.wire.state.recv(UdpSockRef::from(&self.wire.socket), &mut buffers, &mut self.metas) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(_) => {
                // What is reported here is of one datagram; the socket goes on. Back to the poll, lest a lasting error spins.
                self.counts.receive_errors += 1;
                return false;
            }
        };
        drop(buffers);
        let now = Instant::now();
        for index in 0..count {
            let meta = self.metas[index];
            let route = self.wire.route(&meta);
            if meta.len == 0 {
                // An empty datagram is one, too: garbage to be counted.
                each(self, now, route, BytesMut::new());
            }
            let begin = index * RECEIVE_BUFFER;
            let end = begin + meta.len.min(RECEIVE_BUFFER);
            let stride = if meta.stride == 0 { RECEIVE_BUFFER } else { meta.stride };
            for at in (begin..end).step_by(stride) {
                let datagram = BytesMut::from(&self.receive[at..end.min(at + stride)]);
                each(self, now, route, datagram);
            }
        }
        count == self.metas.len()
    }

    /// Sends, by one segmented send where that works. A full kernel buffer drops: late media is worth nothing, and what is worth
    /// something is asked for again.
    pub(crate) fn send(&mut self, transmit: &Transmit) {
        let segments = self.wire.state.max_gso_segments().max(1);
        for group in transmit.payload.chunks(transmit.segment.max(1) * segments) {
            self.send_group(transmit.route, group, transmit.segment.max(1));
        }
    }

    fn send_group(&mut self, route: Route, contents: &[u8], segment: usize) {
        self.counts.sends += 1;
        let count = contents.len().div_ceil(segment);
        let dropped = match self.wire.send(route, contents, Some(segment).filter(|_| count > 1)) {
            Ok(()) => 0,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock && count > 1 => {
                // Segmentation does not work on this way (then quinn-udp stops offering it): one by one.
                contents.chunks(segment).filter(|datagram| self.wire.send(route, datagram, None).is_err()).count()
            }
            Err(_) => count,
        };
        self.counts.send_drops += dropped as u64;
    }
}

impl Wire {
    fn route(&self, meta: &RecvMeta) -> Route {
        // On [::] an IPv4 peer appears as ::ffff:a.b.c.d; inside it is what it is.
        let remote = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
        let local = meta.dst_ip.filter(|_| self.bound.ip().is_unspecified()).map(|ip| ip.to_canonical());
        Route::udp(remote, local)
    }

    fn send(&self, route: Route, contents: &[u8], segment_size: Option<usize>) -> io::Result<()> {
        let destination = SocketAddr::new(self.family(route.remote.ip()), route.remote.port());
        let src_ip = route.local.map(|ip| self.family(ip));
        let transmit = quinn_udp::Transmit { destination, ecn: None, contents, segment_size, src_ip };
        self.state.try_send(UdpSockRef::from(&self.socket), &transmit)
    }

    /// The address as this socket's family writes it.
    fn family(&self, ip: IpAddr) -> IpAddr {
        match ip {
            IpAddr::V4(ip) if self.bound.is_ipv6() => IpAddr::V6(ip.to_ipv6_mapped()),
            _ => ip,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn wait(socket: &mut MediaSocket) -> Vec<(Route, Vec<u8>)> {
        let mut poll = mio::Poll::new().unwrap();
        poll.registry().register(socket.source(), mio::Token(0), mio::Interest::READABLE).unwrap();
        let mut got = Vec::new();
        while got.is_empty() {
            poll.poll(&mut mio::Events::with_capacity(1), Some(Duration::from_secs(10))).unwrap();
            while socket.receive(|_, _, route, data| got.push((route, data.to_vec()))) {}
        }
        poll.registry().deregister(socket.source()).unwrap();
        got
    }

    fn echo(listen: &str, client: &str, to: &str) -> (Route, SocketAddr) {
        let mut server = MediaSocket::bind(listen.parse().unwrap()).unwrap();
        let client = UdpSocket::bind(client).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client.send_to(b"hello", SocketAddr::new(to.parse().unwrap(), server.bound().port())).unwrap();
        let (route, data) = wait(&mut server).remove(0);
        server.send(&Transmit::single(route, BytesMut::from(&data[..])));
        let mut buffer = [0; 100];
        let (length, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"hello");
        (route, from)
    }

    #[test]
    fn a_wildcard_answers_from_the_address_that_was_asked() {
        // 127.0.0.2 is another address of the same machine: without care the answer would come from 127.0.0.1.
        let (route, from) = echo("0.0.0.0:0", "127.0.0.1:0", "127.0.0.2");
        assert_eq!(route.local, Some(IpAddr::from([127, 0, 0, 2])));
        assert_eq!(from.ip(), IpAddr::from([127, 0, 0, 2]));
    }

    #[test]
    fn a_bound_address_needs_no_local_one() {
        let (route, _) = echo("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1");
        assert_eq!(route.local, None);
    }

    #[test]
    fn ipv4_on_an_ipv6_wildcard_is_ipv4_inside() {
        // A machine may have no IPv6 at all.
        if UdpSocket::bind("[::1]:0").is_err() {
            return;
        }
        let (route, from) = echo("[::]:0", "127.0.0.1:0", "127.0.0.2");
        assert!(route.remote.is_ipv4());
        assert_eq!((route.local, from.ip()), (Some(IpAddr::from([127, 0, 0, 2])), IpAddr::from([127, 0, 0, 2])));
    }

    #[test]
    fn a_burst_arrives_whole_whether_segmented_or_not() {
        let mut sender = MediaSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut receiver = MediaSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let route = Route::udp(receiver.bound(), None);
        let groups: [&[usize]; 4] = [&[1200, 1200, 1200, 700], &[700, 50], &[1200], &[10; 64]];
        let mut expected = Vec::new();
        for sizes in groups {
            let first = expected.len();
            expected.extend(sizes.iter().zip(first..).map(|(size, index)| vec![index as u8; *size]));
            sender.send(&Transmit { route, payload: BytesMut::from(&expected[first..].concat()[..]), segment: sizes[0] });
        }
        assert!(sender.counts.sends < expected.len() as u64, "they went in groups");
        let mut got = Vec::new();
        while got.len() < expected.len() {
            got.extend(wait(&mut receiver));
        }
        assert_eq!(got.into_iter().map(|(_, data)| data).collect::<Vec<_>>(), expected);
    }
}
