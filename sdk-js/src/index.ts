/**
 * Minamo for browsers. `createChannel`, `createPublisher` and `createPlayer` are all that a page needs; the classes beneath take
 * their surroundings as arguments and run anywhere.
 */
export { createPlayer } from "./browser/play.js";
export { createChannel, createPublisher } from "./browser/publish.js";
export type { HlsEngine } from "./browser/engines.js";
export { ApiError, type ApiAccess, type CreatedChannel, type HlsSpec } from "./core/api.js";
export type { Kind, Outgoing, PublishEnvironment } from "./core/connection.js";
export type { Clock, Http, Socket } from "./core/environment.js";
export type { DegradationPreference, MediaTrack } from "./core/peer.js";
export { Player, type Engine, type EngineHandlers, type PlayerEnvironment, type PlayerState } from "./core/player.js";
export { PublishError, Publisher, type PublisherOptions, type PublisherState } from "./core/publisher.js";
export { SignalingSession, type Ending, type SignalingHandlers, type SignalingState } from "./core/signaling.js";
export type { PublishStats } from "./core/stats.js";
export { type ProgrammeAddress, playlistUrl, programmeFrom, signalingUrl, watchUrl } from "./core/urls.js";
