import type { Cancel } from "./environment.js";

/** Typed listeners, one list per event name. A listener that throws does not keep the others from hearing. */
export class Listeners<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(value: never) => void>>();

  on<Name extends keyof Events>(name: Name, listener: (value: Events[Name]) => void): Cancel {
    const set = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, set);
    set.add(listener);
    return () => void set.delete(listener);
  }

  emit<Name extends keyof Events>(name: Name, value: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        (listener as (value: Events[Name]) => void)(value);
      } catch (error) {
        queueFailure(error);
      }
    }
  }
}

/** Surfaces as an unhandled rejection: visible to the page's own error reporting, out of the way of the protocol. */
function queueFailure(error: unknown): void {
  void Promise.reject(error);
}
