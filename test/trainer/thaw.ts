// Runs the built CLI as a person's shell would, for tests with the real engine and real images.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { build } from 'esbuild';

const CLI = path.resolve('dist/cli.js');

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningThaw {
  readonly child: ChildProcess;
  readonly ended: Promise<Outcome>;
  /** Resolves once a JSON line fits; fails when the process ends before. */
  lineWhere(fits: (line: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>;
}

/** Starts `thaw`; the caller waits for `ended`. */
export function startThaw(args: readonly string[], environment: NodeJS.ProcessEnv = {}): RunningThaw {
  const child = spawn(process.execPath, [CLI, ...args], { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  const waiting = new Set<() => void>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    for (const check of waiting) check();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text; });
  const ended = new Promise<Outcome>((resolve) => { child.once('close', (code) => { resolve({ code, stdout, stderr }); }); });
  return {
    child, ended,
    lineWhere: (fits) => new Promise((resolve, reject) => {
      const check = (): void => {
        const line = jsonLines(stdout).find(fits);
        if (line === undefined) return;
        waiting.delete(check);
        resolve(line);
      };
      waiting.add(check);
      check();
      void ended.then(({ code }) => { reject(new Error(`thaw ended with ${String(code)} before that line:\n${stdout}\n${stderr}`)); });
    }),
  };
}

/** Runs `thaw` to its end. */
export function thaw(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return startThaw(args, environment).ended;
}

/** The JSON lines of a command that was given `--json`; every whole line must be one. */
export function jsonLines(stdout: string): Record<string, unknown>[] {
  return stdout.split('\n').slice(0, -1).map((line) => JSON.parse(line) as Record<string, unknown>);
}

export interface TrainResult {
  readonly run: string;
  readonly state: string;
  readonly colour: string;
  readonly accuracy: number;
  readonly correct: number;
  readonly total: number;
  readonly interval: readonly [number, number];
  readonly accuracySplit: string;
  readonly bestEpoch: number;
  readonly epochs: number;
  readonly seconds: number;
  readonly imagesPerSecond: number;
  readonly device: string;
}

/** `thaw train FOLDER … --json`, which must succeed; its last line. */
export async function trainResult(folder: string, runs: string, ...args: readonly string[]): Promise<TrainResult> {
  const outcome = await thaw(['train', folder, '--runs', runs, '--json', ...args]);
  assert.equal(outcome.code, 0, outcome.stderr);
  const last = jsonLines(outcome.stdout).at(-1);
  assert.equal(last?.['type'], 'result');
  return last as unknown as TrainResult;
}

/** A folder that goes when the test ends. */
export function temporaryFolder(context: Pick<TestContext, 'after'>): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'thaw-test-'));
  context.after(() => { rmSync(folder, { recursive: true, force: true, maxRetries: 3 }); });
  return folder;
}

/** Bundles a script of this folder that a test runs in a process of its own; where it lies then. */
export async function buildChild(name: string, folder: string): Promise<string> {
  const outfile = path.join(folder, `${name}.cjs`);
  await build({ entryPoints: [path.join(process.cwd(), 'test', 'trainer', `${name}.ts`)], bundle: true, platform: 'node', format: 'cjs', target: 'node20', outfile, logLevel: 'error' });
  return outfile;
}

/** A folder of photographs for tests: `hymenoptera` or `dog_cat`. Undefined where they are not at hand, which in CI is a failure. */
export function photographs(name: 'hymenoptera' | 'dog_cat'): string | undefined {
  const folder = path.resolve('../shared/data', name);
  if (existsSync(folder)) return folder;
  assert.notEqual(process.env['CI'], 'true', `${folder} is missing`);
  return undefined;
}

/** The sample made of emoji; scripts/sample.mjs makes it. */
export const EMOJI = path.resolve('.sample/emoji');

/** Photographs with train/ and val/, or the sample where there are none. */
export const TWO_SPLITS = photographs('hymenoptera') ?? EMOJI;
