// What the engine computes on, in plain words, and why not on a GPU.
import { execFile } from 'node:child_process';
import { ThawError } from '../protocol/errors.js';
import type { Device } from '../protocol/run.js';

/** `THAW_DEVICE`: `auto` takes a GPU where TensorFlow can use one; `gpu` refuses to do without; `cpu` hides it. */
export type DeviceChoice = 'auto' | 'cpu' | 'gpu';

export interface NvidiaGpu {
  readonly index: string;
  readonly uuid: string;
  readonly name: string;
  readonly memoryBytes: number;
}

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const NVIDIA_SMI_LIMIT_MS = 5000;

/** Reads `THAW_DEVICE`. @throws ThawError `bad-environment` for any other word */
export function deviceChoice(environment: NodeJS.ProcessEnv): DeviceChoice {
  const text = environment['THAW_DEVICE'];
  if (text === undefined || text === '') return 'auto';
  if (text === 'auto' || text === 'cpu' || text === 'gpu') return text;
  throw new ThawError('input', 'bad-environment', `THAW_DEVICE is ${JSON.stringify(text)}, which is none of auto, cpu and gpu`, 'Unset THAW_DEVICE, or give it one of these');
}

/**
 * Describes the device that TensorFlow uses.
 * @param facts.gpus what nvidia-smi lists: empty when it is missing or finds none
 * @throws ThawError `no-gpu` when a GPU was asked for and none is used
 */
export function describeDevice(facts: {
  usesGpu: boolean;
  flavour: 'cpu' | 'cuda';
  choice: DeviceChoice;
  threads: number;
  gpus: readonly NvidiaGpu[];
  /** `CUDA_VISIBLE_DEVICES` as TensorFlow saw it. */
  visibleDevices: string | undefined;
}): Device {
  const { usesGpu, flavour, choice, threads, gpus } = facts;
  if (usesGpu) {
    const gpu = usedGpu(gpus, facts.visibleDevices);
    if (gpu === undefined) return { kind: 'gpu', name: 'NVIDIA GPU (nvidia-smi does not say which)', threads };
    return { kind: 'gpu', name: `${gpu.name.startsWith('NVIDIA') ? '' : 'NVIDIA '}${gpu.name}, ${Math.round(gpu.memoryBytes / GIB)} GiB`, threads, memoryBytes: gpu.memoryBytes };
  }
  const reason = choice === 'cpu' ? 'THAW_DEVICE=cpu'
    : flavour === 'cpu' ? 'this TensorFlow is the CPU build'
    : gpus[0] === undefined ? 'no NVIDIA GPU found'
    : `TensorFlow can't use the ${gpus[0].name}: its driver or a CUDA library doesn't fit`;
  if (choice === 'gpu') {
    throw new ThawError('engine', 'no-gpu', `THAW_DEVICE=gpu asks for a GPU, but ${reason}`, 'Name a folder with the CUDA build of TensorFlow and check the driver with nvidia-smi, or unset THAW_DEVICE');
  }
  return { kind: 'cpu', name: `CPU (${threads} ${threads === 1 ? 'thread' : 'threads'})`, reason, threads };
}

/** The NVIDIA GPUs of this machine by nvidia-smi; none when it is missing, fails or takes more than five seconds. */
export function listNvidiaGpus(environment: NodeJS.ProcessEnv): Promise<NvidiaGpu[]> {
  return new Promise((resolve) => {
    execFile(
      'nvidia-smi',
      ['--query-gpu=index,uuid,name,memory.total', '--format=csv,noheader,nounits'],
      { timeout: NVIDIA_SMI_LIMIT_MS, killSignal: 'SIGKILL', env: environment, windowsHide: true },
      // Its failure is an answer: nothing to describe. What TensorFlow uses is known without it.
      (error, stdout) => { resolve(error === null ? parseNvidiaSmi(stdout) : []); },
    );
  });
}

/** Lines of `index, uuid, name, MiB`; a line that is not so is left out. */
export function parseNvidiaSmi(text: string): NvidiaGpu[] {
  return text.split('\n').flatMap((line) => {
    const [index, uuid, name, mebibytes] = line.split(',').map((field) => field.trim());
    const memoryBytes = Number(mebibytes) * MIB;
    return index === undefined || uuid === undefined || name === undefined || !Number.isFinite(memoryBytes) ? [] : [{ index, uuid, name, memoryBytes }];
  });
}

/** The addon takes the last GPU that is visible; `CUDA_DEVICE_ORDER=PCI_BUS_ID` makes CUDA's numbers those of nvidia-smi. */
function usedGpu(gpus: readonly NvidiaGpu[], visibleDevices: string | undefined): NvidiaGpu | undefined {
  if (visibleDevices === undefined) return gpus.at(-1);
  const last = visibleDevices.split(',').map((entry) => entry.trim()).filter((entry) => entry !== '').at(-1);
  return last === undefined ? undefined : gpus.find((gpu) => gpu.index === last || gpu.uuid.startsWith(last));
}
