// `thaw compare`: two runs on the same images, and whether their difference is more than noise.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { formatAccuracy, formatInterval, formatP } from '../../metrics/format.js';
import { EXIT, ThawError } from '../../protocol/errors.js';
import { ENGLISH } from '../../protocol/localiser.js';
import { compareRuns } from '../../runs/compareRuns.js';
import { readRun } from '../../runs/readRun.js';
import { strategyName } from '../../runs/strategyName.js';
import { findRun, printJson, printLines, requiredArgument, type Command } from './command.js';

export const compareCommand: Command = async (args) => {
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: { json: { type: 'boolean', default: false } } });
  const directories = [findRun(requiredArgument(positionals, 0, 'The first RUN')), findRun(requiredArgument(positionals, 1, 'The second RUN'))];
  const runs = await Promise.all(directories.map(async (directory) => {
    const run = await readRun(directory, { within: path.dirname(directory) });
    if ('reason' in run) throw new ThawError('input', 'unreadable-run', `The run ${directory} can't be read: ${run.reason}`, 'Choose another run; `thaw runs` lists them');
    return run;
  }));
  const comparison = await compareRuns(runs);
  const { verdict, pairs } = comparison;
  if (values.json) {
    printJson({
      type: 'result',
      runs: comparison.runs.map(({ directory, state, record }) => ({
        run: directory, state, strategy: record.configuration.strategy, colour: record.configuration.colour, seed: record.configuration.seed, accuracy: record.result?.accuracy ?? null,
        correct: record.result?.correct ?? null, total: record.result?.total ?? null, interval: record.result?.interval ?? null,
        accuracySplit: record.result?.accuracySplit ?? null, seconds: record.result?.seconds ?? null,
      })),
      pairs, verdict,
    });
    return EXIT.done;
  }
  const lines = comparison.runs.map(({ record }) => {
    const { result } = record;
    return `${record.id}  ${strategyName(record.configuration, ENGLISH)}  ${result === undefined ? 'no result yet' : `${formatAccuracy(result.accuracy)} ${formatInterval(result.interval)} (${String(result.correct)}/${String(result.total)})`}`;
  });
  for (const pair of pairs) {
    lines.push('reason' in pair ? `No paired test: ${pair.reason}`
      : `Both right ${String(pair.bothRight)}, only the first ${String(pair.onlyFirstRight)}, only the second ${String(pair.onlySecondRight)}, both wrong ${String(pair.bothWrong)}; McNemar ${formatP(pair.p)}`);
  }
  lines.push('', verdict.title, ...verdict.body, ...(verdict.note === undefined ? [] : [verdict.note]));
  printLines(lines);
  return EXIT.done;
};
