// TensorFlow and the pretrained weights: asked for once before the first run, fetched with progress, checked and described on demand.
import * as v from 'valibot';
import * as vscode from 'vscode';
import { NODE_PINS, pinsFor } from '../engine/pins.js';
import { findRuntime } from '../engine/runtime.js';
import { formatBytes } from '../metrics/format.js';
import { findWeights } from '../network/weights/cache.js';
import { EXIT, ThawError } from '../protocol/errors.js';
import { translateRecorded } from '../protocol/recordedText.js';
import { DEFAULT_BACKBONE } from '../protocol/run.js';
import { cacheFolder } from '../storage/folders.js';
import { runCli } from './cliProcess.js';
import { CANCELLED, runCliWithProgress } from './cliProgress.js';
import type { CommandHandlers } from './commandTable.js';
import type { Installation } from './installation.js';
import { plainText, sentences } from './plainText.js';
import type { Services } from './services.js';
import { describeSetUp, doctorSchema, type DoctorReport } from './setUpReport.js';
import { whyNoTraining } from './trust.js';

const clearedLine = v.object({ freedBytes: v.number() });

export class EngineSetUp {
  #underWay: Promise<boolean> | undefined;

  constructor(private readonly installation: Installation, private readonly log: vscode.LogOutputChannel) {}

  /** What is not there yet; a look at the disk, no process. */
  missing(): { readonly runtime: boolean; readonly weights: boolean; readonly check: boolean } {
    const environment = this.installation.environment();
    return { check: !this.installation.checked, runtime: findRuntime({ environment }) === undefined, weights: findWeights(DEFAULT_BACKBONE, environment) === undefined };
  }

  /**
   * True when training can start: at once when all is there, else after asking and setting up. False when the person declines or cancels.
   * @throws ThawError `unsupported-platform`
   */
  async ensureReady(): Promise<boolean> {
    this.#underWay ??= this.#provide().finally(() => { this.#underWay = undefined; });
    return this.#underWay;
  }

  async #provide(): Promise<boolean> {
    const missing = this.missing();
    if (Object.values(missing).every((part) => !part)) return true;
    if (missing.runtime) pinsFor('cpu'); // where there is nothing to fetch, that is said instead of a question
    const setUp = vscode.l10n.t('Set Up');
    // Modal, as every caller waits for the answer: a toast folds into the bell, unanswered.
    const { question, detail } = this.#question(missing);
    // An editor whose own program has changed is only checked anew.
    if ((missing.runtime || missing.weights) && await vscode.window.showInformationMessage(question, { modal: true, detail }, setUp) !== setUp) return false;
    return this.#untilSetUp();
  }

  /** Sets up, as often as the person wants to try. */
  async #untilSetUp(): Promise<boolean> {
    const again = vscode.l10n.t('Try Again');
    const fetchNode = vscode.l10n.t('Fetch Node');
    const showLog = vscode.l10n.t('Show Log');
    for (let fetching = false; ;) {
      try {
        return await this.#setUp(fetching);
      } catch (error) {
        this.log.error(error instanceof Error ? error : String(error));
        const needsNode = error instanceof ThawError && error.code === 'editor-cannot-load';
        const chosen = needsNode
          ? await vscode.window.showErrorMessage(vscode.l10n.t('This editor\'s own program can\'t load TensorFlow'), { modal: true, detail: sentences(
            translateRecorded(error.message, vscode.l10n), vscode.l10n.t('Thaw can train by Node instead. Downloads Node, {0}, to {1}', formatBytes(NODE_PINS.wheel.bytes), plainText(cacheFolder(this.installation.environment()))),
          ) }, fetchNode, again, showLog)
          : await vscode.window.showErrorMessage(failureText(error), { modal: true }, again, showLog);
        if (chosen === showLog) this.log.show();
        fetching ||= chosen === fetchNode;
        if (chosen !== again && chosen !== fetchNode) return false;
      }
    }
  }

  /** Sets up although nothing is missing: everything is checked, and what is damaged is said. */
  async setUpAgain(): Promise<boolean> {
    this.#underWay ??= this.#untilSetUp().finally(() => { this.#underWay = undefined; });
    return this.#underWay;
  }

  #question(missing: { runtime: boolean; weights: boolean }): { readonly question: string; readonly detail: string } {
    const folder = plainText(cacheFolder(this.installation.environment()));
    if (!missing.weights) return { question: vscode.l10n.t('Thaw needs TensorFlow'), detail: vscode.l10n.t('Downloads TensorFlow 2.21, 274 MB, to {0}.', folder) };
    if (!missing.runtime) return { question: vscode.l10n.t('Thaw needs ImageNet weights'), detail: vscode.l10n.t('Downloads ImageNet weights, 19 MB, to {0}.', folder) };
    return { question: vscode.l10n.t('Thaw needs TensorFlow and ImageNet weights'), detail: vscode.l10n.t('Downloads TensorFlow 2.21, 274 MB, and ImageNet weights, 19 MB, to {0}.', folder) };
  }

  /** Runs `thaw setup`; false when the person cancels. */
  async #setUp(fetchNode: boolean): Promise<boolean> {
    const { installation } = this;
    const outcome = await runCliWithProgress({ cliScript: installation.cliScript, environment: () => installation.environment(), ...installation.own }, this.log, vscode.l10n.t('Setting up Thaw'), ['setup', ...(fetchNode ? ['--fetch-node'] : []), '--json']);
    if (outcome !== CANCELLED) return true;
    this.log.info('Set-up cancelled; what was downloaded whole is kept, and nothing half-finished is used.');
    return false;
  }
}

