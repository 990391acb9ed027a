// Loads TensorFlow into this process: the addon beside its libraries, tfjs's backend over it, our kernels, and what it computes on.
// Skips tfjs-node's own entry, which looks for a download of its install script that we never ran.
import os from 'node:os';
import util from 'node:util';
import type { TFJSBinding } from '@tensorflow/tfjs-node-gpu/dist/tfjs_binding';
import { ThawError } from '../protocol/errors.js';
import type { Device } from '../protocol/run.js';
import { addonFor } from './addon.js';
import { CONFIG_VARIABLE, memoryCapConfig } from './contextConfig.js';
import { chooseDevice, describeDevice, deviceChoice, gpuMemoryCap, precisionChoice, type DeviceChoice, type GpuChoice, type Precision } from './device.js';
import type { Kernels } from './kernels.js';
import { findRuntime, type Runtime } from './runtime.js';

export interface Engine {
  /** tfjs with TensorFlow as its backend. */
  readonly tf: typeof import('@tensorflow/tfjs');
  readonly kernels: Kernels;
  readonly device: Device;
  /** As the library itself says: `2.21.0`. */
  readonly tensorflowVersion: string;
  /** Threads that one operation is spread over. */
  readonly threads: number;
  /** The GPU's UUID where one is used whole; of a slice nvidia-smi tells neither use nor memory. */
  readonly gpuUuid?: string;
  /** Of a GPU: a memory cap was asked for and can't be kept, as nobody says how much memory there is. */
  readonly uncapped?: true;
}

export interface LoadOptions {
  /** Default: what `findRuntime` finds. */
  readonly runtime?: Runtime;
  /** Threads that one operation is spread over. Default: the cores that this process may use. */
  readonly threads?: number;
  /** `THAW_DEVICE`, `THAW_GPU`, `THAW_PRECISION`, `THAW_GPU_MEMORY_GIB`, `THAW_RUNTIME`, `THAW_HOME`, `CUDA_VISIBLE_DEVICES`. Default: the process's own. */
  readonly environment?: NodeJS.ProcessEnv;
}

let loaded: { readonly key: string; readonly engine: Promise<Engine> } | undefined;

/**
 * Loads the engine, 0.4 s. A process has one: a second call gives the same, and asking for a different one throws.
 * Sets process-wide variables that TensorFlow reads once: logging, threads, GPU memory.
 * @throws ThawError of kind `engine`: `engine-missing`, `engine-broken` when a library or the addon can't be loaded, `no-gpu`
 */
export async function loadEngine(options: LoadOptions = {}): Promise<Engine> {
  const environment = options.environment ?? process.env;
  const runtime = options.runtime ?? findRuntime({ environment });
  if (runtime === undefined) {
    throw new ThawError('engine', 'engine-missing', 'TensorFlow is not on this machine yet', 'Run `thaw setup`, or Thaw: Set Up Engine in the editor');
  }
  const threads = Math.max(1, Math.floor(options.threads ?? os.availableParallelism()));
  const choice = deviceChoice(environment);
  const precision = precisionChoice(environment);
  const memoryCap = gpuMemoryCap(environment);
  const key = JSON.stringify([runtime.directory, threads, choice, precision, memoryCap ?? 0, environment['THAW_GPU'] ?? '']);
  if (loaded !== undefined && loaded.key !== key) {
    throw new ThawError('engine', 'engine-already-loaded', `TensorFlow is loaded already, with other settings than ${key}`, 'Start a new process for another TensorFlow, thread count, precision, memory cap or device');
  }
  loaded ??= { key, engine: load(runtime, { threads, choice, precision, memoryCap }, environment) };
  return await loaded.engine;
}

interface Wanted {
  readonly threads: number;
  readonly choice: DeviceChoice;
  readonly precision: Precision;
  /** Bytes. */
  readonly memoryCap: number | undefined;
}

