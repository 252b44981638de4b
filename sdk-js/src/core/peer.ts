/** The parts of WebRTC that publishing uses. `RTCPeerConnection` and `MediaStreamTrack` satisfy them. */

export interface MediaTrack {
  readonly kind: string;
  readonly id: string;
  enabled: boolean;
}

export interface SendParameters {
  degradationPreference?: DegradationPreference;
}

/** What gives way when the network or the processor is short. */
export type DegradationPreference = "balanced" | "maintain-framerate" | "maintain-resolution";

export interface Sender {
  replaceTrack(track: any): Promise<void>;
  getParameters(): any;
  setParameters(parameters: any): Promise<void>;
}

export interface Transceiver {
  readonly mid: string | null;
  readonly sender: Sender;
  readonly currentDirection: string | null;
  direction: any;
}

export interface Description {
  type: "offer" | "answer";
  sdp: string;
}

export interface StatsReport {
  forEach(visit: (entry: any) => void): void;
}

export interface Peer {
  readonly connectionState: string;
  onconnectionstatechange: ((event: any) => void) | null;
  onicecandidate: ((event: any) => void) | null;
  setRemoteDescription(description: Description): Promise<void>;
  setLocalDescription(description: any): Promise<void>;
  createAnswer(): Promise<{ sdp?: string }>;
  getTransceivers(): Transceiver[];
  getStats(): Promise<StatsReport>;
  close(): void;
}

export interface PeerConfig {
  iceServers: { urls: string[]; username?: string; credential?: string }[];
  iceTransportPolicy: "all" | "relay";
}

export type OpenPeer = (config: PeerConfig) => Peer;
