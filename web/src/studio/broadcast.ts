import { ApiError, type Outgoing, type Publisher, createChannel, createPublisher, signalingUrl } from "@minamo/sdk";
import type { Model } from "./model.js";
import { AUDIO_BPS, hlsSpec } from "./quality.js";
import { forgetToken } from "./token.js";

/** What stands in the way of going live, in words for people. */
export class NotReady extends Error {}

/** Before anybody is asked for a camera in vain. */
export function requireAccess({ channelId, token }: Model): void {
  if (channelId === null && token === null) throw new NotReady("Enter the access token first: it lets you create a channel.");
}

/** The channel to publish into: the one at hand, or a new one. */
export async function ensureChannel(model: Model): Promise<string> {
  if (model.channelId !== null) return model.channelId;
  try {
    const created = await createChannel({ origin: location.origin, token: model.token ?? "" }, [hlsSpec(model.quality)]);
    model.channelId = created.channelId;
    model.playlistUrl = created.playlistUrl;
    return created.channelId;
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      forgetToken();
      model.token = null;
    }
    throw error;
  }
}

export function publisherFor(model: Model, channelId: string): Publisher {
  const { picture, sound, quality } = model;
  if (picture === null && sound === null) throw new NotReady("Choose a camera, a screen or a microphone first.");
  const outgoing: Outgoing = {
    ...(sound === null ? {} : { audio: { track: sound, bitRateKbps: AUDIO_BPS / 1000 } }),
    ...(picture === null
      ? {}
      : // The quality was chosen: smoothness gives way before size does, and viewers' players need not switch.
        { video: { track: picture.track, bitRateKbps: quality.videoBps / 1000, degradation: "maintain-resolution" } }),
  };
  return createPublisher({ signalingUrl: signalingUrl(location.origin), channelId, outgoing });
}
