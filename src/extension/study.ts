// Run Study…, Open Study: from folders to a study under way, and back to one.
import path from 'node:path';
import * as vscode from 'vscode';
import { formatCount } from '../metrics/format.js';
import { ThawError } from '../protocol/errors.js';
import { COLOURS, STRATEGIES, type Colour, type Strategy } from '../protocol/run.js';
import type { StudySnapshot } from '../protocol/study.js';
import { isLiveState } from '../runs/liveness.js';
import { runsFolderFor } from '../runs/runFolder.js';
import { exportStudy, STUDY_EXTENSIONS, STUDY_FORMATS, type StudyFormat } from '../study/export.js';
import { launchStudy } from '../study/launchStudy.js';
import { referenceAccuracy } from '../study/reference.js';
import { limitStudy, startStudy } from '../study/startStudy.js';
import { resolveStored, stopStudy, studiesFolderFor } from '../study/studyFolder.js';
import { writeFileAtomic } from '../storage/atomicFile.js';
import { recipeNamed } from '../training/recipes.js';
import { rememberedNetwork, type Network } from './chooseNetwork.js';
import type { CommandHandlers } from './commandTable.js';
import { folderOf } from './commandTarget.js';
import { imagesText } from './datasetSearch.js';
import { plainName, plainText } from './plainText.js';
import { localFolders, workspaceFolderHolding } from './runStore.js';
import type { Services } from './services.js';
import { requireTrust } from './trust.js';

export function register(context: vscode.ExtensionContext, services: Services): CommandHandlers<'thaw.runStudy' | 'thaw.openStudy'> {
  return {
    'thaw.runStudy': async (clicked, selection) => {
      if (!await requireTrust()) return undefined;
      const folders = foldersOf(clicked, selection) ?? await pickFolders(services);
      if (folders === undefined || folders.length === 0 || !await services.engine.ensureReady()) return undefined;
      const what = await pickWhat();
      const howMany = what === undefined ? undefined : await pickHowMany();
      if (what === undefined || howMany === undefined) return undefined;
      return begin(services, folders, { ...what, ...howMany, network: rememberedNetwork(context.workspaceState) });
    },
    'thaw.openStudy': async (argument) => {
      const directory = typeof argument === 'string' ? argument : await pickStudy(services);
      if (directory === undefined) return;
      requireKnown(services, directory);
      services.panels.openStudy(directory);
    },
  };
}

/** The folders that a menu names: VS Code passes the one clicked, and all selected ones. */
function foldersOf(clicked: unknown, selection: unknown): string[] | undefined {
  const named = Array.isArray(selection) && selection.length > 0 ? selection as readonly unknown[] : [clicked];
  const folders = named.map(folderOf).filter((folder) => folder !== undefined);
  return folders.length === 0 ? undefined : [...new Set(folders)];
}

async function pickFolders(services: Services): Promise<string[] | undefined> {
  const datasets = await services.datasets.all();
  if (datasets.length === 0) {
    void vscode.window.showInformationMessage(vscode.l10n.t('There is no folder of images here: one subfolder for each class.'));
    return undefined;
  }
  const rows = datasets.map(({ root, classes, ...counted }) => ({
    label: plainName(path.basename(root)), description: plainName(vscode.workspace.asRelativePath(root)),
    detail: vscode.l10n.t('{0}, {1} classes', imagesText(counted, vscode.l10n), formatCount(classes.length)), root, picked: datasets.length === 1,
  }));
  const chosen = await vscode.window.showQuickPick(rows, { title: vscode.l10n.t('Run Study'), placeHolder: vscode.l10n.t('The folders to study'), canPickMany: true, matchOnDescription: true });
  return chosen?.map(({ root }) => root);
}

interface What {
  readonly strategies: readonly Strategy[];
  readonly colours: readonly Colour[];
}

type WhatItem = vscode.QuickPickItem & { readonly strategy?: Strategy; readonly colour?: Colour };

