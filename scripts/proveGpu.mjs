// `npm run prove:gpu [-- --from DIR] [--python PYTHON]`: sets the GPU up, proves it, times a training step beside PyTorch if that is installed, and
// prints JSON to paste into bench/gpu.md. Needs an NVIDIA GPU; fetches 3.4 GB the first time, or takes the wheels from DIR.
import { execFile } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { installPackages } from './setup.mjs';
import { isMain, main, ROOT, StepError } from './steps.mjs';

const execute = promisify(execFile);
const LARGE = { maxBuffer: 256 * 1024 * 1024 };

async function proveGpu() {
  const { values } = parseArgs({ options: { from: { type: 'string' }, python: { type: 'string', default: 'python3' } } });
  await installPackages();
  const { build } = await import('./build.mjs'); // needs esbuild
  await build();
  const cli = path.join(ROOT, 'dist', 'cli.js');
  const from = values.from === undefined ? [] : ['--from', path.resolve(values.from)];
  const lines = await speak(process.execPath, [cli, 'setup', '--device', 'gpu', '--json', ...from]);
  const result = lines.find(({ type }) => type === 'result');
  if (result?.proof === undefined) throw new StepError(lines.filter(({ type }) => type === 'error').map(({ message, next }) => `${message}. ${next}.`).join('\n') || 'thaw setup ended without a proof');
  const { gpuImagesPerSecond, cpuImagesPerSecond, ...proof } = result.proof;
  const pytorch = await besidePyTorch(values.python);
  console.log(JSON.stringify({
    ...proof, gpuImagesPerSecond: rounded(gpuImagesPerSecond), cpuImagesPerSecond: rounded(cpuImagesPerSecond), timesCpu: rounded(gpuImagesPerSecond / cpuImagesPerSecond),
    tensorflow: result.runtime.version, cpu: os.cpus()[0]?.model ?? 'unknown', cores: os.availableParallelism(), platform: `${process.platform}-${process.arch}`, node: process.versions.node,
    pytorch: pytorch.imagesPerSecond === undefined ? pytorch : { ...pytorch, imagesPerSecond: rounded(pytorch.imagesPerSecond), thawBesideIt: rounded(gpuImagesPerSecond / pytorch.imagesPerSecond) },
  }, undefined, 2));
  console.log('\nPaste this into bench/gpu.md.');
}

/** PyTorch's speed on the same work, or why there is none. */
async function besidePyTorch(python) {
  try {
    return (await speak(python, [path.join(ROOT, 'bench', 'resnet18_step.py'), 'cuda'])).at(-1) ?? { reason: 'it printed nothing' };
  } catch (error) {
    return { reason: String(error.stderr ?? error.message).trim().split('\n').at(-1) };
  }
}

/** The JSON lines that a command prints, whatever it ends with. */
async function speak(command, args) {
  const { stdout } = await execute(command, args, LARGE).catch((error) => {
    if (error.stdout === undefined || error.stdout === '') throw error;
    return error;
  });
  return stdout.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
}

/** Three significant digits. */
function rounded(value) {
  return Number(value.toPrecision(3));
}

if (isMain(import.meta.url)) await main(proveGpu);
