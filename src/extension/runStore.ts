// All runs of the open workspace folders, followed on disk: the trees, the panel, the status bar and the notifications read from here.
import path from 'node:path';
import * as vscode from 'vscode';
import { followRuns } from '../runs/followRun.js';
import { readRun } from '../runs/readRun.js';
import { runsFolderFor } from '../runs/runFolder.js';
import { isWithin } from './datasetSearch.js';
import { isLive, isReadable, type LiveRun, type Run } from './runLabels.js';

/** How long a run that was just made is shown before the following finds it, milliseconds. */
const FOUND_WITHIN_MS = 5000;

export class RunStore implements vscode.Disposable {
  readonly #followers = new Map<string, { runs: readonly Run[] | undefined; byDirectory: ReadonlyMap<string, Run>; dispose(): void }>();
  /** Just made here, and not found by the following yet. */
  readonly #made = new Map<string, Run>();
  readonly #changed = new vscode.EventEmitter<void>();
  readonly #subscriptions: { dispose(): unknown }[] = [this.#changed];

  /** Something about some run is different, or a run came or went. */
  readonly onDidChange = this.#changed.event;

  constructor(private readonly log: vscode.LogOutputChannel) {
    this.#subscriptions.push(vscode.workspace.onDidChangeWorkspaceFolders(() => this.#followFolders()));
    this.#followFolders();
  }

  /** False until each workspace folder was read once. */
  get complete(): boolean {
    return [...this.#followers.values()].every(({ runs }) => runs !== undefined);
  }

  /** Resolves once `complete`: a command may come as the first thing after the start, before the disk was read. */
  async whenComplete(): Promise<void> {
    if (this.complete) return;
    await new Promise<void>((resolve) => {
      const subscription = this.onDidChange(() => {
        if (!this.complete) return;
        subscription.dispose();
        resolve();
      });
    });
  }

  /** Every run, in no particular order. */
  all(): readonly Run[] {
    const followed = [...this.#followers.values()].flatMap(({ runs }) => runs ?? []).filter(({ directory }) => !this.#made.has(directory));
    return [...followed, ...this.#made.values()];
  }

  /** Takes in a run that was just made, so that it is there before the next look at the disk. */
  async include(directory: string): Promise<void> {
    const run = await readRun(directory, { within: this.workspaceFolderOf(directory) });
    const followed = this.get(directory);
    if (followed !== undefined && isReadable(followed)) return; // a folder seen before its record was written is not
    this.#made.set(directory, run);
    setTimeout(() => {
      if (this.#made.delete(directory)) this.#changed.fire();
    }, FOUND_WITHIN_MS);
    this.#changed.fire();
  }

  live(): readonly LiveRun[] {
    return this.all().filter(isLive);
  }

  get(directory: string): Run | undefined {
    const made = this.#made.get(directory);
    if (made !== undefined) return made;
    for (const { byDirectory } of this.#followers.values()) {
      const run = byDirectory.get(directory);
      if (run !== undefined) return run;
    }
    return undefined;
  }

  /** The workspace folder whose runs folder holds this directory directly; undefined for anything else, so that no other folder is ever read. */
  workspaceFolderOf(directory: string): string | undefined {
    if (directory !== path.normalize(directory)) return undefined;
    return [...this.#followers.keys()].find((folder) => path.dirname(directory) === runsFolderFor(folder));
  }

  dispose(): void {
    for (const follower of this.#followers.values()) follower.dispose();
    this.#followers.clear();
    for (const subscription of this.#subscriptions) subscription.dispose();
  }

  #followFolders(): void {
    const folders = new Set(localFolders());
    for (const [folder, follower] of this.#followers) {
      if (folders.has(folder)) continue;
      follower.dispose();
      this.#followers.delete(folder);
    }
    for (const folder of folders) {
      if (this.#followers.has(folder)) continue;
      const following = followRuns(runsFolderFor(folder), (runs) => {
        const follower = this.#followers.get(folder);
        if (follower === undefined) return;
        follower.runs = runs;
        follower.byDirectory = new Map(runs.map((run) => [run.directory, run]));
        for (const run of runs) if (isReadable(run)) this.#made.delete(run.directory);
        this.#changed.fire();
      }, { within: folder, onError: (error) => {
        this.log.warn(`${folder}: ${error instanceof Error ? error.message : String(error)}`);
        const follower = this.#followers.get(folder);
        if (follower === undefined || follower.runs !== undefined) return;
        follower.runs = []; // nothing that can be read: whoever waits need not wait on
        this.#changed.fire();
      } });
      this.#followers.set(folder, { runs: undefined, byDirectory: new Map(), dispose: () => following.dispose() });
    }
    this.#changed.fire();
  }
}

/** The workspace folders that are folders on this machine. */
export function localFolders(): string[] {
  return (vscode.workspace.workspaceFolders ?? []).filter(isOnThisMachine).map(({ uri }) => uri.fsPath);
}

/** On a remote the host sees `file` for what the window calls `vscode-remote`: both are folders on the machine that runs this. */
function isOnThisMachine({ uri }: vscode.WorkspaceFolder): boolean {
  return uri.scheme === 'file' || uri.scheme === 'vscode-remote';
}

/** The workspace folder that a path lies in, the innermost one. */
export function workspaceFolderHolding(candidate: string): string | undefined {
  return localFolders().filter((folder) => isWithin(folder, candidate)).sort((a, b) => b.length - a.length)[0];
}
