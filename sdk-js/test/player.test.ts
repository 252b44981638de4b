import { describe, expect, it } from "vitest";
import {
  ENDED_POLL_MS,
  type Engine,
  type EngineHandlers,
  OFFLINE_POLL_MS,
  Player,
  type PlayerState,
  UNKNOWN_POLL_MS,
} from "../src/core/player.js";
import { FakeClock, fakeHttp, settle } from "./fakes.js";

const URL = "http://test/hls/c/playlist.m3u8";
const MEDIA = "http://test/hls/c/video.m3u8";
const multivariant = { status: 200, body: '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="avc1.42e01f"\nvideo.m3u8\n' };
const open = { status: 200, body: "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:2,\nv-1.m4s\n" };
const closed = { status: 200, body: `${open.body}#EXT-X-ENDLIST\n` };
const missing = (error_type: string) => ({ status: 404, body: JSON.stringify({ error: "x", error_type }) });

class FakeEngine implements Engine {
  readonly kind = "mse";
  destroyed = false;
  wentLive = 0;
  constructor(readonly handlers: EngineHandlers) {}
  seconds = 1.5;
  latency = () => this.seconds;
  targetLatency = () => 1;
  goToLive = () => void (this.wentLive += 1);
  destroy = () => void (this.destroyed = true);
}

function player(pages: Record<string, { status: number; body: string }>) {
  const http = fakeHttp(pages);
  const clock = new FakeClock();
  const engines: FakeEngine[] = [];
  const states: PlayerState[] = [];
  const it = new Player(URL, {
    http,
    clock,
    openEngine(_url, handlers) {
      const engine = new FakeEngine(handlers);
      engines.push(engine);
      return engine;
    },
  });
  it.on("state", (state) => void states.push(state));
  const engine = () => engines.at(-1) as FakeEngine;
  return { it, http, clock, engines, states, engine, pages };
}

async function playing() {
  const parts = player({ [URL]: multivariant, [MEDIA]: open });
  parts.it.start();
  await settle();
  parts.engine().handlers.ready();
  return parts;
}

describe("the programme's state", () => {
  it("plays what is live and knows its latency", async () => {
    const { it: watching, states, engine } = await playing();
    expect(states).toEqual(["loading", "live"]);
    expect(watching.latency).toBe(1.5);
    watching.goToLive();
    expect(engine().wentLive).toBe(1);
  });

  it("waits gently for a channel that is not live yet", async () => {
    const { it: watching, http, clock, pages, states, engine } = player({ [URL]: missing("NOT_LIVE") });
    watching.start();
    await settle();
    expect(watching.state).toBe("offline");
    expect(watching.latency).toBeNull();
    await clock.advance(OFFLINE_POLL_MS * 10);
    expect(http.asked.length).toBeLessThanOrEqual(11);
    pages[URL] = multivariant;
    pages[MEDIA] = open;
    await clock.advance(OFFLINE_POLL_MS);
    engine().handlers.ready();
    expect(states).toEqual(["loading", "offline", "loading", "live"]);
  });

  it("tells an unknown channel from one that is off, and asks it even less", async () => {
    const { it: watching, http, clock } = player({ [URL]: missing("UNKNOWN_CHANNEL") });
    watching.start();
    await settle();
    expect(watching.state).toBe("unknown");
    await clock.advance(UNKNOWN_POLL_MS * 0.9);
    expect(http.asked).toHaveLength(1);
  });

  it("ends when the closed playlist was played out, and starts again with the next programme", async () => {
    const { it: watching, clock, pages, engine, engines, states } = await playing();
    pages[MEDIA] = closed;
    engine().handlers.ended();
    expect(watching.state).toBe("ended");
    expect(engine().destroyed).toBe(true);
    pages[URL] = missing("NOT_LIVE");
    await clock.advance(ENDED_POLL_MS * 3);
    expect(watching.state).toBe("ended");
    pages[URL] = multivariant;
    pages[MEDIA] = open;
    await clock.advance(ENDED_POLL_MS * 2);
    expect(engines).toHaveLength(2);
    engine().handlers.ready();
    expect(states).toEqual(["loading", "live", "ended", "loading", "live"]);
  });

  it("says at once that a programme is over", async () => {
    const { it: watching, engines } = player({ [URL]: multivariant, [MEDIA]: closed });
    watching.start();
    await settle();
    expect(watching.state).toBe("ended");
    expect(engines).toHaveLength(0);
  });

  it("reads a playlist address that is a media playlist itself", async () => {
    const { it: watching, http, engines } = player({ [URL]: open });
    watching.start();
    await settle();
    expect(engines).toHaveLength(1);
    expect(http.asked).toEqual([URL]);
  });
});

describe("trouble", () => {
  it("recovers from an engine's failure with growing waits", async () => {
    const { it: watching, clock, engine, engines } = await playing();
    engine().handlers.failed("decoder");
    expect(watching).toMatchObject({ state: "error", error: "decoder", engine: null });
    await clock.advance(1_000);
    expect(engines).toHaveLength(2);
    expect(watching.state).toBe("error");
    engine().handlers.failed("decoder");
    await clock.advance(1_000);
    expect(engines).toHaveLength(2);
    await clock.advance(1_000);
    expect(engines).toHaveLength(3);
    engine().handlers.ready();
    expect(watching).toMatchObject({ state: "live", error: null });
  });

  it("comes back when the server does", async () => {
    const { it: watching, clock, pages } = player({});
    watching.start();
    await settle();
    expect(watching.state).toBe("error");
    pages[URL] = missing("NOT_LIVE");
    await clock.advance(15_000);
    expect(watching.state).toBe("offline");
  });

  it("asks why when the playlist is gone", async () => {
    const { it: watching, pages, engine } = await playing();
    pages[URL] = missing("UNKNOWN_CHANNEL");
    engine().handlers.gone();
    await settle();
    expect(watching.state).toBe("unknown");
  });

  it("shows a stall without leaving live", async () => {
    const { it: watching, engine } = await playing();
    engine().handlers.stalled();
    expect(watching).toMatchObject({ state: "live", stalled: true });
    engine().handlers.ready();
    expect(watching.stalled).toBe(false);
  });

  it("knows when it has fallen behind", async () => {
    const { it: watching, engine } = await playing();
    expect(watching.isBehind).toBe(false);
    engine().seconds = 8;
    expect(watching.isBehind).toBe(true);
  });

  it("does not listen to an engine that it has closed", async () => {
    const { it: watching, engines, engine } = await playing();
    engine().handlers.ended();
    engines[0]?.handlers.ready();
    engines[0]?.handlers.failed("late");
    expect(watching.state).toBe("ended");
  });

  it("does nothing any more after stop", async () => {
    const { it: watching, clock, http } = player({ [URL]: missing("NOT_LIVE") });
    watching.start();
    watching.stop();
    await clock.advance(60_000);
    expect(watching.state).toBe("idle");
    expect(http.asked).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });
});

describe("negative control", () => {
  it("is not live before there is a picture", async () => {
    const { it: watching } = player({ [URL]: multivariant, [MEDIA]: open });
    watching.start();
    await settle();
    expect(watching.state).toBe("loading");
    expect(watching.latency).toBeNull();
  });
});