async function pickWhat(): Promise<What | undefined> {
  const details: Readonly<Record<Strategy, string>> = {
    freeze: vscode.l10n.t('only the last layer learns'), finetune: vscode.l10n.t('every layer learns'), scratch: vscode.l10n.t('the same network from a random start, which takes longest'),
  };
  const items: WhatItem[] = [
    { label: vscode.l10n.t('Strategies'), kind: vscode.QuickPickItemKind.Separator },
    ...STRATEGIES.map((strategy) => ({ label: strategy, description: details[strategy], strategy, picked: strategy !== 'scratch' })),
    { label: vscode.l10n.t('Images'), kind: vscode.QuickPickItemKind.Separator },
    ...COLOURS.map((colour) => ({ label: colour === 'rgb' ? vscode.l10n.t('colour') : vscode.l10n.t('gray'), colour, picked: true })),
  ];
  const chosen = await vscode.window.showQuickPick(items, { title: vscode.l10n.t('Run Study'), placeHolder: vscode.l10n.t('What is held against what'), canPickMany: true });
  if (chosen === undefined) return undefined;
  const strategies = STRATEGIES.filter((strategy) => chosen.some((item) => item.strategy === strategy));
  const colours = COLOURS.filter((colour) => chosen.some((item) => item.colour === colour));
  if (strategies.length === 0 || colours.length === 0) {
    throw new ThawError('input', 'empty-study', vscode.l10n.t('A study needs a strategy and colour or gray'), vscode.l10n.t('Run it again and leave at least one of each ticked'));
  }
  return { strategies, colours };
}

interface HowMany {
  readonly seeds: number;
  readonly minutes: number | undefined;
}

async function pickHowMany(): Promise<HowMany | undefined> {
  const items: (vscode.QuickPickItem & HowMany)[] = [
    { label: vscode.l10n.t('{0} seeds', 3), description: vscode.l10n.t('intervals over seeds and images'), seeds: 3, minutes: undefined },
    { label: vscode.l10n.t('1 seed'), description: vscode.l10n.t('a first look; other seeds may answer otherwise'), seeds: 1, minutes: undefined },
    { label: vscode.l10n.t('{0} seeds', 5), description: vscode.l10n.t('narrower intervals'), seeds: 5, minutes: undefined },
    ...[10, 30, 60].map((minutes) => ({ label: vscode.l10n.t('As many seeds as fit in {0} minutes', minutes), description: vscode.l10n.t('at most {0}', 10), seeds: 10, minutes })),
  ];
  return vscode.window.showQuickPick(items, { title: vscode.l10n.t('Run Study'), placeHolder: vscode.l10n.t('How often each run is repeated, with another seed') });
}

/** Starts the study, or resumes the one of the same plan; returns its folder. */
async function begin(services: Services, folders: readonly string[], { strategies, colours, seeds, minutes, network }: What & HowMany & { readonly network: Network }): Promise<string> {
  const datasets = folders.map((folder) => {
    const workspace = workspaceFolderHolding(folder);
    if (workspace === undefined) {
      throw new ThawError('input', 'outside-workspace', vscode.l10n.t('{0} lies outside the open folders', plainName(path.basename(folder))), vscode.l10n.t('Open it, or the folder that holds it, as a workspace folder first'));
    }
    return { folder, runsFolder: runsFolderFor(workspace) };
  });
  const studiesFolder = studiesFolderFor(datasets[0]?.runsFolder ?? '');
  const { weights } = network;
  if (weights !== undefined) {
    void vscode.window.showInformationMessage(vscode.l10n.t('A study trains from the published weights of {0}, not from your own ({1}).', network.backbone, weights));
  }
  const { backbone } = network;
  const { directory, found } = await startStudy(studiesFolder, {
    datasets, strategies, colours, backbones: [backbone], seeds, recipe: 'default',
    recipes: strategies.map((strategy) => ({ strategy, backbone, recipe: recipeNamed('default', strategy, backbone) })),
  }, { minutes });
  services.studies.follow(directory);
  services.panels.openStudy(directory);
  if (found === undefined || await isToGoOn(services, directory, minutes)) await resumeStudy(services, directory);
  return directory;
}

/** Whether a study of the same plan is resumed, by the limit that is asked for now. */
async function isToGoOn(services: Services, directory: string, minutes: number | undefined): Promise<boolean> {
  const workspace = requireKnown(services, directory);
  const study = await services.studies.readRecord(directory);
  if ('reason' in study || study.record.minutes === minutes) return true; // of a finished one the process looks whether its images, and its runs, are there still
  if (study.record.startedAt !== undefined && isLiveState(study.state)) {
    void vscode.window.showInformationMessage(vscode.l10n.t('This study is running already, with the limit that it was started with. Stop it first to give it another.'));
    return false;
  }
  await limitStudy(directory, minutes, workspace);
  return true;
}

/**
 * Starts or goes on with a study's process, unless one is at it. A study that came with the workspace is believed only where it stays in the open folders.
 * @throws ThawError `outside-workspace`
 */
