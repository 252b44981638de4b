//! Our data channels toward one peer (RFC 8831, RFC 8832). We open all of them, on odd streams, because we are the DTLS server.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use rtc_datachannel::message::Message;
use rtc_datachannel::message::message_channel_open::{CHANNEL_PRIORITY_NORMAL, ChannelType, DataChannelOpen};
use rtc_sctp::{Association, Chunks, PayloadProtocolIdentifier as Ppi, ReliabilityType};
use rtc_shared::marshal::{Marshal, Unmarshal};

use super::{MAX_MESSAGE, MAX_STREAMS, Overflow};
use crate::model::{DataChannelSpec, DataMessage, Reliability};
use crate::transport::{Input, TransportCounters};

/// Channels of one peer at once; more are refused. The streams allow no more than twice as many in its life.
const CHANNELS_MAX: usize = 32;
/// What may wait to reach the peer, in bytes. A message that is not acknowledged counts with its length and [`MESSAGE_COST`].
const BUFFERED_MAX: usize = 2 * 1024 * 1024;
const MESSAGE_COST: usize = 256;

/// The channels of one peer.
#[derive(Debug, Default)]
pub(super) struct Channels {
    list: Vec<Channel>,
    /// How many streams were given to channels.
    used: u16,
    /// What waits to reach the peer, as [`BUFFERED_MAX`] counts.
    buffered: usize,
    /// Bounded by what the fence lets in and by the channels.
    inputs: VecDeque<Input>,
}

#[derive(Debug)]
struct Channel {
    label: Arc<str>,
    spec: DataChannelSpec,
    stage: Stage,
    /// Lengths of the messages that were not acknowledged, and how much of the first of them was.
    outstanding: VecDeque<u32>,
    acknowledged: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// For the association.
    Waiting,
    /// The OPEN is out.
    Opening(u16),
    /// The ACK came.
    Open(u16),
    /// No new messages.
    Closing(u16),
}

impl Channels {
    pub(super) fn add(&mut self, spec: DataChannelSpec, counters: &mut TransportCounters) {
        if self.list.iter().any(|channel| *channel.label == *spec.label) {
            counters.channels_refused += 1;
            return;
        }
        let label: Arc<str> = Arc::from(spec.label.as_str());
        let fits = spec.label.len() <= usize::from(u16::MAX) && spec.protocol.len() <= usize::from(u16::MAX);
        if !fits || self.list.len() >= CHANNELS_MAX {
            counters.channels_refused += 1;
            self.inputs.push_back(Input::ChannelClosed(label));
            return;
        }
        self.list.push(Channel { label, spec, stage: Stage::Waiting, outstanding: VecDeque::new(), acknowledged: 0 });
    }

    pub(super) fn poll_input(&mut self) -> Option<Input> {
        self.inputs.pop_front()
    }

    /// Opens what waits for it and closes what may be closed. Only on an association that is up.
    pub(super) fn serve(&mut self, now: Instant, association: &mut Association) {
        let streams = association.negotiated_max_streams().unwrap_or(0).min(MAX_STREAMS);
        let mut at = 0;
        while let Some(channel) = self.list.get_mut(at) {
            let stays = match channel.stage {
                Stage::Waiting => {
                    let stream = 2 * self.used + 1;
                    self.used += 1;
                    let open = (stream < streams).then(|| channel.dial(now, association, stream)).flatten();
                    self.buffered += open.unwrap_or(0);
                    open.is_some()
                }
                Stage::Closing(stream) => !close_when_done(now, association, stream),
                Stage::Opening(_) | Stage::Open(_) => true,
            };
            if stays {
                at += 1;
            } else {
                self.remove(at);
            }
        }
    }

