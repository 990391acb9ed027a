// The run panel's host side: a webview that is given complete snapshots. It holds nothing of its own but what is shown, so a hidden panel is
// thrown away (no retainContextWhenHidden) and one that comes back asks and gets everything at once.
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import * as v from 'valibot';
import * as vscode from 'vscode';
import type { Advice } from '../protocol/advice.js';
import type { Classification } from '../protocol/classification.js';
import type { Comparison } from '../protocol/comparison.js';
import { panelStateSchema, webviewMessageSchema, type HostMessage, type PanelState, type WebviewMessage } from '../protocol/messages.js';
import { translateRecorded } from '../protocol/recordedText.js';
import type { Strategy } from '../protocol/run.js';
import type { RunSnapshot } from '../protocol/snapshot.js';
import { compareRuns } from '../runs/compareRuns.js';
import { datasetFolder } from '../runs/datasetFolder.js';
import { readPredictions } from '../runs/readRun.js';
import { recipeNamed } from '../training/recipes.js';
import { inBackground } from './errorReport.js';
import { panelHtml } from './panelHtml.js';
import { pickRunsToCompare } from './pickRuns.js';
import { openPlainFile, openRunFile, stopTraining } from './runCommands.js';
import { plainName } from './plainText.js';
import { byNewest, isReadable, runTitle } from './runLabels.js';
import { workspaceFolderHolding } from './runStore.js';
import type { Services } from './services.js';
import { exportStudyTable, resumeStudy, stopRunningStudy } from './study.js';
import { isUnreadableStudy } from '../study/snapshot.js';
import { resolveStored } from '../study/studyFolder.js';
import { startRun, type RunRequest } from './startRun.js';
import { requireTrust, whyNoTraining } from './trust.js';

export const PANEL_TYPE = 'thaw.run';

/** At most this many posts a second, whatever the disk says. */
const POSTS_PER_SECOND = 4;
/** How long the note after a reload stands where the progress is otherwise, milliseconds. */
const NOTE_MS = 6000;

/** The panels of this window: one is used again for each run that is opened; a reload may bring several back. */
export class RunPanels implements vscode.Disposable {
  /** The last one used is the last. */
  readonly #open: RunPanel[] = [];
  readonly #shown = new vscode.EventEmitter<string>();
  #services: Services | undefined;

  /** The folder of the run that a panel has turned to. */
  readonly onDidShowRun = this.#shown.event;

  /** The panels and what they use know each other; called once, when all is made. */
  connect(services: Services): void {
    this.#services = services;
  }

  openRun(directory: string): void {
    this.#panel().showRun(directory);
    this.#shown.fire(directory);
  }

  openComparison(directories: readonly string[]): void {
    this.#panel().showComparison(directories);
  }

  openStudy(directory: string): void {
    this.#panel().showStudy(directory);
  }

  openClassification(classification: Classification): void {
    this.#panel().showClassification(classification);
  }

  openAdvice(advice: Advice): void {
    this.#panel().showAdvice(advice);
  }

  /** Takes over a panel that VS Code brought back after a reload. */
  restore(panel: vscode.WebviewPanel, state: unknown): void {
    const remembered = v.safeParse(panelStateSchema, state);
    this.#adopt(panel).restore(remembered.success ? remembered.output : undefined);
  }

