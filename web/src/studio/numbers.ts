import type { PublishStats } from "@minamo/sdk";
import { byId, setText } from "../ui/dom.js";
import { type Model, isOnAir } from "./model.js";

/** From here on viewers are likely to notice. */
const LOSS_WARNING = 0.03;
const ROUND_TRIP_WARNING_MS = 400;
const UNKNOWN = "–";

export function renderNumbers(model: Model): void {
  const { stats } = model;
  byId("health").hidden = !isOnAir(model);
  set("stat-bitrate", ...bitrate(stats));
  set("stat-picture", stats?.width && stats.height ? `${stats.width} × ${stats.height}` : UNKNOWN, "");
  set("stat-frames", whole(stats?.framesPerSecond), "per second");
  set("stat-loss", stats?.lossRatio == null ? UNKNOWN : (stats.lossRatio * 100).toFixed(1), "%", (stats?.lossRatio ?? 0) > LOSS_WARNING);
  set("stat-round-trip", whole(stats?.roundTripMs), "ms", (stats?.roundTripMs ?? 0) > ROUND_TRIP_WARNING_MS);
  set("stat-time", model.liveSince === null ? UNKNOWN : duration(Date.now() - model.liveSince), "");
  const words = advice(stats);
  byId("advice").hidden = words === null;
  setText(byId("advice"), words ?? "");
}

function set(id: string, value: string, unit: string, warn = false): void {
  const cell = byId(id);
  const text = value === UNKNOWN || unit === "" ? value : `${value} ${unit}`;
  if (cell.textContent !== text) {
    cell.textContent = value;
    if (text !== value) cell.append(" ", Object.assign(document.createElement("small"), { textContent: unit }));
  }
  cell.parentElement?.setAttribute("data-tone", warn ? "warn" : "");
}

function bitrate(stats: PublishStats | null): [value: string, unit: string] {
  if (stats === null || (stats.videoBps === null && stats.audioBps === null)) return [UNKNOWN, ""];
  const bps = (stats.videoBps ?? 0) + (stats.audioBps ?? 0);
  return bps < 1_000_000 ? [String(Math.round(bps / 1000)), "kbit/s"] : [(bps / 1_000_000).toFixed(2), "Mbit/s"];
}

const whole = (value: number | null | undefined): string => (value == null ? UNKNOWN : String(Math.round(value)));

function advice(stats: PublishStats | null): string | null {
  if (stats?.limitation === "bandwidth") return "Your connection holds the picture back. A lower quality would be smoother.";
  if (stats?.limitation === "cpu") return "This device is at its limit. A lower quality would be smoother.";
  return null;
}

/** `h:mm:ss`, or `m:ss` within the first hour. */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
