// What the commands of `thaw` share: their type, their arguments, their exits.
import path from 'node:path';
import { ThawError } from '../../protocol/errors.js';
import { printable } from '../../protocol/printable.js';
import { RUN_ID } from '../../protocol/run.js';
import { existsSync } from 'node:fs';

/** Runs with the arguments after its name; resolves to the exit code. */
export type Command = (args: readonly string[]) => Promise<number>;

/** The positional argument that a command needs. */
export function requiredArgument(positionals: readonly string[], index: number, name: string): string {
  const value = positionals[index];
  if (value === undefined || value === '') throw new ThawError('input', 'bad-arguments', `${name} is missing`, 'See thaw --help');
  return value;
}

/** A whole number of an option, within bounds; undefined when the option isn't given. */
export function wholeNumber(value: string | undefined, option: string, least: number, most: number): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(number) || number < least || number > most) {
    throw new ThawError('input', 'bad-arguments', `${option} ${JSON.stringify(value)} is not a whole number from ${String(least)} to ${String(most)}`, `Give ${option} such a number`);
  }
  return number;
}

/** A run given by its folder, or by its id in the runs folder of the working directory or one above it. */
export function findRun(run: string): string {
  if (existsSync(path.join(run, 'run.json'))) return path.resolve(run);
  if (RUN_ID.test(run)) {
    for (let folder = process.cwd(); ; folder = path.dirname(folder)) {
      const candidate = path.join(folder, '.thaw', 'runs', run);
      if (existsSync(path.join(candidate, 'run.json'))) return candidate;
      if (path.dirname(folder) === folder) break;
    }
  }
  throw new ThawError('input', 'no-such-run', `There is no run ${JSON.stringify(run)}`, 'Give the run\'s folder, or its id inside the workspace; `thaw runs` lists them');
}

/** Prints lines for people. */
export function printLines(lines: readonly string[]): void {
  process.stdout.write(lines.map((line) => `${printable(line)}\n`).join(''));
}

/** Prints one JSON value as a line. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Asks once to stop, at the first Ctrl-C or SIGTERM; a second one ends the process at once. */
export class InterruptSignal {
  private readonly controller = new AbortController();

  constructor() {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(name, () => {
        if (this.controller.signal.aborted) process.exit(130);
        this.controller.abort();
      });
    }
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  get requested(): boolean {
    return this.controller.signal.aborted;
  }
}
