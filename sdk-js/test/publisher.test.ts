import { describe, expect, it } from "vitest";
import { CONNECT_TIMEOUT_MS, DISCONNECTED_GRACE_MS, type Outgoing } from "../src/core/connection.js";
import { FIRST_ATTEMPTS_MAX, Publisher, type PublisherState, REDIRECTS_MAX, STATS_INTERVAL_MS } from "../src/core/publisher.js";
import { FakeClock, FakePeer, FakeSocket, offer, settle, track } from "./fakes.js";

const both = (): Outgoing => ({
  audio: { track: track("audio"), bitRateKbps: 96 },
  video: { track: track("video"), bitRateKbps: 2500, degradation: "maintain-resolution" },
});

function publisher(outgoing: Outgoing = both(), prepare: (peer: FakePeer) => void = () => {}) {
  const sockets: FakeSocket[] = [];
  const peers: FakePeer[] = [];
  const states: PublisherState[] = [];
  const clock = new FakeClock();
  const it = new Publisher(
    { signalingUrl: "ws://test/signaling", channelId: "channel", outgoing },
    {
      openSocket: (url) => push(sockets, new FakeSocket(url)),
      openPeer: () => {
        const peer = new FakePeer();
        prepare(peer);
        return push(peers, peer);
      },
      clock,
    },
  );
  it.on("state", (state) => void states.push(state));
  const socket = () => sockets.at(-1) as FakeSocket;
  const peer = () => peers.at(-1) as FakePeer;
  const connectOnce = async () => {
    socket().open();
    socket().receive(offer());
    await settle();
    peer().become("connected");
    await settle();
  };
  return { it, sockets, peers, states, clock, socket, peer, connectOnce };
}

function push<T>(list: T[], value: T): T {
  list.push(value);
  return value;
}

async function live(outgoing?: Outgoing) {
  const parts = publisher(outgoing);
  parts.it.start();
  await parts.connectOnce();
  return parts;
}

describe("going live", () => {
  it("asks for H.264 and Opus with the wanted bitrates", () => {
    const { it: publishing, socket } = publisher();
    publishing.start();
    socket().open();
    expect(socket().last("connect")).toMatchObject({
      role: "sendonly",
      channel_id: "channel",
      audio: { codec_type: "OPUS", bit_rate: 96 },
      video: { codec_type: "H264", bit_rate: 2500 },
    });
  });

  it("puts its tracks on the transceivers that the offer names", async () => {
    const { peer, socket, it: publishing, states } = await live();
    expect(peer().remote).toEqual(["v=0 offer"]);
    expect(peer().transceiver("audio_a")).toMatchObject({ direction: "sendonly", track: { id: "audio-1" } });
    expect(peer().transceiver("video_b")).toMatchObject({ direction: "sendonly", track: { id: "video-1" } });
    expect(peer().transceiver("video_b").parameters).toEqual({ encodings: [], degradationPreference: "maintain-resolution" });
    expect(socket().last("answer")).toEqual({ type: "answer", sdp: "v=0 answer 1" });
    expect(states).toEqual(["connecting", "live"]);
    expect(publishing.connectionId).toBe("7N3S6BZ7XD2YX1K1T84YCXM2Y4");
  });

  it("negotiates only what it has", async () => {
    const { peer, socket } = await live({ audio: { track: track("audio") } });
    expect(socket().last("connect")).toMatchObject({ audio: { codec_type: "OPUS" }, video: false });
    expect(peer().transceiver("video_b").track).toBeNull();
  });

  it("answers a re-offer on the same peer connection", async () => {
    const { peers, socket } = await live();
    socket().receive({ type: "re-offer", sdp: "v=0 again" });
    await settle();
    expect(peers).toHaveLength(1);
    expect(peers[0]?.remote).toEqual(["v=0 offer", "v=0 again"]);
    expect(socket().last("re-answer")).toEqual({ type: "re-answer", sdp: "v=0 answer 2" });
  });

  it("says which codec the browser lacks", async () => {
    const { it: publishing, socket } = publisher(both(), (peer) => (peer.refuses = "video_b"));
    publishing.start();
    socket().open();
    socket().receive(offer());
    await settle();
    expect(publishing.state).toBe("failed");
    expect(publishing.error).toMatchObject({ code: "unsendable" });
    expect(publishing.error?.message).toContain("H.264");
    expect(socket().types).not.toContain("answer");
  });

  it("replaces a track now and for later connections", async () => {
    const { it: publishing, peer, clock, socket, connectOnce } = await live();
    await publishing.replaceTrack("video", track("video", "other"));
    expect(peer().transceiver("video_b").track?.id).toBe("other");
    socket().serverCloses(1006);
    await clock.advance(20_000);
    await connectOnce();
    expect(peer().transceiver("video_b").track?.id).toBe("other");
    await expect((await live({ audio: { track: track("audio") } })).it.replaceTrack("video", track("video"))).rejects.toThrow("no video");
  });
});

