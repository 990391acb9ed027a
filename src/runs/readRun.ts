// Reads run folders, which may be anything: a run of ours, one that is being written, one whose trainer was killed, or a hostile one.
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { bestEpochIndex } from '../metrics/bestEpoch.js';
import { ThawError } from '../protocol/errors.js';
import { predictionSchema, RUN_ID, runRecordSchema, splitFileSchema, type Prediction, type RunRecord, type SplitFile } from '../protocol/run.js';
import type { RunSnapshot, UnreadableRun } from '../protocol/snapshot.js';
import { EventLog } from './eventLog.js';
import { assertRealFolders, defaultWithin, isMissing, lstatIfThere, MAX_LINE_BYTES, MAX_RECORD_BYTES, openToRead, readBetween, readGuarded, readPieces, UnsafePath } from './guardedFiles.js';
import { isLiveState, stateNow } from './liveness.js';

/** Of trained weights: four times the largest network with a thousand classes. */
const MAX_WEIGHTS_BYTES = 512 * 2 ** 20;
/** More run folders than this are not listed. */
const MAX_RUNS = 5000;
const READ_AT_ONCE = 16;
/** A record is some kilobytes; many that are as large as one may be would fill the memory. */
const MAX_RECORDS_BYTES = 256 * 2 ** 20;

export interface ReadOptions {
  /** The workspace folder or runs folder that must contain the run; by default the one that its path implies. */
  readonly within?: string | undefined;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Shared by readers whose records are all kept. */
  readonly allowance?: RecordAllowance;
}

export function isUnreadable(run: RunSnapshot | UnreadableRun): run is UnreadableRun {
  return 'reason' in run;
}

/** Why a run's or a study's folder can't be read; undefined for a defect of ours. */
export function unreadableReason(error: unknown): string | undefined {
  return error instanceof UnsafePath ? error.message
    : error instanceof ThawError ? `${error.message}. ${error.next}`
    : isMissing(error) ? 'the folder is gone'
    : error instanceof Error && 'code' in error && typeof error.code === 'string' ? `the system refuses to read it (${error.code})`
    : undefined;
}

/** What the records of a runs folder may take together, which are all kept: the newest runs' first, whose folders' names are the last. */
export class RecordAllowance {
  readonly #taken = new Map<string, number>();
  #bytes = 0;

