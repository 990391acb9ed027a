// How fast a long job goes and how long it will take, from the bytes that it reports.

const WINDOW_MS = 5000;
/** Below this the speed is a guess. */
const LEAST_MS = 1000;

export interface Paced {
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Over the last five seconds; absent in the first. */
  readonly bytesPerSecond?: number;
  readonly secondsLeft?: number;
}

/** One for each job. What was there at its first report (a download that is gone on with) counts as no speed. */
export class Pace {
  private readonly marks: { readonly at: number; readonly bytes: number }[] = [];

  at(doneBytes: number, totalBytes: number, now = performance.now()): Paced {
    this.marks.push({ at: now, bytes: doneBytes });
    while (this.marks.length > 2 && now - (this.marks[1]?.at ?? now) >= WINDOW_MS) this.marks.shift();
    const [first] = this.marks;
    const elapsed = first === undefined ? 0 : now - first.at;
    const gained = first === undefined ? 0 : doneBytes - first.bytes;
    if (elapsed < LEAST_MS || gained <= 0) return { doneBytes, totalBytes };
    const bytesPerSecond = 1000 * gained / elapsed;
    return { doneBytes, totalBytes, bytesPerSecond, secondsLeft: Math.max(0, totalBytes - doneBytes) / bytesPerSecond };
  }
}
