// The trainer's side of a run folder. One writer a run, ever: it claims the run before it writes, and says all the while that it lives.
import { closeSync, constants, fstatSync, futimesSync, lstatSync, openSync, readSync, writeSync } from 'node:fs';
import { readdir, unlink } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import { ThawError } from '../protocol/errors.js';
import { trainerEventSchema, type Phase, type TrainerEvent } from '../protocol/events.js';
import { splitFileSchema, type Prediction, type RunRecord, type SplitFile } from '../protocol/run.js';
import { writeFileAtomic } from '../storage/atomicFile.js';
import { claimHolds, findHoldingClaims, removeEmptyFolder, tryClaim, type Claim } from './claims.js';
import { assertWritableFolders, defaultWithin, GUARDED, isCode, isMissing, MAX_FILE_BYTES, MAX_LINE_BYTES, MAX_RECORD_BYTES, readGuarded, UnsafePath, unsafePathError } from './guardedFiles.js';
import { HEARTBEAT_EVERY_MS, HEARTBEAT_FILE, isHeartbeatSilent, isLiveState, STOP_FILE, trainerClaims, trainersOf } from './liveness.js';
import { NONCE, ownIdentity } from './processIdentity.js';
import { parseRecord } from './readRun.js';
import { recordText } from './runFolder.js';

const PROGRESS_EVERY_MS = 250;
const STOP_CHECK_EVERY_MS = 100;
/** Past this size of events.ndjson steps are no longer written, so that the file stays readable with all its epochs. */
const STEPS_UP_TO_BYTES = MAX_FILE_BYTES / 2;

