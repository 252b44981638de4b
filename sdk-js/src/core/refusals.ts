const NO_MEDIA = "Sound and picture did not reach the server. A firewall may be blocking UDP.";

/** Close reasons of signaling in words for people. Webhooks may send reasons of their own: those are passed on. */
const WORDS: Record<string, string> = {
  "CHANNEL-NOT-FOUND": "This channel does not exist, or it was deleted.",
  "INVALID-CHANNEL-ID": "This is not a channel id.",
  "PUBLISHER-ALREADY-CONNECTED": "Somebody is broadcasting into this channel already.",
  "TOO-MANY-CONNECTIONS": "This channel is full.",
  "SERVER-OVERLOADED": "The server has no room for another broadcast now.",
  "ICE-TIMEOUT": NO_MEDIA,
  "MEDIA-TIMEOUT": NO_MEDIA,
  "DTLS-FAILED": "The encrypted media connection could not be made.",
  "MEDIA-REJECTED": "This browser can send none of the offered codecs.",
  "SERVER-SHUTDOWN": "The server is shutting down.",
  "INTERNAL-ERROR": "The server had an internal error.",
  "DISCONNECTED-API": "The broadcast was ended by the server's operator.",
  "LIFETIME-EXPIRED": "The broadcast reached the longest time that the server allows.",
};

export function describeReason(reason: string): string {
  if (reason === "") return "The server closed the connection without a reason.";
  return WORDS[reason] ?? `The server closed the connection: ${reason}`;
}

const FINAL = new Set(["CHANNEL-NOT-FOUND", "INVALID-CHANNEL-ID", "MEDIA-REJECTED"]);

/** Whether asking again cannot help. */
export function isFinalRefusal(reason: string): boolean {
  return FINAL.has(reason);
}
