//! What an answer makes of what the client asked for.

use serde_json::{Map, Value};

use super::super::connect::{audio, id, spotlight_number, video};
use super::super::{
    Audio, AudioParams, BadMessage, Connect, DataWishes, Encoding, RequestRid, SpotlightWishes, Video, VideoParams,
    data_channels, forwarding_filters,
};
use super::Allowed;

impl Allowed {
    /// What the client asked for, as the answer changes it.
    ///
    /// # Errors
    /// A member is not what `connect` could have there.
    pub fn overrule(&self, connect: &mut Connect) -> Result<(), BadMessage> {
        let get = |name: &str| self.answer.get(name).filter(|value| !value.is_null());
        if let Some(client_id) = id(get("client_id"), "INVALID-CLIENT-ID")? {
            connect.client_id = Some(client_id);
        }
        if let Some(bundle_id) = id(get("bundle_id"), "INVALID-BUNDLE-ID")? {
            connect.bundle_id = Some(bundle_id);
        }
        self.overrule_audio(&mut connect.audio)?;
        self.overrule_video(&mut connect.video)?;
        self.overrule_forwarding(connect)?;
        self.overrule_data(&mut connect.data)
    }

    /// The members `<kind>_…` of the answer as `connect.<kind>` has them; `None` where there are none.
    fn kind(&self, kind: &str, names: &[&str]) -> Option<Value> {
        let member = |name: &&str| {
            let value = self.answer.get(format!("{kind}_{name}")).filter(|value| !value.is_null())?;
            Some(((*name).to_owned(), value.clone()))
        };
        let members: Map<String, Value> = names.iter().filter_map(member).collect();
        (!members.is_empty()).then_some(Value::Object(members))
    }

    /// Whether a kind is on: `None` leaves it as it is. Parameters turn it on only together with a `true`, as upstream demands;
    /// with nothing said they change a kind that is on already.
    fn switch(&self, kind: &str, invalid: &'static str) -> Result<Option<bool>, BadMessage> {
        match self.answer.get(kind) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(on)) => Ok(Some(*on)),
            Some(_) => Err(BadMessage(invalid)),
        }
    }

    fn overrule_audio(&self, wishes: &mut Audio) -> Result<(), BadMessage> {
        match self.switch("audio", "INVALID-AUDIO")? {
            Some(false) => *wishes = None,
            Some(true) if wishes.is_none() => *wishes = Some(AudioParams::default()),
            _ => {}
        }
        let Some(own) = self.kind("audio", &["codec_type", "bit_rate", "opus_params"]) else { return Ok(()) };
        if let (Some(wishes), Some(own)) = (wishes, audio(Some(&own))?) {
            wishes.bit_rate_kbps = own.bit_rate_kbps.or(wishes.bit_rate_kbps);
            if self.answer.get("audio_opus_params").is_some_and(Value::is_object) {
                wishes.opus = own.opus;
            }
        }
        Ok(())
    }

    fn overrule_video(&self, wishes: &mut Video) -> Result<(), BadMessage> {
        match self.switch("video", "INVALID-VIDEO")? {
            Some(false) => *wishes = None,
            Some(true) if wishes.is_none() => *wishes = Some(VideoParams::default()),
            _ => {}
        }
        let names = ["codec_type", "bit_rate", "vp9_params", "av1_params", "h264_params", "h265_params"];
        let Some(own) = self.kind("video", &names) else { return Ok(()) };
        if let (Some(wishes), Some(own)) = (wishes, video(Some(&own))?) {
            wishes.codec = own.codec.or(wishes.codec);
            wishes.bit_rate_kbps = own.bit_rate_kbps.or(wishes.bit_rate_kbps);
            wishes.vp9_profile_id = own.vp9_profile_id.or(wishes.vp9_profile_id);
            let is_given = |name: &str| self.answer.get(name).is_some_and(Value::is_object);
            if is_given("video_h264_params") {
                wishes.h264 = own.h264;
            }
            if is_given("video_av1_params") {
                wishes.av1 = own.av1;
            }
            if is_given("video_h265_params") {
                wishes.h265 = own.h265;
            }
        }
        Ok(())
    }

    fn overrule_forwarding(&self, connect: &mut Connect) -> Result<(), BadMessage> {
        let get = |name: &str| self.answer.get(name).filter(|value| !value.is_null());
        let wishes = &mut connect.forwarding;
        if let Some(simulcast) = self.switch("simulcast", "INVALID-SIMULCAST")? {
            wishes.simulcast = simulcast;
        }
        let rid = RequestRid::parse(get("simulcast_request_rid"), "INVALID-SIMULCAST-REQUEST-RID")?;
        let older = RequestRid::parse(get("simulcast_rid"), "INVALID-SIMULCAST-RID")?;
        wishes.request_rid = rid.or(older).or(wishes.request_rid);
        match self.switch("spotlight", "INVALID-SPOTLIGHT")? {
            Some(false) => wishes.spotlight = None,
            Some(true) if wishes.spotlight.is_none() => wishes.spotlight = Some(SpotlightWishes::default()),
            _ => {}
        }
        if let Some(spotlight) = &mut wishes.spotlight {
            let number = spotlight_number(get("spotlight_number"))?;
            let focus = RequestRid::parse(get("spotlight_focus_rid"), "INVALID-SPOTLIGHT-FOCUS-RID")?;
            let unfocus = RequestRid::parse(get("spotlight_unfocus_rid"), "INVALID-SPOTLIGHT-UNFOCUS-RID")?;
            spotlight.number = number.or(spotlight.number);
            spotlight.focus_rid = focus.or(spotlight.focus_rid);
            spotlight.unfocus_rid = unfocus.or(spotlight.unfocus_rid);
        }
        let own = if wishes.spotlight.is_some() { get("spotlight_encodings") } else { None };
        if let Some(encodings) = own.or(get("simulcast_encodings")) {
            wishes.encodings = Some(Encoding::parse_all(encodings)?);
        }
        if let Some(filters) = forwarding_filters(&self.answer)? {
            wishes.filters = filters;
        }
        Ok(())
    }

    fn overrule_data(&self, wishes: &mut DataWishes) -> Result<(), BadMessage> {
        let own = DataWishes::parse(&self.answer)?;
        wishes.signaling = own.signaling.or(wishes.signaling);
        wishes.ignore_disconnect_websocket = own.ignore_disconnect_websocket.or(wishes.ignore_disconnect_websocket);
        if let Some(channels) = data_channels(&self.answer)? {
            wishes.channels = channels;
        }
        Ok(())
    }
}
