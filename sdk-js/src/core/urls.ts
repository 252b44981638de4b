/** Where things are on a Minamo server, given its origin (`https://host:port`, no trailing slash). */

export const signalingUrl = (origin: string): string => `${origin.replace(/^http/, "ws")}/signaling`;

/** Of a channel's only programme, or, where every publisher has one of its own, of the one that `connectionId` publishes. */
export const playlistUrl = (origin: string, channelId: string, connectionId: string | null = null): string =>
  `${origin}/hls/${path(channelId, connectionId)}/playlist.m3u8`;

/** The page that plays what {@link playlistUrl} names. */
export const watchUrl = (origin: string, channelId: string, connectionId: string | null = null): string =>
  `${origin}/watch/${path(channelId, connectionId)}`;

const path = (channelId: string, connectionId: string | null): string =>
  connectionId === null ? encodeURIComponent(channelId) : `${encodeURIComponent(channelId)}/${encodeURIComponent(connectionId)}`;

/** What to watch: a channel, and in a channel with one programme for each publisher also whose. */
export interface ProgrammeAddress {
  channelId: string;
  connectionId: string | null;
}

/**
 * Reads what to watch out of what a person pasted: a channel id, a watch page or a playlist address. `null` if there is none.
 */
export function programmeFrom(pasted: string): ProgrammeAddress | null {
  const text = pasted.trim();
  const inAddress = /\/(?:watch|hls)\/([^/?#\s]+)(?:\/([^/?#\s]+))?/.exec(text);
  if (inAddress !== null) {
    const channelId = decode(inAddress[1] ?? "");
    const second = inAddress[2]?.endsWith(".m3u8") ? undefined : inAddress[2];
    const connectionId = second === undefined ? null : decode(second);
    return channelId === null || (second !== undefined && connectionId === null) ? null : { channelId, connectionId };
  }
  return text !== "" && text.length <= 255 && /^[^\s/?#]+$/.test(text) ? { channelId: text, connectionId: null } : null;
}

function decode(component: string): string | null {
  try {
    return decodeURIComponent(component);
  } catch {
    return null;
  }
}

/** Resolves a URI of a playlist against the playlist's own address. */
export function resolve(base: string, uri: string): string {
  if (/^[a-z][a-z0-9+.-]*:/i.test(uri)) return uri;
  const origin = /^[a-z][a-z0-9+.-]*:\/\/[^/]*/i.exec(base)?.[0] ?? "";
  if (uri.startsWith("//")) return `${base.slice(0, base.indexOf(":") + 1)}${uri}`;
  if (uri.startsWith("/")) return `${origin}${uri}`;
  const file = base.replace(/[?#].*$/, "");
  return `${file.slice(0, file.lastIndexOf("/") + 1)}${uri}`;
}
