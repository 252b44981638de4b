import { type ApiAccess, type CreatedChannel, type HlsSpec, createChannel as createChannelOver } from "../core/api.js";
import { Player } from "../core/player.js";
import { Publisher, type PublisherOptions } from "../core/publisher.js";
import { openEngine } from "./engines.js";
import { browserClock, browserHttp, browserPublishing } from "./environment.js";

export const createChannel = (access: ApiAccess, hls: HlsSpec[]): Promise<CreatedChannel> =>
  createChannelOver(browserHttp, access, hls);

export const createPublisher = (options: PublisherOptions): Publisher => new Publisher(options, browserPublishing());

export const createPlayer = (video: HTMLVideoElement, playlistUrl: string): Player =>
  new Player(playlistUrl, {
    http: browserHttp,
    clock: browserClock,
    openEngine: (url, handlers) => openEngine(video, url, handlers),
  });
