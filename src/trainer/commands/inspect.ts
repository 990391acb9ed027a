// `thaw inspect`: what a folder holds before anything is trained on it. Decodes every image, so a broken one is named.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { formatCount } from '../../metrics/format.js';
import { EXIT } from '../../protocol/errors.js';
import { inspectDataset } from '../inspect.js';
import { InterruptSignal, printJson, printLines, requiredArgument, wholeNumber, type Command } from './command.js';

export const inspectCommand: Command = async (args) => {
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: { 'split-seed': { type: 'string', default: '0' }, json: { type: 'boolean', default: false } } });
  const folder = path.resolve(requiredArgument(positionals, 0, 'FOLDER'));
  const interrupt = new InterruptSignal();
  const dataset = await inspectDataset(folder, {
    environment: process.env, splitSeed: wholeNumber(values['split-seed'], '--split-seed', 0, Number.MAX_SAFE_INTEGER) ?? 0, signal: interrupt.signal,
  });
  if (dataset === undefined) return EXIT.stopped;
  if (values.json) {
    printJson({ type: 'result', folder, name: dataset.name, ...dataset.data, leftOut: dataset.leftOut });
    return EXIT.done;
  }
  const { data } = dataset;
  const lines = [`${dataset.name}: ${formatCount(data.train)} train, ${formatCount(data.validation)} validation${data.test > 0 ? `, ${formatCount(data.test)} test` : ''}, ${formatCount(data.classes.length)} classes (${data.layout === 'given' ? 'split as given' : 'split by content, 20 % validation'})`];
  for (const [index, name] of data.classes.entries()) {
    const count = data.counts[index];
    lines.push(`  ${name}: ${formatCount(count?.train ?? 0)} train, ${formatCount(count?.validation ?? 0)} validation${data.test > 0 ? `, ${formatCount(count?.test ?? 0)} test` : ''}`);
  }
  lines.push(dataset.leftOut.length === 0 ? 'Nothing left out' : `${formatCount(dataset.leftOut.length)} left out:`);
  for (const { path: file, reason } of dataset.leftOut) lines.push(`  ${file}: ${reason}`);
  for (const warning of data.warnings) lines.push(`Note: ${warning}`);
  printLines(lines);
  return EXIT.done;
};
