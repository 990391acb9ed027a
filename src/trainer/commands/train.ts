// `thaw train`: the same job as the editor's, in this process, with its progress on the terminal.
import { randomBytes } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { formatAccuracy, formatClock, formatInterval, formatSpeed } from '../../metrics/format.js';
import { EXIT, ThawError } from '../../protocol/errors.js';
import { ENGLISH } from '../../protocol/localiser.js';
import { STRATEGIES, type RunRecord } from '../../protocol/run.js';
import { defaultWorkspace, storedDatasetPath } from '../../runs/datasetFolder.js';
import { createRunFolder, newRunId, runsFolderFor } from '../../runs/runFolder.js';
import { RunWriter } from '../../runs/runWriter.js';
import { strategyName } from '../../runs/strategyName.js';
import { train } from '../train.js';
import { InterruptSignal, printJson, printLines, requiredArgument, wholeNumber, type Command } from './command.js';
import { colourOf, pretrainedOf } from './pretrained.js';
import { ProgressLine } from './progressLine.js';
import { recipeOf } from './recipeOption.js';

export const trainCommand: Command = async (args) => {
  const { values, positionals } = parseArgs({
    args: [...args], allowPositionals: true,
    options: {
      strategy: { type: 'string' }, colour: { type: 'string', default: 'rgb' }, backbone: { type: 'string' }, weights: { type: 'string' }, recipe: { type: 'string' },
      set: { type: 'string', multiple: true }, epochs: { type: 'string' }, batch: { type: 'string' },
      seed: { type: 'string', default: '0' }, 'split-seed': { type: 'string', default: '0' }, runs: { type: 'string' }, json: { type: 'boolean', default: false },
    },
  });
  const strategy = STRATEGIES.find((known) => known === values.strategy);
  if (strategy === undefined) throw new ThawError('input', 'bad-arguments', `--strategy ${values.strategy === undefined ? 'is missing' : `${JSON.stringify(values.strategy)} is unknown`}`, `Use --strategy ${STRATEGIES.join(' or --strategy ')}`);
  const colour = colourOf(values.colour);
  if (strategy === 'scratch' && values.weights !== undefined) {
    throw new ThawError('input', 'bad-arguments', `--weights ${values.weights} would do nothing: scratch starts from random values`, 'Name the network with --backbone');
  }
  const pretrained = pretrainedOf(values);
  const recipe = await recipeOf(values, strategy, pretrained.backbone);
  const given = path.resolve(requiredArgument(positionals, 0, 'FOLDER'));
  const dataset = await realpath(given).catch((error: unknown) => {
    throw new ThawError('input', 'no-such-folder', `There is no folder ${given}`, 'Give a folder with one subfolder of images per class', { cause: error });
  });

  const runsFolder = values.runs === undefined ? runsFolderFor(defaultWorkspace(dataset)) : path.resolve(values.runs);
  const record: RunRecord = {
    schemaVersion: 1, id: newRunId(strategy, new Date()), createdAt: new Date().toISOString(), state: 'waiting',
    dataset: { name: path.basename(dataset), path: storedDatasetPath(dataset, runsFolder) },
    configuration: {
      strategy, ...pretrained, colour,
      seed: wholeNumber(values.seed, '--seed', 0, Number.MAX_SAFE_INTEGER) ?? 0,
      splitSeed: wholeNumber(values['split-seed'], '--split-seed', 0, Number.MAX_SAFE_INTEGER) ?? 0,
      recipe,
    },
  };
  const directory = await createRunFolder(runsFolder, record);
  const interrupt = new InterruptSignal();
  const writer = await RunWriter.open(directory, { nonce: randomBytes(16).toString('hex') });
  const progress = values.json ? undefined : new ProgressLine(process.stdout);
  if (values.json) printJson({ type: 'run', run: directory });
  else progress?.line(`${strategyName(record.configuration, ENGLISH)} on ${dataset}`);
  try {
    const final = await train(writer, {
      dataset, environment: process.env, stopRequested: () => interrupt.requested,
      onEvent: (event) => {
        if (values.json) printJson(event);
        else progress?.show(event);
      },
    });
    progress?.end();
    report(final, directory, values.json);
    return final.state === 'stopped' ? EXIT.stopped : EXIT.done;
  } finally {
    progress?.end();
    await writer.close();
  }
};

function report(record: RunRecord, directory: string, json: boolean): void {
  const { result, configuration, environment, data } = record;
  if (json) {
    printJson({
      type: 'result', run: directory, state: record.state, strategy: configuration.strategy, colour: configuration.colour,
      accuracy: result?.accuracy ?? null, correct: result?.correct ?? null, total: result?.total ?? null, interval: result?.interval ?? null,
      accuracySplit: result?.accuracySplit ?? null, bestEpoch: result?.bestEpoch ?? null, epochs: result?.epochs ?? 0,
      seconds: result?.seconds ?? null, imagesPerSecond: result?.imagesPerSecond ?? null, device: environment?.device.name ?? null,
    });
    return;
  }
  const lines: string[] = [];
  if (result === undefined) {
    lines.push('Stopped before the first epoch ended: there is no result');
  } else {
    const chosen = result.accuracySplit === 'test' ? 'on the test images' : `on validation, best epoch ${String(result.bestEpoch)} of ${String(result.epochs)}`;
    lines.push(`${record.state === 'stopped' ? 'Stopped. ' : ''}${strategyName(configuration, ENGLISH)}: ${formatAccuracy(result.accuracy)} ${formatInterval(result.interval)}, ${String(result.correct)} of ${String(result.total)} right ${chosen}`);
    lines.push(`${formatClock(result.seconds)} on ${environment?.device.name ?? 'an unknown device'}, ${formatSpeed(result.imagesPerSecond)} (${result.imagesPerSecondOf})`);
  }
  if (data !== undefined && data.leftOutCount > 0) {
    lines.push(`${String(data.leftOutCount)} left out:`);
    for (const { path: file, reason } of data.leftOut.slice(0, 10)) lines.push(`  ${file}: ${reason}`);
    if (data.leftOutCount > 10) lines.push(`  and ${String(data.leftOutCount - 10)} more, in ${path.join(directory, 'run.json')}`);
  }
  for (const warning of data?.warnings ?? []) lines.push(`Note: ${warning}`);
  lines.push(`Run ${directory}`);
  printLines(lines);
}