    pub(super) fn send(
        &mut self,
        now: Instant,
        association: &mut Association,
        message: &DataMessage,
        counters: &mut TransportCounters,
    ) -> Result<(), Overflow> {
        let open = self.list.iter_mut().find_map(|channel| match channel.stage {
            Stage::Open(stream) if *channel.label == *message.label => Some((channel, stream)),
            _ => None,
        });
        let Some((channel, stream)) = open.filter(|_| message.payload.len() <= MAX_MESSAGE as usize) else {
            counters.data_dropped += 1;
            return Ok(());
        };
        if self.buffered + message.payload.len() + MESSAGE_COST > BUFFERED_MAX {
            counters.data_dropped += 1;
            return if channel.spec.reliability == Reliability::Full { Err(Overflow) } else { Ok(()) };
        }
        let (ppi, payload) = match (message.binary, message.payload.is_empty()) {
            (true, false) => (Ppi::Binary, message.payload.clone()),
            (false, false) => (Ppi::String, message.payload.clone()),
            // SCTP has no empty messages (RFC 8831 §6.6).
            (true, true) => (Ppi::BinaryEmpty, Bytes::from_static(&[0])),
            (false, true) => (Ppi::StringEmpty, Bytes::from_static(&[0])),
        };
        match channel.write(now, association, stream, &payload, ppi) {
            Some(cost) => self.buffered += cost,
            None => counters.data_dropped += 1,
        }
        Ok(())
    }

    /// The peer has so many more bytes of what was sent on a stream, or they were given up.
    pub(super) fn released(&mut self, stream: u16, bytes: usize) {
        let Some(channel) = self.list.iter_mut().find(|channel| channel.stream() == Some(stream)) else { return };
        channel.acknowledged += bytes;
        while let Some(length) = channel.outstanding.front().map(|length| *length as usize) {
            if channel.acknowledged < length {
                break;
            }
            channel.outstanding.pop_front();
            channel.acknowledged -= length;
            self.buffered = self.buffered.saturating_sub(length + MESSAGE_COST);
        }
    }

    /// One message of a stream.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        association: &mut Association,
        stream: u16,
        message: &Chunks,
        counters: &mut TransportCounters,
    ) {
        let payload = message.to_payload(MAX_MESSAGE as usize);
        let (Some(channel), Ok(payload)) = (self.list.iter_mut().find(|channel| channel.stream() == Some(stream)), payload)
        else {
            // A channel of the peer's own: it is closed (RFC 8831 §6.7).
            if message.ppi == Ppi::Dcep {
                counters.channels_refused += 1;
                let _ = association.stream(stream).and_then(|mut stream| stream.close(now));
            } else {
                counters.data_dropped += 1;
            }
            return;
        };
        let binary = matches!(message.ppi, Ppi::Binary | Ppi::BinaryEmpty);
        let payload = match message.ppi {
            Ppi::Dcep if !matches!(Message::unmarshal(&mut payload.chunk()), Ok(Message::DataChannelAck(_))) => return,
            Ppi::Dcep => None,
            Ppi::Binary => Some(payload.freeze()),
            Ppi::String if std::str::from_utf8(&payload).is_ok() => Some(payload.freeze()),
            Ppi::BinaryEmpty | Ppi::StringEmpty => Some(Bytes::new()),
            _ => return counters.data_dropped += 1,
        };
        // A message may overtake the ACK of a channel that is not ordered; it says the same.
        if channel.stage == Stage::Opening(stream) {
            channel.stage = Stage::Open(stream);
            self.inputs.push_back(Input::ChannelOpen(channel.label.clone()));
        }
        if let Some(payload) = payload {
            self.inputs.push_back(Input::Data(DataMessage { label: channel.label.clone(), binary, payload }));
        }
    }

    /// The peer has closed a stream, or the association has ended.
    pub(super) fn lose(&mut self, stream: u16) {
        if let Some(at) = self.list.iter().position(|channel| channel.stream() == Some(stream)) {
            self.remove(at);
        }
    }

    /// The association has ended. Channels that wait do so for the next.
    pub(super) fn lose_all(&mut self) {
        while let Some(at) = self.list.iter().position(|channel| channel.stage != Stage::Waiting) {
            self.remove(at);
        }
    }

    /// Closes each channel as soon as the peer has what was sent on it.
    pub(super) fn close_all(&mut self) {
        while let Some(at) = self.list.iter().position(|channel| channel.stage == Stage::Waiting) {
            self.remove(at);
        }
        for channel in &mut self.list {
            if let Stage::Opening(stream) | Stage::Open(stream) = channel.stage {
                channel.stage = Stage::Closing(stream);
            }
        }
    }

    fn remove(&mut self, at: usize) {
        let channel = self.list.remove(at);
        let waited: usize = channel.outstanding.iter().map(|length| *length as usize + MESSAGE_COST).sum();
        self.buffered = self.buffered.saturating_sub(waited);
        self.inputs.push_back(Input::ChannelClosed(channel.label));
    }
}

