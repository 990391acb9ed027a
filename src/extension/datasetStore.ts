// The image folders of the workspace: found by a bounded walk, and those that the person added. Nothing is searched in Restricted Mode.
import path from 'node:path';
import * as vscode from 'vscode';
import { looksLikeDataset } from '../dataset/listing.js';
import { ThawError } from '../protocol/errors.js';
import { findDatasets, type FoundDataset } from './datasetSearch.js';
import { plainName } from './plainText.js';
import { localFolders, workspaceFolderHolding } from './runStore.js';

/** A dataset as the view shows it. `added`: named by the person; it stays even when the search would not find it. */
export interface KnownDataset extends FoundDataset {
  readonly added: boolean;
}

const ADDED_KEY = 'thaw.addedDatasets';
/** Files come and go in bursts: one search after the last of them, milliseconds. */
const SETTLE_MS = 1500;

export class DatasetStore implements vscode.Disposable {
  #datasets: readonly KnownDataset[] = [];
  #complete = true;
  #search: { readonly controller: AbortController; readonly done: Promise<void> } | undefined;
  #watcher: vscode.Disposable | undefined;
  #settle: NodeJS.Timeout | undefined;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly #subscriptions: { dispose(): unknown }[] = [this.#changed];

  readonly onDidChange = this.#changed.event;

  constructor(private readonly memory: vscode.Memento, private readonly log: vscode.LogOutputChannel) {
    this.#subscriptions.push(
      vscode.workspace.onDidChangeWorkspaceFolders(() => this.#searchSoon(0)),
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.#searchSoon(0)),
    );
  }

  /** False when a bound ended the search before everything was seen. */
  get complete(): boolean {
    return this.#complete;
  }

  /** As last found; the first call searches and from then on the workspace is watched. */
  async all(): Promise<readonly KnownDataset[]> {
    if (this.#watcher === undefined) {
      this.#watch();
      await this.refresh();
    }
    while (this.#search !== undefined) await this.#search.done; // one that was overtaken has found nothing
    return this.#datasets;
  }

  /** Searches again; resolves when the search is over. */
  async refresh(): Promise<void> {
    this.#search?.controller.abort();
    const controller = new AbortController();
    const search = { controller, done: this.#find(controller.signal) };
    this.#search = search;
    await search.done;
    if (this.#search === search) this.#search = undefined;
  }

  /**
   * Adds a folder inside the workspace.
   * @throws ThawError when it lies outside or isn't a dataset
   */
  async add(folder: string): Promise<void> {
    const shown = plainName(path.basename(folder));
    if (workspaceFolderHolding(folder) === undefined) {
      throw new ThawError('input', 'outside-workspace', vscode.l10n.t('{0} lies outside the open folders', shown), vscode.l10n.t('Open it, or the folder that holds it, as a workspace folder first'));
    }
    if (await looksLikeDataset(folder) === undefined) {
      throw new ThawError('input', 'not-a-dataset', vscode.l10n.t('{0} is not a dataset', shown), vscode.l10n.t('Choose a folder that has one subfolder of images for each class'));
    }
    await this.memory.update(ADDED_KEY, [...new Set([...this.#added(), folder])]);
    await this.refresh();
  }

  /** Forgets a folder that was added; the folder itself stays as it is. */
  async remove(folder: string): Promise<void> {
    await this.memory.update(ADDED_KEY, this.#added().filter((each) => each !== folder));
    await this.refresh();
  }

  dispose(): void {
    clearTimeout(this.#settle);
    this.#search?.controller.abort();
    this.#watcher?.dispose();
    for (const subscription of this.#subscriptions) subscription.dispose();
  }

  #added(): string[] {
    const stored = this.memory.get<unknown>(ADDED_KEY);
    return Array.isArray(stored) ? stored.filter((folder) => typeof folder === 'string') : [];
  }

  async #find(signal: AbortSignal): Promise<void> {
    const found = new Map<string, KnownDataset>();
    let complete = true;
    try {
      if (vscode.workspace.isTrusted) {
        for (const folder of localFolders()) {
          const result = await findDatasets(folder, { signal });
          complete &&= result.complete;
          for (const dataset of result.datasets) found.set(dataset.root, { ...dataset, added: false });
        }
        for (const root of this.#added().filter((folder) => workspaceFolderHolding(folder) !== undefined)) {
          const summary = await looksLikeDataset(root);
          if (summary) found.set(root, { root, ...summary, added: true });
        }
      }
    } catch (error) {
      if (signal.aborted) return; // a newer search is under way
      this.log.warn(`Search for datasets: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (signal.aborted) return;
    this.#datasets = [...found.values()].sort((a, b) => (a.root < b.root ? -1 : 1));
    this.#complete = complete;
    this.#changed.fire();
  }

  #watch(): void {
    const watcher = vscode.workspace.createFileSystemWatcher('**/*', false, true, false);
    const changed = (uri: vscode.Uri): void => {
      // A run writes into .thaw all the time; git into .git; neither is a dataset.
      if (!/[\\/]\.[^\\/]+[\\/]|[\\/]node_modules[\\/]/.test(uri.fsPath)) this.#searchSoon(SETTLE_MS);
    };
    this.#watcher = vscode.Disposable.from(watcher, watcher.onDidCreate(changed), watcher.onDidDelete(changed));
  }

  #searchSoon(delay: number): void {
    if (this.#watcher === undefined) return; // nobody has asked yet
    clearTimeout(this.#settle);
    this.#settle = setTimeout(() => void this.refresh(), delay);
  }
}
