// Says what is being done and how long it took; runs commands. Node built-ins only: this runs before `npm ci` has.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository. (Bundled into a test, where there is no module URL: the working directory.) */
export const ROOT = import.meta.url === undefined ? process.cwd() : path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** Runs one step of set-up or of the tests, between a line that names it and a line with its time. Errors pass through. */
export async function step(title, work) {
  console.log(`▸ ${title}`);
  const started = performance.now();
  const note = await work();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`  ${typeof note === 'string' ? `${note}, ` : ''}${seconds} s`);
}

/** A step that failed for a reason a person can act on: printed without a stack. */
export class StepError extends Error {}

/**
 * Runs a command with this terminal as its own.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {import('node:child_process').SpawnOptions & { accept?: readonly number[] }} [options] accept: exit codes that are no error (default 0)
 * @returns {Promise<number>} the exit code
 */
export async function run(command, args, { accept = [0], ...options } = {}) {
  const child = spawn(command, args, { cwd: ROOT, stdio: 'inherit', ...options });
  const code = await new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new StepError(`${command} could not be started: ${error.message}`)));
    child.once('exit', (exitCode, signal) => resolve(exitCode ?? `signal ${signal}`));
  });
  if (!accept.includes(code)) throw new StepError(`${[path.basename(command), ...args].join(' ')} ended with ${code}`);
  return code;
}

/** True when the module at `url` is the script that Node was started with. */
export function isMain(url) {
  return url !== undefined && process.argv[1] !== undefined && fileURLToPath(url) === path.resolve(process.argv[1]);
}

/** Runs a script's main function in the repository; an error ends the process with code 1, without a stack when a person can act on it. */
export async function main(work) {
  try {
    process.chdir(ROOT);
    await work();
  } catch (error) {
    console.error(error instanceof StepError ? `\n${error.message}` : error);
    process.exitCode = 1;
  }
}
