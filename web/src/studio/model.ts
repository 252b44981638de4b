import type { PublishStats, PublisherState } from "@minamo/sdk";
import type { PictureKind } from "./capture.js";
import { type Quality, rememberedQuality } from "./quality.js";

export interface Notice {
  text: string;
  tone: "bad" | "warn";
}

/** All that the page shows. The controller changes it and renders; the view only reads. */
export interface Model {
  token: string | null;
  channelId: string | null;
  playlistUrl: string | null;
  quality: Quality;
  wanted: PictureKind | "off";
  /** `"off"`: no sound; empty: the browser's choice. */
  microphoneId: string;
  cameraId: string;
  picture: { kind: PictureKind; track: MediaStreamTrack } | null;
  sound: MediaStreamTrack | null;
  muted: boolean;
  blanked: boolean;
  /** Devices are being opened or a channel created. */
  busy: boolean;
  publisher: PublisherState;
  /** `Date.now()` of the first picture on air. */
  liveSince: number | null;
  stats: PublishStats | null;
  notice: Notice | null;
}

export const initialModel = (token: string | null, channelId: string | null): Model => ({
  token,
  channelId,
  playlistUrl: null,
  quality: rememberedQuality(),
  wanted: "camera",
  microphoneId: "",
  cameraId: "",
  picture: null,
  sound: null,
  muted: false,
  blanked: false,
  busy: false,
  publisher: "idle",
  liveSince: null,
  stats: null,
  notice: null,
});

/** Between “Go live” and the end of the broadcast. */
export const isOnAir = ({ publisher }: Model): boolean =>
  publisher === "connecting" || publisher === "live" || publisher === "reconnecting" || publisher === "stopping";
