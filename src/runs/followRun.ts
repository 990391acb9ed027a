// Follows runs on disk. The file system's notices make it quick where they work; a look each second is what it relies on, since they fail on
// network drives, in some containers and when the watches run out.
import { watch, type FSWatcher } from 'node:fs';
import path from 'node:path';
import type { RunSnapshot, UnreadableRun } from '../protocol/snapshot.js';
import { isLiveState } from './liveness.js';
import { findRuns, isUnreadable, readAll, RecordAllowance, RunReader, sortRuns, type ReadOptions } from './readRun.js';

const POLL_MS = 1000;
const THROTTLE_MS = 100;
/** Runs that have ended are looked at each tenth time. */
const ENDED_EVERY = 10;

export interface FollowOptions extends ReadOptions {
  /** Told of defects and of a disk that fails; following goes on. Without it they are thrown where nobody catches them. */
  readonly onError?: (error: unknown) => void;
}

export interface Following {
  /** Ends it at once: no call comes afterwards. */
  dispose(): void;
}

/** Calls `onChange` soon with the run as it is, and again whenever it is different. */
export function followRun(directory: string, onChange: (run: RunSnapshot | UnreadableRun) => void, options: FollowOptions = {}): Following {
  const reader = new RunReader(directory, options);
  let last: RunSnapshot | UnreadableRun | undefined;
  return new Loop(async (loop) => {
    const run = await reader.read();
    loop.watchOnly(isUnreadable(run) ? [] : [reader.directory]);
    if (run === last || loop.disposed) return;
    last = run;
    onChange(run);
  }, options.onError);
}

/** The same for all runs of a runs folder (which need not exist yet), newest first: called with the whole list whenever one is different. */
export function followRuns(runsFolder: string, onChange: (runs: (RunSnapshot | UnreadableRun)[]) => void, options: FollowOptions = {}): Following {
  const folder = path.resolve(runsFolder);
  const allowance = new RecordAllowance();
  let readers: ReadonlyMap<string, RunReader> = new Map();
  const seen = new Map<RunReader, RunSnapshot | UnreadableRun>();
  let last: readonly (RunSnapshot | UnreadableRun)[] | undefined;
  let round = 0;
  return new Loop(async (loop) => {
    const found = await findRuns(folder, { ...options, allowance }, readers);
    readers = found.readers;
    const current = [...readers.values()];
    const all = round++ % ENDED_EVERY === 0;
    const due = current.filter((reader) => {
      const run = seen.get(reader);
      return all || run === undefined || isUnreadable(run) || isLiveState(run.state);
    });
    for (const [index, run] of (await readAll(due)).entries()) {
      const reader = due[index];
      if (reader !== undefined) seen.set(reader, run);
    }
    const present = new Set(current);
    for (const reader of seen.keys()) {
      if (present.has(reader)) continue;
      reader.dispose();
      seen.delete(reader);
    }
    const runs = found.problem === undefined ? sortRuns([...seen.values()]) : [found.problem];
    const live = runs.flatMap((run) => (!isUnreadable(run) && isLiveState(run.state) ? [run.directory] : []));
    loop.watchOnly(found.problem === undefined ? [folder, ...live] : []);
    if (loop.disposed || (last !== undefined && isSame(last, runs))) return;
    last = runs;
    onChange(runs);
  }, options.onError);
}

function isSame(a: readonly (RunSnapshot | UnreadableRun)[], b: readonly (RunSnapshot | UnreadableRun)[]): boolean {
  return a.length === b.length && a.every((run, index) => {
    const other = b[index];
    return run === other || (isUnreadable(run) && other !== undefined && isUnreadable(other) && run.directory === other.directory && run.reason === other.reason);
  });
}

/** Looks, then waits for a notice or a second, whichever is first; two looks are 100 ms apart or more, and never overlap. */
class Loop implements Following {
  disposed = false;
  readonly #watchers = new Map<string, FSWatcher>();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;
  #noticed = false;
  #lookedAt = -Infinity;

  constructor(private readonly look: (loop: Loop) => Promise<void>, private readonly onError: ((error: unknown) => void) | undefined) {
    this.#schedule(0);
  }

  dispose(): void {
    this.disposed = true;
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  /** Watches these folders and no others. */
  watchOnly(folders: readonly string[]): void {
    if (this.disposed) return;
    for (const [folder, watcher] of this.#watchers) {
      if (folders.includes(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    for (const folder of folders) {
      if (this.#watchers.has(folder)) continue;
      try {
        const watcher = watch(folder, { persistent: false }, () => { this.#notice(); });
        watcher.on('error', () => {
          watcher.close();
          if (this.#watchers.get(folder) === watcher) this.#watchers.delete(folder);
        });
        this.#watchers.set(folder, watcher);
      } catch {
        // Not there yet, or no watches left: the look each second does it alone.
      }
    }
  }

  #notice(): void {
    if (this.disposed || this.#noticed) return;
    this.#noticed = true;
    if (!this.#looking) this.#schedule(Math.max(0, this.#lookedAt + THROTTLE_MS - performance.now()));
  }

  /** A notice may come while it looks. */
  #wasNoticed(): boolean {
    return this.#noticed;
  }

  #schedule(wait: number): void {
    clearTimeout(this.#timer);
    if (!this.disposed) this.#timer = setTimeout(() => { void this.#run(); }, wait);
  }

  async #run(): Promise<void> {
    this.#looking = true;
    this.#noticed = false;
    this.#lookedAt = performance.now();
    try {
      await this.look(this);
    } catch (error) {
      if (this.disposed) return;
      if (this.onError === undefined) throw error;
      this.onError(error);
    } finally {
      this.#looking = false;
      this.#schedule(this.#wasNoticed() ? THROTTLE_MS : POLL_MS);
    }
  }
}
