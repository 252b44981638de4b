import type { PublishEnvironment } from "../core/connection.js";
import type { Clock, Http } from "../core/environment.js";

const HTTP_TIMEOUT_MS = 8_000;

export const browserClock: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};

export const browserHttp: Http = (url, request = {}) =>
  fetch(url, { ...request, cache: "no-store", signal: AbortSignal.timeout(HTTP_TIMEOUT_MS) });

/** Publishing with the browser's own WebSocket and WebRTC. */
export function browserPublishing(): PublishEnvironment {
  return {
    openSocket: (url) => new WebSocket(url),
    openPeer: (config) => new RTCPeerConnection(config),
    clock: browserClock,
    userAgent: navigator.userAgent,
  };
}