describe("refusals", () => {
  it("explains close code 4490", () => {
    const { it: publishing, socket, clock } = publisher();
    publishing.start();
    socket().open();
    socket().serverCloses(4490, "CHANNEL-NOT-FOUND");
    expect(publishing.state).toBe("failed");
    expect(publishing.error).toMatchObject({ code: "refused", reason: "CHANNEL-NOT-FOUND" });
    expect(publishing.error?.message).toBe("This channel does not exist, or it was deleted.");
    expect(clock.pending).toBe(0);
  });

  it("passes on a reason that it does not know", () => {
    const { it: publishing, socket } = publisher();
    publishing.start();
    socket().serverCloses(4490, "members only");
    expect(publishing.error?.message).toBe("The server closed the connection: members only");
  });

  it("accepts that the server ends the broadcast", async () => {
    const { it: publishing, socket, sockets, clock } = await live();
    socket().serverCloses(1000, "DISCONNECTED-API");
    expect(publishing.error).toMatchObject({ code: "dismissed", reason: "DISCONNECTED-API" });
    await clock.advance(60_000);
    expect(sockets).toHaveLength(1);
  });

  it("after having been live, tries again unless the channel is gone", async () => {
    const { it: publishing, socket, clock } = await live();
    socket().serverCloses(1006);
    await clock.advance(1_000);
    socket().serverCloses(4490, "PUBLISHER-ALREADY-CONNECTED");
    expect(publishing.state).toBe("reconnecting");
    await clock.advance(2_000);
    socket().serverCloses(4490, "CHANNEL-NOT-FOUND");
    expect(publishing.state).toBe("failed");
  });
});

