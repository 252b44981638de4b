/**
 * What the core needs from the world, as small interfaces. A browser satisfies them (see `browser/environment.ts`), tests bring
 * their own with virtual time.
 */

/** Cancels what it came with; calling it twice does no harm. */
export type Cancel = () => void;

export interface Clock {
  /** Milliseconds on a clock that never steps back. */
  now(): number;
  after(ms: number, run: () => void): Cancel;
  /** 0 ≤ x < 1; jitter only, never a secret. */
  random(): number;
}

/** The part of `WebSocket` that signaling uses. */
export interface Socket {
  onopen: ((event: any) => void) | null;
  /** The event has `data`. */
  onmessage: ((event: any) => void) | null;
  /** The event has `code` and `reason`. */
  onclose: ((event: any) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export type OpenSocket = (url: string) => Socket;

export interface HttpRequest {
  method?: "GET" | "POST";
  headers?: Record<string, string>;
  body?: string;
}

export interface HttpResponse {
  status: number;
  text(): Promise<string>;
}

/** `fetch` without its DOM types. Rejects when no answer came. */
export type Http = (url: string, request?: HttpRequest) => Promise<HttpResponse>;