export class RunWriter {
  /** Real path of the run folder. */
  readonly directory: string;
  #record: RunRecord;
  readonly #within: string;
  readonly #claim: Claim;
  readonly #claims: string;
  readonly #events: number;
  readonly #heartbeat: number;
  readonly #timer: NodeJS.Timeout;
  #eventBytes: number;
  #onFreshLine: boolean;
  #lastProgressAt = -Infinity;
  #phase: Phase | undefined;
  #lastStopCheckAt = -Infinity;
  #stop = false;
  #writing: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(opened: { directory: string; record: RunRecord; within: string; claim: Claim; claims: string; events: number; heartbeat: number }) {
    this.directory = opened.directory;
    this.#record = opened.record;
    this.#within = opened.within;
    this.#claim = opened.claim;
    this.#claims = opened.claims;
    this.#events = opened.events;
    this.#heartbeat = opened.heartbeat;
    this.#eventBytes = fstatSync(opened.events).size;
    this.#onFreshLine = endsInNewline(opened.events, this.#eventBytes);
    this.#beat();
    this.#timer = setInterval(() => this.#beat(), HEARTBEAT_EVERY_MS);
    this.#timer.unref();
  }

  /**
   * Claims a run and opens it to write. `nonce` (32 hexadecimal digits) must also stand in this process's arguments, or nobody can end it but
   * by asking.
   * @throws ThawError `run-is-locked` while another trainer has it, `run-has-ended`, `run-unreadable`, `unsafe-path`
   */
  static async open(directory: string, options: { readonly nonce: string; readonly within?: string }): Promise<RunWriter> {
    if (!NONCE.test(options.nonce)) throw new ThawError('input', 'bad-nonce', 'The nonce is not 32 hexadecimal digits', 'Start training from the editor, or with `thaw train`');
    const within = options.within ?? defaultWithin(directory);
    let real: string;
    try {
      real = assertWritableFolders(directory, within);
    } catch (error) {
      if (isMissing(error)) throw new ThawError('input', 'run-not-found', `There is no run folder ${directory}`, 'Check the path', { cause: error });
      throw error;
    }
    const claims = trainerClaims(real);
    await assertNobodyWrites(real);
    const claim = await claimRun(real, claims, options.nonce);
    const descriptors: number[] = [];
    try {
      const record = await readRecord(real);
      if (!isLiveState(record.state)) throw new ThawError('run', 'run-has-ended', `The run ${record.id} has ended (${record.state}), and a run is never written twice`, 'Start a new run');
      await removeTemporaries(real);
      const events = openGuarded(path.join(real, 'events.ndjson'), constants.O_RDWR | constants.O_APPEND);
      descriptors.push(events);
      const heartbeat = openGuarded(path.join(real, HEARTBEAT_FILE), constants.O_WRONLY);
      descriptors.push(heartbeat);
      return new RunWriter({ directory: real, record, within: realWithin(directory, within, real), claim, claims, events, heartbeat });
    } catch (error) {
      for (const descriptor of descriptors) closeSync(descriptor);
      claim.remove();
      removeEmptyFolder(claims);
      throw error;
    }
  }

  get record(): RunRecord {
    return this.#record;
  }

  /**
   * Writes `run.json` with these fields changed, whole or not at all. Changes are written in the order of the calls.
   * @throws an error when the record would not be valid, or can't be written; the old one stays
   */
  async update(change: Partial<Omit<RunRecord, 'id' | 'schemaVersion'>>): Promise<void> {
    await this.#inTurn(async () => {
      const record = { ...this.#record, ...change };
      await this.#write('run.json', recordText(record));
      this.#record = record;
    });
  }

  /**
   * Appends an event, with one write of a whole line, and beats. Of steps, and of counts within one phase, at most four a second are written;
   * a phase's beginning and its full count always are.
   * @throws an error when it is not valid or can't be written
   */
  event(event: TrainerEvent): void {
    if (this.#closed) throw new Error('the run is closed');
    this.#beat();
    if (event.type === 'step' && !this.#isDue(this.#eventBytes <= STEPS_UP_TO_BYTES)) return;
    if (event.type === 'gpu' && this.#eventBytes > STEPS_UP_TO_BYTES) return;
    if (event.type === 'phase') {
      const counts = event.phase === this.#phase && event.phase !== 'waiting' && event.done !== undefined && event.done !== event.total;
      if (counts && !this.#isDue(true)) return;
      this.#phase = event.phase;
    }
    this.#append(Buffer.from(`${JSON.stringify(v.parse(trainerEventSchema, event))}\n`));
  }

  async writeSplit(split: SplitFile): Promise<void> {
    const { schemaVersion, images } = v.parse(splitFileSchema, split);
    // One image a line: stable under diff, and still JSON.
    const lines = images.map((image) => `    ${JSON.stringify(image)}`).join(',\n');
    await this.#inTurn(() => this.#write('split.json', `{\n  "schemaVersion": ${schemaVersion},\n  "images": [\n${lines}\n  ]\n}\n`));
  }

  /** Probabilities are kept to six digits. Where the file would be too large to be read again they are left out, and the rest stays. */
  async writePredictions(predictions: readonly Prediction[]): Promise<void> {
    const line = (prediction: Prediction, probabilities: readonly number[]): string => `${JSON.stringify({ ...prediction, probabilities })}\n`;
    let lines = predictions.map((prediction) => line(prediction, prediction.probabilities.map((value) => Number(value.toPrecision(6)))));
    const sizes = lines.map((text) => Buffer.byteLength(text));
    if (sizes.some((size) => size > MAX_LINE_BYTES) || sizes.reduce((sum, size) => sum + size, 0) > MAX_FILE_BYTES) lines = predictions.map((prediction) => line(prediction, []));
    await this.#inTurn(() => this.#write('predictions.ndjson', lines.join('')));
  }

  /**
   * Whether somebody asked this run to stop, or took its folder away. Cheap enough for every batch: it looks at most every 100 ms. The first
   * yes is answered by a `finishing` event, so that who asked knows that it was heard.
   */
  stopRequested(): boolean {
    const now = performance.now();
    if (this.#stop || now - this.#lastStopCheckAt < STOP_CHECK_EVERY_MS) return this.#stop;
    this.#lastStopCheckAt = now;
    this.#stop = isThere(path.join(this.directory, STOP_FILE)) || !isThere(path.join(this.directory, 'run.json'));
    if (this.#stop && !this.#closed) this.event({ type: 'phase', time: Date.now(), phase: 'finishing', message: 'Stopping' });
    return this.#stop;
  }

  /** Waits for what is still being written, lets go of the run and closes its files. A run that has no final state then reads as interrupted, at once. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#writing;
    closeSync(this.#events);
    futimesSync(this.#heartbeat, 0, 0); // the last beat must not count as life for 15 s more
    closeSync(this.#heartbeat);
    this.#claim.remove();
    removeEmptyFolder(this.#claims);
  }

  #isDue(allowed: boolean): boolean {
    const now = performance.now();
    if (!allowed || now - this.#lastProgressAt < PROGRESS_EVERY_MS) return false;
    this.#lastProgressAt = now;
    return true;
  }

  #append(line: Buffer): void {
    // After a crash, or a write that a full disk cut short, the torn line gets its end first.
    if (!this.#onFreshLine) line = Buffer.concat([Buffer.from('\n'), line]);
    if (line.length > MAX_LINE_BYTES) throw new Error(`an event of ${line.length} bytes`);
    const written = writeSync(this.#events, line);
    this.#eventBytes += written;
    this.#onFreshLine = written === line.length;
    if (written < line.length) {
      throw new ThawError('run', 'disk-full', `Only part of an event could be written to ${path.join(this.directory, 'events.ndjson')}`, 'Make room on the disk, then train again');
    }
  }

  #beat(): void {
    const now = new Date();
    futimesSync(this.#heartbeat, now, now);
  }

  async #write(name: string, content: string): Promise<void> {
    assertWritableFolders(this.directory, this.#within);
    await writeFileAtomic(path.join(this.directory, name), content);
  }

  #inTurn(write: () => Promise<void>): Promise<void> {
    if (this.#closed) return Promise.reject(new Error('the run is closed'));
    const turn = this.#writing.then(write);
    this.#writing = turn.catch(() => undefined); // its caller has the error; the next write goes on
    return turn;
  }
}

/** @throws ThawError `run-is-locked` when another still has it after a few tries, each after a moment of its own */
export async function claimRun(real: string, claims: string, nonce: string): Promise<Claim> {
  const identity = ownIdentity(nonce, real);
  for (let attempt = 1; attempt <= 6; attempt++) {
    const claim = tryClaim(claims, '', identity);
    if (claim !== undefined) return claim;
    await delay(5 + Math.random() * 20 * attempt);
  }
  const other = findHoldingClaims(claims, '')[0]?.identity;
  throw new ThawError('run', 'run-is-locked', `Another trainer works on ${real}${other === undefined ? '' : ` (process ${other.pid} on ${other.host})`}`, 'Wait for it to end, or stop it');
}

/** A trainer that keeps its state elsewhere (another host or user) shows only by its heartbeat. */
export async function assertNobodyWrites(real: string): Promise<void> {
  const known = trainersOf(real);
  if (known.some(claimHolds)) return; // claimRun says who
  const diedHere = known.some(({ liveness }) => liveness === 'dead');
  if (diedHere || !isThere(path.join(real, HEARTBEAT_FILE)) || await isHeartbeatSilent(real, Date.now())) return;
  throw new ThawError('run', 'run-is-locked', `A trainer on another computer, or of another user, works on ${real}: its heartbeat is fresh`, 'Wait for it to end, or stop it there');
}

/** `within` again, for the real path that is used from now on. */
function realWithin(directory: string, within: string, real: string): string {
  const depth = path.relative(path.resolve(within), path.resolve(directory)).split(path.sep).filter((part) => part !== '').length;
  let folder = real;
  for (let i = 0; i < depth; i++) folder = path.dirname(folder);
  return folder;
}

async function readRecord(real: string): Promise<RunRecord> {
  try {
    const bytes = await readGuarded(path.join(real, 'run.json'), MAX_RECORD_BYTES);
    if (bytes === undefined) throw new UnsafePath('it has no run.json');
    return parseRecord(bytes, path.basename(real));
  } catch (error) {
    if (!(error instanceof UnsafePath)) throw error;
    throw new ThawError('run', 'run-unreadable', `The run ${real} can't be used: ${error.message}`, 'Start a new run', { cause: error });
  }
}

/** Opens or makes a file, never through a link. */
export function openGuarded(file: string, flags: number): number {
  try {
    if (!lstatSync(file).isFile()) throw unsafePathError(file, new UnsafePath('it is a link or no file'));
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  try {
    return openSync(file, flags | constants.O_CREAT | GUARDED, 0o666);
  } catch (error) {
    if (isCode(error, 'ELOOP')) throw unsafePathError(file, new UnsafePath('it is a link'));
    throw error;
  }
}

/** Removes what a killed writer left half written. */
export async function removeTemporaries(real: string): Promise<void> {
  for (const name of await readdir(real)) {
    if (/^\.[a-z.]+\.[0-9a-f]{12}\.tmp$/.test(name)) await unlink(path.join(real, name));
  }
}

function endsInNewline(descriptor: number, size: number): boolean {
  if (size === 0) return true;
  const last = Buffer.alloc(1);
  readSync(descriptor, last, 0, 1, size - 1);
  return last[0] === 0x0a;
}

/** Whether anything has this name; a link is not followed. */
export function isThere(target: string): boolean {
  try {
    lstatSync(target);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}
