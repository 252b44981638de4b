const UNKNOWN_CHANNEL = "This channel does not exist, or it was deleted.";
const NO_MEDIA = "Sound and picture did not reach the server. A firewall may be blocking UDP.";

/** Close reasons of signaling in words for people. Webhooks may send reasons of their own: those are passed on. */
const WORDS: Record<string, string> = {
  "UNKNOWN-CHANNEL": UNKNOWN_CHANNEL,
  "CHANNEL-NOT-FOUND": UNKNOWN_CHANNEL,
  "INVALID-CHANNEL-ID": "This is not a channel id.",
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

const FINAL = new Set(["UNKNOWN-CHANNEL", "CHANNEL-NOT-FOUND", "INVALID-CHANNEL-ID", "MEDIA-REJECTED"]);

/** Whether asking again cannot help. */
export function isFinalRefusal(reason: string): boolean {
  return FINAL.has(reason);
}