impl Channel {
    fn stream(&self) -> Option<u16> {
        match self.stage {
            Stage::Waiting => None,
            Stage::Opening(stream) | Stage::Open(stream) | Stage::Closing(stream) => Some(stream),
        }
    }

    /// Sends the OPEN (RFC 8832 §5.1). `None` if that was not possible, else what it costs.
    fn dial(&mut self, now: Instant, association: &mut Association, stream: u16) -> Option<usize> {
        let (kind, value) = reliability(&self.spec);
        let open = open_message(&self.spec)?;
        association.open_stream(stream, Ppi::Dcep).ok()?.set_reliability_params(!self.spec.ordered, kind, value).ok()?;
        self.stage = Stage::Opening(stream);
        self.write(now, association, stream, &open, Ppi::Dcep)
    }

    /// `None` if it could not be written, else what it costs until it is acknowledged.
    fn write(&mut self, now: Instant, association: &mut Association, stream: u16, payload: &Bytes, ppi: Ppi) -> Option<usize> {
        association.stream(stream).ok()?.write_chunk_with_ppi(now, payload, ppi).ok()?;
        self.outstanding.push_back(payload.len() as u32);
        Some(payload.len() + MESSAGE_COST)
    }
}

fn reliability(spec: &DataChannelSpec) -> (ReliabilityType, u32) {
    match spec.reliability {
        Reliability::Full => (ReliabilityType::Reliable, 0),
        Reliability::Lifetime(milliseconds) => (ReliabilityType::Timed, u32::from(milliseconds)),
        Reliability::Retransmits(times) => (ReliabilityType::Rexmit, u32::from(times)),
    }
}

/// The DATA_CHANNEL_OPEN of a channel (RFC 8832 §5.1).
fn open_message(spec: &DataChannelSpec) -> Option<Bytes> {
    let (kind, reliability_parameter) = reliability(spec);
    let channel_type = match (kind, spec.ordered) {
        (ReliabilityType::Timed, true) => ChannelType::PartialReliableTimed,
        (ReliabilityType::Timed, false) => ChannelType::PartialReliableTimedUnordered,
        (ReliabilityType::Rexmit, true) => ChannelType::PartialReliableRexmit,
        (ReliabilityType::Rexmit, false) => ChannelType::PartialReliableRexmitUnordered,
        (_, true) => ChannelType::Reliable,
        (_, false) => ChannelType::ReliableUnordered,
    };
    let (label, protocol) = (spec.label.as_bytes().to_vec(), spec.protocol.as_bytes().to_vec());
    let priority = CHANNEL_PRIORITY_NORMAL;
    let open = DataChannelOpen { channel_type, priority, reliability_parameter, label, protocol };
    Message::DataChannelOpen(open).marshal().ok().map(BytesMut::freeze)
}

/// Resets the stream if the peer has all that was sent on it. What comes on it from then on stays unread: that is why not before.
fn close_when_done(now: Instant, association: &mut Association, stream: u16) -> bool {
    let Ok(mut stream) = association.stream(stream) else { return true };
    let done = stream.buffered_amount().is_ok_and(|bytes| bytes == 0);
    if done {
        // An association that ends at the same time closes the channel as well.
        let _ = stream.close(now);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_message_is_as_the_rfc_draws_it() {
        let cases = [
            (true, Reliability::Full, 0x00, 0),
            (false, Reliability::Full, 0x80, 0),
            (true, Reliability::Retransmits(3), 0x01, 3),
            (false, Reliability::Retransmits(0), 0x81, 0),
            (true, Reliability::Lifetime(300), 0x02, 300),
            (false, Reliability::Lifetime(65_535), 0x82, 65_535),
        ];
        for (ordered, reliability, kind, value) in cases {
            let spec = DataChannelSpec { label: "#ab".to_owned(), protocol: "p".to_owned(), ordered, reliability };
            let mut expected = vec![3, kind, 1, 0];
            expected.extend_from_slice(&u32::to_be_bytes(value));
            expected.extend_from_slice(&[0, 3, 0, 1, b'#', b'a', b'b', b'p']);
            assert_eq!(open_message(&spec).unwrap(), expected);
        }
    }
}
