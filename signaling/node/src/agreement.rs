//! Which data channels a connection gets.

use minamo_sfu_core::model::{DataChannelSpec, Reliability};
use minamo_signaling_proto::sora::{Connect, DataChannel};

use crate::config::DataDefaults;
use crate::session::{AgreedChannel, DataPlan, Line, Purpose};

/// `None`: everything goes over the WebSocket. Messages between clients need data channels, so who asks for them without signaling
/// over data channels gets none: SDKs refuse to ask for that.
pub(crate) fn data_plan(connect: &Connect, defaults: &DataDefaults, has_rpc: bool) -> Option<DataPlan> {
    let wishes = &connect.data;
    if !wishes.signaling.unwrap_or(defaults.signaling) {
        return None;
    }
    let mut lines = vec![Line::Signaling, Line::Notify, Line::Push, Line::Stats];
    if has_rpc {
        lines.push(Line::Rpc);
    }
    let own = lines.into_iter().map(|line| own(line, defaults.compress));
    Some(DataPlan {
        ignore_disconnect_websocket: wishes.ignore_disconnect_websocket.unwrap_or(defaults.ignore_disconnect_websocket),
        channels: own.chain(wishes.channels.iter().map(between_clients)).collect(),
    })
}

fn own(line: Line, compress: bool) -> AgreedChannel {
    let spec = DataChannelSpec { label: line.label().into(), ordered: true, ..DataChannelSpec::default() };
    AgreedChannel { spec, compress, purpose: Purpose::Line(line) }
}

fn between_clients(channel: &DataChannel) -> AgreedChannel {
    let reliability = match (channel.max_packet_life_time, channel.max_retransmits) {
        (Some(milliseconds), _) => Reliability::Lifetime(milliseconds),
        (None, Some(times)) => Reliability::Retransmits(times),
        (None, None) => Reliability::Full,
    };
    AgreedChannel {
        spec: DataChannelSpec {
            label: channel.label.clone(),
            protocol: channel.protocol.clone(),
            ordered: channel.ordered,
            reliability,
        },
        compress: channel.compress,
        purpose: Purpose::Messages {
            sends: channel.direction.sends(),
            receives: channel.direction.receives(),
            // `sender_connection_id` is the only header there is.
            header: !channel.header.is_empty(),
        },
    }
}
