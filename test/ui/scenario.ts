// What the UI tests share: workspaces of real images, run folders as they are on disk, the CLI, and an end for every trainer.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { FrameLocator } from 'playwright-core';
import type { EpochEvent, TrainerEvent } from '../../src/protocol/events.js';
import type { RunRecord } from '../../src/protocol/run.js';
import type { Server } from '../harness/server.js';
import type { Workbench } from '../harness/workbench.js';

export const REPOSITORY = process.cwd();
export const CLI = path.join(REPOSITORY, 'dist', 'cli.js');
export const EXTENSION_ID = 'thaw.thaw';

/** Pictures of each class that a test trains on: enough for a number, few enough for a minute. */
const TRAIN = 60;
const VALIDATION = 30;

/** Room for a test, gone after it. */
export function makeRoom(name: string): { folder: string; remove(): void } {
  const base = process.env['THAW_TEST_BASE'] ?? os.tmpdir();
  const folder = mkdtempSync(path.join(base, `${name}-`));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 }) };
}

/** Copies a dataset of real images to `folder`: photographs of ants and bees where there are some, else emoji. Returns its classes. */
export function copyDataset(folder: string, { train = TRAIN, validation = VALIDATION } = {}): string[] {
  const photographs = path.join(process.env['THAW_TEST_DATA'] ?? path.resolve('..', 'shared', 'data'), 'hymenoptera');
  const sample = process.env['THAW_TEST_SAMPLE'] ?? path.resolve('.sample', 'emoji');
  const source = existsSync(photographs) ? photographs : sample;
  const classes = readdirSync(path.join(source, 'train')).filter((name) => !name.startsWith('.')).sort();
  for (const [split, most] of [['train', train], ['val', validation]] as const) {
    for (const name of classes) {
      const to = path.join(folder, split, name);
      mkdirSync(to, { recursive: true });
      const files = readdirSync(path.join(source, split, name)).filter((file) => /\.(?:jpe?g|png)$/i.test(file)).sort();
      for (const file of files.slice(0, most)) copyFileSync(path.join(source, split, name, file), path.join(to, file));
    }
  }
  return classes;
}

/** The run folders of a workspace, the newest last. */
export function runDirectories(workspace: string): string[] {
  const folder = path.join(workspace, '.thaw', 'runs');
  return existsSync(folder) ? readdirSync(folder).filter((name) => !name.startsWith('.')).sort().map((name) => path.join(folder, name)) : [];
}

export function readRecord(directory: string): RunRecord {
  return JSON.parse(readFileSync(path.join(directory, 'run.json'), 'utf8')) as RunRecord;
}

/** Epochs of events.ndjson, read without the product's code. */
export function readEpochs(directory: string): EpochEvent[] {
  const file = path.join(directory, 'events.ndjson');
  if (!existsSync(file)) return [];
  const whole = readFileSync(file, 'utf8').split('\n').slice(0, -1); // the last line has not ended yet
  return whole.map((line) => JSON.parse(line) as TrainerEvent).filter((event) => event.type === 'epoch');
}

/** Waits for the next run of a strategy in a workspace. */
export async function newRun(workspace: string, strategy: string, known: readonly string[], timeout = 60_000): Promise<string> {
  return await eventually(() => runDirectories(workspace).find((directory) =>
    !known.includes(directory) && existsSync(path.join(directory, 'run.json')) && readRecord(directory).configuration.strategy === strategy), `a new ${strategy} run`, timeout);
}

export async function runEnded(directory: string, state: RunRecord['state'], timeout = 120_000): Promise<RunRecord> {
  const record = await eventually(() => {
    const now = readRecord(directory);
    return ['finished', 'stopped', 'failed'].includes(now.state) ? now : undefined;
  }, `${path.basename(directory)} to end`, timeout);
  assert.equal(record.state, state, JSON.stringify(record.failure));
  return record;
}

/** Asks until there is an answer. */
export async function eventually<T>(look: () => T | undefined | Promise<T | undefined>, what: string, timeout = 30_000): Promise<T> {
  const deadline = Date.now() + timeout;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`waited ${timeout / 1000} s for ${what}`);
    await delay(50);
  }
}

/** Runs `thaw` under a node; returns stdout. */
export async function thaw(node: string, ...args: string[]): Promise<string> {
  return await new Promise((resolve, reject) => {
    execFile(node, [CLI, ...args], { maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`thaw ${args.join(' ')}: ${error.message}\n${stderr}`));
    });
  });
}

/** Trainers on runs under a folder: pid and command line. */
export function trainersOn(folder: string): { pid: number; command: string }[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      const parts = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      const run = parts[parts.indexOf('--run') + 1];
      return parts.includes('--run') && run?.startsWith(folder + path.sep) === true ? [{ pid: Number(pid), command: parts.join(' ') }] : [];
    } catch {
      return []; // it has ended meanwhile
    }
  });
}

