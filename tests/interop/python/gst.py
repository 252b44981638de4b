"""GStreamer's webrtcbin as a WHIP publisher and a WHEP viewer of the same channel; JSON lines on stdout, a line on stdin ends it.

Runs in the system's Python: its bindings are Debian's python3-gi.
"""
import argparse
import json
import os
import sys
import threading
import urllib.error
import urllib.request
from urllib.parse import urljoin

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

ENCODERS = {
    # The 8x8 transform makes it High: what OBS sends, and no browser.
    "H264": "x264enc tune=zerolatency speed-preset=veryfast bitrate=800 key-int-max=60 option-string=8x8dct=1 ! video/x-h264,profile=high"
    " ! h264parse config-interval=-1 ! rtph264pay aggregate-mode=zero-latency ! application/x-rtp,media=video,encoding-name=H264,payload=96",
    "VP8": "vp8enc deadline=1 target-bitrate=800000 keyframe-max-dist=60 ! rtpvp8pay picture-id-mode=15-bit"
    " ! application/x-rtp,media=video,encoding-name=VP8,payload=96",
}


def say(**line):
    print(json.dumps(line), flush=True)


def request(url, method, token, offer=None):
    headers = {"authorization": f"Bearer {token}", "content-type": "application/sdp"}
    body = offer and offer.encode()
    with urllib.request.urlopen(urllib.request.Request(url, method=method, data=body, headers=headers), timeout=10) as answer:
        return answer.status, answer.headers, answer.read().decode()


class Peer:
    """One webrtcbin in its pipeline: offers as soon as its elements know what they send."""

    def __init__(self, pipeline, url, token, on_session):
        self.url, self.token, self.on_session = url, token, on_session
        self.pipeline = pipeline
        self.webrtc = pipeline.get_by_name("webrtc")
        self.webrtc.connect("on-negotiation-needed", self.offer)
        self.webrtc.connect("notify::ice-gathering-state", self.gathered)
        self.webrtc.connect("notify::connection-state", self.changed)
        bus = pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", lambda _, message: say(failed=str(message.parse_error()[0])))

    def offer(self, _):
        def made(promise):
            promise.wait()
            # Kept: the description belongs to the reply.
            self.reply = promise.get_reply()
            self.description = self.reply.get_value("offer")
            self.webrtc.emit("set-local-description", self.description, Gst.Promise.new())

        self.webrtc.emit("create-offer", None, Gst.Promise.new_with_change_func(made))

    def gathered(self, *_):
        if self.webrtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            threading.Thread(target=self.post, daemon=True).start()

    def post(self):
        sdp = self.webrtc.get_property("local-description").sdp.as_text()
        try:
            _, headers, answer = request(self.url, "POST", self.token, sdp)
        except urllib.error.HTTPError as error:
            return say(failed=f"{error.code} {error.read().decode()}", offer=sdp)
        _, message = GstSdp.SDPMessage.new_from_text(answer)
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        self.webrtc.emit("set-remote-description", description, Gst.Promise.new())
        self.on_session(urljoin(self.url, headers["location"]))

    def changed(self, *_):
        say(state=self.webrtc.get_property("connection-state").value_nick, of=self.url)


def publisher(options, on_session):
    pipeline = Gst.parse_launch(
        "webrtcbin name=webrtc bundle-policy=max-bundle"
        f" videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=480,framerate=30/1 ! {ENCODERS[options.codec]} ! webrtc."
        " audiotestsrc is-live=true wave=sine ! audioconvert ! audioresample ! opusenc ! rtpopuspay"
        " ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! webrtc."
    )
    peer = Peer(pipeline, options.whip, options.token, on_session)
    pipeline.set_state(Gst.State.PLAYING)
    return peer


def viewer(options, on_session):
    pipeline = Gst.Pipeline.new("viewer")
    pipeline.add(Gst.parse_launch("webrtcbin name=webrtc bundle-policy=max-bundle"))
    peer = Peer(pipeline, options.whep, options.token, on_session)
    counts = {"video": 0, "audio": 0}

    def decoded(_, pad):
        kind = pad.get_current_caps().get_structure(0).get_name().split("/")[0]
        sink = Gst.ElementFactory.make("fakesink")
        sink.set_property("signal-handoffs", True)
        sink.set_property("sync", False)

        def count(*_):
            counts[kind] += 1
            if counts[kind] % 20 == 0:
                say(**{f"{kind}_buffers": counts[kind]})

        sink.connect("handoff", count)
        pipeline.add(sink)
        sink.sync_state_with_parent()
        pad.link(sink.get_static_pad("sink"))

    def added(_, pad):
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        decodebin = Gst.ElementFactory.make("decodebin")
        decodebin.connect("pad-added", decoded)
        pipeline.add(decodebin)
        decodebin.sync_state_with_parent()
        pad.link(decodebin.get_static_pad("sink"))

    peer.webrtc.connect("pad-added", added)
    video = {"H264": "H264,payload=96,packetization-mode=(string)1", "VP8": "VP8,payload=96"}[options.codec]
    for caps in (
        f"application/x-rtp,media=video,clock-rate=90000,encoding-name={video}",
        "application/x-rtp,media=audio,clock-rate=48000,encoding-name=OPUS,encoding-params=(string)2,payload=97",
    ):
        peer.webrtc.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, Gst.Caps.from_string(caps))
    pipeline.set_state(Gst.State.PLAYING)
    return peer


def main(options):
    Gst.init(None)
    loop = GLib.MainLoop()
    sessions, peers = [], []

    def published(session):
        sessions.append(session)
        say(published=session)

    def watched(session):
        sessions.append(session)
        say(watched=session)

    peers.append(publisher(options, published))

    def commands():
        for line in sys.stdin:
            if line.strip() == "watch":
                GLib.idle_add(lambda: peers.append(viewer(options, watched)))
            else:
                break
        status = [request(session, "DELETE", options.token)[0] for session in reversed(sessions)]
        say(deleted=status)
        # Threads of the pipelines may hang in their own end.
        os._exit(0)

    threading.Thread(target=commands, daemon=True).start()
    loop.run()


parser = argparse.ArgumentParser()
for name in ("--whip", "--whep", "--token"):
    parser.add_argument(name, required=True)
parser.add_argument("--codec", default="H264", choices=ENCODERS)
main(parser.parse_args())
