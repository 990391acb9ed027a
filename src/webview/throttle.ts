// Draws at most four times a second, and the last thing that came is always drawn.

/** The clock and timers, passed in so that tests need no waiting. */
export interface Timers {
  now(): number;
  setTimeout(callback: () => void, milliseconds: number): unknown;
}

export const DRAW_EVERY_MS = 250;

/** Calls `draw` at once when the last call is long enough ago, else once at the end of the interval. */
export function throttle(draw: () => void, timers: Timers, interval = DRAW_EVERY_MS): () => void {
  let last = Number.NEGATIVE_INFINITY;
  let waiting = false;
  const run = () => {
    waiting = false;
    last = timers.now();
    draw();
  };
  return () => {
    if (waiting) return;
    const left = last + interval - timers.now();
    if (left <= 0) {
      run();
    } else {
      waiting = true;
      timers.setTimeout(run, left);
    }
  };
}
