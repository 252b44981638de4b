/** Close reasons of signaling in words for people. Webhooks may send reasons of their own: those are passed on. */
const WORDS: Record<string, string> = {
  "UNKNOWN-CHANNEL": "This channel does not exist, or it was deleted.",
  "CHANNEL-NOT-FOUND": "This channel does not exist, or it was deleted.",
  "INTERNAL-ERROR": "The server had an internal error.",
  "DISCONNECTED-API": "The broadcast was ended by the server's operator.",
  "LIFETIME-EXPIRED": "The broadcast reached the longest time that the server allows.",
};

export function describeReason(reason: string): string {
  if (reason === "") return "The server closed the connection without a reason.";
  return WORDS[reason] ?? `The server closed the connection: ${reason}`;
}

/** Whether asking again cannot help. */
export function isFinalRefusal(reason: string): boolean {
  return reason === "UNKNOWN-CHANNEL" || reason === "CHANNEL-NOT-FOUND";
}
