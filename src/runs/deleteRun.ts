// Deletes a run's folder: that folder, and nothing that a link may lead to.
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { ThawError } from '../protocol/errors.js';
import { claimHolds } from './claims.js';
import { assertWritableFolders, defaultWithin, isMissing } from './guardedFiles.js';
import { isLiveState, trainerClaims, trainersOf } from './liveness.js';
import { isUnreadable, readRun } from './readRun.js';

export interface DeleteOptions {
  readonly within?: string | undefined;
  /** Takes the folder away, links inside it as links: the editor's trash, or `rm`. */
  readonly remove: (directory: string) => Promise<void>;
}

/**
 * Deletes a run, one that can't be read too. An unreadable one whose own folder is a link is refused.
 * @throws ThawError `run-is-live` while a trainer works on it, `unsafe-path` when a part of its path is a link, `run-not-found`
 */
export async function deleteRun(directory: string, options: DeleteOptions): Promise<void> {
  const { within = defaultWithin(directory), remove } = options;
  const resolved = path.resolve(directory);
  if (resolved === path.resolve(within)) throw new ThawError('run', 'unsafe-path', `${resolved} is no run folder`, 'Choose a run');
  let real: string;
  try {
    real = assertWritableFolders(resolved, within);
  } catch (error) {
    if (isMissing(error)) throw new ThawError('run', 'run-not-found', `The run ${resolved} is gone already`, 'Nothing is left to do', { cause: error });
    throw error;
  }
  const run = await readRun(resolved, { within });
  // A process that works there counts more than what the record says.
  if ((!isUnreadable(run) && isLiveState(run.state)) || trainersOf(real).some(claimHolds)) {
    throw new ThawError('run', 'run-is-live', `A trainer works on the run ${path.basename(real)}`, 'Stop it first');
  }
  const claims = trainerClaims(real);
  await remove(resolved);
  await rm(claims, { recursive: true, force: true });
}
