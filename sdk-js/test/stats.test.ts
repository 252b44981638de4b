import { describe, expect, it } from "vitest";
import { StatsMeter } from "../src/core/stats.js";

const report = (bytes: number, sent: number, lost: number) => [
  { type: "outbound-rtp", id: "v", kind: "video", bytesSent: bytes, packetsSent: sent, frameWidth: 640, frameHeight: 360, framesPerSecond: 30, qualityLimitationReason: "bandwidth", codecId: "c" },
  { type: "outbound-rtp", id: "a", kind: "audio", bytesSent: bytes / 10, packetsSent: 0 },
  { type: "remote-inbound-rtp", id: "r", kind: "video", packetsLost: lost, roundTripTime: 0.042 },
  { type: "candidate-pair", id: "p", nominated: true, currentRoundTripTime: 0.5 },
  { type: "codec", id: "c", mimeType: "video/H264" },
];

describe("stats", () => {
  it("knows no rate from one report", () => {
    const first = new StatsMeter().summarize(report(1000, 10, 0), 0);
    expect(first).toMatchObject({ videoBps: null, audioBps: null, lossRatio: null });
    expect(first).toMatchObject({ width: 640, height: 360, framesPerSecond: 30, roundTripMs: 42, limitation: "bandwidth", codec: "H264" });
  });

  it("computes rates and loss between two", () => {
    const meter = new StatsMeter();
    meter.summarize(report(0, 100, 5), 1_000);
    const second = meter.summarize(report(250_000, 200, 10), 3_000);
    expect(second).toMatchObject({ videoBps: 1_000_000, audioBps: 100_000, lossRatio: 0.05, packetsLost: 10 });
  });

  it("never shows nonsense after a counter restarts", () => {
    const meter = new StatsMeter();
    meter.summarize(report(250_000, 200, 10), 0);
    expect(meter.summarize(report(0, 1, 0), 1_000)).toMatchObject({ videoBps: null, lossRatio: null });
  });

  it("makes do with an empty report, and with ICE's round trip", () => {
    expect(new StatsMeter().summarize([], 0)).toMatchObject({ videoBps: null, roundTripMs: null, width: null, limitation: "none" });
    expect(new StatsMeter().summarize(report(0, 0, 0).filter((entry) => entry.id === "p"), 0).roundTripMs).toBe(500);
  });
});
