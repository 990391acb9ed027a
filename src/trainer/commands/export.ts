// `thaw export`: a run's trained model for other programs.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { formatBytes, formatScientific } from '../../metrics/format.js';
import { EXIT, ThawError } from '../../protocol/errors.js';
import { EXPORT_FORMATS, exportFolderName } from '../../protocol/exporting.js';
import { exportModel } from '../exportModel.js';
import { readTrainedRecord } from '../trainedModel.js';
import { findRun, InterruptSignal, printJson, requiredArgument, type Command } from './command.js';
import { ProgressLine } from './progressLine.js';

export const exportCommand: Command = async (args) => {
  const { values, positionals } = parseArgs({
    args: [...args], allowPositionals: true,
    options: { format: { type: 'string' }, uint8: { type: 'boolean', default: false }, out: { type: 'string' }, json: { type: 'boolean', default: false } },
  });
  const run = findRun(requiredArgument(positionals, 0, 'RUN'));
  const format = EXPORT_FORMATS.find((known) => known === values.format);
  if (format === undefined) {
    throw new ThawError('input', 'bad-arguments', `--format ${values.format === undefined ? 'is missing' : `${JSON.stringify(values.format)} is unknown`}`, `Use one of: ${EXPORT_FORMATS.join(', ')}`);
  }
  if (values.uint8 && format !== 'onnx') throw new ThawError('input', 'bad-arguments', `--uint8 is for ONNX, not for ${format}`, 'Leave --uint8 out, or use --format onnx');
  const record = await readTrainedRecord(run);
  const out = path.resolve(values.out ?? exportFolderName(record.dataset.name, record.id, format));
  const interrupt = new InterruptSignal();
  const progress = new ProgressLine(process.stdout);
  try {
    const result = await exportModel({ run, format, uint8: values.uint8, out }, {
      environment: process.env, signal: interrupt.signal,
      onProgress: ({ message }) => {
        if (values.json) printJson({ type: 'progress', message });
        else progress.line(message);
      },
    });
    if (values.json) printJson({ type: 'result', run, format, ...result });
    else {
      progress.line(`${result.out}, ${formatBytes(result.bytes)}: ${result.files.map((file) => path.basename(file)).join(', ')}`);
      progress.line(`Read back: probabilities differ from the trained model's by ${formatScientific(result.maxDifference)} at most`);
    }
    return EXIT.done;
  } catch (error) {
    if (!interrupt.requested) throw error;
    if (!values.json) progress.line('Stopped. Nothing half-finished is left');
    return EXIT.stopped;
  }
};
