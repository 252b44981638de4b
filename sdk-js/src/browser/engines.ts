import Hls from "hls.js";
import { catchUpRate } from "../core/catchup.js";
import type { Engine, EngineHandlers } from "../core/player.js";

/** Repairs of the decoder within this time count as one trouble; one more than the limit, and the player starts afresh. */
const REPAIR_WINDOW_MS = 30_000;
const REPAIRS_MAX = 2;
/** So little left of an ended programme, and nothing more coming, is its end. */
const TAIL_S = 1.5;
/** An ended programme that stands still for so long will not go on, however much of it is left. */
const STANDSTILL_MS = 4_000;
const END_CHECK_MS = 250;
/** Native players tell no live edge; this far before the end of what can be sought is safe. */
const NATIVE_EDGE_S = 2;

/** How often the speed is looked at. */
const KEEP_NEAR_MS = 250;
/** Who is so far behind, in seconds, wants to be there. */
const FAR_S = 10;

export interface HlsEngine extends Engine {
  readonly hls: Hls;
}

/** hls.js wherever Media Source Extensions exist, even if the browser claims to play HLS itself; else the browser's own. */
export function openEngine(video: HTMLVideoElement, playlistUrl: string, handlers: EngineHandlers): Engine {
  if (Hls.isSupported()) return openHls(video, playlistUrl, handlers);
  if (video.canPlayType("application/vnd.apple.mpegurl") !== "") return openNative(video, playlistUrl, handlers);
  queueMicrotask(() => handlers.failed("This browser can play neither Media Source Extensions nor HLS."));
  return { kind: "native", latency: () => null, targetLatency: () => null, goToLive: () => {}, destroy: () => {} };
}

function openHls(video: HTMLVideoElement, playlistUrl: string, handlers: EngineHandlers): HlsEngine {
  const hls = new Hls({
    lowLatencyMode: true,
    backBufferLength: 30,
    liveDurationInfinity: true,
    // A stall is a reason to stay further behind, but not by a second each.
    liveSyncOnStallIncrease: 0.2,
  });
  const speed = setInterval(() => keepNear(video, hls), KEEP_NEAR_MS);
  const unlisten = listen(video, handlers);
  const repairs: number[] = [];
  let unwatch: (() => void) | null = null;
  hls.on(Hls.Events.LEVEL_UPDATED, (_event, { details }) => {
    unwatch?.();
    unwatch = details.live ? null : watchForEnd(video, details.edge, handlers.ended);
  });
  hls.on(Hls.Events.ERROR, (_event, error) => {
    if (!error.fatal) return;
    if (error.response?.code === 404) handlers.gone();
    else if (error.type === Hls.ErrorTypes.MEDIA_ERROR && mayRepair(repairs)) hls.recoverMediaError();
    else handlers.failed(describe(error.type));
  });
  hls.loadSource(playlistUrl);
  hls.attachMedia(video);
  return {
    kind: "mse",
    hls,
    latency: () => (hls.latency > 0 ? hls.latency : null),
    targetLatency: () => hls.targetLatency,
    goToLive: () => seek(video, hls.liveSyncPosition),
    destroy() {
      clearInterval(speed);
      unwatch?.();
      unlisten();
      hls.destroy();
    },
  };
}

/** Starting and stalling cost time: the player creeps back to where the playlist wants it, too slowly to be heard. */
function keepNear(video: HTMLVideoElement, hls: Hls): void {
  const target = hls.targetLatency;
  const live = hls.latestLevelDetails?.live === true;
  if (video.paused || video.seeking || video.buffered.length === 0 || target === null) return;
  const ahead = video.buffered.end(video.buffered.length - 1) - video.currentTime;
  const rate = live && hls.latency < FAR_S ? catchUpRate(hls.latency, target, ahead) : 1;
  if (video.playbackRate !== rate) video.playbackRate = rate;
}

/**
 * Says once when an ended programme is played out. hls.js leaves out a part that it first sees together with ENDLIST, then waits for it
 * for ever, and does not always say that it stalls: so we look for ourselves.
 */
function watchForEnd(video: HTMLVideoElement, end: number, ended: () => void): () => void {
  let standstill = 0;
  const timer = setInterval(() => {
    const stands = !video.paused && !video.seeking && video.readyState < video.HAVE_FUTURE_DATA;
    standstill = stands ? standstill + END_CHECK_MS : 0;
    if (!stands || (end - video.currentTime >= TAIL_S && standstill < STANDSTILL_MS)) return;
    clearInterval(timer);
    ended();
  }, END_CHECK_MS);
  return () => clearInterval(timer);
}

function openNative(video: HTMLVideoElement, playlistUrl: string, handlers: EngineHandlers): Engine {
  const unlisten = listen(video, handlers);
  const failed = () => handlers.failed("Playback was interrupted.");
  video.addEventListener("error", failed);
  video.src = playlistUrl;
  return {
    kind: "native",
    latency: () => {
      const end = seekableEnd(video);
      return end === null ? null : Math.max(0, end - video.currentTime);
    },
    targetLatency: () => NATIVE_EDGE_S,
    goToLive: () => {
      const end = seekableEnd(video);
      seek(video, end === null ? null : end - NATIVE_EDGE_S);
    },
    destroy() {
      unlisten();
      video.removeEventListener("error", failed);
      video.removeAttribute("src");
      video.load();
    },
  };
}

function listen(video: HTMLVideoElement, handlers: EngineHandlers): () => void {
  const events = [
    ["canplay", handlers.ready],
    ["playing", handlers.ready],
    ["waiting", handlers.stalled],
    ["ended", handlers.ended],
  ] as const;
  for (const [name, handler] of events) video.addEventListener(name, handler);
  return () => {
    for (const [name, handler] of events) video.removeEventListener(name, handler);
  };
}

function mayRepair(repairs: number[]): boolean {
  const now = performance.now();
  while (repairs[0] !== undefined && repairs[0] < now - REPAIR_WINDOW_MS) repairs.shift();
  repairs.push(now);
  return repairs.length <= REPAIRS_MAX;
}

function seek(video: HTMLVideoElement, position: number | null): void {
  if (position !== null && Number.isFinite(position)) video.currentTime = position;
  video.play().catch(() => {});
}

function seekableEnd(video: HTMLVideoElement): number | null {
  const ranges = video.seekable;
  return ranges.length === 0 ? null : ranges.end(ranges.length - 1);
}

function describe(type: string): string {
  if (type === Hls.ErrorTypes.NETWORK_ERROR) return "The connection to the server was lost.";
  if (type === Hls.ErrorTypes.MEDIA_ERROR) return "This browser had trouble decoding the programme.";
  return "Playback was interrupted.";
}
