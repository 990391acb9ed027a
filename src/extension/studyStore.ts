// The studies that this window has opened or started, followed on disk; and what their datasets look like.
import path from 'node:path';
import * as v from 'valibot';
import * as vscode from 'vscode';
import type { StudySample } from '../protocol/messages.js';
import type { StudyRecord, StudySnapshot, UnreadableStudy } from '../protocol/study.js';
import { isLiveState } from '../runs/liveness.js';
import { runsFolderFor } from '../runs/runFolder.js';
import { isUnreadableStudy, readStudySnapshot } from '../study/snapshot.js';
import { allDatasetsIn, listStudies, readStudyRecord, studiesFolderFor } from '../study/studyFolder.js';
import { runCli } from './cliProcess.js';
import { inBackground } from './errorReport.js';
import type { Installation } from './installation.js';
import { localFolders, workspaceFolderHolding, type RunStore } from './runStore.js';

const POLL_MS = 1000;
/** Studies that have ended are looked at each fifth time: another window, or a terminal, may resume them. */
const ENDED_EVERY = 5;
/** How long a process may take to say that it is there. */
const STARTS_WITHIN_MS = 15_000;
/** How long after a failure pictures are asked for again. */
const SAMPLES_AGAIN_MS = 60_000;
/** Studies of which one may be that of a run that has ended; the newest. */
const MOST_LOOKED_AT = 20;
/** Pictures of each dataset. */
const SAMPLES = 6;

const sampleLine = v.object({ type: v.literal('sample'), dataset: v.pipe(v.number(), v.safeInteger(), v.minValue(0)), thumbnail: v.pipe(v.string(), v.maxLength(65_536), v.base64()) });

interface Followed {
  study: StudySnapshot | UnreadableStudy | undefined;
  /** The snapshot as text, to see that nothing has changed. */
  text: string;
  samples: readonly StudySample[];
  /** Until then it is looked at each time, whatever it was: its process may be starting. Milliseconds since 1970. */
  closelyUntil: number;
  /** When the trainer may be asked for pictures, milliseconds since 1970; never again once it has made them. */
  askAt: number;
  /** How long to wait after the next failure, milliseconds: twice as long each time. */
  askAgainMs: number;
}

export class StudyStore implements vscode.Disposable {
  readonly #followed = new Map<string, Followed>();
  readonly #changed = new vscode.EventEmitter<void>();
  readonly #aborted = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #reading = false;
  #round = 0;

  readonly onDidChange = this.#changed.event;

  constructor(private readonly runs: RunStore, private readonly installation: Installation, private readonly log: vscode.LogOutputChannel) {}

  /** The workspace folder whose studies folder holds this directory directly; undefined for anything else, so that no other folder is ever read. */
  workspaceFolderOf(directory: string): string | undefined {
    if (directory !== path.normalize(directory)) return undefined;
    return localFolders().find((folder) => path.dirname(directory) === studiesFolderFor(runsFolderFor(folder)));
  }

  /** Every study of the open folders, the newest first in each. */
  async all(): Promise<string[]> {
    return (await Promise.all(localFolders().map((folder) => listStudies(studiesFolderFor(runsFolderFor(folder)))))).flat();
  }

  /** Follows a study from now on. */
  follow(directory: string): void {
    if (this.workspaceFolderOf(directory) === undefined) return;
    const closelyUntil = Date.now() + STARTS_WITHIN_MS;
    const followed = this.#followed.get(directory);
    if (followed === undefined) this.#followed.set(directory, { study: undefined, text: '', samples: [], closelyUntil, askAt: 0, askAgainMs: SAMPLES_AGAIN_MS });
    else followed.closelyUntil = closelyUntil;
    this.#look();
  }

  get(directory: string): { readonly study: StudySnapshot | UnreadableStudy | undefined; readonly samples: readonly StudySample[] } {
    return this.#followed.get(directory) ?? { study: undefined, samples: [] };
  }

