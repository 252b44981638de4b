let lock: WakeLockSentinel | null = null;

/** Keeps a phone's screen on during a broadcast: a sleeping phone sends nothing. A wish that may be denied. */
export async function keepAwake(wanted: boolean): Promise<void> {
  try {
    if (wanted && (lock === null || lock.released)) lock = await navigator.wakeLock.request("screen");
    else if (!wanted) await lock?.release();
  } catch {
    // Not offered here, or the battery is low.
  }
}
