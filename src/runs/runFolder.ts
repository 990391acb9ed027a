// Where runs lie, what they are called, and how a new one begins.
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { ThawError } from '../protocol/errors.js';
import { runRecordSchema, type RunRecord, type Strategy } from '../protocol/run.js';
import { writeFolderAtomic } from '../storage/atomicFolder.js';
import { workspaceOf } from './datasetFolder.js';
import { assertWritableFolders, isCode } from './guardedFiles.js';

/** `20261124-173639-freeze-3f9a1c`: the time in UTC, so that names sort by age, and six digits by chance. */
export function newRunId(strategy: Strategy, now: Date): string {
  const time = now.toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
  return `${time}-${strategy}-${randomBytes(3).toString('hex')}`;
}

/** `<workspace folder>/.thaw/runs` */
export function runsFolderFor(workspaceFolder: string): string {
  return path.join(workspaceFolder, '.thaw', 'runs');
}

/**
 * Makes `<workspace>/.thaw/NAME` with what is missing above it; a `.gitignore` of `*` comes first. Without a workspace, a folder like any other.
 * @throws ThawError `unsafe-path` when one of them is a link
 */
export async function makeFolderInThaw(folder: string, workspace: string | undefined): Promise<void> {
  if (workspace === undefined) {
    await mkdir(folder, { recursive: true });
    return;
  }
  const thaw = path.dirname(folder);
  await makeRealFolder(thaw, workspace);
  await writeIfMissing(path.join(thaw, '.gitignore'), '*\n');
  await makeRealFolder(folder, workspace);
}

/**
 * Makes something in a folder; where the place itself forbids it, that is an error that a person can act on.
 * @throws ThawError `unwritable-folder`, `disk-full`
 */
export async function makeIn<T>(folder: string, make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    throw placeError(error, folder) ?? error;
  }
}

/** What the place of a folder forbids, as a sentence; undefined for any other error. */
export function placeError(error: unknown, folder: string): ThawError | undefined {
  const elsewhere = 'keep runs elsewhere: with --runs FOLDER in the terminal, in the editor by opening a folder above the images that can be written';
  if (isCode(error, 'EACCES') || isCode(error, 'EPERM') || isCode(error, 'EROFS')) {
    return new ThawError('run', 'unwritable-folder', `Thaw is not allowed to write in ${folder}`, `Change its permissions, or ${elsewhere}`, { cause: error });
  }
  if (isCode(error, 'ENOTDIR') || isCode(error, 'EEXIST')) {
    return new ThawError('run', 'unwritable-folder', `A file stands where ${folder} should be`, `Move it away, or ${elsewhere}`, { cause: error });
  }
  if (isCode(error, 'ENOSPC') || isCode(error, 'EDQUOT')) {
    return new ThawError('run', 'disk-full', `The disk that holds ${folder} is full`, `Free some space, or ${elsewhere}`, { cause: error });
  }
  return undefined;
}

/**
 * Makes the folder of a new run with its `run.json`, and what is missing above it; inside `.thaw`, a `.gitignore` of `*` comes first.
 * Returns its absolute path.
 * @throws ThawError `unsafe-path` when `.thaw` or `runs` is a link, `run-exists`, `unwritable-folder`, `disk-full`
 */
export async function createRunFolder(runsFolder: string, record: RunRecord): Promise<string> {
  const folder = path.resolve(runsFolder);
  const content = recordText(record);
  return makeIn(folder, async () => {
    await makeFolderInThaw(folder, workspaceOf(folder));
    const directory = path.join(folder, record.id);
    try {
      // At once with its record: whoever follows the folder would see a run that can't be read.
      await writeFolderAtomic(directory, new Map([['run.json', Buffer.from(content)]]), () => Promise.resolve());
    } catch (error) {
      if (error instanceof ThawError && error.code === 'folder-exists') throw new ThawError('run', 'run-exists', `There is already a run ${record.id} in ${folder}`, 'Start the training again', { cause: error });
      throw error;
    }
    return directory;
  });
}

/** `run.json` as it is written: checked, its keys in the schema's order, so that two records differ only where they say something else. */
export function recordText(record: RunRecord): string {
  return `${JSON.stringify(v.parse(runRecordSchema, record), undefined, 2)}\n`;
}

/** Makes a folder, or takes the one that is there. @throws ThawError `unsafe-path` when it is a link */
async function makeRealFolder(folder: string, within: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error;
  }
  assertWritableFolders(folder, within);
}

/** Writes a small file unless something has the name: `wx` refuses a dangling link too. */
async function writeIfMissing(file: string, content: string): Promise<void> {
  try {
    await writeFile(file, content, { flag: 'wx' });
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error;
  }
}
