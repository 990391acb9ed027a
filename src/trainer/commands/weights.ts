// `thaw weights`: what is in the catalogue and what of it is here; fetches more.
import { parseArgs } from 'node:util';
import { formatBytes } from '../../metrics/format.js';
import { sourceOf, WEIGHTS } from '../../network/weights/catalogue.js';
import { findWeights, provideWeights } from '../../network/weights/provide.js';
import { EXIT, ThawError } from '../../protocol/errors.js';
import { BACKBONES } from '../../protocol/run.js';
import { InterruptSignal, printJson, type Command } from './command.js';
import { ProgressLine } from './progressLine.js';

export const weightsCommand: Command = async (args) => {
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: { json: { type: 'boolean', default: false } } });
  const [action, name, ...more] = positionals;
  if (action === 'list' && name === undefined) return list(values.json);
  if (action === 'get' && name !== undefined && more.length === 0) return get(name, values.json);
  throw new ThawError('input', 'bad-arguments', 'thaw weights takes list, or get and one name', 'Usage: thaw weights list|get NAME [--json]');
};

function list(json: boolean): number {
  const rows = BACKBONES.map((name) => {
    const { bytes, licence } = WEIGHTS[name];
    return { name, present: findWeights(name) !== undefined, bytes, licence, source: sourceOf(WEIGHTS[name]) };
  });
  if (json) printJson(rows);
  else for (const { name, present, bytes, licence, source } of rows) process.stdout.write(`${name}  ${present ? 'here' : 'not here'}  ${formatBytes(bytes)}  ${licence}  ${source}\n`);
  return EXIT.done;
}

async function get(wanted: string, json: boolean): Promise<number> {
  const name = BACKBONES.find((known) => known === wanted);
  if (name === undefined) throw new ThawError('input', 'bad-arguments', `There are no weights called ${JSON.stringify(wanted)}`, `Use one of: ${BACKBONES.join(', ')}`);
  const interrupt = new InterruptSignal();
  const progress = new ProgressLine(process.stdout);
  try {
    const weights = await provideWeights(name, {
      signal: interrupt.signal,
      onProgress: ({ message, doneBytes, totalBytes }) => {
        if (json) printJson({ type: 'progress', message, doneBytes, totalBytes });
        else if (doneBytes !== undefined && totalBytes !== undefined) progress.bytes(message, doneBytes, totalBytes);
      },
    });
    progress.end();
    if (json) printJson({ type: 'result', ...weights });
    else progress.line(`Ready: ${weights.name}, from ${weights.source}`);
    return EXIT.done;
  } catch (error) {
    progress.end();
    if (!interrupt.requested) throw error;
    if (!json) progress.line('Stopped. Nothing half-finished is left');
    return EXIT.stopped;
  }
}