async function load(runtime: Runtime, wanted: Wanted, environment: NodeJS.ProcessEnv): Promise<Engine> {
  const { threads, choice } = wanted;
  const gpu = runtime.flavour === 'cuda' ? await chooseDevice(choice, environment) : undefined;
  setVariables(wanted, gpu);
  restoreUtilFunctions();
  const binding = loadAddon(await addonFor(runtime, environment), runtime);
  const { startTensorflow } = await import('./tensorflow.js');
  const started = await startTensorflow(binding, threads);
  if (started === undefined) throw new ThawError('engine', 'engine-broken', `tfjs refuses TensorFlow in ${runtime.directory} as its backend`, 'Set up the engine again');
  const device = describeDevice({ usesGpu: binding.isUsingGpuDevice(), flavour: runtime.flavour, choice, threads, gpu });
  const whole = device.kind === 'gpu' && gpu?.chosen?.slice === undefined ? gpu?.chosen?.gpu.uuid : undefined;
  const uncapped = device.kind === 'gpu' && wanted.memoryCap !== undefined && memoryOf(gpu) === undefined;
  return { ...started, device, tensorflowVersion: binding.TF_Version, threads, ...(whole !== undefined && { gpuUuid: whole }), ...(uncapped && { uncapped }) };
}

/** What TensorFlow reads from the process's own environment, once, when its context is made. */
function setVariables({ threads, choice, precision, memoryCap }: Wanted, gpu: GpuChoice | undefined): void {
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2'; // its notes on every start; errors still come as exceptions
  // Which of oneDNN's kernels serve is chosen by name (oneDnn.ts), on every processor alike; on some TensorFlow would take all of them, with a note.
  process.env['TF_ENABLE_ONEDNN_OPTS'] ??= '0';
  process.env['TF_FORCE_GPU_ALLOW_GROWTH'] = 'true'; // else it takes all of the GPU's memory
  process.env['TF_NUM_INTRAOP_THREADS'] = String(threads);
  if (choice === 'cpu') process.env['CUDA_VISIBLE_DEVICES'] = '-1';
  process.env[CONFIG_VARIABLE] = ''; // it is between Thaw and its addon alone
  if (gpu === undefined) return;
  // One GPU: the addon computes on one, and TensorFlow would keep a part of every other. Numbered as nvidia-smi numbers them.
  process.env['CUDA_DEVICE_ORDER'] ??= 'PCI_BUS_ID';
  process.env['CUDA_VISIBLE_DEVICES'] = gpu.visibleDevices;
  const whole = memoryOf(gpu);
  if (memoryCap !== undefined && whole !== undefined && memoryCap < whole) process.env[CONFIG_VARIABLE] = memoryCapConfig(memoryCap / whole);
  // TensorFlow's own switch for TF32 is out of the addon's reach; NVIDIA's libraries heed this one.
  if (precision === 'float32') process.env['NVIDIA_TF32_OVERRIDE'] = '0';
}

/** Bytes of the GPU or the slice; undefined where nvidia-smi doesn't say. */
function memoryOf(gpu: GpuChoice | undefined): number | undefined {
  return gpu?.chosen?.slice?.memoryBytes ?? gpu?.chosen?.gpu.memoryBytes;
}

/** tfjs-node calls two functions that Node 23 took out of node:util. */
function restoreUtilFunctions(): void {
  const functions = util as unknown as Record<string, unknown>;
  functions['isNullOrUndefined'] ??= (value: unknown) => value === null || value === undefined;
  functions['isArray'] ??= Array.isArray;
}

function loadAddon(file: string, runtime: Runtime): TFJSBinding {
  const target: { exports: unknown } = { exports: {} };
  try {
    process.dlopen(target, file);
  } catch (error) {
    throw new ThawError(
      'engine',
      'engine-broken',
      `TensorFlow in ${runtime.directory} can't be loaded: ${(error as Error).message}`,
      runtime.source === 'cache' ? 'Set up the engine again' : 'Name another TensorFlow folder, or unset it to use the one that Thaw provides',
      { cause: error },
    );
  }
  return target.exports as TFJSBinding;
}
