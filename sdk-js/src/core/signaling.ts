import type { Cancel, Clock, Socket } from "./environment.js";
import {
  type Candidate,
  type ClientMessage,
  type ConnectMessage,
  MalformedMessage,
  type NotifyMessage,
  type OfferMessage,
  type ServerMessage,
  parseServerMessage,
} from "./messages.js";

/**
 * `opening` until the socket is up, `connecting` until the offer comes, `answering` until the first answer is sent,
 * `established` from then on, `disconnecting` after we asked to leave, `closed` for good.
 */
export type SignalingState = "opening" | "connecting" | "answering" | "established" | "disconnecting" | "closed";

/** How a session ended. */
export type Ending =
  /** We asked, and the server (or our patience) closed. */
  | { kind: "left" }
  /** The server closed cleanly: `DISCONNECTED-API`, `LIFETIME-EXPIRED`. */
  | { kind: "dismissed"; reason: string }
  /** Close code 4490: the server does not want this connection. */
  | { kind: "refused"; reason: string }
  /** Connect again at this address, with `redirect: true`. */
  | { kind: "redirected"; location: string }
  /** The socket died, or the server stayed silent or spoke nonsense. */
  | { kind: "lost"; code: number; reason: string };

export interface SignalingHandlers {
  /** Answers an offer (the first) or a re-offer (`sdp` only). Never called while an earlier call is pending. */
  negotiate(offer: OfferMessage | { type: "re-offer"; sdp: string }): Promise<string>;
  /** Reports for `pong`, when the server asked for them. */
  stats(): Promise<unknown[]>;
  notify(message: NotifyMessage): void;
  push(data: unknown): void;
  ended(ending: Ending): void;
}

export const OFFER_TIMEOUT_MS = 10_000;
/** Other clients of this protocol give the server as long to close after `disconnect`. */
export const DISCONNECT_TIMEOUT_MS = 3_000;
/** A correct server has one offer in flight; more than a handful waiting means that it is not one. */
export const OFFERS_WAITING_MAX = 8;

const REFUSED = 4490;
const NORMAL = 1000;

/** One life on the signaling socket, from open to close. It knows messages and their order, and nothing of media. */
export class SignalingSession {
  #state: SignalingState = "opening";
  #cancelTimer: Cancel;
  #redirect: string | null = null;
  #offersWaiting = 0;
  #negotiation: Promise<void> = Promise.resolve();

  constructor(
    private readonly socket: Socket,
    private readonly connect: ConnectMessage,
    private readonly handlers: SignalingHandlers,
    private readonly clock: Clock,
  ) {
    socket.onopen = () => this.#opened();
    socket.onmessage = (event) => this.#received(event.data);
    socket.onclose = (event) => this.#closed(event.code, event.reason);
    this.#cancelTimer = clock.after(OFFER_TIMEOUT_MS, () => this.#fail("no offer in time"));
  }

  get state(): SignalingState {
    return this.#state;
  }

  /** Trickles one candidate. The empty one that ends gathering stays here: the protocol has no use for it. */
  sendCandidate(candidate: Candidate): void {
    if (candidate.candidate === "") return;
    if (this.#state === "answering" || this.#state === "established") this.#send({ type: "candidate", ...candidate });
  }

  /** Says goodbye; `ended` follows when the server has closed, or after a short patience. */
  disconnect(reason = "NO-ERROR"): void {
    if (this.#state === "closed" || this.#state === "disconnecting") return;
    const opening = this.#state === "opening";
    this.#state = "disconnecting";
    this.#cancelTimer();
    if (opening) return this.#end({ kind: "left" });
    this.#send({ type: "disconnect", reason });
    this.#cancelTimer = this.clock.after(DISCONNECT_TIMEOUT_MS, () => this.#end({ kind: "left" }));
  }

  /** Ends without a goodbye, as a lost network would: the server keeps the programme open for a while. */
  drop(): void {
    this.#fail("dropped");
  }

  #opened(): void {
    if (this.#state !== "opening") return;
    this.#state = "connecting";
    this.#send(this.connect);
  }

  #received(frame: unknown): void {
    if (this.#state === "closed") return;
    let message: ServerMessage;
    try {
      message = parseServerMessage(frame);
    } catch (error) {
      if (error instanceof MalformedMessage) return this.#fail(`malformed message: ${error.message}`);
      throw error;
    }
    this.#handle(message);
  }

  #handle(message: ServerMessage): void {
    switch (message.type) {
      case "offer":
        if (this.#state !== "connecting") return this.#fail("an offer out of turn");
        this.#state = "answering";
        this.#cancelTimer();
        return this.#negotiate(message);
      case "re-offer":
        if (this.#state === "disconnecting") return;
        if (this.#state !== "established") return this.#fail("a re-offer before the first answer");
        return this.#negotiate(message);
      case "ping":
        return void this.#pong(message.stats);
      case "notify":
        return this.handlers.notify(message);
      case "push":
        return this.handlers.push(message.data);
      case "redirect":
        this.#redirect = message.location;
        return;
      case "unknown":
        return;
    }
  }

  /** One negotiation after the other: a peer connection cannot hold two remote offers. */
  #negotiate(offer: OfferMessage | { type: "re-offer"; sdp: string }): void {
    if (this.#offersWaiting >= OFFERS_WAITING_MAX) return this.#fail("too many offers at once");
    this.#offersWaiting += 1;
    this.#negotiation = this.#negotiation.then(async () => {
      try {
        if (!this.#negotiating()) return;
        const sdp = await this.handlers.negotiate(offer);
        if (!this.#negotiating()) return;
        this.#send({ type: offer.type === "offer" ? "answer" : "re-answer", sdp });
        this.#state = "established";
      } catch (error) {
        this.#fail(`negotiation failed: ${error instanceof Error ? error.message : String(error)}`);
      } finally {
        this.#offersWaiting -= 1;
      }
    });
  }

  #negotiating(): boolean {
    return this.#state === "answering" || this.#state === "established";
  }

  async #pong(withStats: boolean): Promise<void> {
    if (!withStats) return this.#send({ type: "pong" });
    const stats = await this.handlers.stats().catch(() => []);
    this.#send({ type: "pong", stats });
  }

  #closed(code: number, reason: string): void {
    if (this.#redirect !== null) this.#end({ kind: "redirected", location: this.#redirect });
    else if (this.#state === "disconnecting") this.#end({ kind: "left" });
    else if (code === REFUSED) this.#end({ kind: "refused", reason });
    else if (code === NORMAL) this.#end({ kind: "dismissed", reason });
    else this.#end({ kind: "lost", code, reason });
  }

  #fail(reason: string): void {
    this.#end({ kind: "lost", code: NORMAL, reason });
  }

  #end(ending: Ending): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#cancelTimer();
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.handlers.ended(ending);
  }

  #send(message: ClientMessage): void {
    if (this.#state === "closed") return;
    this.socket.send(JSON.stringify(message));
  }
}
