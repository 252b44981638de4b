import { Backoff } from "./backoff.js";
import { type ConnectionEnding, type Kind, type Outgoing, PublishConnection, type PublishEnvironment } from "./connection.js";
import type { Cancel } from "./environment.js";
import { Listeners } from "./listeners.js";
import type { ConnectMessage, NotifyMessage } from "./messages.js";
import type { MediaTrack } from "./peer.js";
import { describeReason, isFinalRefusal } from "./refusals.js";
import type { PublishStats } from "./stats.js";

/**
 * `connecting` until media flows for the first time, `live` while it does, `reconnecting` after an unexpected loss, `stopping` until
 * the server has heard our goodbye. `stopped` and `failed` are final: a new broadcast is a new `Publisher`.
 */
export type PublisherState = "idle" | "connecting" | "live" | "reconnecting" | "stopping" | "stopped" | "failed";

export type FailureCode = "unreachable" | "refused" | "dismissed" | "unsendable";

/** Why a broadcast ended, in words for people, and the server's own reason where it gave one. */
export class PublishError extends Error {
  constructor(
    readonly code: FailureCode,
    message: string,
    readonly reason: string | null = null,
  ) {
    super(message);
  }
}

export interface PublisherEvents {
  state: PublisherState;
  stats: PublishStats;
  notify: NotifyMessage;
}

export interface PublisherOptions {
  signalingUrl: string;
  channelId: string;
  outgoing: Outgoing;
  metadata?: unknown;
}

/** Attempts before the first success. Later there is no limit: whoever was live wants to be live again. */
export const FIRST_ATTEMPTS_MAX = 3;
/**
 * A refusal after having been live may only mean that the server still holds the lost connection. These are about 1½ minutes: more
 * than a server takes to notice a silent one.
 */
export const REFUSED_ATTEMPTS_MAX = 12;
export const REDIRECTS_MAX = 3;
export const STATS_INTERVAL_MS = 1_000;
/** Live for this long, and the next loss starts again with short waits. */
const STEADY_MS = 10_000;
const RETRY = { firstMs: 500, capMs: 15_000 };

/** Publishes tracks into a channel and keeps doing so until `stop`: one connection after the other, as the network demands. */
export class Publisher {
  readonly #listeners = new Listeners<PublisherEvents>();
  readonly #backoff: Backoff;
  readonly #outgoing: Outgoing;
  #state: PublisherState = "idle";
  #error: PublishError | null = null;
  #connection: PublishConnection | null = null;
  #stats: PublishStats | null = null;
  #wasLive = false;
  #redirects = 0;
  /** One slot per purpose: setting one again replaces nothing that still runs. */
  readonly #timers: Record<"retry" | "steady" | "stats", Cancel> = { retry: () => {}, steady: () => {}, stats: () => {} };

  constructor(
    private readonly options: PublisherOptions,
    private readonly environment: PublishEnvironment,
  ) {
    this.#outgoing = { ...options.outgoing };
    this.#backoff = new Backoff(RETRY, () => environment.clock.random());
  }

  get state(): PublisherState {
    return this.#state;
  }

  /** Set in state `failed`. */
  get error(): PublishError | null {
    return this.#error;
  }

  get connectionId(): string | null {
    return this.#connection?.connectionId ?? null;
  }

  /** The newest summary, `null` while not live. */
  get stats(): PublishStats | null {
    return this.#stats;
  }

  on<Name extends keyof PublisherEvents>(name: Name, listener: (value: PublisherEvents[Name]) => void): Cancel {
    return this.#listeners.on(name, listener);
  }

