"""aiortc as a WHIP publisher and a WHEP viewer of the same channel; JSON lines on stdout, a line on stdin ends it."""
import argparse
import asyncio
import json
import sys
import urllib.error
import urllib.request
from urllib.parse import urljoin

from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, VideoStreamTrack


def say(**line):
    print(json.dumps(line), flush=True)


def request(url, method, token, offer=None):
    headers = {"authorization": f"Bearer {token}", "content-type": "application/sdp"}
    body = offer and offer.encode()
    with urllib.request.urlopen(urllib.request.Request(url, method=method, data=body, headers=headers), timeout=10) as answer:
        return answer.status, answer.headers, answer.read().decode()


async def negotiate(connection, url, token):
    """Posts the offer, again as often as the server asks for that, and takes the answer. Returns the session's URL."""
    await connection.setLocalDescription(await connection.createOffer())
    while True:
        try:
            _, headers, answer = await asyncio.to_thread(request, url, "POST", token, connection.localDescription.sdp)
            break
        except urllib.error.HTTPError as error:
            if "retry-after" not in error.headers:
                raise
            await asyncio.sleep(int(error.headers["retry-after"]))
    await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    return urljoin(url, headers["location"])


async def pump(track):
    frames = 0
    try:
        while True:
            await track.recv()
            frames += 1
            if track.kind == "video" and frames % 10 == 0:
                say(frames=frames)
    except MediaStreamError:
        pass


async def main(options):
    publisher, viewer = RTCPeerConnection(), RTCPeerConnection()
    publisher.addTransceiver(AudioStreamTrack(), direction="sendonly")
    publisher.addTransceiver(VideoStreamTrack(), direction="sendonly")
    up = asyncio.Event()
    publisher.on("connectionstatechange", lambda: up.set() if publisher.connectionState == "connected" else None)
    session = await negotiate(publisher, options.whip, options.token)
    await up.wait()
    say(published=session)
    viewer.on("track", lambda track: asyncio.ensure_future(pump(track)))
    for kind in ("audio", "video"):
        viewer.addTransceiver(kind, direction="recvonly")
    await negotiate(viewer, options.whep, options.token)
    await asyncio.to_thread(sys.stdin.readline)
    status, _, _ = await asyncio.to_thread(request, session, "DELETE", options.token)
    say(deleted=status)
    await publisher.close()
    await viewer.close()


parser = argparse.ArgumentParser()
for name in ("--whip", "--whep", "--token"):
    parser.add_argument(name, required=True)
asyncio.run(main(parser.parse_args()))
