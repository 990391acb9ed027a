// `thaw setup`: fetches what training needs, and proves that it works.
import { parseArgs } from 'node:util';
import { EXIT } from '../../protocol/errors.js';
import { setUp } from '../setUp.js';
import { InterruptSignal, printJson, type Command } from './command.js';
import { ProgressLine } from './progressLine.js';

export const setUpCommand: Command = async (args) => {
  const { values } = parseArgs({ args: [...args], options: { json: { type: 'boolean', default: false } } });
  const interrupt = new InterruptSignal();
  const progress = new ProgressLine(process.stdout);
  let said = '';
  try {
    const { runtime, weights } = await setUp({
      environment: process.env, signal: interrupt.signal,
      onProgress: (report) => {
        if (values.json) printJson({ type: 'progress', ...report });
        else if (report.doneBytes !== undefined && report.totalBytes !== undefined) {
          if (said !== report.message && !process.stdout.isTTY) progress.line(report.message);
          said = report.message;
          progress.bytes(report.message, report.doneBytes, report.totalBytes);
        } else if (said !== report.message) {
          said = report.message;
          progress.line(report.message);
        }
      },
    });
    progress.end();
    if (values.json) printJson({ type: 'result', ready: true, runtime, weights });
    else progress.line(`Ready: TensorFlow ${runtime.version} (${runtime.flavour}) in ${runtime.directory}, weights ${weights.name}`);
    return EXIT.done;
  } catch (error) {
    progress.end();
    if (interrupt.requested) {
      if (!values.json) progress.line('Stopped. What was fetched whole is kept; the next set-up goes on from there');
      return EXIT.stopped;
    }
    throw error;
  }
};
