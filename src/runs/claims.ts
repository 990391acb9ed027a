// Exclusive claims between processes, without a file that two could fight over. Each claimant puts a file of its own into a folder of the
// per-user state and then looks whether another living process has one there: of two that both claim, the later look sees the other's file, so
// never do both go on. Nothing is ever taken over: the file of a dead process is ignored, and anyone may remove it since its name is its own.
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, closeSync, lstatSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmdirSync, unlinkSync, utimesSync, writeSync } from 'node:fs';
import path from 'node:path';
import * as v from 'valibot';
import { ThawError } from '../protocol/errors.js';
import { stateFolder } from '../storage/folders.js';
import { isCode, isMissing } from './guardedFiles.js';
import { livenessOf, processIdentitySchema, type Liveness, type ProcessIdentity } from './processIdentity.js';

/** How long a claim whose process can't be looked at counts as alive after it was last touched, milliseconds. */
const UNKNOWN_ALIVE_MS = 60_000;
const TOUCH_EVERY_MS = 5000;

export interface FoundClaim {
  readonly file: string;
  readonly name: string;
  readonly identity: ProcessIdentity;
  readonly liveness: Liveness;
}

/** A claim of this process: its file, touched every 5 s for those who can't look at the process, until it is removed. */
export class Claim {
  readonly #timer: NodeJS.Timeout;

  private constructor(readonly file: string) {
    this.#timer = setInterval(() => this.touch(), TOUCH_EVERY_MS);
    this.#timer.unref();
  }

  /** Puts the file `name` into the folder, whole from the first moment that it can be seen. */
  static make(folder: string, name: string, identity: ProcessIdentity): Claim {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const temporary = path.join(folder, `.${randomBytes(8).toString('hex')}.tmp`);
    const descriptor = openSync(temporary, 'wx', 0o600);
    try {
      writeSync(descriptor, `${JSON.stringify(identity, undefined, 2)}\n`);
    } finally {
      closeSync(descriptor);
    }
    const file = path.join(folder, name);
    renameSync(temporary, file);
    return new Claim(file);
  }

  touch(): void {
    const now = new Date();
    try {
      utimesSync(this.file, now, now);
    } catch (error) {
      if (!isMissing(error)) throw error; // removed by hand, or the state folder was cleared: not worth a run
    }
  }

  remove(): void {
    clearInterval(this.#timer);
    removeIfThere(this.file);
  }
}

/** Claims in a folder whose names begin with `prefix`, by name; those of dead processes included. Leftovers of interrupted writes are removed. */
export function findClaims(folder: string, prefix: string): FoundClaim[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
  const found: FoundClaim[] = [];
  for (const name of names.sort()) {
    const file = path.join(folder, name);
    if (name.startsWith('.')) {
      if (ageMs(file) > UNKNOWN_ALIVE_MS) removeIfThere(file);
      continue;
    }
    const identity = name.startsWith(prefix) ? readIdentity(file) : undefined;
    if (identity !== undefined) found.push({ file, name, identity, liveness: livenessOf(identity) });
  }
  return found;
}

/** Whether a claim still holds: its process is alive, or can't be looked at and has touched its file in the last minute. */
export function claimHolds(claim: FoundClaim): boolean {
  return claim.liveness === 'alive' || (claim.liveness === 'unknown' && ageMs(claim.file) < UNKNOWN_ALIVE_MS);
}

/** The claims that hold; the others are removed. */
export function findHoldingClaims(folder: string, prefix: string): FoundClaim[] {
  return findClaims(folder, prefix).filter((claim) => {
    const holds = claimHolds(claim);
    if (!holds) removeIfThere(claim.file);
    return holds;
  });
}

/**
 * Claims exclusively: the claim if nobody else holds one of the same prefix, else undefined, with nothing left behind. Of two that try at the very
 * same time both may fail, never both succeed; who fails may try again after a moment of its own.
 */
export function tryClaim(folder: string, prefix: string, identity: ProcessIdentity): Claim | undefined {
  const claim = Claim.make(folder, `${prefix}${identity.nonce}.json`, identity);
  if (findHoldingClaims(folder, prefix).every(({ file }) => file === claim.file)) return claim;
  claim.remove();
  return undefined;
}

/** Removes a folder of claims if nothing is in it. */
export function removeEmptyFolder(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    if (!isMissing(error) && !isCode(error, 'ENOTEMPTY') && !isCode(error, 'EEXIST')) throw error;
  }
}

/**
 * A folder of the per-user state that nobody else can write to, since processes are ended by what stands in it.
 * @throws ThawError `state-folder-unsafe`
 */
export function claimsFolder(...parts: readonly string[]): string {
  const root = stateFolder();
  const found = lstatSync(root);
  const user = process.getuid?.();
  if (user !== undefined && (!found.isDirectory() || found.uid !== user)) {
    throw new ThawError('run', 'state-folder-unsafe', `${root} is not a folder of yours, so what it says about processes can't be trusted`, 'Remove it, or set THAW_HOME to a folder of your own');
  }
  if (user !== undefined && (found.mode & 0o077) !== 0) chmodSync(root, 0o700);
  return path.join(root, ...parts);
}

/** A short name for any text: 32 hexadecimal digits. */
export function shortHash(value: string): string {
  return createHash('sha256').update(value).digest('hex').slice(0, 32);
}

function readIdentity(file: string): ProcessIdentity | undefined {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  try {
    const parsed = v.safeParse(processIdentitySchema, JSON.parse(content));
    return parsed.success ? parsed.output : undefined;
  } catch {
    return undefined; // claims appear whole, so this is none
  }
}

function ageMs(file: string): number {
  try {
    return Date.now() - lstatSync(file).mtimeMs;
  } catch (error) {
    if (isMissing(error)) return Infinity;
    throw error;
  }
}

function removeIfThere(file: string): void {
  try {
    unlinkSync(file);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}
