//! A transport and a client on an in-memory link, in virtual time. Whatever crosses the link can be dropped, changed or kept.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::client::{Client, Profiles};
use crate::model::{CloseReason, Fingerprint, IceCredentials};
use crate::transport::{Identity, Input, Route, Transport};

/// One way over the link.
const DELAY: Duration = Duration::from_millis(10);

type Filter = Box<dyn FnMut(&[u8]) -> bool>;

pub(super) struct Link {
    pub(super) now: Instant,
    pub(super) server: Transport,
    pub(super) client: Client,
    pub(super) route: Route,
    /// Datagrams under way: when they arrive, whether to the server, and what.
    wire: Vec<(Instant, bool, BytesMut)>,
    /// Says false for a datagram of that direction that gets lost.
    pub(super) to_server: Filter,
    pub(super) to_client: Filter,
    /// How long the next datagram is under way.
    pub(super) delay: Box<dyn FnMut() -> Duration>,
    /// Everything that reached the server.
    pub(super) arrived: Vec<BytesMut>,
    pub(super) inputs: Vec<Input>,
}

pub(super) fn credentials() -> IceCredentials {
    IceCredentials { ufrag: "ours1".into(), pwd: "a-password-of-22-chars-or-more".into() }
}

impl Link {
    /// Both ends know the right things of each other, except that the server is told `fingerprint` when given.
    pub(super) fn new(profiles: &Profiles, told: &Told) -> Self {
        // The one reading of the clock: all else is virtual.
        #[allow(clippy::disallowed_methods)]
        let now = Instant::now();
        let identity = Identity::generate().unwrap();
        let (client_addr, server_addr) = (SocketAddr::from(([10, 0, 0, 2], 5000)), SocketAddr::from(([10, 0, 0, 1], 8080)));
        let mut server = Transport::new(now, &identity, credentials());
        let client = Client::new(now, client_addr, server_addr, &credentials(), identity.fingerprint(), profiles);
        match told {
            Told::Right => server.set_remote_fingerprint(client.fingerprint),
            Told::Wrong => server.set_remote_fingerprint(Fingerprint([7; 32])),
            Told::Nothing => {}
        }
        let route = Route::udp(client_addr, Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))));
        let (wire, arrived, inputs) = (Vec::new(), Vec::new(), Vec::new());
        let (to_server, to_client): (Filter, Filter) = (Box::new(|_| true), Box::new(|_| true));
        Self { now, server, client, route, wire, to_server, to_client, delay: Box::new(|| DELAY), arrived, inputs }
    }

    /// Until `done` or for so long in virtual time. True when done.
    pub(super) fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            self.exchange();
            if done(self) {
                return true;
            }
            let next = [self.server.poll_timeout(), self.client.poll_timeout(), self.wire.iter().map(|(at, ..)| *at).min()];
            // Never closer than 100 µs, so that a timer that is always due cannot stop the time.
            let next = next.into_iter().flatten().min().unwrap_or(end).max(self.now + Duration::from_micros(100));
            if next > end {
                self.now = end;
                return done(self);
            }
            self.now = next;
            if self.server.poll_timeout().is_some_and(|at| at <= self.now) {
                self.server.handle_timeout(self.now);
            }
        }
    }

    pub(super) fn run(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    pub(super) fn connect(&mut self) -> bool {
        self.run_until(Duration::from_secs(20), |link| link.is_connected() && link.client.connected)
    }

    pub(super) fn is_connected(&self) -> bool {
        self.inputs.contains(&Input::Connected)
    }

    pub(super) fn closed(&self) -> Option<CloseReason> {
        self.inputs.iter().find_map(|input| if let Input::Closed(reason) = input { Some(*reason) } else { None })
    }

    pub(super) fn rtp(&self) -> Vec<&BytesMut> {
        self.inputs.iter().filter_map(|input| if let Input::Rtp(packet) = input { Some(packet) } else { None }).collect()
    }

    /// Hands a datagram straight to the server.
    pub(super) fn inject(&mut self, datagram: &[u8]) {
        self.server.handle_datagram(self.now, self.route, BytesMut::from(datagram));
        self.take_inputs();
    }

    fn exchange(&mut self) {
        let now = self.now;
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.wire).into_iter().partition(|(at, ..)| *at <= now);
        self.wire = later;
        for (_, to_server, datagram) in due {
            if to_server {
                self.arrived.push(datagram.clone());
                self.server.handle_datagram(now, self.route, datagram);
            } else {
                self.client.receive(now, &datagram);
            }
        }
        for datagram in self.client.poll(now) {
            if (self.to_server)(&datagram) {
                self.wire.push((now + (self.delay)(), true, datagram));
            }
        }
        while let Some(transmit) = self.server.poll_transmit() {
            for datagram in transmit.datagrams().filter(|datagram| (self.to_client)(datagram)) {
                self.wire.push((now + (self.delay)(), false, BytesMut::from(datagram)));
            }
        }
        self.take_inputs();
    }

    fn take_inputs(&mut self) {
        while let Some(input) = self.server.poll_input() {
            self.inputs.push(input);
        }
    }
}

/// What the answer told the server of the client's certificate.
pub(super) enum Told {
    Right,
    Wrong,
    Nothing,
}
