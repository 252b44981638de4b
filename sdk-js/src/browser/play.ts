import { Player } from "../core/player.js";
import { openEngine } from "./engines.js";
import { browserClock, browserHttp } from "./environment.js";

/** In a module of its own, so that a page that only publishes does not carry hls.js. */
export const createPlayer = (video: HTMLVideoElement, playlistUrl: string): Player =>
  new Player(playlistUrl, {
    http: browserHttp,
    clock: browserClock,
    openEngine: (url, handlers) => openEngine(video, url, handlers),
  });
