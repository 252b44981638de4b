/** Where things are on a Minamo server, given its origin (`https://host:port`, no trailing slash). */

export const signalingUrl = (origin: string): string => `${origin.replace(/^http/, "ws")}/signaling`;

export const playlistUrl = (origin: string, channelId: string): string =>
  `${origin}/hls/${encodeURIComponent(channelId)}/playlist.m3u8`;

export const watchUrl = (origin: string, channelId: string): string => `${origin}/watch/${encodeURIComponent(channelId)}`;

/**
 * Reads a channel id out of what a person pasted: the id itself, a watch page or a playlist address. `null` if there is none.
 */
export function channelIdFrom(pasted: string): string | null {
  const text = pasted.trim();
  const inAddress = /\/(?:watch|hls)\/([^/?#\s]+)/.exec(text)?.[1];
  if (inAddress !== undefined) return decode(inAddress);
  return text !== "" && text.length <= 255 && /^[^\s/?#]+$/.test(text) ? text : null;
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
  const path = base.replace(/[?#].*$/, "");
  return `${path.slice(0, path.lastIndexOf("/") + 1)}${uri}`;
}
