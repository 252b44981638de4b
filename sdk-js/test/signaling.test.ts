import { describe, expect, it } from "vitest";
import type { ConnectMessage, NotifyMessage } from "../src/core/messages.js";
import {
  DISCONNECT_TIMEOUT_MS,
  type Ending,
  OFFERS_WAITING_MAX,
  OFFER_TIMEOUT_MS,
  SignalingSession,
} from "../src/core/signaling.js";
import { FakeClock, FakeSocket, offer, settle } from "./fakes.js";

const connect: ConnectMessage = { type: "connect", role: "sendonly", channel_id: "c", audio: true, video: true };

function session(negotiate: (sdp: string) => Promise<string> = async (sdp) => `answer to ${sdp}`) {
  const socket = new FakeSocket();
  const clock = new FakeClock();
  const endings: Ending[] = [];
  const notified: NotifyMessage[] = [];
  const pushed: unknown[] = [];
  const session = new SignalingSession(
    socket,
    connect,
    {
      negotiate: (message) => negotiate(message.sdp),
      stats: async () => [{ type: "outbound-rtp" }],
      notify: (message) => void notified.push(message),
      push: (data) => void pushed.push(data),
      ended: (ending) => void endings.push(ending),
    },
    clock,
  );
  return { session, socket, clock, endings, notified, pushed };
}

async function established(negotiate?: (sdp: string) => Promise<string>) {
  const parts = session(negotiate);
  parts.socket.open();
  parts.socket.receive(offer());
  await settle();
  return parts;
}

describe("the way in", () => {
  it("connects, answers the offer and is established", async () => {
    const { session: it, socket } = session();
    expect(it.state).toBe("opening");
    expect(socket.sent).toEqual([]);
    socket.open();
    expect(it.state).toBe("connecting");
    expect(socket.sent).toEqual([connect]);
    socket.receive(offer());
    expect(it.state).toBe("answering");
    await settle();
    expect(it.state).toBe("established");
    expect(socket.last("answer")).toEqual({ type: "answer", sdp: "answer to v=0 offer" });
  });

  it("gives up when no offer comes", async () => {
    const { session: it, socket, clock, endings } = session();
    socket.open();
    await clock.advance(OFFER_TIMEOUT_MS - 1);
    expect(it.state).toBe("connecting");
    await clock.advance(1);
    expect(endings).toEqual([{ kind: "lost", code: 1000, reason: "no offer in time" }]);
    expect(socket.closed).toBe(true);
  });

  it("tells a refusal from a loss", () => {
    for (const [code, kind] of [[4490, "refused"], [1000, "dismissed"], [1006, "lost"], [1011, "lost"]] as const) {
      const { socket, endings } = session();
      socket.open();
      socket.serverCloses(code, "WHY");
      expect(endings.map((ending) => ending.kind)).toEqual([kind]);
      expect(endings[0]).toMatchObject({ reason: "WHY" });
    }
  });

  it("reports a redirect once the server has closed", () => {
    const { socket, endings } = session();
    socket.open();
    socket.receive({ type: "redirect", location: "wss://elsewhere/signaling" });
    expect(endings).toEqual([]);
    socket.serverCloses(1000);
    expect(endings).toEqual([{ kind: "redirected", location: "wss://elsewhere/signaling" }]);
  });
});

