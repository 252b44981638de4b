//! What clients wish of the forwarding, in the words of the room.

use minamo_sfu_core::model::{Layer, LayerCause, LayerWish};
use minamo_sfu_core::room::{self, FocusLayers, View};
use minamo_signaling_proto::sora::{
    FilterAction, FilterField, FilterOperator, FilterRule, ForwardingFilter, ForwardingWishes, Priority, RequestRid, Rid,
    SimulcastSwitched, SpotlightWishes, Trigger,
};

/// The layer asked for. `rN` is the N-th layer from below that the sender has, or its best where it has fewer. `none` is no video
/// at all, of senders without simulcast too.
pub(super) fn layer_wish(rid: RequestRid) -> LayerWish {
    match rid {
        RequestRid::None => LayerWish::Off,
        RequestRid::Rid(Rid::R0) => LayerWish::AtMost(Layer(0)),
        RequestRid::Rid(Rid::R1) => LayerWish::AtMost(Layer(1)),
        // There is nothing better.
        RequestRid::Rid(Rid::R2) => LayerWish::Best,
    }
}

fn wish_name(wish: LayerWish) -> &'static str {
    match wish {
        LayerWish::Best => Rid::R2.name(),
        LayerWish::AtMost(layer) => layer_name(Some(layer)),
        LayerWish::Off => RequestRid::None.name(),
    }
}

fn layer_name(layer: Option<Layer>) -> &'static str {
    match layer {
        None => RequestRid::None.name(),
        Some(Layer(0)) => Rid::R0.name(),
        Some(Layer(1)) => Rid::R1.name(),
        Some(_) => Rid::R2.name(),
    }
}

/// `r1` for those in focus and `r0` for the rest, unless told otherwise.
fn focus_layers(wishes: &SpotlightWishes) -> FocusLayers {
    let usual = FocusLayers::default();
    FocusLayers {
        focused: wishes.focus_rid.map_or(usual.focused, layer_wish),
        unfocused: wishes.unfocus_rid.map_or(usual.unfocused, layer_wish),
    }
}

/// What a spotlight request asks for: what it does not name is as usual.
pub(super) fn asked_focus_layers(focus_rid: Option<RequestRid>, unfocus_rid: Option<RequestRid>) -> FocusLayers {
    focus_layers(&SpotlightWishes { number: None, focus_rid, unfocus_rid })
}

pub(super) fn view(wishes: &ForwardingWishes) -> View {
    View::new(wishes.request_rid.map_or(LayerWish::Best, layer_wish), wishes.spotlight.as_ref().map(focus_layers))
}

pub(super) fn filters(filters: &[ForwardingFilter]) -> Vec<room::Filter> {
    filters.iter().map(filter).collect()
}

fn filter(filter: &ForwardingFilter) -> room::Filter {
    let rule = |rule: &FilterRule| room::Rule {
        subject: match rule.field {
            FilterField::ConnectionId => room::Subject::Connection,
            FilterField::ClientId => room::Subject::Client,
            FilterField::Kind => room::Subject::Kind,
        },
        values: rule.values.clone(),
        negated: rule.operator == FilterOperator::IsNotIn,
    };
    room::Filter {
        priority: filter.priority,
        action: match filter.action {
            FilterAction::Block => room::FilterAction::Block,
            FilterAction::Allow => room::FilterAction::Allow,
        },
        any_of: filter.rules.iter().map(|rules| rules.iter().map(rule).collect()).collect(),
    }
}

/// `simulcast.switched`. All layers may be asked for, and the server chooses among all.
pub(super) fn switched(
    sender: String,
    asked: LayerWish,
    from: Option<Layer>,
    to: Option<Layer>,
    cause: LayerCause,
) -> SimulcastSwitched {
    SimulcastSwitched {
        sender_connection_id: sender,
        priority: if to > from { Priority::Higher } else { Priority::Lower },
        trigger: match cause {
            LayerCause::Publisher => Trigger::Sender,
            LayerCause::Wish | LayerCause::Bandwidth => Trigger::Receiver,
        },
        rpc_rids: Rid::ALL.to_vec(),
        auto_rids: Rid::ALL.to_vec(),
        request_rid: wish_name(asked),
        current_rid: layer_name(to),
        previous_rid: layer_name(from),
    }
}
