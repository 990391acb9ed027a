// `thaw setup`: fetches what training needs, and proves that it works; or takes it away.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { formatBytes, formatSpeed } from '../../metrics/format.js';
import { EXIT, ThawError } from '../../protocol/errors.js';
import { cacheFolder } from '../../storage/folders.js';
import { removeSetUp, setUp } from '../setUp.js';
import { InterruptSignal, printJson, printLines, type Command } from './command.js';
import { ProgressLine } from './progressLine.js';

export const setUpCommand: Command = async (args) => {
  const { values } = parseArgs({ args: [...args], options: {
    device: { type: 'string' }, from: { type: 'string' }, 'fetch-node': { type: 'boolean', default: false }, remove: { type: 'boolean', default: false }, json: { type: 'boolean', default: false },
  } });
  const device = (['cpu', 'gpu'] as const).find((known) => known === values.device);
  if (values.device !== undefined && device === undefined) throw new ThawError('input', 'bad-arguments', `--device ${JSON.stringify(values.device)} is unknown`, 'Use --device cpu or --device gpu');
  if (values.remove) {
    if (values.from !== undefined) throw new ThawError('input', 'bad-arguments', '--remove and --from contradict each other', 'Give one of them');
    return remove(device, values.json);
  }
  const interrupt = new InterruptSignal();
  const progress = new ProgressLine(process.stdout);
  let said = '';
  try {
    const { runtime, weights, proof } = await setUp({
      environment: process.env, device, from: values.from === undefined ? undefined : path.resolve(values.from), fetchNode: values['fetch-node'], signal: interrupt.signal,
      onPlan: (plan) => {
        if (values.json) printJson({ type: 'plan', ...plan });
        else progress.line(`${values.from === undefined ? `Fetches ${formatBytes(plan.downloadBytes)}, keeps` : 'Keeps'} ${formatBytes(plan.keptBytes)} in ${plan.folder}, where ${formatBytes(plan.freeBytes)} are free${values.from === undefined ? `; while it unpacks it needs ${formatBytes(plan.downloadBytes + plan.keptBytes)}` : ''}`);
      },
      onProgress: (report) => {
        if (values.json) printJson({ type: 'progress', ...report });
        else if (report.doneBytes !== undefined && report.totalBytes !== undefined) {
          if (said !== report.message && !process.stdout.isTTY) progress.line(report.message);
          said = report.message;
          progress.bytes(report.message, report.doneBytes, report.totalBytes, report);
        } else if (said !== report.message) {
          said = report.message;
          progress.line(report.message);
        }
      },
    });
    progress.end();
    if (values.json) printJson({ type: 'result', ready: true, runtime, weights, ...(proof !== undefined && { proof }) });
    else {
      if (proof !== undefined) progress.line(`${proof.device} computes as the CPU does (largest difference ${proof.error.toExponential(1)}); ResNet18 trains at ${formatSpeed(proof.gpuImagesPerSecond)}, ${(proof.gpuImagesPerSecond / proof.cpuImagesPerSecond).toFixed(1)} times this CPU`);
      progress.line(`Ready: TensorFlow ${runtime.version} (${runtime.flavour}) in ${runtime.directory}, weights ${weights.name}`);
    }
    return EXIT.done;
  } catch (error) {
    progress.end();
    if (interrupt.requested) {
      if (!values.json) progress.line('Stopped. What was fetched is kept; the next set-up goes on from there');
      return EXIT.stopped;
    }
    throw error;
  }
};

async function remove(device: 'cpu' | 'gpu' | undefined, json: boolean): Promise<number> {
  const freedBytes = await removeSetUp(process.env, device);
  if (json) printJson({ type: 'result', freedBytes });
  else printLines([`Removed ${formatBytes(freedBytes)} of ${device === 'gpu' ? 'TensorFlow for NVIDIA GPUs' : device === 'cpu' ? 'TensorFlow\'s CPU build' : 'TensorFlow and weights'} from ${cacheFolder(process.env)}`]);
  return EXIT.done;
}