  /** Whether there is room for a run's record, that of older ones included; what it had before is given back. */
  take(directory: string, bytes: number): boolean {
    this.release(directory);
    if (this.#bytes + bytes > MAX_RECORDS_BYTES) { // only then: there may be thousands
      for (const older of [...this.#taken.keys()].filter((other) => other < directory).sort()) {
        if (this.#bytes + bytes <= MAX_RECORDS_BYTES) break;
        this.release(older);
      }
      if (this.#bytes + bytes > MAX_RECORDS_BYTES) return false;
    }
    this.#taken.set(directory, bytes);
    this.#bytes += bytes;
    return true;
  }

  /** Whether a run's record may still be kept. */
  holds(directory: string): boolean {
    return this.#taken.has(directory);
  }

  release(directory: string): void {
    this.#bytes -= this.#taken.get(directory) ?? 0;
    this.#taken.delete(directory);
  }
}

/** Reads a run once. Never throws for what stands in the folder: what can't be read is an `UnreadableRun` with a plain reason. */
export async function readRun(directory: string, options: ReadOptions = {}): Promise<RunSnapshot | UnreadableRun> {
  return new RunReader(directory, options).read();
}

/** A run that is read again and again: only what is new in `events.ndjson` is read, and an unchanged run comes back as the same object. */
export class RunReader {
  readonly directory: string;
  readonly #within: string;
  readonly #now: () => number;
  readonly #allowance: RecordAllowance | undefined;
  #record: { readonly stamp: string; readonly record: RunRecord } | { readonly stamp: string; readonly problem: UnsafePath } | undefined;
  #log = new EventLog();
  #offset = 0;
  #inode: number | undefined;
  #last: { readonly stamp: string; readonly run: RunSnapshot | UnreadableRun } | undefined;

  constructor(directory: string, options: ReadOptions = {}) {
    this.directory = path.resolve(directory);
    this.#within = options.within ?? defaultWithin(this.directory);
    this.#now = options.now ?? Date.now;
    this.#allowance = options.allowance;
  }

  async read(): Promise<RunSnapshot | UnreadableRun> {
    const id = path.basename(this.directory);
    try {
      if (!RUN_ID.test(id)) throw new UnsafePath('its name is not that of a run');
      const real = assertRealFolders(this.directory, this.#within);
      // The record first: a state that was written after the events never comes with fewer of them.
      const record = await this.#readRecord(real, id);
      await this.#readEvents(real);
      const state = await stateNow(real, record.record.state, this.#now());
      return this.#remember(`${record.stamp} ${state} ${this.#inode ?? 0} ${this.#offset}`, () => this.#snapshot(record.record, state));
    } catch (error) {
      const reason = unreadableReason(error);
      if (reason === undefined) throw error;
      return this.#remember(`unreadable ${reason}`, () => ({ directory: this.directory, id: id.slice(0, 200), reason }));
    }
  }

  /** Gives back what it took of a shared allowance: the run is gone. */
  dispose(): void {
    this.#allowance?.release(this.directory);
  }

  #remember(stamp: string, make: () => RunSnapshot | UnreadableRun): RunSnapshot | UnreadableRun {
    if (this.#last?.stamp !== stamp) this.#last = { stamp, run: make() };
    return this.#last.run;
  }

  #snapshot(record: RunRecord, state: RunSnapshot['state']): RunSnapshot {
    const { epochs, phase, step, gpu, damagedLines, lastEventAt } = this.#log;
    const best = bestEpochIndex(epochs);
    const live = isLiveState(state);
    return {
      directory: this.directory, record, state, epochs, damagedLines,
      ...(live && phase !== undefined && { phase }),
      ...(step !== undefined && { step }),
      ...(gpu !== undefined && { gpu }),
      ...(best !== undefined && { best }),
      ...(lastEventAt !== undefined && { lastEventAt }),
    };
  }

  async #readRecord(real: string, id: string): Promise<{ readonly stamp: string; readonly record: RunRecord }> {
    const opened = await openToRead(path.join(real, 'run.json'));
    if (opened === undefined) throw new UnsafePath('it has no run.json');
    try {
      const { ino, size, mtimeMs } = opened.stats;
      const stamp = `${ino} ${size} ${mtimeMs}`;
      const isKept = this.#record?.stamp === stamp && ('problem' in this.#record || this.#allowance?.holds(this.directory) !== false);
      if (this.#record === undefined || !isKept) {
        this.#record = undefined;
        if (size <= MAX_RECORD_BYTES && this.#allowance?.take(this.directory, size) === false) {
          throw new UnsafePath(`the run.json files here, newest first, are more than ${MAX_RECORDS_BYTES / 2 ** 20} MiB together: move some runs away`);
        }
        try {
          this.#record = { stamp, record: parseRecord(await readBetween(opened.handle, 0, size, 'run.json', MAX_RECORD_BYTES), id) };
        } catch (error) {
          this.#allowance?.release(this.directory); // it isn't kept
          if (error instanceof UnsafePath) this.#record = { stamp, problem: error }; // it would be parsed again at each look
          throw error;
        }
      }
      if ('problem' in this.#record) throw this.#record.problem;
      return this.#record;
    } finally {
      await opened.handle.close();
    }
  }

  async #readEvents(real: string): Promise<void> {
    const opened = await openToRead(path.join(real, 'events.ndjson'));
    if (opened === undefined) {
      this.#restart(undefined);
      return;
    }
    try {
      const { ino, size } = opened.stats;
      if (ino !== this.#inode || size < this.#offset) this.#restart(ino);
      if (size === this.#offset) return;
      for await (const piece of readPieces(opened.handle, this.#offset, size, 'events.ndjson')) {
        if (this.#log.givenUp) return;
        this.#log.feed(piece);
        this.#offset += piece.length;
      }
    } finally {
      await opened.handle.close();
    }
  }

  #restart(inode: number | undefined): void {
    if (this.#offset > 0) this.#log = new EventLog();
    this.#offset = 0;
    this.#inode = inode;
  }
}

/** @throws UnsafePath when it is no valid record, or another run's */
export function parseRecord(bytes: Uint8Array, id: string): RunRecord {
  const record = parseJson(runRecordSchema, Buffer.from(bytes).toString('utf8'), 'run.json');
  if (record.id !== id) throw new UnsafePath(`its run.json is that of another run, ${JSON.stringify(record.id)}`);
  return record;
}

/** @throws UnsafePath when it is no JSON, or not of the schema */
export function parseJson<S extends v.GenericSchema>(schema: S, text: string, what: string): v.InferOutput<S> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UnsafePath(`${what} is not valid JSON`);
  }
  const parsed = v.safeParse(schema, value, { abortEarly: true });
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const where = v.getDotPath(issue);
    throw new UnsafePath(`${what} is not valid${where === null ? '' : ` at ${where.slice(0, 200)}`}: ${issue.message.slice(0, 200)}`);
  }
  return parsed.output;
}

/**
 * All runs of a runs folder, the newest first; what can't be read comes last, and is never left out. A folder that isn't there has no runs.
 * A runs folder that is reached by a link comes back as one `UnreadableRun` that says so.
 */
export async function listRuns(runsFolder: string, options: ReadOptions = {}): Promise<(RunSnapshot | UnreadableRun)[]> {
  const { readers, problem } = await findRuns(runsFolder, { ...options, allowance: new RecordAllowance() }, new Map());
  return problem === undefined ? sortRuns(await readAll([...readers.values()])) : [problem];
}

/** The readers of a runs folder by folder name, those of `known` kept. */
export async function findRuns(runsFolder: string, options: ReadOptions, known: ReadonlyMap<string, RunReader>): Promise<{ readers: Map<string, RunReader>; problem?: UnreadableRun }> {
  const folder = path.resolve(runsFolder);
  const within = options.within ?? defaultWithin(path.join(folder, 'run'));
  const readers = new Map<string, RunReader>();
  try {
    assertRealFolders(folder, within);
    const entries = (await readdir(folder, { withFileTypes: true })).filter((entry) => !entry.name.startsWith('.') && !entry.isFile());
    // Names begin with the date, so the newest are kept.
    for (const { name } of entries.sort((a, b) => (a.name < b.name ? 1 : -1)).slice(0, MAX_RUNS)) {
      readers.set(name, known.get(name) ?? new RunReader(path.join(folder, name), { ...options, within }));
    }
    return { readers };
  } catch (error) {
    if (isMissing(error)) return { readers };
    if (!(error instanceof UnsafePath)) throw error;
    return { readers, problem: { directory: folder, id: path.basename(folder), reason: error.message } };
  }
}

export async function readAll(readers: readonly RunReader[]): Promise<(RunSnapshot | UnreadableRun)[]> {
  const runs: (RunSnapshot | UnreadableRun)[] = [];
  for (let start = 0; start < readers.length; start += READ_AT_ONCE) {
    runs.push(...await Promise.all(readers.slice(start, start + READ_AT_ONCE).map((reader) => reader.read())));
  }
  return runs;
}

/** Newest first, unreadable ones last. */
export function sortRuns(runs: readonly (RunSnapshot | UnreadableRun)[]): (RunSnapshot | UnreadableRun)[] {
  const key = (run: RunSnapshot | UnreadableRun): string => (isUnreadable(run) ? '' : new Date(run.record.createdAt).toISOString());
  return runs.map((run) => ({ run, at: key(run) }))
    .sort((a, b) => (a.at === b.at ? (a.run.directory < b.run.directory ? 1 : -1) : a.at < b.at ? 1 : -1))
    .map(({ run }) => run);
}

/**
 * The predictions of a run: of the validation images under the restored epoch, and of the test images where there are any.
 * @throws ThawError `predictions-unreadable`
 */
export async function readPredictions(directory: string, options: ReadOptions = {}): Promise<Prediction[]> {
  return readRunFile(directory, options, 'predictions.ndjson', 'predictions-unreadable', (bytes) => {
    const predictions: Prediction[] = [];
    let start = 0;
    for (let line = 1; start < bytes.length; line++) {
      const newline = bytes.indexOf(0x0a, start);
      const end = newline < 0 ? bytes.length : newline;
      if (end - start > MAX_LINE_BYTES) throw new UnsafePath(`line ${line} of predictions.ndjson is longer than 1 MiB`);
      const text = bytes.toString('utf8', start, end);
      if (text.trim() !== '') predictions.push(parseJson(predictionSchema, text, `line ${line} of predictions.ndjson`));
      start = end + 1;
    }
    return predictions;
  });
}

/** Which image was in which split. @throws ThawError `split-unreadable` */
export async function readSplit(directory: string, options: ReadOptions = {}): Promise<SplitFile> {
  return readRunFile(directory, options, 'split.json', 'split-unreadable', (bytes) => parseJson(splitFileSchema, bytes.toString('utf8'), 'split.json'));
}

/**
 * The bytes of a run's trained weights, `model/model.safetensors`; whoever parses them takes them for hostile.
 * @throws ThawError `model-unreadable`, for a run without them too
 */
export async function readModelWeights(directory: string, options: ReadOptions = {}): Promise<Buffer> {
  return readRunFile(directory, options, 'model/model.safetensors', 'model-unreadable', (bytes) => bytes, MAX_WEIGHTS_BYTES);
}

async function readRunFile<T>(directory: string, options: ReadOptions, name: string, code: string, parse: (bytes: Buffer) => T, limit?: number): Promise<T> {
  const next = 'Train again to have it written anew';
  try {
    const within = options.within ?? defaultWithin(directory);
    const real = assertRealFolders(directory, within);
    const file = path.join(real, name);
    const held = path.dirname(file) === real || await lstatIfThere(path.dirname(file)) !== undefined;
    if (held) assertRealFolders(path.join(directory, path.dirname(name)), within);
    const bytes = held ? await readGuarded(file, limit) : undefined;
    if (bytes === undefined) throw new UnsafePath(`it has no ${name}`);
    return parse(bytes);
  } catch (error) {
    if (error instanceof UnsafePath) throw new ThawError('run', code, `The run ${path.basename(directory)} can't be read: ${error.message}`, next, { cause: error });
    if (isMissing(error)) throw new ThawError('run', code, `The run ${path.basename(directory)} is gone`, next, { cause: error });
    throw error;
  }
}
