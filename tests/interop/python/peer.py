"""A Sora Python SDK peer for the interop tests: publishes a moving picture and a tone, counts what it receives.

Prints one JSON object per line on stdout; ends on a line on stdin or after --seconds.
"""
import argparse
import json
import os
import sys
import threading
import time

import numpy
from sora_sdk import (
    Sora,
    SoraVideoCodecImplementation,
    SoraVideoSink,
    create_video_codec_preference_from_implementation,
    get_video_codec_capability,
)

arguments = argparse.ArgumentParser()
arguments.add_argument("--url", required=True)
arguments.add_argument("--channel", required=True)
arguments.add_argument("--role", default="sendonly")
arguments.add_argument("--openh264")
arguments.add_argument("--codec", default="H264")
arguments.add_argument("--extra", default="{}", help="JSON of further arguments for create_connection")
arguments.add_argument("--silent", action="store_true", help="no media: messages only")
arguments.add_argument("--simulcast", action="store_true", help="three layers of 1280x720 instead of 640x480")
arguments.add_argument("--seconds", type=float, default=120)
options = arguments.parse_args()

lock = threading.Lock()


def say(**what):
    with lock:
        print(json.dumps(what), flush=True)


if options.openh264:
    capability = get_video_codec_capability(openh264=options.openh264)
    preference = create_video_codec_preference_from_implementation(capability, SoraVideoCodecImplementation.CISCO_OPENH264)
    sora = Sora(openh264=options.openh264, video_codec_preference=preference)
else:
    sora = Sora()

sends = options.role != "recvonly"
extra = json.loads(options.extra)
media = not options.silent
if sends and media:
    audio_source = sora.create_audio_source(1, 48000)
    video_source = sora.create_video_source()
    extra |= {"audio_source": audio_source, "video_source": video_source, "video_codec_type": options.codec}
    extra |= {"simulcast": True, "video_bit_rate": 2500} if options.simulcast else {"video_bit_rate": 800}
    width, height = (1280, 720) if options.simulcast else (640, 480)
connection = sora.create_connection(
    signaling_urls=[options.url], role=options.role, channel_id=options.channel, audio=media, video=media, **extra
)
connected = threading.Event()
ended = threading.Event()
sinks = []
frames = {}


def on_notify(text):
    message = json.loads(text)
    say(notify=message)
    if message.get("event_type") == "connection.created" and message.get("connection_id") == own_id[0]:
        connected.set()


def on_set_offer(text):
    own_id[0] = json.loads(text)["connection_id"]
    say(connection_id=own_id[0])


def on_track(track):
    if track.kind != "video":
        return
    stream = track.stream_id
    frames[stream] = 0
    sink = SoraVideoSink(track)

    def on_frame(frame):
        frames[stream] += 1
        if frames[stream] in (1, 30, 90):
            say(frames={stream: frames[stream]}, shape=list(frame.data().shape))

    sink.on_frame = on_frame
    sinks.append(sink)
    say(track=stream)


def on_disconnect(code, message):
    say(disconnect=str(code), message=message)
    ended.set()


def on_signaling_message(kind, direction, text):
    say(signaling={"by": str(kind), "way": str(direction), "type": json.loads(text).get("type")})


own_id = [None]
connection.on_push = lambda text: say(push=json.loads(text))
connection.on_switched = lambda text: say(switched=json.loads(text))
connection.on_message = lambda label, data: say(message={"label": label, "text": bytes(data).decode()})
connection.on_signaling_message = on_signaling_message
connection.on_ws_close = lambda code, reason: say(ws_close={"code": code, "reason": reason})
connection.on_notify = on_notify
connection.on_set_offer = on_set_offer
connection.on_track = on_track
connection.on_disconnect = on_disconnect
connection.connect()

running = True


def paint():
    number, due = 0, time.monotonic()
    picture = numpy.zeros((height, width, 3), dtype=numpy.uint8)
    while running:
        picture[:] = (number * 2 % 256, 96, 160)
        left = number * 5 % 560
        picture[160:320, left : left + 80] = 255
        video_source.on_captured(picture)
        number += 1
        due += 1 / 30
        time.sleep(max(0.0, due - time.monotonic()))


def hum():
    number, due = 0, time.monotonic()
    while running:
        index = numpy.arange(number * 480, (number + 1) * 480)
        tone = (8000 * numpy.sin(2 * numpy.pi * 440 * index / 48000)).astype(numpy.int16).reshape(-1, 1)
        audio_source.on_data(tone)
        number += 1
        due += 0.01
        time.sleep(max(0.0, due - time.monotonic()))


if sends and media:
    threading.Thread(target=paint, daemon=True).start()
    threading.Thread(target=hum, daemon=True).start()
if not connected.wait(20):
    say(error="not connected within 20 s")
    os._exit(2)
say(connected=True)


def listen():
    """`send LABEL TEXT` sends a message, any other line ends."""
    while (words := sys.stdin.readline().split(maxsplit=2)) and words[0] == "send":
        say(sent=connection.send_data_channel(words[1], words[2].strip().encode()))
    ended.set()


threading.Thread(target=listen, daemon=True).start()
ended.wait(options.seconds)
running = False
time.sleep(0.1)
connection.disconnect()
say(frames=frames, done=True)
time.sleep(0.3)
os._exit(0)
