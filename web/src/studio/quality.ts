import type { HlsSpec } from "@minamo/sdk";

export interface Quality {
  id: string;
  width: number;
  height: number;
  videoBps: number;
}

export const FRAMES_PER_SECOND = 30;
export const AUDIO_BPS = 128_000;

const P720: Quality = { id: "720p", width: 1280, height: 720, videoBps: 2_500_000 };

export const QUALITIES: Quality[] = [
  { id: "360p", width: 640, height: 360, videoBps: 800_000 },
  P720,
  { id: "1080p", width: 1920, height: 1080, videoBps: 4_500_000 },
];

const KEY = "minamo.quality";

export function rememberedQuality(): Quality {
  const id = localStorage.getItem(KEY);
  return QUALITIES.find((quality) => quality.id === id) ?? P720;
}

export const rememberQuality = (quality: Quality): void => localStorage.setItem(KEY, quality.id);

export const hlsSpec = ({ width, height, videoBps }: Quality): HlsSpec => ({
  video: { width, height, fps: FRAMES_PER_SECOND, bps: videoBps },
  audio: { bps: AUDIO_BPS },
});

export const describeQuality = ({ width, height, videoBps }: Quality): string =>
  `${width} × ${height} at ${FRAMES_PER_SECOND} frames per second, up to ${videoBps / 1_000_000} Mbit/s.`;
