// Which runs have ended while this window looked on: each is told once, and what had ended before is never told.
import type { RunSnapshot } from '../protocol/snapshot.js';
import { isLive, isReadable, type Run } from './runLabels.js';

export class RunEndings {
  readonly #live = new Set<string>();

  /** This window has started the run: its end is told even if it is over before it was ever seen alive. */
  expect(directory: string): void {
    this.#live.add(directory);
  }

  /** Takes all runs as they are now; returns those that have ended since they were last seen alive. */
  update(runs: readonly Run[]): RunSnapshot[] {
    const ended: RunSnapshot[] = [];
    for (const run of runs) {
      if (isLive(run)) this.#live.add(run.directory);
      else if (isReadable(run) && this.#live.delete(run.directory)) ended.push(run);
    }
    return ended;
  }
}
