//! A client that answers offers the way browsers do, and can be told not to.

use minamo_signaling_proto::sdp::{Answer, AnswerSection, Direction, MediaKind};

pub(super) const FINGERPRINT: [u8; 32] = [0x5a; 32];

/// Takes everything.
pub(super) fn answer(offer: &str) -> String {
    answer_with(offer, |_, _| {})
}

/// How one section is answered.
pub(super) struct Taken {
    pub port: u16,
    pub direction: &'static str,
    pub mid: String,
    pub setup: &'static str,
    pub fingerprint: [u8; 32],
    /// The simulcast layers that it agrees to send, with what stands before them.
    pub rids: Vec<String>,
}

/// Takes everything, except what `change` changes, by the section's place.
pub(super) fn answer_with(offer: &str, change: impl Fn(usize, &mut Taken)) -> String {
    let text_of_offer = offer.to_owned();
    let offer = Answer::parse(offer).unwrap();
    let mut text = String::from("v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n");
    for (index, section) in offer.sections.iter().enumerate() {
        let mut taken = Taken {
            port: if section.rejected { 0 } else { 9 },
            direction: match section.direction {
                Direction::SendOnly => "recvonly",
                Direction::RecvOnly => "sendonly",
                Direction::SendRecv => "sendrecv",
                Direction::Inactive => "inactive",
            },
            mid: section.mid.clone().unwrap(),
            setup: "active",
            fingerprint: FINGERPRINT,
            rids: offered_rids(&text_of_offer, index),
        };
        change(index, &mut taken);
        text.push_str(&answer_section(index, section, &taken));
    }
    text
}

fn offered_rids(offer: &str, index: usize) -> Vec<String> {
    let section = offer.split("\r\nm=").nth(index + 1).unwrap();
    let line = section.lines().find_map(|line| line.strip_prefix("a=simulcast:recv "));
    line.map(|line| line.split(';').map(str::to_owned).collect()).unwrap_or_default()
}

fn answer_section(index: usize, section: &AnswerSection, taken: &Taken) -> String {
    let Taken { port, direction, mid, setup, fingerprint, rids } = taken;
    let hex: Vec<String> = fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
    let transport = format!(
        "a=mid:{mid}\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijklmn\r\na=setup:{setup}\r\na=fingerprint:sha-256 {}\r\n",
        hex.join(":")
    );
    if section.kind == MediaKind::Application {
        return format!("m=application {port} UDP/DTLS/SCTP webrtc-datachannel\r\n{transport}a=sctp-port:5000\r\n");
    }
    let kind = if section.kind == MediaKind::Audio { "audio" } else { "video" };
    let types: Vec<String> = section.payload_types.iter().map(u8::to_string).collect();
    let mut text = format!("m={kind} {port} UDP/TLS/RTP/SAVPF {}\r\n{transport}a={direction}\r\n", types.join(" "));
    for (id, uri) in &section.extensions {
        text.push_str(&format!("a=extmap:{id} {uri}\r\n"));
    }
    if !rids.is_empty() {
        for rid in rids {
            text.push_str(&format!("a=rid:{} send\r\n", rid.trim_start_matches('~')));
        }
        text.push_str(&format!("a=simulcast:send {}\r\n", rids.join(";")));
    } else if *direction == "sendonly" {
        let (ssrc, rtx) = (1000 + 2 * index, 1001 + 2 * index);
        if section.payload_types.len() > 1 {
            text.push_str(&format!("a=ssrc-group:FID {ssrc} {rtx}\r\n"));
        }
        text.push_str(&format!("a=ssrc:{ssrc} cname:x\r\n"));
    }
    text
}
