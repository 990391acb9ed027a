// `thaw advise`: which strategy to choose, before anything is trained.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { accuracyText, confidenceText, formatNearness, recommendationTitle, ruleOfThumb } from '../../advice/words.js';
import { formatClock, formatCount, formatP } from '../../metrics/format.js';
import type { Advice } from '../../protocol/advice.js';
import { EXIT } from '../../protocol/errors.js';
import { ENGLISH } from '../../protocol/localiser.js';
import { advise } from '../advise.js';
import { InterruptSignal, printJson, printLines, requiredArgument, type Command } from './command.js';
import { colourOf, pretrainedOf } from './pretrained.js';
import { ProgressLine } from './progressLine.js';

export const adviseCommand: Command = async (args) => {
  const { values, positionals } = parseArgs({
    args: [...args], allowPositionals: true,
    options: { backbone: { type: 'string' }, weights: { type: 'string' }, colour: { type: 'string', default: 'rgb' }, pilot: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } },
  });
  const folder = path.resolve(requiredArgument(positionals, 0, 'FOLDER'));
  const interrupt = new InterruptSignal();
  const progress = values.json ? undefined : new ProgressLine(process.stdout);
  const advice = await advise({
    dataset: folder, network: { ...pretrainedOf(values), colour: colourOf(values.colour) }, environment: process.env, pilot: values.pilot, signal: interrupt.signal,
    onProgress: ({ message, done, total }) => {
      if (values.json) printJson({ type: 'progress', message, ...(done !== undefined && total !== undefined && { done, total }) });
      else progress?.count(done === undefined || total === undefined ? message : `${message}, ${formatCount(done)} of ${formatCount(total)}`);
    },
  });
  progress?.end();
  if (advice === undefined) return EXIT.stopped;
  if (values.json) printJson({ type: 'result', ...advice });
  else printLines(textOf(advice));
  return EXIT.done;
};

function textOf(advice: Advice): string[] {
  const { decision, measurements: measured } = advice;
  const { size, distance } = decision;
  const lines = [
    recommendationTitle(decision, ENGLISH), advice.reason,
    `${confidenceText(decision, ENGLISH)} freeze takes about ${formatClock(measured.seconds.freeze)}, finetune about ${formatClock(measured.seconds.finetune)} on ${advice.device}`, '',
    ...(['small', 'large'] as const).flatMap((row) => (['near', 'far'] as const).map((column) => {
      const { place, rule } = ruleOfThumb(row, column, ENGLISH);
      return `  ${row === size && (column === distance || distance === 'unknown') ? '→' : ' '} ${place.padEnd(12)} ${rule}`;
    })), '',
    `  training images    ${formatCount(measured.train)} in ${formatCount(measured.classes)} classes, ${formatCount(measured.perClass.least)} to ${formatCount(measured.perClass.most)} a class`
      + (measured.measured < measured.train ? `; ${formatCount(measured.measured)} of them measured` : ''),
    `  linear probe       ${accuracyText(measured.probe)}`,
    `  nearest class mean ${accuracyText(measured.nearestMean)}`,
    `  learning curve     ${measured.learningCurve.map(({ share, ...part }) => `${{ 0.25: '¼', 0.5: '½', 1: 'all' }[share] ?? String(share)} ${accuracyText(part)}`).join('  ')}`,
    measured.nearness === undefined ? '  nearness           not known for these weights'
      : `  nearness           ${formatNearness(measured.nearness.mean)} [${measured.nearness.interval.map(formatNearness).join('–')}], noise 0, photographs 1`,
    ...measured.logme.map(({ backbone, cuts }) => `  LogME              ${backbone.padEnd(18)} ${cuts.map(({ logme, stride }) => `${logme.toFixed(3)} at stride ${String(stride)}`).join(', ')}`),
    ...(measured.notCompared === undefined ? [] : [`  not compared       ${measured.notCompared.join(', ')}, for want of time`]),
  ];
  const { pilot } = measured;
  if (pilot !== undefined) lines.push(`  pilot              ${String(pilot.epochs)} epochs of finetune ${accuracyText(pilot.finetune)}, freeze ${accuracyText(pilot.freeze)}, ${formatP(pilot.p)}`);
  return lines;
}
