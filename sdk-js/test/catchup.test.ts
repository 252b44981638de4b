import { describe, expect, it } from "vitest";
import { catchUpRate } from "../src/core/catchup.js";

/** Plays for so many seconds with a speed chosen four times a second; answers the latency at the end. */
function play(latency: number, target: number, seconds: number, ahead = 0.6): number {
  for (let at = 0; at < seconds; at += 0.25) latency -= (catchUpRate(latency, target, ahead) - 1) * 0.25;
  return latency;
}

describe("catching up", () => {
  it("comes to the target from behind and from before, and stays", () => {
    expect(play(1.6, 1, 20)).toBeCloseTo(1, 1);
    expect(play(0.8, 1, 20)).toBeCloseTo(1, 1);
    expect(play(1.6, 1, 300)).toBeLessThan(1.05);
  });

  it("never runs out of what it has", () => {
    expect(catchUpRate(3, 1, 0.1)).toBe(1);
    expect(play(1.6, 1, 20, 0.1)).toBe(1.6);
  });

  it("is too slow to be heard", () => {
    expect(catchUpRate(30, 1, 10)).toBe(1.05);
    expect(catchUpRate(0, 1, 10)).toBe(0.97);
    expect(catchUpRate(1.01, 1, 10)).toBe(1);
  });
});
