// Run folders to test with, and trainers in processes of their own.
import { build } from 'esbuild';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before } from 'node:test';

/** A folder for a suite, with `THAW_HOME` in it, gone when the suite has ended. */
export function temporaryFolder(): { readonly path: string; workspace(): string } {
  let folder = '';
  let count = 0;
  const home = process.env['THAW_HOME'];
  before(() => {
    folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'thaw-runs-')));
    process.env['THAW_HOME'] = path.join(folder, 'home');
  });
  after(() => {
    if (home === undefined) delete process.env['THAW_HOME'];
    else process.env['THAW_HOME'] = home;
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    get path() { return folder; },
    workspace() {
      const workspace = path.join(folder, `workspace-${count++}`);
      mkdirSync(workspace);
      return workspace;
    },
  };
}

/** A run folder as it stands in a repository: whatever `files` says. */
export function placeRun(workspace: string, files: Readonly<Record<string, string>>, id = 'run-1'): string {
  const directory = path.join(workspace, '.thaw', 'runs', id);
  mkdirSync(directory, { recursive: true });
  for (const [name, content] of Object.entries(files)) writeFileSync(path.join(directory, name), content);
  return directory;
}

export function lines(...values: readonly unknown[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join('');
}

/** A process that runs `runChild.ts`; what it prints is read line by line. */
export interface Child {
  readonly process: ChildProcess;
  /** Resolves with the next line that was not yet taken; rejects when the process ends first. */
  line(): Promise<string>;
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
}

/** Starts children, and ends those that are left when the suite has ended. */
export function childProcesses(folder: { readonly path: string }): (...args: readonly string[]) => Promise<Child> {
  const children: ChildProcess[] = [];
  let script: Promise<string> | undefined;
  after(() => { for (const child of children) child.kill('SIGKILL'); });
  return async (...args) => {
    script ??= bundle(folder.path);
    const child = spawn(process.execPath, [await script, ...args], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env } });
    children.push(child);
    const waiting: { resolve: (line: string) => void; reject: (error: Error) => void }[] = [];
    const taken: string[] = [];
    let rest = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const parts = (rest + text).split('\n');
      rest = parts.pop() ?? '';
      for (const part of parts) {
        const next = waiting.shift();
        if (next === undefined) taken.push(part);
        else next.resolve(part);
      }
    });
    const ended = new Promise<void>((resolve) => child.once('close', () => {
      for (const { reject } of waiting) reject(new Error(`the child ${args.join(' ')} ended`));
      resolve();
    }));
    return {
      process: child, ended,
      line: () => new Promise((resolve, reject) => {
        const next = taken.shift();
        if (next !== undefined) resolve(next);
        else if (child.exitCode !== null || child.signalCode !== null) reject(new Error(`the child ${args.join(' ')} has ended`));
        else waiting.push({ resolve, reject });
      }),
    };
  };
}

async function bundle(folder: string): Promise<string> {
  const outfile = path.join(folder, 'runChild.cjs');
  await build({
    entryPoints: [path.join(process.cwd(), 'test/unit/runChild.ts')], bundle: true, platform: 'node', format: 'cjs', target: 'node20', outfile, logLevel: 'error',
  });
  return outfile;
}

/** Asks until it is so. @throws when it isn't within `ms` */
export async function until(what: string, isSo: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  for (const end = performance.now() + ms; !await isSo();) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
