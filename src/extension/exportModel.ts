// Export Model…: a run's network as a folder that other programs read.
import { lstat } from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import * as vscode from 'vscode';
import { formatBytes, formatScientific } from '../metrics/format.js';
import { ThawError } from '../protocol/errors.js';
import { exportFolderName, exportResultSchema, type ExportFormat, type ExportResult } from '../protocol/exporting.js';
import type { RunSnapshot } from '../protocol/snapshot.js';
import { CANCELLED, runCliWithProgress } from './cliProgress.js';
import type { CommandHandlers } from './commandTable.js';
import { runDirectoryOf } from './commandTarget.js';
import { pickRun } from './pickRuns.js';
import { plainText } from './plainText.js';
import { knownDirectory } from './runCommands.js';
import { isReadable, runTitle } from './runLabels.js';
import type { Services } from './services.js';
import { requireTrust } from './trust.js';

interface FormatItem extends vscode.QuickPickItem {
  readonly format: ExportFormat;
  readonly uint8: boolean;
}

export function register(_context: vscode.ExtensionContext, services: Services): CommandHandlers<'thaw.exportModel'> {
  return {
    'thaw.exportModel': async (row) => {
      if (!await requireTrust()) return undefined;
      const run = await chooseRun(services, row);
      if (run === undefined) return undefined;
      const chosen = await vscode.window.showQuickPick(formatItems(), { title: vscode.l10n.t('Export {0}', runTitle(run, services.l10n)), matchOnDetail: true });
      if (chosen === undefined) return undefined;
      const parent = await chooseFolder(services, run);
      if (parent === undefined || !await services.engine.ensureReady()) return undefined;
      const out = await freeFolder(parent, exportFolderName(run.record.dataset.name, run.record.id, chosen.format));
      const result = await exportTo(services, run, chosen, out);
      if (result !== undefined) void tell(result);
      return result?.out;
    },
  };
}

async function chooseRun(services: Services, row: unknown): Promise<RunSnapshot | undefined> {
  await services.runs.whenComplete();
  const hasModel = (each: RunSnapshot): boolean => each.record.result !== undefined;
  const given = runDirectoryOf(row);
  const directory = given === undefined
    ? await pickRun(services, vscode.l10n.t('Export Model'), hasModel, vscode.l10n.t('There is no trained run yet. Train on a folder first.'))
    : knownDirectory(services, given);
  const run = directory === undefined ? undefined : services.runs.get(directory);
  if (run === undefined || !isReadable(run)) return undefined;
  if (!hasModel(run)) {
    throw new ThawError('input', 'no-model', vscode.l10n.t('{0} has no trained model', runTitle(run, services.l10n)), vscode.l10n.t('Choose a run that has finished, or was stopped after an epoch'));
  }
  return run;
}

function formatItems(): FormatItem[] {
  return [
    { format: 'onnx', uint8: false, label: 'ONNX', detail: vscode.l10n.t('For onnxruntime and its like. Takes normalised numbers.') },
    { format: 'onnx', uint8: true, label: vscode.l10n.t('ONNX with uint8 input'), detail: vscode.l10n.t('Takes pixels as they are, and normalises inside.') },
    { format: 'tfjs', uint8: false, label: 'TensorFlow.js', detail: vscode.l10n.t('A layers model, for a browser.') },
    { format: 'safetensors', uint8: false, label: 'safetensors', detail: vscode.l10n.t('The weights, in PyTorch\'s names and layouts.') },
    { format: 'pytorch', uint8: false, label: 'PyTorch', detail: vscode.l10n.t('The weights, and a predict.py that loads them and classifies images.') },
  ];
}

/** The folder in which the export's own folder is made. */
async function chooseFolder(services: Services, run: RunSnapshot): Promise<string | undefined> {
  const workspace = services.runs.workspaceFolderOf(run.directory);
  const chosen = await vscode.window.showOpenDialog({
    title: vscode.l10n.t('Export into which folder?'), openLabel: vscode.l10n.t('Export Here'), canSelectFiles: false, canSelectFolders: true,
    ...(workspace !== undefined && { defaultUri: vscode.Uri.file(workspace) }),
  });
  return chosen?.[0]?.fsPath;
}

/** The name, or with a number after it, so that no earlier export is in the way. */
async function freeFolder(parent: string, name: string): Promise<string> {
  for (let count = 1; ; count++) {
    const folder = path.join(parent, count === 1 ? name : `${name}-${count}`);
    if (await lstat(folder).then(() => false, () => true)) return folder;
  }
}

/** Undefined when the person cancels. */
async function exportTo({ installation, log }: Services, run: RunSnapshot, { format, uint8 }: FormatItem, out: string): Promise<ExportResult | undefined> {
  const last = await runCliWithProgress(installation, log, vscode.l10n.t('Exporting'), ['export', run.directory, '--format', format, ...(uint8 ? ['--uint8'] : []), '--out', out, '--json']);
  if (last === CANCELLED) return undefined;
  const result = v.safeParse(exportResultSchema, last);
  if (!result.success) throw new ThawError('run', 'no-export', vscode.l10n.t('thaw export ended without a result'), vscode.l10n.t('Show the log for what it said'));
  return result.output;
}

async function tell({ out, bytes, files, maxDifference }: ExportResult): Promise<void> {
  const openCard = vscode.l10n.t('Open Model Card');
  const text = vscode.l10n.t('Exported to {0}, {1}. Read back, its probabilities differ from the trained model\'s by {2} at most.', plainText(out), formatBytes(bytes), formatScientific(maxDifference));
  const card = files.find((file) => path.basename(file) === 'MODEL_CARD.md');
  if (await vscode.window.showInformationMessage(text, openCard) === openCard && card !== undefined) await vscode.window.showTextDocument(vscode.Uri.file(card));
}