  start(): void {
    if (this.#state !== "idle") return;
    this.#enter("connecting");
    this.#attempt(this.options.signalingUrl, false);
  }

  /** Ends the broadcast. State `stopped` follows at the latest after a few seconds. */
  stop(): void {
    if (this.#isOver() || this.#state === "stopping") return;
    this.#clearTimers();
    if (this.#connection === null) return this.#enter("stopped");
    this.#enter("stopping");
    this.#connection.leave();
  }

  /** Another camera or microphone in place of the present one; viewers see no interruption. */
  async replaceTrack(kind: Kind, track: MediaTrack): Promise<void> {
    const present = this.#outgoing[kind];
    if (present === undefined) throw new Error(`this broadcast has no ${kind}`);
    // Kept for the next connection as well.
    this.#outgoing[kind] = { ...present, track };
    await this.#connection?.replaceTrack(kind, track);
  }

  #attempt(url: string, redirected: boolean): void {
    const connection = new PublishConnection(url, this.#connectMessage(redirected), this.#outgoing, this.environment, {
      connected: () => this.#connected(),
      notify: (message) => this.#listeners.emit("notify", message),
      ended: (ending) => this.#connectionEnded(ending),
    });
    this.#connection = connection;
  }

  #connectMessage(redirected: boolean): ConnectMessage {
    const { audio, video } = this.#outgoing;
    return {
      type: "connect",
      role: "sendonly",
      channel_id: this.options.channelId,
      audio: audio === undefined ? false : { codec_type: "OPUS", ...bitRate(audio.bitRateKbps) },
      video: video === undefined ? false : { codec_type: "H264", ...bitRate(video.bitRateKbps) },
      sora_client: "Minamo SDK 0.1.0",
      ...(this.environment.userAgent === undefined ? {} : { environment: this.environment.userAgent }),
      ...(this.options.metadata === undefined ? {} : { metadata: this.options.metadata }),
      ...(redirected ? { redirect: true as const } : {}),
    };
  }

  #connected(): void {
    if (this.#state === "live" || this.#state === "stopping") return;
    this.#wasLive = true;
    this.#redirects = 0;
    this.#timers.steady = this.environment.clock.after(STEADY_MS, () => this.#backoff.reset());
    this.#pollStats();
    this.#enter("live");
  }

  #connectionEnded(ending: ConnectionEnding): void {
    this.#connection = null;
    this.#clearTimers();
    if (this.#state === "stopping") return this.#enter("stopped");
    switch (ending.kind) {
      case "left":
        return this.#enter("stopped");
      case "unsendable":
        return this.#fail(new PublishError("unsendable", unsendable(ending.track)));
      case "dismissed":
        return this.#fail(new PublishError("dismissed", describeReason(ending.reason), ending.reason));
      case "redirected":
        return this.#follow(ending.location);
      case "refused":
        return this.#refused(ending.reason);
      case "lost":
      case "media-lost":
        return this.#lost(ending.reason);
    }
  }

  #follow(location: string): void {
    this.#redirects += 1;
    if (this.#redirects > REDIRECTS_MAX) return this.#fail(new PublishError("unreachable", "The server sent us round in circles."));
    this.#attempt(location, true);
  }

  #refused(reason: string): void {
    const hopeless = !this.#wasLive || isFinalRefusal(reason) || this.#backoff.failures >= REFUSED_ATTEMPTS_MAX;
    if (hopeless) return this.#fail(new PublishError("refused", describeReason(reason), reason));
    this.#retry();
  }

  #lost(reason: string): void {
    if (!this.#wasLive && this.#backoff.failures + 1 >= FIRST_ATTEMPTS_MAX) {
      const words = reason === "" ? "The server cannot be reached." : `The connection could not be made: ${reason}.`;
      return this.#fail(new PublishError("unreachable", words));
    }
    this.#retry();
  }

  #retry(): void {
    if (this.#wasLive) this.#enter("reconnecting");
    const again = () => this.#attempt(this.options.signalingUrl, false);
    this.#timers.retry = this.environment.clock.after(this.#backoff.nextMs(), again);
  }

  #pollStats(): void {
    const poll = async () => {
      const stats = await this.#connection?.stats().catch(() => null);
      if (this.#state !== "live") return;
      if (stats) {
        this.#stats = stats;
        this.#listeners.emit("stats", stats);
      }
      this.#timers.stats = this.environment.clock.after(STATS_INTERVAL_MS, () => void poll());
    };
    void poll();
  }

  #fail(error: PublishError): void {
    this.#error = error;
    this.#enter("failed");
  }

  #enter(state: PublisherState): void {
    if (this.#state === state) return;
    this.#state = state;
    if (state !== "live") this.#stats = null;
    this.#listeners.emit("state", state);
  }

  #isOver(): boolean {
    return this.#state === "stopped" || this.#state === "failed";
  }

  #clearTimers(): void {
    for (const cancel of Object.values(this.#timers)) cancel();
  }
}

const bitRate = (kbps: number | undefined) => (kbps === undefined ? {} : { bit_rate: kbps });

function unsendable(kind: Kind): string {
  return kind === "video"
    ? "This browser cannot send H.264 video. Try Chrome, Edge or Safari."
    : "This browser cannot send Opus audio.";
}
