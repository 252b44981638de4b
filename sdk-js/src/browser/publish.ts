import { type ApiAccess, type CreatedChannel, type HlsSpec, createChannel as createChannelOver } from "../core/api.js";
import { Publisher, type PublisherOptions } from "../core/publisher.js";
import { browserHttp, browserPublishing } from "./environment.js";

export const createChannel = (access: ApiAccess, hls: HlsSpec[]): Promise<CreatedChannel> =>
  createChannelOver(browserHttp, access, hls);

export const createPublisher = (options: PublisherOptions): Publisher => new Publisher(options, browserPublishing());