describe("once established", () => {
  it("answers ping, with reports only when asked", async () => {
    const { socket } = await established();
    socket.receive({ type: "ping", stats: false });
    socket.receive({ type: "ping", stats: true });
    await settle();
    expect(socket.sent.filter((message) => message.type === "pong")).toEqual([
      { type: "pong" },
      { type: "pong", stats: [{ type: "outbound-rtp" }] },
    ]);
  });

  it("answers re-offers one after the other", async () => {
    let running = 0;
    let most = 0;
    const { socket } = await established(async (sdp) => {
      most = Math.max(most, ++running);
      await settle();
      running -= 1;
      return sdp;
    });
    await settle();
    socket.receive({ type: "re-offer", sdp: "second" });
    socket.receive({ type: "re-offer", sdp: "third" });
    for (let turn = 0; turn < 10; turn += 1) await settle();
    expect(most).toBe(1);
    expect(socket.sent.filter((message) => message.type === "re-answer").map((message) => message.sdp)).toEqual(["second", "third"]);
  });

  it("does not pile up offers without bound", async () => {
    const { socket, endings } = await established((sdp) => (sdp === "v=0 offer" ? Promise.resolve("a") : new Promise(() => {})));
    for (let count = 0; count <= OFFERS_WAITING_MAX; count += 1) socket.receive({ type: "re-offer", sdp: "again" });
    expect(endings).toEqual([{ kind: "lost", code: 1000, reason: "too many offers at once" }]);
  });

  it("passes on notify and push, and ignores what it does not know", async () => {
    const { session: it, socket, notified, pushed } = await established();
    socket.receive({ type: "notify", event_type: "connection.created", channel_connections: 1 });
    socket.receive({ type: "push", data: { hello: 1 } });
    socket.receive({ type: "from-the-future" });
    expect(notified).toEqual([{ type: "notify", event_type: "connection.created", channel_connections: 1 }]);
    expect(pushed).toEqual([{ hello: 1 }]);
    expect(it.state).toBe("established");
  });

  it("trickles candidates, but not before the offer and not the empty one", async () => {
    const candidate = { candidate: "candidate:1 1 udp 1 127.0.0.1 9 typ host", sdpMid: "0", sdpMLineIndex: 0, usernameFragment: "u" };
    const early = session();
    early.socket.open();
    early.session.sendCandidate(candidate);
    expect(early.socket.types).toEqual(["connect"]);
    const { session: it, socket } = await established();
    it.sendCandidate(candidate);
    it.sendCandidate({ ...candidate, candidate: "" });
    expect(socket.sent.filter((message) => message.type === "candidate")).toEqual([{ type: "candidate", ...candidate }]);
  });
});

describe("the way out", () => {
  it("says goodbye and waits for the server to close", async () => {
    const { session: it, socket, endings } = await established();
    it.disconnect();
    expect(socket.last("disconnect")).toEqual({ type: "disconnect", reason: "NO-ERROR" });
    expect(endings).toEqual([]);
    socket.serverCloses(1000, "TYPE-DISCONNECT");
    expect(endings).toEqual([{ kind: "left" }]);
    expect(it.state).toBe("closed");
  });

  it("does not wait for ever", async () => {
    const { session: it, socket, clock, endings } = await established();
    it.disconnect();
    await clock.advance(DISCONNECT_TIMEOUT_MS);
    expect(endings).toEqual([{ kind: "left" }]);
    expect(socket.closed).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it("drops a negotiation that finishes after the goodbye", async () => {
    let finish: (sdp: string) => void = () => {};
    const { session: it, socket } = await established(() => new Promise((resolve) => (finish = resolve)));
    it.disconnect();
    finish("too late");
    await settle();
    expect(socket.types).toEqual(["connect", "disconnect"]);
    expect(it.state).toBe("disconnecting");
  });
});

describe("a server that misbehaves", () => {
  it.each([
    ["not JSON", "{"],
    ["no type", "[]"],
    ["an offer without sdp", { ...offer(), sdp: undefined }],
    ["an offer without connection_id", { ...offer(), connection_id: 7 }],
  ])("ends the session: %s", (_what, frame) => {
    const { socket, endings } = session();
    socket.open();
    socket.receive(frame);
    expect(endings).toHaveLength(1);
    expect(endings[0]?.kind).toBe("lost");
  });

  it("ends the session: re-offer before the first answer, second offer", async () => {
    const early = session();
    early.socket.open();
    early.socket.receive({ type: "re-offer", sdp: "x" });
    expect(early.endings).toMatchObject([{ reason: "a re-offer before the first answer" }]);
    const twice = await established();
    twice.socket.receive(offer());
    expect(twice.endings).toMatchObject([{ reason: "an offer out of turn" }]);
  });

  it("ends the session: an offer that the browser rejects", async () => {
    const { endings } = await established(async () => {
      throw new Error("Failed to parse SessionDescription");
    });
    expect(endings).toMatchObject([{ kind: "lost", reason: "negotiation failed: Failed to parse SessionDescription" }]);
  });

  it("says it only once, whatever follows", async () => {
    const { session: it, socket, endings } = await established();
    socket.serverCloses(1006);
    it.disconnect();
    it.drop();
    expect(endings).toHaveLength(1);
  });
});

describe("negative control", () => {
  it("a server that sends no offer gets no answer", async () => {
    const { session: it, socket } = session();
    socket.open();
    socket.receive({ type: "notify", event_type: "connection.created" });
    await settle();
    expect(socket.types).toEqual(["connect"]);
    expect(it.state).not.toBe("established");
  });
});
