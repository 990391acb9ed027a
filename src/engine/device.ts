// What the engine computes on, in plain words, and why not on a GPU.
import { ThawError } from '../protocol/errors.js';
import type { Device } from '../protocol/run.js';
import { chooseGpu, findNvidiaGpus, gpuTitle, type ChosenGpu, type GpuProblem } from './nvidia.js';

/** `THAW_DEVICE`: `auto` takes a GPU where TensorFlow can use one; `gpu` refuses to do without; `cpu` hides it. */
export type DeviceChoice = 'auto' | 'cpu' | 'gpu';

/** Reads `THAW_DEVICE`. @throws ThawError `bad-environment` for any other word */
export function deviceChoice(environment: NodeJS.ProcessEnv): DeviceChoice {
  const text = environment['THAW_DEVICE'];
  if (text === undefined || text === '') return 'auto';
  if (text === 'auto' || text === 'cpu' || text === 'gpu') return text;
  throw new ThawError('input', 'bad-environment', `THAW_DEVICE is ${JSON.stringify(text)}, which is none of auto, cpu and gpu`, 'Unset THAW_DEVICE, or give it one of these');
}

/** `THAW_PRECISION`: `auto` lets the GPU multiply in TF32 where it can, `float32` doesn't. A CPU always computes in float32. */
export type Precision = 'auto' | 'float32';

/** Reads `THAW_PRECISION`. @throws ThawError `bad-environment` for any other word */
export function precisionChoice(environment: NodeJS.ProcessEnv): Precision {
  const text = environment['THAW_PRECISION'];
  if (text === undefined || text === '') return 'auto';
  if (text === 'auto' || text === 'float32') return text;
  throw new ThawError('input', 'bad-environment', `THAW_PRECISION is ${JSON.stringify(text)}, which is neither auto nor float32`, 'Unset THAW_PRECISION, or give it one of these');
}

/** Reads `THAW_GPU_MEMORY_GIB`, bytes; undefined for no cap. @throws ThawError `bad-environment` for what is no number above 0 */
export function gpuMemoryCap(environment: NodeJS.ProcessEnv): number | undefined {
  const text = environment['THAW_GPU_MEMORY_GIB'];
  if (text === undefined || text === '') return undefined;
  const gibibytes = Number(text);
  if (!Number.isFinite(gibibytes) || gibibytes <= 0) {
    throw new ThawError('input', 'bad-environment', `THAW_GPU_MEMORY_GIB is ${JSON.stringify(text)}, which is not a number above 0`, 'Unset THAW_GPU_MEMORY_GIB, or give it a number');
  }
  return gibibytes * 1024 ** 3;
}

/** What was found out before TensorFlow is loaded: which GPU it may see. */
export interface GpuChoice {
  readonly chosen?: ChosenGpu;
  readonly problem?: GpuProblem;
  /** For `CUDA_VISIBLE_DEVICES`. */
  readonly visibleDevices: string;
}

/** With these nvidia-smi couldn't say what there is: TensorFlow is left to try. With any other problem it would fail, or hang. */
const WORTH_A_TRY: ReadonlySet<GpuProblem['code']> = new Set(['no-nvidia-smi', 'nvidia-smi-unreadable', 'nvidia-smi-failed']);

/** Chooses the GPU that TensorFlow will see: `THAW_GPU` names it, else the freest. A choice of the CPU asks nobody. */
export async function chooseDevice(choice: DeviceChoice, environment: NodeJS.ProcessEnv, options: { readonly evenFull?: boolean } = {}): Promise<GpuChoice> {
  if (choice === 'cpu') return { visibleDevices: '-1' };
  const visible = environment['CUDA_VISIBLE_DEVICES'];
  const report = await findNvidiaGpus(environment);
  const found = 'problem' in report ? report : chooseGpu(report.gpus, { pinned: environment['THAW_GPU'], visible, ...options });
  if (!('problem' in found)) return { chosen: found, visibleDevices: found.visibleDevice };
  return { problem: found.problem, visibleDevices: WORTH_A_TRY.has(found.problem.code) ? visible ?? '0' : '-1' };
}

/**
 * Describes the device that TensorFlow uses.
 * @param facts.gpu what `chooseDevice` found; nothing for the CPU build
 * @throws ThawError `no-gpu` when a GPU was asked for and none is used
 */
export function describeDevice(facts: { usesGpu: boolean; flavour: 'cpu' | 'cuda'; choice: DeviceChoice; threads: number; gpu?: GpuChoice | undefined }): Device {
  const { usesGpu, flavour, choice, threads, gpu } = facts;
  if (usesGpu) {
    if (gpu?.chosen === undefined) return { kind: 'gpu', name: 'NVIDIA GPU (nvidia-smi does not say which)', threads };
    const memoryBytes = gpu.chosen.slice?.memoryBytes ?? gpu.chosen.gpu.memoryBytes;
    return { kind: 'gpu', name: gpuTitle(gpu.chosen), threads, ...(memoryBytes !== undefined && { memoryBytes }) };
  }
  const reason = choice === 'cpu' ? 'THAW_DEVICE=cpu'
    : flavour === 'cpu' ? 'this TensorFlow is the CPU build'
    : gpu?.problem !== undefined ? lowerFirst(gpu.problem.message)
    : gpu?.chosen !== undefined ? `TensorFlow can't use the ${gpu.chosen.gpu.name}: its driver or a CUDA library doesn't fit`
    : 'no NVIDIA GPU found';
  if (choice === 'gpu') {
    throw new ThawError(
      'engine', 'no-gpu', `THAW_DEVICE=gpu asks for a GPU, but ${reason}`,
      flavour === 'cpu' ? 'Run `thaw setup --device gpu`, or Thaw: Set Up GPU in the editor, or unset THAW_DEVICE'
        : gpu?.problem !== undefined ? `${gpu.problem.next}; or unset THAW_DEVICE`
        : 'Check the driver with nvidia-smi and run `thaw setup --device gpu`, or unset THAW_DEVICE',
    );
  }
  return { kind: 'cpu', name: `CPU (${threads} ${threads === 1 ? 'thread' : 'threads'})`, reason, threads };
}

/** A sentence after a comma or a colon; names such as NVIDIA and WSL stay as they are. */
function lowerFirst(sentence: string): string {
  return /^[A-Z][a-z]/.test(sentence) && !/^(?:CUDA|NVIDIA|TensorFlow)/.test(sentence) ? sentence.charAt(0).toLowerCase() + sentence.slice(1) : sentence;
}
