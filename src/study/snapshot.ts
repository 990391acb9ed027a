// A study as it is shown: its record, and what its run folders add to it.
import path from 'node:path';
import type { RunSnapshot, UnreadableRun } from '../protocol/snapshot.js';
import type { StudyCurve, StudyDataset, StudySnapshot, UnreadableStudy } from '../protocol/study.js';
import { isUnreadable, readRun } from '../runs/readRun.js';
import { readStudyRecord, resolveStored } from './studyFolder.js';

export interface StudySnapshotOptions {
  readonly within?: string | undefined;
  /** A run of the study, where somebody follows it already; undefined for one that must not be read. By default read from its folder. */
  readonly run?: (directory: string, runsFolder: string) => Promise<RunSnapshot | UnreadableRun | undefined>;
}

/** Never throws for what stands in the folders: a run that can't be read has no curve. */
export async function readStudySnapshot(directory: string, options: StudySnapshotOptions = {}): Promise<StudySnapshot | UnreadableStudy> {
  const read = await readStudyRecord(directory, options);
  if ('reason' in read) return read;
  const { record, state } = read;
  const readOne = options.run ?? ((run: string, runsFolder: string) => readRun(run, { within: runsFolder }));
  const datasets: (StudyDataset | undefined)[] = record.plan.datasets.map(() => undefined);
  const curves: StudyCurve[] = [];
  let device = record.estimate?.device;
  for (const [index, planned] of record.runs.entries()) {
    const dataset = record.plan.datasets[planned.dataset];
    if (planned.run === undefined || dataset === undefined) continue;
    let runsFolder: string;
    try {
      runsFolder = resolveStored(dataset.runs, directory);
    } catch (error) {
      return { directory: path.resolve(directory), id: record.id, reason: error instanceof Error ? error.message : String(error) };
    }
    const run = await readOne(path.join(runsFolder, planned.run), runsFolder);
    if (run === undefined || isUnreadable(run)) continue;
    const { data, environment, configuration } = run.record;
    device ??= environment?.device.name;
    if (data !== undefined) datasets[planned.dataset] ??= { train: data.train, validation: data.validation, test: data.test, classes: data.classes.length };
    // A run has no more epochs than its recipe; events that say more are not its own.
    const epochs = run.epochs.slice(0, configuration.recipe.epochs);
    curves.push({ run: index, state: run.state, epochs: configuration.recipe.epochs, ...(data !== undefined && { fingerprint: data.fingerprint }), validation: epochs.map(({ validation: { accuracy } }) => ({ accuracy })) });
  }
  return { directory: path.resolve(directory), record, state, datasets, curves, ...(device !== undefined && { device }) };
}

export function isUnreadableStudy(study: StudySnapshot | UnreadableStudy): study is UnreadableStudy {
  return 'reason' in study;
}