describe("losses", () => {
  it.each([
    ["the socket dies", (parts: Live) => parts.socket().serverCloses(1006)],
    ["the server goes away", (parts: Live) => parts.socket().serverCloses(1011, "")],
    ["the peer connection fails", (parts: Live) => parts.peer().become("failed")],
  ])("reconnects when %s", async (_what, lose) => {
    const parts = await live();
    const [socket, peer] = [parts.socket(), parts.peer()];
    lose(parts);
    expect(parts.it.state).toBe("reconnecting");
    expect(socket.closed).toBe(true);
    expect(peer.closed).toBe(true);
    // A goodbye would close the viewers' playlist.
    expect(socket.types).not.toContain("disconnect");
    await parts.clock.advance(1_000);
    expect(parts.sockets).toHaveLength(2);
    await parts.connectOnce();
    expect(parts.states).toEqual(["connecting", "live", "reconnecting", "live"]);
  });

  it("lets a short interruption heal", async () => {
    const { it: publishing, peer, clock } = await live();
    peer().become("disconnected");
    await clock.advance(DISCONNECTED_GRACE_MS - 1);
    peer().become("connected");
    await clock.advance(DISCONNECTED_GRACE_MS);
    expect(publishing.state).toBe("live");
    peer().become("disconnected");
    await clock.advance(DISCONNECTED_GRACE_MS);
    expect(publishing.state).toBe("reconnecting");
  });

  it("waits longer from failure to failure, up to the cap, without giving up", async () => {
    const { it: publishing, socket, sockets, clock } = await live();
    const waits: number[] = [];
    for (let failure = 0; failure < 9; failure += 1) {
      const before = clock.now();
      const count = sockets.length;
      socket().serverCloses(1006);
      while (sockets.length === count) await clock.advance(25);
      waits.push(clock.now() - before);
    }
    expect(waits).toEqual([375, 750, 1500, 3000, 6000, 11250, 11250, 11250, 11250]);
    expect(publishing.state).toBe("reconnecting");
  });

  it("gives up soon when it never was live", async () => {
    const { it: publishing, socket, sockets, clock } = publisher();
    publishing.start();
    for (let attempt = 0; attempt < FIRST_ATTEMPTS_MAX; attempt += 1) {
      socket().serverCloses(1006);
      await clock.advance(20_000);
    }
    expect(sockets).toHaveLength(FIRST_ATTEMPTS_MAX);
    expect(publishing.error).toMatchObject({ code: "unreachable", message: "The server cannot be reached." });
  });

  it("does not wait for media for ever", async () => {
    const { it: publishing, socket, sockets, clock } = publisher();
    publishing.start();
    socket().open();
    socket().receive(offer());
    await clock.advance(CONNECT_TIMEOUT_MS);
    expect(publishing.state).toBe("connecting");
    await clock.advance(1_000);
    expect(sockets).toHaveLength(2);
  });

  it("follows redirects, but not in circles", async () => {
    const { it: publishing, socket, sockets } = publisher();
    publishing.start();
    for (let hop = 1; hop <= REDIRECTS_MAX + 1; hop += 1) {
      socket().open();
      socket().receive({ type: "redirect", location: `ws://node-${hop}/signaling` });
      socket().serverCloses(1000);
    }
    expect(sockets.map((each) => each.url)).toEqual([
      "ws://test/signaling",
      "ws://node-1/signaling",
      "ws://node-2/signaling",
      "ws://node-3/signaling",
    ]);
    expect(sockets[1]?.last("connect")).toMatchObject({ redirect: true });
    expect(publishing.state).toBe("failed");
  });
});

type Live = Awaited<ReturnType<typeof live>>;

describe("stopping", () => {
  it("says goodbye and leaves nothing behind", async () => {
    const { it: publishing, socket, peer, clock, states } = await live();
    publishing.stop();
    expect(socket().last("disconnect")).toEqual({ type: "disconnect", reason: "NO-ERROR" });
    socket().serverCloses(1000, "TYPE-DISCONNECT");
    expect(states).toEqual(["connecting", "live", "stopping", "stopped"]);
    expect(peer().closed).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it("cancels a reconnect that is waiting", async () => {
    const { it: publishing, socket, sockets, clock } = await live();
    socket().serverCloses(1006);
    publishing.stop();
    expect(publishing.state).toBe("stopped");
    await clock.advance(60_000);
    expect(sockets).toHaveLength(1);
  });
});

describe("stats", () => {
  it("are polled while live and gone afterwards", async () => {
    const { it: publishing, peer, clock, socket } = await live();
    peer().stats = [{ type: "outbound-rtp", id: "v", kind: "video", bytesSent: 1_000, frameWidth: 1280, frameHeight: 720 }];
    await clock.advance(STATS_INTERVAL_MS);
    peer().stats = [{ type: "outbound-rtp", id: "v", kind: "video", bytesSent: 126_000, frameWidth: 1280, frameHeight: 720 }];
    await clock.advance(STATS_INTERVAL_MS);
    expect(publishing.stats).toMatchObject({ videoBps: 1_000_000, width: 1280, height: 720 });
    socket().serverCloses(1006);
    expect(publishing.stats).toBeNull();
  });
});

describe("negative control", () => {
  it("is not live while the peer connection is not connected", async () => {
    const { it: publishing, socket, peer } = publisher();
    publishing.start();
    socket().open();
    socket().receive(offer());
    await settle();
    peer().become("connecting");
    expect(socket().types).toContain("answer");
    expect(publishing.state).toBe("connecting");
  });
});
