import type { StatsReport } from "./peer.js";

/** How publishing goes, over the time since the summary before. `null`: not known (yet). */
export interface PublishStats {
  videoBps: number | null;
  audioBps: number | null;
  /** Share of packets that the server reports as lost, 0–1. */
  lossRatio: number | null;
  /** Since the connection began. */
  packetsLost: number;
  roundTripMs: number | null;
  framesPerSecond: number | null;
  width: number | null;
  height: number | null;
  /** What holds the picture's quality back. */
  limitation: "none" | "cpu" | "bandwidth" | "other";
  codec: string | null;
}

interface Counters {
  atMs: number;
  bytes: { audio: number; video: number };
  sent: number;
  lost: number;
}

/** Turns successive `getStats` reports into rates. */
export class StatsMeter {
  #before: Counters | null = null;

  summarize(report: StatsReport, atMs: number): PublishStats {
    const entries: Entry[] = [];
    report.forEach((entry) => entries.push(entry as Entry));
    const now = counters(entries, atMs);
    const before = this.#before;
    this.#before = now;
    const video = outbound(entries, "video");
    return {
      videoBps: video ? rate(before?.bytes.video, now.bytes.video, before?.atMs, atMs) : null,
      audioBps: outbound(entries, "audio") ? rate(before?.bytes.audio, now.bytes.audio, before?.atMs, atMs) : null,
      lossRatio: lossRatio(before, now),
      packetsLost: now.lost,
      roundTripMs: roundTripMs(entries),
      framesPerSecond: number(video?.framesPerSecond),
      width: number(video?.frameWidth),
      height: number(video?.frameHeight),
      limitation: limitation(video?.qualityLimitationReason),
      codec: codecName(entries, video),
    };
  }
}

type Entry = { type: string; id: string } & Record<string, unknown>;

function outbound(entries: Entry[], kind: "audio" | "video"): Entry | undefined {
  return entries.find((entry) => entry.type === "outbound-rtp" && entry.kind === kind);
}

function counters(entries: Entry[], atMs: number): Counters {
  const total = (type: string, field: string, kind?: string) =>
    entries
      .filter((entry) => entry.type === type && (kind === undefined || entry.kind === kind))
      .reduce((sum, entry) => sum + (number(entry[field]) ?? 0), 0);
  return {
    atMs,
    bytes: { audio: total("outbound-rtp", "bytesSent", "audio"), video: total("outbound-rtp", "bytesSent", "video") },
    sent: total("outbound-rtp", "packetsSent"),
    lost: Math.max(0, total("remote-inbound-rtp", "packetsLost")),
  };
}

function rate(bytesBefore: number | undefined, bytes: number, beforeMs: number | undefined, atMs: number): number | null {
  if (bytesBefore === undefined || beforeMs === undefined || atMs <= beforeMs || bytes < bytesBefore) return null;
  return ((bytes - bytesBefore) * 8 * 1000) / (atMs - beforeMs);
}

/** Lost of sent between two reports. Receiver reports lag behind, so the ratio is held within 0–1. */
function lossRatio(before: Counters | null, now: Counters): number | null {
  if (before === null || now.sent <= before.sent) return null;
  return Math.min(1, Math.max(0, (now.lost - before.lost) / (now.sent - before.sent)));
}

/** From the receiver's reports; before the first of them, from ICE's own checks. */
function roundTripMs(entries: Entry[]): number | null {
  const reported = entries.filter((entry) => entry.type === "remote-inbound-rtp").map((entry) => number(entry.roundTripTime));
  const checked = entries
    .filter((entry) => entry.type === "candidate-pair" && entry.nominated === true)
    .map((entry) => number(entry.currentRoundTripTime));
  const seconds = [...reported, ...checked].find((value) => value !== null);
  return seconds === undefined || seconds === null ? null : seconds * 1000;
}

function limitation(reason: unknown): PublishStats["limitation"] {
  return reason === "cpu" || reason === "bandwidth" || reason === "other" ? reason : "none";
}

function codecName(entries: Entry[], video: Entry | undefined): string | null {
  const codec = entries.find((entry) => entry.type === "codec" && entry.id === video?.codecId);
  return typeof codec?.mimeType === "string" ? codec.mimeType.replace(/^video\//, "") : null;
}

function number(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
