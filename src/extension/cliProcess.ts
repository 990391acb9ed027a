// Runs a job of `thaw` in a child process and reads its JSON lines. Only for jobs that the window waits for; training is launched detached.
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import * as v from 'valibot';
import { EXIT, ThawError } from '../protocol/errors.js';
import { childEnvironment } from '../runs/launch.js';
import { cacheFolder } from '../storage/folders.js';

/** What `cliProcess` needs to know of the installation. */
export interface CliInstallation {
  readonly cliScript: string;
  readonly execPath: string;
  readonly electron: boolean;
  environment(): NodeJS.ProcessEnv;
}

export interface CliOptions {
  readonly arguments: readonly string[];
  readonly signal?: AbortSignal;
  /** Exit codes that are no failure; by default 0. The doctor ends with 3 where something is missing, which is its finding. */
  readonly accept?: readonly number[];
  /** Each line of stdout, parsed; a line that is not JSON is left out. */
  readonly onLine?: (line: unknown) => void;
  /** What it says on stderr, for the log. */
  readonly onDiagnostic?: (line: string) => void;
}

const errorLine = v.object({ type: v.literal('error'), code: v.string(), message: v.string(), next: v.string() });
/** How long a job may take to end after it was asked to, milliseconds. */
const GRACE_MS = 5000;

/**
 * Runs the job to its end and returns its last JSON line. The working directory is Thaw's cache, never the workspace.
 * @throws ThawError as the job itself reported it, or `job-failed`; the signal's reason when it was aborted
 */
export async function runCli(installation: CliInstallation, options: CliOptions): Promise<unknown> {
  options.signal?.throwIfAborted();
  const environment = installation.environment();
  const directory = cacheFolder(environment);
  mkdirSync(directory, { recursive: true });
  const child = spawn(installation.execPath, [installation.cliScript, ...options.arguments], {
    cwd: directory,
    env: childEnvironment(environment, { electron: installation.electron }),
    stdio: ['ignore', 'pipe', 'pipe'],
    windowsHide: true,
  });
  let last: unknown;
  let failure: v.InferOutput<typeof errorLine> | undefined;
  const complaints: string[] = [];
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = parseLine(text);
    if (line === undefined) return;
    last = line;
    const error = v.safeParse(errorLine, line);
    if (error.success) failure = error.output;
    else options.onLine?.(line);
  });
  createInterface({ input: child.stderr }).on('line', (text) => {
    complaints.push(text);
    if (complaints.length > 20) complaints.shift();
    options.onDiagnostic?.(text);
  });

  let killing: NodeJS.Timeout | undefined;
  const abort = (): void => {
    child.kill('SIGTERM');
    killing = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
  };
  options.signal?.addEventListener('abort', abort, { once: true });
  let code: number | null;
  try {
    code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
  } finally {
    clearTimeout(killing);
    options.signal?.removeEventListener('abort', abort);
  }
  options.signal?.throwIfAborted();
  if (failure !== undefined) throw new ThawError(code === EXIT.engineNotReady ? 'engine' : code === EXIT.badInput ? 'input' : 'run', failure.code, failure.message, failure.next);
  if (code === null || !(options.accept ?? [EXIT.done]).includes(code)) {
    const said = complaints.length === 0 ? '' : `: ${complaints.slice(-3).join(' ')}`;
    throw new ThawError('run', 'job-failed', `thaw ${options.arguments[0] ?? ''} ended with ${code === null ? 'a signal' : `exit code ${code}`}${said}`, 'Show the log for the rest of what it said');
  }
  return last;
}

function parseLine(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined; // a library's own print; nothing of ours
  }
}
