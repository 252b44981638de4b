declare global {
  interface Window {
    /**
     * For tests only, and no stable interface. Studio: `state`, `channelId`, `connectionId`, `stats`, `error`, `publisher`.
     * Watch: `state`, `stalled`, `latency`, `hls`, `errors`, `player`.
     */
    __minamo?: object;
  }
}

/** `hook` should have getters, so that a test always reads the present. */
export function exposeForTests(hook: object): void {
  window.__minamo = hook;
}