  /**
   * Whether a run belongs to a study: the study tells its end, the run need not. One that a terminal or another window has started is followed from
   * then on.
   */
  async owns(runDirectory: string): Promise<boolean> {
    const id = path.basename(runDirectory);
    const holds = ({ runs }: StudyRecord): boolean => runs.some(({ run }) => run === id);
    if ([...this.#followed.values()].some(({ study }) => study !== undefined && !isUnreadableStudy(study) && holds(study.record))) return true;
    const newest = (await this.all()).sort((a, b) => (path.basename(a) < path.basename(b) ? 1 : -1)).slice(0, MOST_LOOKED_AT);
    for (const directory of newest) {
      const read = await this.readRecord(directory);
      if ('reason' in read || !holds(read.record)) continue;
      this.follow(directory);
      return isLiveState(read.state); // of one that has ended meanwhile nobody tells the end but its last run
    }
    return false;
  }

  /** What the study's folder says alone, without its runs. */
  async readRecord(directory: string): ReturnType<typeof readStudyRecord> {
    return readStudyRecord(directory, { within: this.workspaceFolderOf(directory) });
  }

  async read(directory: string): Promise<StudySnapshot | UnreadableStudy> {
    return readStudySnapshot(directory, {
      within: this.workspaceFolderOf(directory),
      run: (run) => Promise.resolve(this.runs.workspaceFolderOf(run) === undefined ? undefined : this.runs.get(run)), // only runs of open folders
    });
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#aborted.abort();
    this.#changed.dispose();
  }

  #look(): void {
    if (this.#reading) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#reading = true;
    inBackground(this.log, this.#readAll().finally(() => {
      this.#reading = false;
      if (!this.#aborted.signal.aborted && this.#followed.size > 0) this.#timer = setTimeout(() => this.#look(), POLL_MS);
    }));
  }

  async #readAll(): Promise<void> {
    let changed = false;
    const all = this.#round++ % ENDED_EVERY === 0;
    for (const [directory, followed] of this.#followed) {
      if (this.workspaceFolderOf(directory) === undefined) { // its folder was closed
        this.#followed.delete(directory);
        changed = true;
        continue;
      }
      const before = followed.study;
      if (!all && followed.closelyUntil < Date.now() && before !== undefined && !isUnreadableStudy(before) && !isLiveState(before.state)) continue;
      const study = await this.read(directory).catch((error: unknown): UnreadableStudy => ({ directory, id: path.basename(directory), reason: error instanceof Error ? error.message : String(error) }));
      if (isUnreadableStudy(study) && !(before !== undefined && isUnreadableStudy(before))) this.log.warn(`${directory}: ${study.reason}`);
      // Looked at anew each time: trust may be granted, or a folder opened, later.
      if (followed.askAt <= Date.now() && !isUnreadableStudy(study) && mayDecode(study)) {
        followed.askAt = Infinity;
        inBackground(this.log, this.#readSamples(directory));
      }
      const text = JSON.stringify(study);
      if (text === followed.text) continue;
      Object.assign(followed, { study, text });
      changed = true;
      if (before === undefined || isUnreadableStudy(before) || isUnreadableStudy(study)) continue;
      if (isLiveState(before.state) && !isLiveState(study.state)) this.#tellEnd(study);
    }
    if (changed && !this.#aborted.signal.aborted) this.#changed.fire();
  }

  #tellEnd({ state, directory, record }: StudySnapshot): void {
    if (state === 'stopped') return; // who stopped it knows
    const open = vscode.l10n.t('Open Study');
    const done = record.runs.filter((run) => run.state === 'finished').length;
    const text = state === 'finished' ? vscode.l10n.t('The study has finished: {0} of {1} runs.', done, record.runs.length) : vscode.l10n.t('The study has ended early: {0} of {1} runs are done.', done, record.runs.length);
    const told = state === 'finished' ? vscode.window.showInformationMessage(text, open) : vscode.window.showWarningMessage(text, open);
    void told.then((chosen) => { if (chosen === open) void vscode.commands.executeCommand('thaw.openStudy', directory); });
  }

  /** Pictures are made by the trainer: the host decodes none. Without them the strip stays empty. */
  async #readSamples(directory: string): Promise<void> {
    const samples: StudySample[] = [];
    try {
      await runCli(this.installation, {
        arguments: ['study', directory, '--samples', String(SAMPLES), '--json'], signal: this.#aborted.signal, onDiagnostic: (text) => this.log.info(text),
        onLine: (line) => {
          const parsed = v.safeParse(sampleLine, line);
          if (parsed.success) samples.push({ dataset: parsed.output.dataset, thumbnail: parsed.output.thumbnail });
        },
      });
    } catch (error) {
      const failed = this.#followed.get(directory);
      if (failed !== undefined) {
        failed.askAt = Date.now() + failed.askAgainMs;
        failed.askAgainMs *= 2;
      }
      if (!this.#aborted.signal.aborted) this.log.warn(`No pictures of ${directory}: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    const followed = this.#followed.get(directory);
    if (followed === undefined) return;
    followed.samples = samples;
    if (!this.#aborted.signal.aborted) this.#changed.fire();
  }
}

/** A study that came with a folder names its datasets itself: images are decoded only where the workspace is trusted, and only those of open folders. */
function mayDecode({ record, directory }: StudySnapshot): boolean {
  return vscode.workspace.isTrusted && allDatasetsIn(record.plan, directory, (folder) => workspaceFolderHolding(folder) !== undefined);
}
