// Classify Image: what a run's network says of images, in the panel.
import path from 'node:path';
import * as v from 'valibot';
import * as vscode from 'vscode';
import { formatCount } from '../metrics/format.js';
import { predictionLineSchema, type PredictionLine } from '../protocol/classification.js';
import { ThawError } from '../protocol/errors.js';
import type { RunSnapshot } from '../protocol/snapshot.js';
import { runCli } from './cliProcess.js';
import type { CommandHandlers } from './commandTable.js';
import { resourceOf } from './commandTarget.js';
import { pickRun } from './pickRuns.js';
import { plainName } from './plainText.js';
import { byNewest, isReadable, runTitle, scoreSentence } from './runLabels.js';
import type { Services } from './services.js';
import { requireTrust } from './trust.js';

/** More images than a person looks at; the terminal takes any number. */
const MOST_IMAGES = 200;
const EXTENSIONS = ['jpg', 'jpeg', 'png', 'webp', 'gif', 'tif', 'tiff', 'avif'];

export function register(_context: vscode.ExtensionContext, services: Services): CommandHandlers<'thaw.classifyImage'> {
  return {
    'thaw.classifyImage': async (clicked, selection) => {
      if (!await requireTrust()) return;
      const files = imagesOf(clicked, selection) ?? await chooseImages();
      if (files === undefined || files.length === 0) return;
      const run = await chooseRun(services, files);
      if (run === undefined || !await services.engine.ensureReady()) return;
      if (files.length > MOST_IMAGES) {
        void vscode.window.showInformationMessage(vscode.l10n.t('The panel shows the first {0} of {1} images. In a terminal, thaw predict classifies any number.', MOST_IMAGES, formatCount(files.length)));
      }
      const images = await classify(services, run, files.slice(0, MOST_IMAGES));
      if (images === undefined || run.record.result === undefined) return;
      services.panels.openClassification({
        run: runTitle(run, services.l10n), directory: run.directory, score: scoreSentence(run.record.result, services.l10n), network: run.record.configuration,
        images: images.map((image) => ({ ...image, name: vscode.workspace.asRelativePath(image.path) })),
      });
    },
  };
}

/** The files that a menu or another extension names: VS Code passes the one clicked, and all selected ones. */
function imagesOf(clicked: unknown, selection: unknown): string[] | undefined {
  const named = Array.isArray(selection) && selection.length > 0 ? selection as readonly unknown[] : [clicked];
  const files = named.map(resourceOf).filter((file) => file !== undefined);
  return files.length === 0 ? undefined : [...new Set(files)];
}

async function chooseImages(): Promise<string[] | undefined> {
  const [first] = vscode.workspace.workspaceFolders ?? [];
  const chosen = await vscode.window.showOpenDialog({
    canSelectMany: true, openLabel: vscode.l10n.t('Classify'), filters: { [vscode.l10n.t('Images')]: EXTENSIONS }, ...(first && { defaultUri: first.uri }),
  });
  return chosen?.map((uri) => uri.fsPath);
}

/** The only run that can; else a choice, with the best one first. */
async function chooseRun(services: Services, files: readonly string[]): Promise<RunSnapshot | undefined> {
  await services.runs.whenComplete();
  const able = services.runs.all().filter(isReadable).filter(canClassify);
  const best = bestRun(services, able, files[0] ?? '');
  const directory = able.length === 1 ? best?.directory
    : await pickRun(services, vscode.l10n.t('Classify with'), canClassify, vscode.l10n.t('There is no trained run yet. Train on a folder first.'), best?.directory);
  const run = directory === undefined ? undefined : services.runs.get(directory);
  return run !== undefined && isReadable(run) ? run : undefined;
}

function canClassify(run: RunSnapshot): boolean {
  return run.record.result !== undefined;
}

/** The most accurate run of the dataset that the image lies beside, else of the dataset trained on last: accuracies on other images don't compare. */
function bestRun(services: Services, runs: readonly RunSnapshot[], file: string): RunSnapshot | undefined {
  const near = (run: RunSnapshot): boolean => {
    const folder = path.resolve(services.runs.workspaceFolderOf(run.directory) ?? path.sep, run.record.dataset.path);
    return `${path.dirname(file)}${path.sep}`.startsWith(`${folder}${path.sep}`);
  };
  const newest = [...runs].sort(byNewest);
  const of = newest.find(near) ?? newest[0];
  return newest.filter(({ record }) => record.data?.fingerprint === of?.record.data?.fingerprint)
    .sort((a, b) => (b.record.result?.accuracy ?? 0) - (a.record.result?.accuracy ?? 0))[0];
}

/** Undefined when the person cancels. */
async function classify(services: Services, run: RunSnapshot, files: readonly string[]): Promise<PredictionLine[] | undefined> {
  const { installation, log } = services;
  const title = files.length === 1 ? vscode.l10n.t('Classifying {0}', plainName(path.basename(files[0] ?? ''))) : vscode.l10n.t('Classifying {0} images', files.length);
  return vscode.window.withProgress({ location: vscode.ProgressLocation.Notification, title, cancellable: true }, async (progress, token) => {
    const aborted = new AbortController();
    token.onCancellationRequested(() => aborted.abort());
    const lines: PredictionLine[] = [];
    try {
      await runCli(installation, {
        arguments: ['predict', run.directory, ...files, '--json', '--thumbnails'],
        accept: [0, 2], // 2: none of them could be decoded, which the panel says of each
        signal: aborted.signal,
        onDiagnostic: (line) => log.info(line),
        onLine: (line) => {
          const parsed = v.safeParse(predictionLineSchema, line);
          if (!parsed.success) return;
          lines.push(parsed.output);
          progress.report({ increment: 100 / files.length });
        },
      });
    } catch (error) {
      if (aborted.signal.aborted) return undefined;
      throw error;
    }
    if (lines.length === 0) throw new ThawError('run', 'no-predictions', 'thaw predict ended without a result', 'Show the log for what it said');
    return lines;
  });
}
