// Stand-ins for a GPU, for tests of what Thaw says and does where there is one: nvidia-smi, and a TensorFlow that says it computes on a GPU.
// No GPU is needed, or looked for; what is computed, the CPU computes.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { makePythonEnvironment } from './pythonEnvironment.js';

/** What it says on a machine without a GPU. */
export const NO_GPU = 'echo "No devices were found"; exit 6';

/** As drivers since 525 answer: index, uuid, driver_version, compute_cap, memory.total, memory.used, utilization.gpu, mig.mode.current, name. */
export const ONE_GPU = `case "$*" in
*--query-gpu=index*) echo "0, GPU-1111-aa, 550.54.15, 8.9, 24564, 564, 3, [N/A], NVIDIA GeForce RTX 4090";;
*--id=GPU-1111-aa*) echo "87, 6144, 24564";;
*compute-apps*) echo "GPU-1111-aa, 4711, 500, /home/somebody/bin/python3";;
*) exit 0;;
esac`;

/** Writes the shell script as `nvidia-smi` into `folder`/bin; returns a PATH that begins there. */
export function pretendNvidiaSmi(folder: string, script: string): string {
  const bin = path.join(folder, 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(path.join(bin, 'nvidia-smi'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return `${bin}:${process.env['PATH'] ?? ''}`;
}

/**
 * Variables under which `thaw` takes this machine for one with a GPU: a runtime that is laid out as a CUDA one, the script as nvidia-smi, and an
 * addon that answers yes when it is asked whether it uses a GPU.
 */
export function pretendGpu(folder: string, nvidiaSmi: string): NodeJS.ProcessEnv {
  const runtime = makePythonEnvironment(path.join(folder, 'cuda'));
  mkdirSync(path.join(runtime, 'lib', 'python3.12', 'site-packages', 'nvidia', 'cuda_runtime', 'lib'), { recursive: true });
  const preload = path.join(folder, 'pretendGpu.cjs');
  writeFileSync(preload, `const dlopen = process.dlopen.bind(process);
process.dlopen = (target, file, ...more) => {
  dlopen(target, file, ...more);
  if ('isUsingGpuDevice' in target.exports) target.exports = Object.create(target.exports, { isUsingGpuDevice: { value: () => true } });
};
`);
  return { THAW_RUNTIME: runtime, PATH: pretendNvidiaSmi(folder, nvidiaSmi), NODE_OPTIONS: `--require ${preload}` };
}
