// Whether a trainer works on a run: its heartbeat, and the process that claimed the run in the per-user state.
import { lstat } from 'node:fs/promises';
import path from 'node:path';
import type { RunState, WrittenState } from '../protocol/run.js';
import { claimsFolder, findClaims, shortHash, type FoundClaim } from './claims.js';
import { isMissing } from './guardedFiles.js';

/** How often a trainer touches its heartbeat, beside every event. */
export const HEARTBEAT_EVERY_MS = 5000;
/** A heartbeat older than this is silent. */
export const HEARTBEAT_SILENT_MS = 15_000;

export const HEARTBEAT_FILE = 'heartbeat';
export const STOP_FILE = 'stop';

/** States in which a trainer should be at work. */
export function isLiveState(state: RunState): boolean {
  return state === 'waiting' || state === 'starting' || state === 'running';
}

/** Where the trainer of a run leaves its identity: the state folder, by the run's real path. */
export function trainerClaims(realDirectory: string): string {
  return claimsFolder('trainers', `${path.basename(realDirectory).slice(0, 100)}-${shortHash(realDirectory)}`);
}

/** The processes that claimed a run and have not let go of it: none, one, or dead ones too. */
export function trainersOf(realDirectory: string): FoundClaim[] {
  return findClaims(trainerClaims(realDirectory), '');
}

/**
 * What a run's written state means now. `interrupted` needs both: a heartbeat older than 15 s, and no living process on this host. So a killed
 * trainer reads as running for up to 15 s, and a trainer that blocks for a minute is not called dead. Where the process is not known here
 * (another host, another user), the heartbeat alone decides.
 */
export async function stateNow(realDirectory: string, written: WrittenState, now: number): Promise<RunState> {
  if (!isLiveState(written)) return written;
  if (!await isHeartbeatSilent(realDirectory, now)) return written;
  return trainersOf(realDirectory).some(({ liveness }) => liveness === 'alive') ? written : 'interrupted';
}

/** Before the trainer's first beat the record's own time counts. A time far in the future is no beat either. */
export async function isHeartbeatSilent(realDirectory: string, now: number): Promise<boolean> {
  for (const name of [HEARTBEAT_FILE, 'run.json', 'study.json']) {
    try {
      return Math.abs(now - (await lstat(path.join(realDirectory, name))).mtimeMs) > HEARTBEAT_SILENT_MS;
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
  return true;
}
