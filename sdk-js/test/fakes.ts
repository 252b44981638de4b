import type { Clock, Http, Socket } from "../src/core/environment.js";
import type { Description, MediaTrack, Peer, Sender, Transceiver } from "../src/core/peer.js";

/** Lets everything that only waits for promises run. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
}

/** Time that stands still until told. */
export class FakeClock implements Clock {
  #now = 0;
  #timers: { at: number; run: () => void }[] = [];

  now = () => this.#now;
  random = () => 0.5;

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  get pending(): number {
    return this.#timers.length;
  }

  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      await settle();
      const next = this.#timers.filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#now = next.at;
      next.run();
    }
    this.#now = until;
    await settle();
  }
}

type SentMessage = Record<string, unknown> & { type: string };

/** The server's end of a signaling socket, played by the test. */
export class FakeSocket implements Socket {
  onopen: Socket["onopen"] = null;
  onmessage: Socket["onmessage"] = null;
  onclose: Socket["onclose"] = null;
  readonly sent: SentMessage[] = [];
  closed = false;

  constructor(readonly url = "ws://test/signaling") {}

  send(text: string): void {
    if (this.closed) throw new Error("sent on a closed socket");
    this.sent.push(JSON.parse(text) as SentMessage);
  }

  close(): void {
    this.closed = true;
  }

  open(): void {
    this.onopen?.({});
  }

  receive(message: unknown): void {
    this.onmessage?.({ data: typeof message === "string" ? message : JSON.stringify(message) });
  }

  serverCloses(code: number, reason = ""): void {
    this.closed = true;
    this.onclose?.({ code, reason });
  }

  get types(): string[] {
    return this.sent.map((message) => message.type);
  }

  last(type: string): SentMessage | undefined {
    return this.sent.filter((message) => message.type === type).at(-1);
  }
}

export const offer = (overrides: object = {}) => ({
  type: "offer",
  sdp: "v=0 offer",
  connection_id: "7N3S6BZ7XD2YX1K1T84YCXM2Y4",
  client_id: "7N3S6BZ7XD2YX1K1T84YCXM2Y4",
  config: { iceServers: [], iceTransportPolicy: "all" },
  mid: { audio: "audio_a", video: "video_b" },
  ...overrides,
});

export const track = (kind: "audio" | "video", id = `${kind}-1`): MediaTrack => ({ kind, id, enabled: true });

export class FakeTransceiver implements Transceiver {
  direction = "recvonly";
  currentDirection: string | null = null;
  track: MediaTrack | null = null;
  parameters: Record<string, unknown> = { encodings: [] };
  readonly sender: Sender = {
    replaceTrack: async (next: MediaTrack) => void (this.track = next),
    getParameters: () => this.parameters,
    setParameters: async (next) => void (this.parameters = next as Record<string, unknown>),
  };

  constructor(readonly mid: string) {}
}

export class FakePeer implements Peer {
  connectionState = "new";
  onconnectionstatechange: Peer["onconnectionstatechange"] = null;
  onicecandidate: Peer["onicecandidate"] = null;
  readonly transceivers = [new FakeTransceiver("audio_a"), new FakeTransceiver("video_b")];
  readonly remote: string[] = [];
  stats: object[] = [];
  closed = false;
  refuses: string | null = null;
  #answers = 0;

  async setRemoteDescription(description: Description): Promise<void> {
    this.remote.push(description.sdp);
  }

  async createAnswer() {
    this.#answers += 1;
    return { type: "answer" as const, sdp: `v=0 answer ${this.#answers}` };
  }

  async setLocalDescription(): Promise<void> {
    for (const transceiver of this.transceivers) {
      transceiver.currentDirection = transceiver.mid === this.refuses ? "inactive" : transceiver.direction;
    }
  }

  getTransceivers = () => this.transceivers;
  getStats = async () => this.stats;

  close(): void {
    this.closed = true;
  }

  become(state: string): void {
    this.connectionState = state;
    this.onconnectionstatechange?.({});
  }

  transceiver(mid: string): FakeTransceiver {
    const found = this.transceivers.find((transceiver) => transceiver.mid === mid);
    if (found === undefined) throw new Error(`no transceiver ${mid}`);
    return found;
  }
}

/** Answers by address; an address that is not there rejects, as a network failure does. */
export function fakeHttp(pages: Record<string, { status: number; body: string }>): Http & { asked: string[] } {
  const asked: string[] = [];
  const http: Http = async (url) => {
    asked.push(url);
    const page = pages[url];
    if (page === undefined) throw new TypeError("network");
    return { status: page.status, text: async () => page.body };
  };
  return Object.assign(http, { asked });
}