function failureText(error: unknown): string {
  return error instanceof ThawError ? sentences(translateRecorded(error.message, vscode.l10n), translateRecorded(error.next, vscode.l10n)) : sentences(error instanceof Error ? error.message : String(error));
}

/** Whether this workspace is trusted only the editor knows. */
function withTrust({ checks }: DoctorReport): DoctorReport {
  const reason = whyNoTraining();
  return { checks: [...checks, { name: 'Workspace trust', state: reason === undefined ? 'ok' : 'warning', detail: reason ?? vscode.l10n.t('This workspace is trusted.') }] };
}

const REPORT_SCHEME = 'thaw-setup';
const REPORT_URI = vscode.Uri.from({ scheme: REPORT_SCHEME, path: '/Thaw set-up.txt' });

export function register(context: vscode.ExtensionContext, services: Services): CommandHandlers<'thaw.setUpEngine' | 'thaw.checkSetUp' | 'thaw.clearCache'> {
  const { engine, installation, log } = services;
  let report = '';
  const reportChanged = new vscode.EventEmitter<vscode.Uri>();
  context.subscriptions.push(
    reportChanged,
    vscode.workspace.registerTextDocumentContentProvider(REPORT_SCHEME, { onDidChange: reportChanged.event, provideTextDocumentContent: () => report }),
  );

  const checkSetUp = async (): Promise<void> => {
    const title = vscode.l10n.t('Checking Thaw\'s set-up');
    await vscode.window.withProgress({ location: vscode.ProgressLocation.Notification, title, cancellable: true }, async (_progress, token) => {
      const aborted = new AbortController();
      token.onCancellationRequested(() => aborted.abort(new vscode.CancellationError()));
      const result = v.safeParse(doctorSchema, await runCli(installation, {
        arguments: ['doctor', '--json'], accept: [EXIT.done, EXIT.engineNotReady], signal: aborted.signal, onDiagnostic: (line) => log.info(line),
      }));
      if (!result.success) throw new ThawError('run', 'unreadable-report', 'thaw doctor ended without its report', 'Show the log for what it said');
      report = describeSetUp(withTrust(result.output), vscode.l10n);
      reportChanged.fire(REPORT_URI);
    });
    await vscode.window.showTextDocument(await vscode.workspace.openTextDocument(REPORT_URI), { preview: true });
  };

  return {
    'thaw.setUpEngine': async () => {
      if (Object.values(engine.missing()).every((missing) => !missing)) {
        const [check, again] = [vscode.l10n.t('Check Set-up'), vscode.l10n.t('Set Up Again')];
        const chosen = await vscode.window.showInformationMessage(vscode.l10n.t('TensorFlow and the ImageNet weights are there.'), check, again);
        if (chosen === check) await checkSetUp();
        if (chosen === again && await engine.setUpAgain()) void vscode.window.showInformationMessage(vscode.l10n.t('Thaw is ready to train.'));
      } else if (await engine.ensureReady()) {
        void vscode.window.showInformationMessage(vscode.l10n.t('Thaw is ready to train.'));
      }
    },
    'thaw.checkSetUp': checkSetUp,
    'thaw.clearCache': async () => {
      const clear = vscode.l10n.t('Clear Cache');
      const detail = vscode.l10n.t('Resized images and features are computed again at the next run. TensorFlow, the weights and all runs stay.');
      if (await vscode.window.showWarningMessage(vscode.l10n.t('Clear Thaw\'s cache of images and features?'), { modal: true, detail }, clear) !== clear) return;
      const result = v.safeParse(clearedLine, await runCli(installation, { arguments: ['clear-cache', '--json'], onDiagnostic: (line) => log.info(line) }));
      const bytes = result.success ? result.output.freedBytes : undefined;
      void vscode.window.showInformationMessage(bytes === undefined ? vscode.l10n.t('The cache is empty.') : vscode.l10n.t('The cache is empty; {0} freed.', formatBytes(bytes)));
    },
  };
}
