// `thaw runs`: the runs of a workspace, or of a runs folder.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { formatAccuracy, formatClock, formatInterval } from '../../metrics/format.js';
import { EXIT } from '../../protocol/errors.js';
import { ENGLISH } from '../../protocol/localiser.js';
import { listRuns } from '../../runs/readRun.js';
import { runsFolderFor } from '../../runs/runFolder.js';
import { strategyName } from '../../runs/strategyName.js';
import { printJson, printLines, type Command } from './command.js';

export const runsCommand: Command = async (args) => {
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: { json: { type: 'boolean', default: false } } });
  const given = path.resolve(positionals[0] ?? '.');
  const ofWorkspace = runsFolderFor(given);
  const folder = existsSync(ofWorkspace) ? ofWorkspace : given;
  const runs = await listRuns(folder, { within: given });
  if (values.json) {
    printJson(runs.map((run) => {
      if ('reason' in run) return { run: run.directory, state: 'unreadable', reason: run.reason };
      const { record } = run;
      return {
        run: run.directory, id: record.id, state: run.state, strategy: record.configuration.strategy, colour: record.configuration.colour, backbone: record.configuration.backbone, weights: record.configuration.weights ?? null,
        dataset: record.dataset.name, seed: record.configuration.seed, createdAt: record.createdAt,
        accuracy: record.result?.accuracy ?? null, correct: record.result?.correct ?? null, total: record.result?.total ?? null,
        interval: record.result?.interval ?? null, accuracySplit: record.result?.accuracySplit ?? null,
        epochs: run.epochs.length, seconds: record.result?.seconds ?? null, ...(record.failure !== undefined && { failure: record.failure }),
      };
    }));
    return EXIT.done;
  }
  if (runs.length === 0) printLines([`No runs in ${folder}`]);
  for (const run of runs) {
    if ('reason' in run) {
      printLines([`${run.id}  unreadable: ${run.reason}`]);
      continue;
    }
    const { record } = run;
    const result = record.result === undefined ? record.failure?.message ?? `${String(run.epochs.length)} epochs`
      : `${formatAccuracy(record.result.accuracy)} ${formatInterval(record.result.interval)} (${String(record.result.correct)}/${String(record.result.total)}), ${formatClock(record.result.seconds)}`;
    printLines([`${record.id}  ${record.dataset.name}  ${strategyName(record.configuration, ENGLISH)}  ${run.state}  ${result}`]);
  }
  return EXIT.done;
};
