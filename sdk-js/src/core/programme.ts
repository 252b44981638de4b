import type { Http } from "./environment.js";
import { resolve } from "./urls.js";

/** What a channel's playlist address says about its programme now. */
export type ProgrammeStatus =
  | { kind: "live" }
  /** There is a playlist, and it is closed. */
  | { kind: "ended" }
  /** The channel exists and nobody is publishing. */
  | { kind: "offline" }
  | { kind: "unknown" }
  | { kind: "unreachable"; why: string };

/** Asks once. Two requests when there is a multivariant playlist, because only a media playlist says whether it goes on. */
export async function probe(http: Http, playlistUrl: string): Promise<ProgrammeStatus> {
  try {
    const first = await get(http, playlistUrl);
    if (typeof first !== "string") return first;
    const media = mediaPlaylistUri(first);
    if (media === null) return isClosed(first);
    const second = await get(http, resolve(playlistUrl, media));
    return typeof second === "string" ? isClosed(second) : second;
  } catch {
    return { kind: "unreachable", why: "The server cannot be reached." };
  }
}

async function get(http: Http, url: string): Promise<string | ProgrammeStatus> {
  const response = await http(url);
  const body = await response.text();
  if (response.status === 200 && body.startsWith("#EXTM3U")) return body;
  if (response.status === 404) return { kind: errorType(body) === "UNKNOWN_CHANNEL" ? "unknown" : "offline" };
  return { kind: "unreachable", why: `The server answered with status ${response.status}.` };
}

function isClosed(mediaPlaylist: string): ProgrammeStatus {
  return { kind: /^#EXT-X-ENDLIST\s*$/m.test(mediaPlaylist) ? "ended" : "live" };
}

/** The first media playlist that a multivariant playlist names; `null` if this is a media playlist itself. */
function mediaPlaylistUri(playlist: string): string | null {
  const lines = playlist.split(/\r?\n/);
  const variant = lines.findIndex((line) => line.startsWith("#EXT-X-STREAM-INF"));
  if (variant < 0) return null;
  return lines.slice(variant).find((line) => line !== "" && !line.startsWith("#")) ?? null;
}

function errorType(body: string): unknown {
  try {
    return (JSON.parse(body) as { error_type?: unknown } | null)?.error_type;
  } catch {
    return undefined;
  }
}
