// Which process is meant, for certain. A pid alone is not enough: pids come again, and a pid written in a workspace may be anybody's.
// So a process is its pid, its start time, the boot and the host it runs on, and a nonce that also stands in its arguments.
import { randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import * as v from 'valibot';

const text = v.pipe(v.string(), v.maxLength(1024));

/** A nonce: 32 hexadecimal digits. */
export const NONCE = /^[0-9a-f]{32}$/;

export const processIdentitySchema = v.object({
  version: v.literal(1),
  pid: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  /** Clock ticks from boot to the process's start (`/proc/<pid>/stat`, field 22); absent where there is no /proc. */
  startTime: v.optional(text),
  bootId: v.optional(text),
  host: text,
  /** Containers that share a host's name and boot have pids of their own. */
  pidNamespace: v.optional(text),
  nonce: v.pipe(v.string(), v.regex(NONCE)),
  /** What it works on, for people who look into the state folder. */
  subject: v.optional(v.pipe(v.string(), v.maxLength(8192))),
});
export type ProcessIdentity = v.InferOutput<typeof processIdentitySchema>;

export function newNonce(): string {
  return randomBytes(16).toString('hex');
}

/** This very process. */
export function ownIdentity(nonce: string, subject?: string): ProcessIdentity {
  const startTime = startTimeOf(process.pid);
  const { bootId, pidNamespace } = surroundings();
  return {
    version: 1, pid: process.pid, host: hostname(), nonce,
    ...(startTime !== undefined && { startTime }),
    ...(bootId !== undefined && { bootId }),
    ...(pidNamespace !== undefined && { pidNamespace }),
    ...(subject !== undefined && { subject }),
  };
}

/** `alive` and `dead` are certain; `unknown`: it ran on another host, or in another container, where this process can't look. */
export type Liveness = 'alive' | 'dead' | 'unknown';

export function livenessOf(identity: ProcessIdentity): Liveness {
  if (identity.host !== hostname()) return 'unknown';
  const { bootId, pidNamespace } = surroundings();
  if (identity.bootId !== bootId) return identity.bootId === undefined || bootId === undefined ? 'unknown' : 'dead';
  if (identity.pidNamespace !== pidNamespace) return 'unknown';
  if (identity.startTime !== undefined) return startTimeOf(identity.pid) === identity.startTime ? 'alive' : 'dead';
  try {
    process.kill(identity.pid, 0);
    return 'unknown'; // some process has this pid
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH' ? 'dead' : 'unknown';
  }
}

/**
 * True only when the process is alive, is the one that was recorded (start time, boot, host), and has the nonce as one of its arguments.
 * Nothing less may be sent a signal.
 */
export function isProvedTrainer(identity: ProcessIdentity): boolean {
  return identity.startTime !== undefined && livenessOf(identity) === 'alive' && argumentsOf(identity.pid).includes(identity.nonce);
}

function argumentsOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return []; // gone, or another user's: not provable either way
  }
}

/** Undefined when there is no such process (one that has ended but was not yet waited for counts as gone) or no /proc. */
function startTimeOf(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // The second field is the program's name in brackets and may hold anything, brackets too.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state] = fields;
  return state === 'Z' || state === 'X' ? undefined : fields[19];
}

let known: { bootId: string | undefined; pidNamespace: string | undefined } | undefined;

function surroundings(): { bootId: string | undefined; pidNamespace: string | undefined } {
  known ??= {
    bootId: orUndefined(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
    pidNamespace: orUndefined(() => readlinkSync('/proc/self/ns/pid')),
  };
  return known;
}

function orUndefined(read: () => string): string | undefined {
  try {
    return read();
  } catch {
    return undefined; // not this platform
  }
}
