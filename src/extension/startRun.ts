// Starts a run: writes its folder, launches the detached trainer on it, and shows it. Reads no image.
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as vscode from 'vscode';
import { ThawError } from '../protocol/errors.js';
import type { Colour, Recipe, RunRecord, Strategy } from '../protocol/run.js';
import { storedDatasetPath } from '../runs/datasetFolder.js';
import { launchTrainer } from '../runs/launch.js';
import { createRunFolder, newRunId, runsFolderFor } from '../runs/runFolder.js';
import type { Network } from './chooseNetwork.js';
import { plainName } from './plainText.js';
import { isLive, isReadable } from './runLabels.js';
import { workspaceFolderHolding } from './runStore.js';
import type { Services } from './services.js';

/** What to train, or exactly what an earlier run did. */
export type RunRequest = { readonly strategy: Strategy; readonly network: Network; readonly colour: Colour; readonly recipe: Recipe } | { readonly configuration: RunRecord['configuration'] };

/**
 * Makes a run on a dataset folder and launches its trainer; returns the run's folder. Trust and engine have been seen to.
 * @throws ThawError `outside-workspace` when no open folder holds the dataset: runs live in the workspace
 */
export async function startRun(services: Services, dataset: string, request: RunRequest): Promise<string> {
  const workspace = workspaceFolderHolding(dataset);
  if (workspace === undefined) throw outsideWorkspace(dataset);
  const configuration = 'configuration' in request ? request.configuration : newConfiguration(request);
  const now = new Date();
  const runsFolder = runsFolderFor(workspace);
  const record: RunRecord = {
    schemaVersion: 1,
    id: newRunId(configuration.strategy, now),
    createdAt: now.toISOString(),
    state: 'waiting',
    dataset: { name: path.basename(dataset), path: storedDatasetPath(dataset, runsFolder) },
    configuration,
  };
  const directory = await createRunFolder(runsFolder, record);
  services.endings.expect(directory);
  await services.runs.include(directory);
  const { installation } = services;
  const { pid } = await launchTrainer({
    within: workspace,
    execPath: installation.execPath,
    trainerScript: installation.trainerScript,
    runDirectory: directory,
    environment: installation.environment(),
    electron: installation.electron,
  });
  services.log.info(`Started ${record.id} on ${dataset}, process ${pid}`);
  return directory;
}

/** What is said of a dataset that no open folder holds. */
export function outsideWorkspace(dataset: string): ThawError {
  return new ThawError('input', 'outside-workspace', vscode.l10n.t('{0} lies outside the open folders', plainName(path.basename(dataset))), vscode.l10n.t('Open it, or the folder that holds it, as a workspace folder first'));
}

/** How long a trainer may take to get into line before the next is launched all the same, milliseconds. */
const IN_LINE_WITHIN_MS = 60_000;

/**
 * Resolves when the run's trainer has the device, or its place in the line for it; trainers launched at once would race for both. False when
 * the run is over without a result by then: what comes after it would fail as it did.
 */
export async function untilInLine(services: Services, directory: string): Promise<boolean> {
  const deadline = Date.now() + IN_LINE_WITHIN_MS;
  for (;;) {
    const run = services.runs.get(directory);
    if (run !== undefined && isReadable(run)) { // else it is being written, and readable at the next look
      if (!isLive(run)) return run.state === 'finished';
      if (run.state !== 'waiting' || run.phase?.total !== undefined) return true;
    }
    if (Date.now() > deadline) {
      services.log.warn(`${path.basename(directory)} is not in line yet`);
      return true;
    }
    await delay(50);
  }
}

function newConfiguration({ strategy, network, colour, recipe }: Exclude<RunRequest, { readonly configuration: unknown }>): RunRecord['configuration'] {
  return { strategy, ...network, colour, seed: 0, splitSeed: 0, recipe };
}
