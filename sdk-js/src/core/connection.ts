import type { Cancel, Clock, OpenSocket } from "./environment.js";
import type { Candidate, ConnectMessage, NotifyMessage, OfferMessage } from "./messages.js";
import type { DegradationPreference, MediaTrack, OpenPeer, Peer, Transceiver } from "./peer.js";
import { type Ending, SignalingSession } from "./signaling.js";
import { type PublishStats, StatsMeter } from "./stats.js";

export type Kind = "audio" | "video";

/** Tracks to send. A kind that is absent is not negotiated at all. */
export interface Outgoing {
  audio?: { track: MediaTrack; bitRateKbps?: number };
  video?: { track: MediaTrack; bitRateKbps?: number; degradation?: DegradationPreference };
}

export interface PublishEnvironment {
  openSocket: OpenSocket;
  openPeer: OpenPeer;
  clock: Clock;
  /** Tells the server what kind of client this is. */
  userAgent?: string;
}

/** How a connection ended: as signaling ended, or because the media path did. */
export type ConnectionEnding =
  | Ending
  | { kind: "media-lost"; reason: string }
  /** The browser can send nothing of this kind in the offered codec. */
  | { kind: "unsendable"; track: Kind };

export interface ConnectionHandlers {
  connected(): void;
  notify(message: NotifyMessage): void;
  ended(ending: ConnectionEnding): void;
}

/** Signaling, ICE and DTLS together. */
export const CONNECT_TIMEOUT_MS = 20_000;
/** `disconnected` often heals by itself; longer than this, viewers are better served by a new connection. */
export const DISCONNECTED_GRACE_MS = 5_000;

/** One attempt to publish: one signaling session and one peer connection, which live and end together. */
export class PublishConnection {
  readonly #session: SignalingSession;
  readonly #meter = new StatsMeter();
  readonly #transceivers = new Map<Kind, Transceiver>();
  #peer: Peer | null = null;
  #connectionId: string | null = null;
  #cancelConnect: Cancel;
  #cancelGrace: Cancel = () => {};
  #ended = false;

  constructor(
    url: string,
    connect: ConnectMessage,
    private readonly outgoing: Outgoing,
    private readonly environment: PublishEnvironment,
    private readonly handlers: ConnectionHandlers,
  ) {
    this.#cancelConnect = environment.clock.after(CONNECT_TIMEOUT_MS, () => this.#abandon("no connection in time"));
    this.#session = new SignalingSession(environment.openSocket(url), connect, this.#signalingHandlers(), environment.clock);
  }

  /** Known once the offer is there. */
  get connectionId(): string | null {
    return this.#connectionId;
  }

  /** Says goodbye to the server; `ended` follows. */
  leave(): void {
    this.#session.disconnect();
  }

  async replaceTrack(mid: Kind, track: MediaTrack): Promise<void> {
    await this.#transceivers.get(mid)?.sender.replaceTrack(track);
  }

  async stats(): Promise<PublishStats | null> {
    if (this.#peer === null) return null;
    return this.#meter.summarize(await this.#peer.getStats(), this.environment.clock.now());
  }

  #signalingHandlers() {
    return {
      negotiate: (offer: OfferMessage | { type: "re-offer"; sdp: string }) => this.#negotiate(offer),
      stats: () => this.#rawStats(),
      notify: (message: NotifyMessage) => this.handlers.notify(message),
      push: () => {},
      ended: (ending: Ending) => this.#end(ending),
    };
  }

  async #negotiate(offer: OfferMessage | { type: "re-offer"; sdp: string }): Promise<string> {
    const peer = this.#peer ?? this.#open(offer as OfferMessage);
    await peer.setRemoteDescription({ type: "offer", sdp: offer.sdp });
    if (offer.type === "offer") await this.#attach(peer, offer.mid);
    const answer = await peer.createAnswer();
    await peer.setLocalDescription(answer);
    if (offer.type === "offer") this.#requireSendable();
    return answer.sdp ?? "";
  }

  #open(offer: OfferMessage): Peer {
    const peer = this.environment.openPeer(offer.config);
    this.#peer = peer;
    this.#connectionId = offer.connection_id;
    peer.onconnectionstatechange = () => this.#peerStateChanged(peer.connectionState);
    peer.onicecandidate = (event: { candidate: Candidate | null }) => {
      if (event.candidate !== null) this.#session.sendCandidate(candidateFields(event.candidate));
    };
    return peer;
  }

  /** Puts our tracks on the transceivers that the server made for them, rather than adding some of our own. */
  async #attach(peer: Peer, mids: OfferMessage["mid"]): Promise<void> {
    for (const kind of ["audio", "video"] as const) {
      const wanted = this.outgoing[kind];
      const transceiver = peer.getTransceivers().find((candidate) => candidate.mid === mids[kind]);
      if (wanted === undefined || transceiver === undefined) continue;
      transceiver.direction = "sendonly";
      await transceiver.sender.replaceTrack(wanted.track);
      this.#transceivers.set(kind, transceiver);
    }
    await this.#preferResolution();
  }

  async #preferResolution(): Promise<void> {
    const sender = this.#transceivers.get("video")?.sender;
    const degradationPreference = this.outgoing.video?.degradation;
    if (sender === undefined || degradationPreference === undefined) return;
    // A wish: not every browser knows the member, and publishing works without.
    await sender.setParameters({ ...sender.getParameters(), degradationPreference }).catch(() => {});
  }

  #requireSendable(): void {
    for (const [kind, transceiver] of this.#transceivers) {
      const direction = transceiver.currentDirection;
      if (direction !== "sendonly" && direction !== "sendrecv") this.#end({ kind: "unsendable", track: kind });
    }
  }

  #peerStateChanged(state: string): void {
    this.#cancelGrace();
    if (state === "connected") {
      this.#cancelConnect();
      this.handlers.connected();
    } else if (state === "failed") {
      this.#abandon("the media connection failed");
    } else if (state === "disconnected") {
      this.#cancelGrace = this.environment.clock.after(DISCONNECTED_GRACE_MS, () => this.#abandon("the media connection was lost"));
    }
  }

  #abandon(reason: string): void {
    this.#end({ kind: "media-lost", reason });
  }

  #end(ending: ConnectionEnding): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelConnect();
    this.#cancelGrace();
    if (this.#peer !== null) {
      this.#peer.onconnectionstatechange = this.#peer.onicecandidate = null;
      this.#peer.close();
    }
    // A goodbye would end the programme for its viewers; a loss is followed by another attempt.
    if (ending.kind === "media-lost") this.#session.drop();
    else this.#session.disconnect("INTERNAL-ERROR");
    this.handlers.ended(ending);
  }

  async #rawStats(): Promise<unknown[]> {
    const entries: unknown[] = [];
    (await this.#peer?.getStats())?.forEach((entry) => entries.push(entry));
    return entries;
  }
}

function candidateFields({ candidate, sdpMid, sdpMLineIndex, usernameFragment }: Candidate): Candidate {
  return { candidate, sdpMid, sdpMLineIndex, usernameFragment };
}
