import { Backoff } from "./backoff.js";
import type { Cancel, Clock, Http } from "./environment.js";
import { Listeners } from "./listeners.js";
import { type ProgrammeStatus, probe } from "./programme.js";

/**
 * `loading` until the first picture can be shown. `offline`, `unknown` and `ended` keep asking gently, so that a page that is
 * left open goes live by itself. `error` is tried again, too.
 */
export type PlayerState = "idle" | "loading" | "offline" | "unknown" | "live" | "ended" | "error";

/** What plays: hls.js over Media Source Extensions, or the browser's own HLS. */
export interface Engine {
  readonly kind: "mse" | "native";
  /** Seconds behind the live edge, `null` if not known. */
  latency(): number | null;
  /** What `latency` is held at when all goes well. */
  targetLatency(): number | null;
  goToLive(): void;
  destroy(): void;
}

export interface EngineHandlers {
  /** The first picture is there, or play goes on after a stall. */
  ready(): void;
  stalled(): void;
  /** The closed playlist was played to its end. */
  ended(): void;
  /** The playlist answers 404. */
  gone(): void;
  /** Beyond what the engine could repair by itself. */
  failed(why: string): void;
}

export interface PlayerEnvironment {
  http: Http;
  clock: Clock;
  openEngine(playlistUrl: string, handlers: EngineHandlers): Engine;
}

export interface PlayerEvents {
  state: PlayerState;
  /** Live, and waiting for media. */
  stalled: boolean;
  /** A new engine has taken over; `null` when it was closed. */
  engine: Engine | null;
}

export const OFFLINE_POLL_MS = 3_000;
export const ENDED_POLL_MS = 5_000;
/** A channel that never was rarely comes to be. */
export const UNKNOWN_POLL_MS = 15_000;
/** Playback wanders this much around its target without anything being wrong. */
const BEHIND_TOLERANCE_S = 2.5;
const RETRY = { firstMs: 1_000, capMs: 15_000 };

/** Plays a channel's programme whenever there is one. */
export class Player {
  readonly #listeners = new Listeners<PlayerEvents>();
  readonly #backoff: Backoff;
  #state: PlayerState = "idle";
  #stalled = false;
  #error: string | null = null;
  #engine: Engine | null = null;
  #cancelPoll: Cancel = () => {};
  /** Answers to what was asked before a stop or a newer question are dropped. */
  #generation = 0;

  constructor(
    private readonly playlistUrl: string,
    private readonly environment: PlayerEnvironment,
  ) {
    this.#backoff = new Backoff(RETRY, () => environment.clock.random());
  }

  get state(): PlayerState {
    return this.#state;
  }

  get stalled(): boolean {
    return this.#stalled;
  }

  /** Words for people, in state `error`. */
  get error(): string | null {
    return this.#error;
  }

  get engine(): Engine | null {
    return this.#engine;
  }

  /** Seconds behind the live edge while live. */
  get latency(): number | null {
    return this.#state === "live" ? (this.#engine?.latency() ?? null) : null;
  }

  /** Farther behind than the player would be by itself: after a pause, or a stall that it has not made good yet. */
  get isBehind(): boolean {
    const { latency } = this;
    return latency !== null && latency > (this.#engine?.targetLatency() ?? latency) + BEHIND_TOLERANCE_S;
  }

  on<Name extends keyof PlayerEvents>(name: Name, listener: (value: PlayerEvents[Name]) => void): Cancel {
    return this.#listeners.on(name, listener);
  }

  start(): void {
    if (this.#state !== "idle") return;
    this.#enter("loading");
    void this.#ask();
  }

  goToLive(): void {
    this.#engine?.goToLive();
  }

  stop(): void {
    this.#generation += 1;
    this.#cancelPoll();
    this.#close();
    this.#enter("idle");
  }

  async #ask(): Promise<void> {
    const generation = ++this.#generation;
    const status = await probe(this.environment.http, this.playlistUrl);
    if (generation === this.#generation) this.#learned(status);
  }

  #learned(status: ProgrammeStatus): void {
    switch (status.kind) {
      case "live":
        return this.#play();
      case "offline":
        // Whoever has seen the end need not be told that nothing is on.
        if (this.#state !== "ended") this.#enter("offline");
        return this.#askIn(OFFLINE_POLL_MS);
      case "ended":
        this.#enter("ended");
        return this.#askIn(ENDED_POLL_MS);
      case "unknown":
        this.#enter("unknown");
        return this.#askIn(UNKNOWN_POLL_MS);
      case "unreachable":
        return this.#failed(status.why);
    }
  }

  #play(): void {
    this.#close();
    if (this.#state !== "error") this.#enter("loading");
    this.#engine = this.environment.openEngine(this.playlistUrl, this.#engineHandlers());
    this.#listeners.emit("engine", this.#engine);
  }

  /** Handlers of an engine that is closed stay silent. */
  #engineHandlers(): EngineHandlers {
    const generation = ++this.#generation;
    const current = (run: () => void) => () => {
      if (generation === this.#generation) run();
    };
    return {
      ready: current(() => this.#ready()),
      stalled: current(() => this.#setStalled(true)),
      ended: current(() => this.#programmeEnded()),
      gone: current(() => this.#reload()),
      failed: (why) => current(() => this.#failed(why))(),
    };
  }

  #ready(): void {
    this.#backoff.reset();
    this.#setStalled(false);
    this.#enter("live");
  }

  #programmeEnded(): void {
    this.#close();
    this.#enter("ended");
    this.#askIn(ENDED_POLL_MS);
  }

  #reload(): void {
    this.#close();
    void this.#ask();
  }

  #failed(why: string): void {
    this.#close();
    this.#error = why;
    this.#enter("error");
    this.#askAfter(this.#backoff.nextMs());
  }

  /** With some jitter: many viewers wait for the same start. */
  #askIn(ms: number): void {
    this.#askAfter(ms * (0.85 + 0.3 * this.environment.clock.random()));
  }

  #askAfter(ms: number): void {
    this.#cancelPoll();
    this.#cancelPoll = this.environment.clock.after(ms, () => void this.#ask());
  }

  #close(): void {
    this.#generation += 1;
    if (this.#engine !== null) {
      this.#engine.destroy();
      this.#engine = null;
      this.#listeners.emit("engine", null);
    }
    this.#setStalled(false);
  }

  #setStalled(stalled: boolean): void {
    if (this.#stalled === stalled) return;
    this.#stalled = stalled;
    this.#listeners.emit("stalled", stalled);
  }

  #enter(state: PlayerState): void {
    if (this.#state === state) return;
    this.#state = state;
    if (state !== "error") this.#error = null;
    this.#listeners.emit("state", state);
  }
}