  /** Posts to every panel that is seen. */
  update(): void {
    for (const panel of this.#open) panel.updateSoon();
  }

  dispose(): void {
    for (const panel of [...this.#open]) panel.dispose();
    this.#shown.dispose();
  }

  #panel(): RunPanel {
    const last = this.#open.at(-1);
    if (last) {
      last.reveal();
      return last;
    }
    return this.#adopt(vscode.window.createWebviewPanel(PANEL_TYPE, 'Thaw', vscode.ViewColumn.Active));
  }

  #adopt(webviewPanel: vscode.WebviewPanel): RunPanel {
    if (this.#services === undefined) throw new Error('RunPanels is used before it is connected');
    const panel = new RunPanel(webviewPanel, this.#services);
    this.#open.push(panel);
    webviewPanel.onDidDispose(() => {
      this.#open.splice(this.#open.indexOf(panel), 1);
    });
    webviewPanel.onDidChangeViewState(() => {
      if (!webviewPanel.active || this.#open.at(-1) === panel) return;
      this.#open.splice(this.#open.indexOf(panel), 1);
      this.#open.push(panel);
    });
    return panel;
  }
}

class RunPanel {
  #run: string | undefined;
  #tab: PanelState['tab'] = 'run';
  #compared: readonly string[] = [];
  #study: string | undefined;
  /** The images last classified; not on disk, so a reload of the window forgets them. */
  #classification: Classification | undefined;
  #advice: Advice | undefined;
  /** The script has asked for everything and listens. */
  #ready = false;
  /** The host chose the tab while the script was not there yet. */
  #tabChosen = false;
  /** Said for a moment, under the progress bar: that the panel came back after a reload. */
  #note: string | undefined;
  #noteTimer: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lastPost = 0;
  /** The comparison last computed, and of what. */
  #comparison: { readonly key: string; readonly directories: readonly string[]; readonly message: HostMessage } | undefined;
  #posting: Promise<void> = Promise.resolve();
  /** The tab is closed: VS Code throws at any touch, and what was awaited meanwhile has nobody to show it to. */
  #disposed = false;
  /** A training that was asked for is being started: until then another click asks for the same one. */
  #starting = false;

  constructor(private readonly panel: vscode.WebviewPanel, private readonly services: Services) {
    const { webview } = panel;
    const { dist } = services.installation;
    webview.options = { enableScripts: true, localResourceRoots: [dist], enableCommandUris: false };
    webview.onDidReceiveMessage((message: unknown) => {
      const parsed = v.safeParse(webviewMessageSchema, message);
      if (parsed.success) inBackground(services.log, this.#receive(parsed.output));
      else services.log.warn('The panel sent a message that Thaw does not know.');
    });
    panel.onDidChangeViewState(() => {
      if (panel.visible) this.updateSoon();
      else this.#ready = false; // its document is gone; the next one says ready
    });
    panel.onDidDispose(() => {
      this.#disposed = true;
      clearTimeout(this.#timer);
      clearTimeout(this.#noteTimer);
    });
    webview.html = panelHtml({
      nonce: randomBytes(16).toString('hex'),
      cspSource: webview.cspSource,
      script: webview.asWebviewUri(vscode.Uri.joinPath(dist, 'webview.js')).toString(),
      style: webview.asWebviewUri(vscode.Uri.joinPath(dist, 'webview.css')).toString(),
      language: vscode.env.language,
      words: vscode.l10n.bundle,
    });
  }

  reveal(): void {
    this.panel.reveal(undefined, false);
  }

  dispose(): void {
    this.panel.dispose();
  }

  showRun(directory: string): void {
    if (!this.#comparedNow().includes(directory)) this.#compared = [];
    this.#run = directory;
    this.#note = undefined;
    this.#show('run');
  }

  showComparison(directories: readonly string[]): void {
    this.#compared = directories;
    if (this.#run === undefined || !directories.includes(this.#run)) this.#run = directories[0] ?? this.#run;
    this.#show('compare');
  }

  showClassification(classification: Classification): void {
    this.#classification = classification;
    this.#run ??= classification.directory;
    this.#show('classify');
  }

  showAdvice(advice: Advice): void {
    this.#advice = advice;
    this.#show('advice');
  }

  showStudy(directory: string): void {
    this.#study = directory;
    this.services.studies.follow(directory);
    this.#show('study');
  }

  restore(state: PanelState | undefined): void {
    if (state === undefined) return;
    this.#remember(state);
    this.#note = vscode.l10n.t('Redrawn from the run folder after a reload');
    this.#noteTimer = setTimeout(() => {
      this.#note = undefined;
      this.updateSoon();
    }, NOTE_MS);
  }

  /** Posts now, or when the last post is long enough ago. */
  updateSoon(): void {
    if (this.#disposed || !this.panel.visible || !this.#ready || this.#timer !== undefined) return;
    const wait = Math.max(0, this.#lastPost + 1000 / POSTS_PER_SECOND - Date.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#postAll();
    }, wait);
  }

  #show(tab: PanelState['tab']): void {
    this.#tab = tab;
    this.#tabChosen = !this.#ready;
    this.#title();
    if (this.#ready) this.#postAllAndTurn();
  }

  /** The tab is turned to once everything was posted: turning, the script says what it compares, and must have been told by then. */
  #postAllAndTurn(): void {
    this.#postAll();
    this.#posting = this.#posting.then(() => this.#post({ type: 'show', tab: this.#tab }));
  }

  /** Only runs of open folders are taken from a remembered state: anything else in it is dropped. */
  #remember(state: PanelState): void {
    const known = (directory: string): boolean => this.services.runs.workspaceFolderOf(directory) !== undefined;
    if (state.run !== undefined && known(state.run)) this.#run = state.run;
    this.#compared = state.compared.filter(known);
    if (state.advice !== undefined && workspaceFolderHolding(state.advice) !== undefined) this.#advice = this.services.advice.get(state.advice);
    if (state.study !== undefined && this.services.studies.workspaceFolderOf(state.study) !== undefined) {
      this.#study = state.study;
      this.services.studies.follow(state.study);
    }
    const gone = (state.tab === 'classify' && this.#classification === undefined) || (state.tab === 'advice' && this.#advice === undefined) || (state.tab === 'study' && this.#study === undefined);
    this.#tab = gone ? 'run' : state.tab;
  }

  async #receive(message: WebviewMessage): Promise<void> {
    const { services } = this;
    switch (message.type) {
      case 'ready':
        this.#ready = true;
        this.#comparison = undefined; // a new document has got nothing yet
        if (this.#run === undefined && this.#advice === undefined && this.#study === undefined && message.state) this.#remember(message.state);
        if (this.#tabChosen) this.#postAllAndTurn();
        else this.#postAll();
        this.#tabChosen = false;
        return;
      case 'state':
        // There a run can only be added to what is compared; a list that lacks something is what it had before, said late.
        if (this.#comparedNow().every((directory) => message.state.compared.includes(directory))) {
          this.#compared = message.state.compared.filter((directory) => services.runs.workspaceFolderOf(directory) !== undefined);
        }
        this.#tab = message.state.tab;
        this.#title();
        this.updateSoon();
        return;
      case 'stop':
        await this.#stop(message.directory);
        return;
      case 'trainAgain': {
        const run = services.runs.get(message.directory);
        if (run !== undefined && isReadable(run)) await this.#start(datasetFolder(run.directory, run.record), { configuration: run.record.configuration });
        return;
      }
      case 'train':
        await vscode.commands.executeCommand(message.strategy === 'freeze' ? 'thaw.trainWithFreeze' : 'thaw.trainWithFinetune');
        return;
      case 'trainAdvised': {
        const advice = this.#adviceOn(message.dataset);
        if (advice !== undefined) await this.#trainAdvised(advice, message.strategy);
        return;
      }
      case 'adviseAgain': {
        const advice = this.#adviceOn(message.dataset);
        if (advice !== undefined) await vscode.commands.executeCommand('thaw.whichStrategy', vscode.Uri.file(advice.dataset.path), { pilot: true, network: advice.network });
        return;
      }
      case 'openLog':
        await openRunFile(services, message.directory, 'trainer.log');
        return;
      case 'openRecord':
        await openRunFile(services, message.directory, 'run.json');
        return;
      case 'addRun': {
        const compared = this.#comparedNow();
        const chosen = await pickRunsToCompare(services, compared);
        if (chosen) this.showComparison(chosen);
        return;
      }
      case 'removeRun':
        this.showComparison(this.#comparedNow().filter((directory) => directory !== message.directory));
        return;
      case 'openRun':
        if (services.runs.workspaceFolderOf(message.directory) !== undefined) services.panels.openRun(message.directory);
        return;
      case 'stopStudy':
        await stopRunningStudy(services, message.directory);
        return;
      case 'resumeStudy':
        if (await requireTrust() && await services.engine.ensureReady()) await resumeStudy(services, message.directory);
        return;
      case 'exportStudy': {
        const { study } = services.studies.get(message.directory);
        if (study !== undefined && !isUnreadableStudy(study)) await exportStudyTable(study);
        return;
      }
      case 'openStudyLog':
        if (services.studies.workspaceFolderOf(message.directory) !== undefined) await openPlainFile(path.join(message.directory, 'trainer.log'));
        return;
      case 'openStudyRun': {
        const { study } = services.studies.get(message.directory);
        if (study === undefined || isUnreadableStudy(study)) return;
        const { record: { runs, plan } } = study;
        const dataset = plan.datasets[runs.find(({ run }) => run === message.run)?.dataset ?? -1];
        if (dataset === undefined) return;
        const directory = path.join(resolveStored(dataset.runs, study.directory), message.run);
        if (services.runs.workspaceFolderOf(directory) !== undefined) services.panels.openRun(directory);
        return;
      }
      case 'classify':
        await vscode.commands.executeCommand('thaw.classifyImage');
        return;
      case 'scriptError':
        services.log.error(`The panel's script: ${message.message}`);
        return;
    }
  }

  /** What the panel shows, or what is kept on a folder that is open. */
  #adviceOn(folder: string): Advice | undefined {
    if (this.#advice?.dataset.path === folder) return this.#advice;
    return workspaceFolderHolding(folder) === undefined ? undefined : this.services.advice.get(folder);
  }

  async #stop(directory: string): Promise<void> {
    try {
      await stopTraining(this.services, directory);
    } catch (error) {
      this.#post({ type: 'stopFailed', directory });
      throw error;
    }
  }

  /** With the network that was measured, which may not be the one chosen since. */
  #trainAdvised({ dataset, network: { colour, backbone, weights } }: Advice, strategy: Strategy): Promise<void> {
    return this.#start(dataset.path, { strategy, colour, network: { backbone, ...(weights !== undefined && { weights }) }, recipe: recipeNamed('default', strategy, backbone) });
  }

  async #start(dataset: string, request: RunRequest): Promise<void> {
    if (this.#starting) return;
    this.#starting = true;
    try {
      if (await requireTrust() && await this.services.engine.ensureReady()) this.services.panels.openRun(await startRun(this.services, dataset, request));
    } finally {
      this.#starting = false;
    }
  }

  #snapshot(): RunSnapshot | undefined {
    const run = this.#run === undefined ? undefined : this.services.runs.get(this.#run);
    return run !== undefined && isReadable(run) ? run : undefined;
  }

  #title(): void {
    if (this.#disposed) return;
    const run = this.#snapshot();
    if (this.#tab === 'advice' && this.#advice !== undefined) this.panel.title = vscode.l10n.t('Advice: {0}', plainName(this.#advice.dataset.name));
    else if (this.#tab === 'study') this.panel.title = vscode.l10n.t('Study');
    else if (run === undefined) this.panel.title = 'Thaw';
    else if (this.#tab === 'classify') this.panel.title = vscode.l10n.t('Classified images');
    else if (this.#tab === 'compare') this.panel.title = vscode.l10n.t('Compare: {0}', plainName(run.record.dataset.name));
    else this.panel.title = runTitle(run, this.services.l10n);
  }

  #post(message: HostMessage): void {
    if (!this.#disposed) void this.panel.webview.postMessage(message);
  }

  /** Everything that the panel can show, whole. */
  #postAll(): void {
    if (!this.#ready) return;
    this.#lastPost = Date.now();
    const { runs } = this.services;
    this.#title();
    const run = this.#run === undefined ? undefined : runs.get(this.#run);
    const cannotTrain = whyNoTraining();
    const note = run !== undefined ? this.#note : this.#run === undefined ? undefined
      : runs.complete ? vscode.l10n.t('The run folder {0} is gone', path.basename(this.#run)) : vscode.l10n.t('Reading the runs');
    this.#post({ type: 'run', run, ...(note !== undefined && { note }), now: Date.now(), ...(cannotTrain !== undefined && { cannotTrain }) });
    this.#post({ type: 'classification', classification: this.#classification });
    this.#post({ type: 'advice', advice: this.#advice, ...(cannotTrain !== undefined && { cannotTrain }) });
    if (this.#study !== undefined) this.#post({ type: 'study', ...this.services.studies.get(this.#study), ...(cannotTrain !== undefined && { cannotTrain }) });
    this.#posting = this.#posting.catch(() => undefined).then(() => this.#postComparison()); // a failure is reported once, below
    inBackground(this.services.log, this.#posting);
  }

  /** What is compared: as chosen; else the run shown and the newest one on the same dataset of another strategy, in the same colour, or of another colour. */
  #comparedNow(): readonly string[] {
    if (this.#compared.length > 0) return this.#compared;
    const shown = this.#snapshot();
    if (shown === undefined) return [];
    const { runs } = this.services;
    const others = runs.all().filter(isReadable).sort(byNewest).filter((run) =>
      run.epochs.length > 0 && run.record.dataset.path === shown.record.dataset.path && runs.workspaceFolderOf(run.directory) === runs.workspaceFolderOf(shown.directory));
    const { strategy, colour } = shown.record.configuration;
    const partner = others.find(({ record: { configuration } }) => configuration.strategy !== strategy && configuration.colour === colour)
      ?? others.find(({ record: { configuration } }) => configuration.colour !== colour);
    return partner ? [shown.directory, partner.directory] : [shown.directory];
  }

  async #postComparison(): Promise<void> {
    const snapshots = this.#comparedNow().map((directory) => this.services.runs.get(directory)).filter((run) => run !== undefined).filter(isReadable);
    const key = JSON.stringify(snapshots.map((run) => [run.directory, run.state, run.epochs.length]));
    const directories = snapshots.map(({ directory }) => directory);
    // Behind the other tab only a change of what is compared counts: predictions are not read again at each epoch.
    if (this.#tab !== 'compare' && this.#comparison?.directories.join('\n') === directories.join('\n')) return;
    if (this.#comparison?.key !== key) this.#comparison = { key, directories, message: await this.#compare(snapshots) };
    this.#post(this.#comparison.message);
  }

  async #compare(snapshots: readonly RunSnapshot[]): Promise<HostMessage> {
    if (snapshots.length === 0) return { type: 'comparison', comparison: undefined, reason: vscode.l10n.t('Choose two runs to compare') };
    try {
      const comparison: Comparison = await compareRuns(snapshots, {
        predictions: (run) => readPredictions(run.directory, { within: this.services.runs.workspaceFolderOf(run.directory) }),
        l10n: this.services.l10n,
      });
      return { type: 'comparison', comparison };
    } catch (error) {
      this.services.log.error(error instanceof Error ? error : String(error));
      return { type: 'comparison', comparison: undefined, reason: translateRecorded(error instanceof Error ? error.message : String(error), this.services.l10n) };
    }
  }
}

export function register(context: vscode.ExtensionContext, services: Services): void {
  services.panels.connect(services);
  context.subscriptions.push(
    services.panels,
    services.runs.onDidChange(() => services.panels.update()),
    services.studies.onDidChange(() => services.panels.update()),
    vscode.workspace.onDidGrantWorkspaceTrust(() => services.panels.update()),
    vscode.window.registerWebviewPanelSerializer(PANEL_TYPE, {
      deserializeWebviewPanel: (panel, state: unknown) => {
        services.panels.restore(panel, state);
        return Promise.resolve();
      },
    }),
  );
}