export async function resumeStudy(services: Services, directory: string): Promise<void> {
  const workspace = requireKnown(services, directory);
  const study = await services.studies.readRecord(directory);
  if ('reason' in study) throw new ThawError('run', 'study-unreadable', vscode.l10n.t('The study can\'t be read: {0}', study.reason), vscode.l10n.t('Start a new study'));
  if (study.record.startedAt !== undefined && isLiveState(study.state)) return;
  for (const { path: stored, runs } of study.record.plan.datasets) {
    const holder = workspaceFolderHolding(resolveStored(stored, directory));
    if (holder === undefined || resolveStored(runs, directory) !== runsFolderFor(holder)) {
      throw new ThawError('input', 'outside-workspace', vscode.l10n.t('The study is about {0}, which lies outside the open folders', plainName(path.basename(stored))), vscode.l10n.t('Open that folder too, or start a new study'));
    }
  }
  const { installation } = services;
  const { pid } = await launchStudy(directory, workspace, { trainerScript: installation.trainerScript, execPath: installation.execPath, electron: installation.electron, environment: installation.environment() });
  services.log.info(`Study ${path.basename(directory)}, process ${pid}`);
  services.studies.follow(directory);
}

export async function stopRunningStudy(services: Services, directory: string): Promise<void> {
  const workspace = requireKnown(services, directory);
  const outcome = await vscode.window.withProgress({ location: vscode.ProgressLocation.Window, title: vscode.l10n.t('Thaw: stopping') }, () => stopStudy(directory, { within: workspace }));
  services.log.info(`Stop of ${path.basename(directory)}: ${outcome}`);
}

/** Asks for a format and a place, and writes the study's table there. */
export async function exportStudyTable(study: StudySnapshot): Promise<string | undefined> {
  const names: Readonly<Record<StudyFormat, string>> = { csv: 'CSV', markdown: 'Markdown', latex: 'LaTeX', html: 'HTML' };
  const details: Readonly<Record<StudyFormat, string>> = {
    csv: vscode.l10n.t('a row for each cell, for programs'), markdown: vscode.l10n.t('tables and verdicts, for a README'), latex: vscode.l10n.t('a table of booktabs, for a paper'), html: vscode.l10n.t('one file with curves, for people'),
  };
  const { plan } = study.record;
  const compares = plan.datasets.some(({ name }) => plan.strategies.some((strategy) => plan.colours.some((colour) => referenceAccuracy(name, strategy, colour) !== undefined)));
  const items = [false, ...(compares ? [true] : [])].flatMap((reference) => STUDY_FORMATS.map((format) => ({
    label: reference ? vscode.l10n.t('{0}, with the original study\'s values', names[format]) : names[format], detail: details[format], format, reference,
  })));
  const chosen = await vscode.window.showQuickPick(items, { title: vscode.l10n.t('Export Table') });
  if (chosen === undefined) return undefined;
  const [folder] = localFolders();
  const file = await vscode.window.showSaveDialog({
    title: vscode.l10n.t('Export Table'), ...(folder !== undefined && { defaultUri: vscode.Uri.file(path.join(folder, `study${STUDY_EXTENSIONS[chosen.format]}`)) }),
  });
  if (file === undefined) return undefined;
  await writeFileAtomic(file.fsPath, exportStudy(study, chosen.format, { l10n: vscode.l10n, reference: chosen.reference }));
  void vscode.window.showInformationMessage(vscode.l10n.t('The study is in {0}.', plainText(file.fsPath)));
  return file.fsPath;
}

async function pickStudy(services: Services): Promise<string | undefined> {
  const directories = await services.studies.all();
  // One after the other, of each only its row: a study may be large, and there may be hundreds.
  const rows: (vscode.QuickPickItem & { readonly directory: string })[] = [];
  for (const directory of directories) {
    const study = await services.studies.readRecord(directory);
    if ('reason' in study) {
      rows.push({ label: `$(warning) ${plainName(study.id)}`, description: plainText(study.reason), directory });
      continue;
    }
    const { record, state } = study;
    const done = record.runs.filter((run) => run.state === 'finished').length;
    rows.push({
      label: record.plan.datasets.map(({ name }) => plainName(name)).join(', '), description: vscode.l10n.t('{0} of {1} runs done', done, record.runs.length),
      detail: `${new Date(record.createdAt).toLocaleString(vscode.env.language)}, ${record.plan.strategies.join(', ')}, ${state}`, directory,
    });
  }
  if (rows.length === 0) {
    void vscode.window.showInformationMessage(vscode.l10n.t('There is no study yet.'));
    return undefined;
  }
  return (await vscode.window.showQuickPick(rows, { title: vscode.l10n.t('Open Study'), matchOnDetail: true }))?.directory;
}

/** @throws ThawError `no-such-study` for a folder that is no open folder's study */
function requireKnown(services: Services, directory: string): string {
  const workspace = services.studies.workspaceFolderOf(directory);
  if (workspace === undefined) throw new ThawError('input', 'no-such-study', vscode.l10n.t('{0} is not a study of an open folder', plainName(directory)), vscode.l10n.t('Open the folder that it belongs to'));
  return workspace;
}