/** Ends the trainers that a test started, however it went. */
export async function endTrainers(folder: string): Promise<void> {
  for (const { pid } of trainersOn(folder)) process.kill(pid, 'SIGTERM');
  const deadline = Date.now() + 10_000;
  while (trainersOn(folder).length > 0) {
    if (Date.now() > deadline) for (const { pid } of trainersOn(folder)) process.kill(pid, 'SIGKILL');
    await delay(50);
  }
}

// -- The panel

/** `data-value` of a column of the table behind the charts, by epoch. */
export async function tableColumn(panel: FrameLocator, column: string): Promise<number[]> {
  const cells = panel.locator(`#screen-run td[data-column="${column}"]`);
  const values = await cells.evaluateAll((elements) => elements.map((element) => (element as HTMLElement).dataset['value'] ?? ''));
  return values.map(Number);
}

/** Asserts that the table behind the charts holds exactly what events.ndjson does, as far as the table goes. */
export async function assertTableEqualsEvents(panel: FrameLocator, directory: string, least: number): Promise<number> {
  const columns = {
    'validation.accuracy': (event: EpochEvent) => event.validation.accuracy,
    'train.accuracy': (event: EpochEvent) => event.train.accuracy,
    'validation.loss': (event: EpochEvent) => event.validation.loss,
    'train.loss': (event: EpochEvent) => event.train.loss,
  };
  let rows = Number.POSITIVE_INFINITY;
  for (const [column, of] of Object.entries(columns)) {
    const shown = await tableColumn(panel, column);
    const written = readEpochs(directory).map(of);
    assert.ok(shown.length >= least, `${column}: ${shown.length} epochs shown, expected ${least} at least`);
    assert.deepEqual(shown, written.slice(0, shown.length), column);
    rows = Math.min(rows, shown.length);
  }
  return rows;
}

/** Waits until the table shows an epoch. */
export async function epochShown(panel: FrameLocator, epoch: number, timeout = 120_000): Promise<void> {
  await panel.locator(`#screen-run td[data-epoch="${epoch}"]`).first().waitFor({ state: 'attached', timeout });
}

export async function stateShown(panel: FrameLocator, word: string, timeout = 120_000): Promise<void> {
  await panel.locator('#screen-run .state', { hasText: word }).waitFor({ timeout });
}

/** Waits until the panel has turned to a run of this strategy. */
export async function strategyShown(panel: FrameLocator, strategy: 'freeze' | 'finetune', timeout = 60_000): Promise<void> {
  await panel.locator('#screen-run h1 .strategy', { hasText: strategy }).waitFor({ timeout });
}

/** Does a piece of a test; when it fails, what VS Code showed is kept in out/failed, and its words join the error. */
export async function watched(vscode: Workbench, name: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const folder = path.join(REPOSITORY, 'out', 'failed');
    mkdirSync(folder, { recursive: true });
    await vscode.screenshot(path.join(folder, `${name}-${process.env['VSCODE_HOST'] ?? ''}.png`)).catch(() => undefined); // the page may be gone
    const shown = await vscode.spoken().catch(() => []);
    if (error instanceof Error && shown.length > 0) error.stack = `${error.stack ?? error.message}\nVS Code showed: ${shown.join(' | ')}`; // what is printed
    throw error;
  }
}

/** Ends what a file of tests used: browser, trainers, server, folder. Fails if anything in the page asked for something outside. */
export async function endWorkbench({ vscode, server, workspace, room }: { readonly vscode: Workbench; readonly server: Server; readonly workspace: string; readonly room: ReturnType<typeof makeRoom> }): Promise<void> {
  const { foreignRequests } = vscode;
  await vscode.close();
  await endTrainers(workspace);
  await server.stop();
  room.remove();
  assert.deepEqual(foreignRequests, [], 'the panel or the workbench asked for something outside');
}

/** The panel of the run that is being looked at. */
export function panelOf(vscode: Workbench): FrameLocator {
  return vscode.webview(EXTENSION_ID);
}

/** `.954`, as the design's README writes it; not by the product's own formatter. */
export function accuracyText(value: number): string {
  return value >= 0.9995 ? '1.000' : `.${String(Math.round(value * 1000)).padStart(3, '0')}`;
}

/** Takes a screenshot for the README, only when asked: THAW_SHOTS=1. */
export async function shoot(vscode: Workbench, name: string): Promise<void> {
  if (process.env['THAW_SHOTS'] !== '1') return;
  const folder = path.join(REPOSITORY, 'media', 'screenshots');
  mkdirSync(folder, { recursive: true });
  await delay(1000); // what fades is gone
  await vscode.screenshot(path.join(folder, `${name}.png`));
}
