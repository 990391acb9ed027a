// Ends a run: first by asking, and only then, and only if it is proved to be that very process, by force.
import { closeSync, constants, fstatSync, futimesSync, openSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ThawError } from '../protocol/errors.js';
import type { RunSnapshot } from '../protocol/snapshot.js';
import { assertWritableFolders, defaultWithin, GUARDED, isCode, isMissing } from './guardedFiles.js';
import { HEARTBEAT_FILE, isLiveState, STOP_FILE, trainersOf } from './liveness.js';
import { isProvedTrainer, type ProcessIdentity } from './processIdentity.js';
import { isUnreadable, RunReader } from './readRun.js';

export interface StopOptions {
  readonly within?: string | undefined;
  /** How long a trainer may take to answer, milliseconds; longer where its batches take longer. */
  readonly graceMs?: number;
  /** How long one that has answered (it is `finishing`: the best weights are being written) may take to end. */
  readonly finishMs?: number;
  /** Between SIGTERM and SIGKILL. */
  readonly terminateMs?: number;
}

export type StopOutcome = 'stopped' | 'killed' | 'not-running';

/** A trainer looks at the request between two batches. */
const PATIENCE_BATCHES = 3;
/** No pace that a run folder tells is waited for longer. */
const LONGEST_GRACE_MS = 60_000;

/**
 * Asks a run's trainer to stop, by the `stop` file in its folder, and waits. One that doesn't answer within 5 s, or three of its batches, is ended by a signal, if the
 * process recorded in the per-user state is alive, started when it says, and has the run's nonce among its arguments; a pid from the
 * workspace is never looked at. Writes no state: a killed run reads as `interrupted`, at once since its heartbeat is aged.
 * @throws ThawError `run-unreadable`, `stop-unanswered` when nobody answers and no process is proved to be the trainer; the request stays
 */
export async function stopRun(directory: string, options: StopOptions = {}): Promise<StopOutcome> {
  const { within = defaultWithin(directory), graceMs = 5000, finishMs = 60_000, terminateMs = 2000 } = options;
  const reader = new RunReader(directory, { within });
  const before = await readOrThrow(reader);
  if (!isLiveState(before.state)) return 'not-running';
  const real = assertWritableFolders(directory, within);
  const grace = Math.max(graceMs, Math.min(LONGEST_GRACE_MS, PATIENCE_BATCHES * batchMs(before)));
  const asked = performance.now();
  requestStop(real);

  for (;;) {
    const run = await readOrThrow(reader);
    if (run.state === 'interrupted') return 'not-running';
    if (!isLiveState(run.state)) return 'stopped';
    const waited = performance.now() - asked;
    const trainers = trainersOf(real);
    if (trainers.length > 0 && trainers.every(({ liveness }) => liveness === 'dead')) {
      // It may have ended properly between the two looks.
      const after = await readOrThrow(reader);
      if (!isLiveState(after.state)) return after.state === 'interrupted' ? 'not-running' : 'stopped';
      ageHeartbeat(real);
      return 'not-running';
    }
    const answered = run.phase?.phase === 'finishing';
    if (waited > (answered ? finishMs : grace)) break;
    await delay(100);
  }

  const proved = trainersOf(real).map(({ identity }) => identity).filter(isProvedTrainer);
  if (proved.length === 0) {
    throw new ThawError('run', 'stop-unanswered', `The trainer of ${path.basename(real)} has not answered within ${Math.round(grace / 1000)} s, and no process here is proved to be it`,
      'The request stays and is honoured at its next batch; a run of `thaw train` can be stopped in its terminal with Ctrl-C');
  }
  for (const identity of proved) await endTrainer(identity, terminateMs);
  const after = await readOrThrow(reader);
  if (!isLiveState(after.state) && after.state !== 'interrupted') return 'stopped'; // SIGTERM was in time
  ageHeartbeat(real);
  return 'killed';
}

/** How long a batch took lately, milliseconds; 0 before the first. */
function batchMs({ record, step, epochs }: RunSnapshot): number {
  const imagesPerSecond = (step ?? epochs.at(-1))?.imagesPerSecond ?? 0;
  const { batch, batchAbove } = record.configuration.recipe;
  return imagesPerSecond > 0 ? (1000 * Math.max(batch, batchAbove?.batch ?? 0)) / imagesPerSecond : 0;
}

async function readOrThrow(reader: RunReader): Promise<RunSnapshot> {
  const run = await reader.read();
  if (isUnreadable(run)) throw new ThawError('run', 'run-unreadable', `The run ${run.directory} can't be stopped: ${run.reason}`, 'Look into the folder');
  return run;
}

/** Leaves the request to stop in a folder. */
export function requestStop(real: string): void {
  try {
    closeSync(openSync(path.join(real, STOP_FILE), constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o666));
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error; // asked before
  }
}

/** Ends a process that is proved to be the trainer, first by asking. @throws ThawError `stop-failed` */
export async function endTrainer(identity: ProcessIdentity, terminateMs: number): Promise<void> {
  for (const [signal, patience] of [['SIGTERM', terminateMs], ['SIGKILL', 5000]] as const) {
    if (!isProvedTrainer(identity)) return;
    try {
      process.kill(identity.pid, signal);
    } catch (error) {
      if (isCode(error, 'ESRCH')) return;
      throw error;
    }
    for (const until = performance.now() + patience; performance.now() < until && isProvedTrainer(identity);) await delay(50);
  }
  if (isProvedTrainer(identity)) {
    throw new ThawError('run', 'stop-failed', `Process ${identity.pid} does not end, even when killed: the system is busy with it`, 'Wait; it ends when the disk or the driver that it waits for answers');
  }
}

/** The process is known to be gone, so its last beat must not count as life for 15 s more. */
export function ageHeartbeat(real: string): void {
  let descriptor: number;
  try {
    descriptor = openSync(path.join(real, HEARTBEAT_FILE), constants.O_WRONLY | constants.O_CREAT | GUARDED, 0o666);
  } catch (error) {
    if (isMissing(error)) return; // the folder was deleted meanwhile
    throw error;
  }
  try {
    if (fstatSync(descriptor).isFile()) futimesSync(descriptor, 0, 0);
  } finally {
    closeSync(descriptor);
  }
}
