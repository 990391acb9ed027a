// Does the GPU compute what the CPU computes, and how much faster? Child processes run the operations that training is made of, one on each device
// (a process has one device); this one compares. Only then is the CUDA build called ready.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as v from 'valibot';
import { precisionChoice } from '../engine/device.js';
import { loadEngine, type Engine } from '../engine/load.js';
import { proofOf, PROOF_FILE, type Runtime, type RuntimeProof } from '../engine/runtime.js';
import { parameterSpecs, type Graph } from '../network/graph.js';
import type { Parameters } from '../network/parameters.js';
import { RESIDUAL_SHAPES, residualNetwork } from '../network/residualNetwork.js';
import { ThawError } from '../protocol/errors.js';
import { writeFileAtomic } from '../storage/atomicFile.js';
import { disposeParameters, finetune, type LabelledImage } from '../training/finetune.js';
import { SeededRandom } from '../training/random.js';
import { configuredThreads } from './environment.js';

const BATCH = 16;
const WARM_UP_STEPS = 3;
const MEASURED_STEPS = 20;
/** A slow CPU measures fewer steps than this time holds, three at least. */
const MEASURE_MS = 12_000;
const LEAST_STEPS = 3;
const CHILD_LIMIT_MS = 300_000;
/** Relative, of norms. TF32 multiplies with 10-bit mantissas: the second bound only says that nothing is wrong altogether. */
const TOLERANCE = { float32: 1e-3, auto: 1e-2 } as const;

const resultSchema = v.object({
  device: v.object({ kind: v.picklist(['gpu', 'cpu']), name: v.string(), reason: v.optional(v.string()) }),
  tensorflow: v.string(),
  /** Each operation's values, float32 in base64. */
  operations: v.record(v.string(), v.string()),
  imagesPerSecond: v.optional(v.number()),
  /** The last error that TensorFlow printed. */
  complaint: v.optional(v.string()),
});
/** What one device computed. */
export type DeviceResult = v.InferOutput<typeof resultSchema>;

export interface GpuProof {
  readonly device: string;
  readonly tensorflow: string;
  /** By operation: relative difference from the CPU's values, of norms, in float32. */
  readonly errors: Readonly<Record<string, number>>;
  /** The same in the precision that training uses; larger where that is TF32. */
  readonly trainingErrors: Readonly<Record<string, number>>;
  readonly precision: 'auto' | 'float32';
  /** A training step of ResNet18, 224 px, batches of 16. */
  readonly gpuImagesPerSecond: number;
  readonly cpuImagesPerSecond: number;
}

/** Runs the operations on the device that the environment names. `timed` trains ResNet18 for some steps too. */
export async function computeForProof(environment: NodeJS.ProcessEnv, timed: boolean): Promise<DeviceResult> {
  const engine = await loadEngine({ environment, threads: configuredThreads(environment) });
  const operations = runOperations(engine);
  return {
    device: engine.device, tensorflow: engine.tensorflowVersion,
    operations: Object.fromEntries([...operations].map(([name, values]) => [name, Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64')])),
    ...(timed && { imagesPerSecond: await stepSpeed(engine) }),
  };
}

/** Values of each operation on inputs that are the same everywhere; sizes as in a network's middle. */
function runOperations({ tf, kernels }: Engine): Map<string, Float32Array> {
  // Sums of sines: different at every place, around 0 as activations and weights are.
  const values = (length: number, frequency: number): Float32Array => Float32Array.from({ length }, (_, index) => Math.sin(index * frequency) + 0.5 * Math.cos(index * 0.013));
  const made = (shape: [number, number, number, number], frequency: number): Tensor4D => tf.tensor4d(values(shape.reduce((product, length) => product * length), frequency), shape);
  const result = new Map<string, Float32Array>();
  const keep = (name: string, tensor: { dataSync(): unknown }): void => { result.set(name, new Float32Array(tensor.dataSync() as Float32Array)); };
  tf.tidy(() => {
    const x = made([4, 28, 28, 64], 0.37);
    const filter = made([3, 3, 64, 64], 0.21);
    const dy = made([4, 28, 28, 64], 0.53);
    keep('convolution', tf.conv2d(x, filter, 1, 'same'));
    const gradients = tf.grads((input, weights) => tf.conv2d(input as Tensor4D, weights as Tensor4D, 1, 'same'))([x, filter], dy);
    keepBoth('convolution', gradients);
    const depthwise = made([3, 3, 64, 1], 0.29);
    keep('depthwise convolution', tf.depthwiseConv2d(x, depthwise, 1, 'same'));
    keepBoth('depthwise convolution', tf.grads((input, weights) => tf.depthwiseConv2d(input as Tensor4D, weights as Tensor4D, 1, 'same'))([x, depthwise], dy));
    const scale = tf.linspace(0.5, 1.5, 64);
    const offset = tf.linspace(-1, 1, 64);
    keep('fused batch norm', kernels.batchNormTraining(x, scale, offset, 1e-3));
    const [dx] = tf.grads((input, gamma, beta) => kernels.batchNormTraining(input as Tensor4D, gamma as typeof scale, beta as typeof scale, 1e-3))([x, scale, offset], dy);
    if (dx !== undefined) keep('fused batch norm, gradient of the input', dx);
    keep('matrix product', tf.matMul(tf.tensor2d(values(256 * 512, 0.37), [256, 512]), tf.tensor2d(values(512 * 128, 0.21), [512, 128])));
  });
  return result;

  function keepBoth(name: string, [input, weights]: { dataSync(): unknown }[]): void {
    if (input !== undefined) keep(`${name}, gradient of the input`, input);
    if (weights !== undefined) keep(`${name}, gradient of the filter`, weights);
  }
}
type Tensor4D = ReturnType<Engine['tf']['tensor4d']>;

/** Images/s of finetuning ResNet18, by the product's own loop on random pixels; the median step. */
async function stepSpeed(engine: Engine): Promise<number> {
  const graph = residualNetwork('resnet18', RESIDUAL_SHAPES.resnet18, 2);
  const start = randomParameters(engine, graph);
  const size = graph.preprocessing.crop;
  const pixels = new Uint8Array(size * size * 3);
  const random = new SeededRandom(0, 'proof');
  for (let index = 0; index < pixels.length; index++) pixels[index] = random.integer(256);
  const images: LabelledImage[] = Array.from({ length: (WARM_UP_STEPS + MEASURED_STEPS) * BATCH }, (_, index) => ({ path: String(index), sha256: '', class: index % 2 }));
  const seconds: number[] = [];
  let step = 0;
  let before = performance.now();
  let began = before;
  try {
    const result = await finetune(engine, graph, start, images, images.slice(0, BATCH), {
      preprocessing: { id: 'proof', resizeShortSide: size, size, kernel: 'linear', colour: 'rgb' },
      async *stream(wanted: readonly { readonly path: string }[]) {
        for (const index of wanted.keys()) yield await Promise.resolve({ index, pixels });
      },
    }, {
      epochs: 1, batch: BATCH,
      body: {
        learningRate: 1e-4, headLearningRateFactor: 1, momentum: 0.9, weightDecay: 1e-4, warmupShare: 0, schedule: 'cosine', decayEpochs: 10,
        decayFactor: 0.1, trains: 'all', headStart: 'trained', batches: 'even', labelSmoothing: 0, clipNorm: 1, batchNorm: 'batch', batchNormMomentum: 0.1, reestimateImages: 0, flip: false, crop: false,
      },
    }, random, {
      stopRequested: () => seconds.length >= LEAST_STEPS && performance.now() - began > MEASURE_MS,
      onEpoch: () => undefined,
      onStep: () => {
        const now = performance.now();
        step += 1;
        if (step === WARM_UP_STEPS) began = now;
        if (step > WARM_UP_STEPS) seconds.push((now - before) / 1000);
        before = now;
      },
    });
    disposeParameters(result.parameters);
  } finally {
    disposeParameters(start);
  }
  seconds.sort((a, b) => a - b);
  return BATCH / (seconds[Math.floor(seconds.length / 2)] ?? NaN);
}

/** As He et al. initialise it (2015): normal, of variance 2 / inputs of a neuron; batch norms as they begin. In the engine's layouts. */
function randomParameters({ tf }: Engine, graph: Graph): Parameters {
  const random = new SeededRandom(0, 'parameters');
  return new Map(parameterSpecs(graph).map(({ name, shape, role, op }) => {
    if (role !== 'weight') return [name, role === 'scale' || role === 'variance' ? tf.ones([...shape]) : tf.zeros([...shape])];
    const [outputs = 1, ...inputs] = shape;
    const fan = inputs.reduce((product, length) => product * length, 1);
    const values = Float32Array.from({ length: outputs * fan }, () => Math.sqrt(2 / fan) * Math.sqrt(-2 * Math.log(1 - random.uniform())) * Math.cos(2 * Math.PI * random.uniform()));
    const tensor = tf.tensor(values, [...shape], 'float32');
    const turned = tf.transpose(tensor, op === 'dense' ? [1, 0] : [2, 3, 1, 0]);
    tensor.dispose();
    return [name, turned];
  }));
}

/**
 * Compares what two devices computed.
 * @returns by operation ‖other − reference‖ / ‖reference‖
 * @throws ThawError `gpu-wrong`, naming the operation, where that is above the tolerance, or values are missing or no numbers
 */
export function compareResults(reference: DeviceResult, other: DeviceResult, tolerance: number): Record<string, number> {
  const errors: Record<string, number> = {};
  for (const [name, text] of Object.entries(reference.operations)) {
    const [expected, actual] = [floats(text), floats(other.operations[name] ?? '')];
    let difference = 0;
    let norm = 0;
    for (const [index, value] of expected.entries()) {
      difference += (value - (actual[index] ?? NaN)) ** 2;
      norm += value ** 2;
    }
    const error = actual.length === expected.length ? Math.sqrt(difference / norm) : NaN;
    if (!(error <= tolerance)) {
      throw new ThawError(
        'engine', 'gpu-wrong',
        `The GPU computes a wrong ${name}: ${Number.isNaN(error) ? 'no numbers' : `a relative difference of ${error.toExponential(1)}`} from the CPU, ${tolerance} allowed (${other.device.name})`,
        'Update the NVIDIA driver and try again; training stays on the CPU until the GPU computes right',
      );
    }
    errors[name] = error;
  }
  return errors;
}

function floats(text: string): Float32Array {
  const bytes = Buffer.from(text, 'base64');
  const copy = new Uint8Array(bytes);
  return new Float32Array(copy.buffer, 0, Math.floor(copy.byteLength / 4));
}

export interface ProofOptions {
  readonly environment: NodeJS.ProcessEnv;
  /** The binary that will train, and `dist/trainer.js`. */
  readonly execPath: string;
  readonly script: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (report: { readonly message: string }) => void;
}

/**
 * Runs the proof of a runtime folder: on the CPU, on the GPU in float32 (compared to 1e-3), on the GPU as training will use it (timed). A minute.
 * @throws ThawError `no-gpu` when TensorFlow uses none, with the reason; `gpu-wrong`; `gpu-failed` with the child's words; `cancelled`
 */
export async function proveGpu(directory: string, options: ProofOptions): Promise<GpuProof> {
  const { environment, onProgress } = options;
  const precision = precisionChoice(environment);
  const on = async (device: 'cpu' | 'gpu', changes: NodeJS.ProcessEnv, timed: boolean): Promise<DeviceResult> => {
    const result = await computeInChild({ ...environment, THAW_RUNTIME: directory, THAW_DEVICE: device === 'cpu' ? 'cpu' : 'auto', ...changes }, timed, options);
    if (result.device.kind === device) return result;
    const reason = result.device.reason ?? 'TensorFlow uses none';
    throw new ThawError(
      'engine', 'no-gpu', `The GPU could not be proved: ${reason}${result.complaint === undefined ? '' : ` (TensorFlow says: ${result.complaint})`}`,
      'Training stays on the CPU; update the NVIDIA driver, see `thaw doctor`, and set up again: what was fetched is kept',
    );
  };
  onProgress?.({ message: 'Comparing the GPU with the CPU' });
  const exact = await on('gpu', { THAW_PRECISION: 'float32' }, false);
  onProgress?.({ message: 'Measuring the CPU' });
  const cpu = await on('cpu', {}, true);
  const errors = compareResults(cpu, exact, TOLERANCE.float32);
  onProgress?.({ message: 'Measuring the GPU' });
  const gpu = await on('gpu', {}, true);
  const trainingErrors = compareResults(cpu, gpu, TOLERANCE[precision]);
  return {
    device: gpu.device.name, tensorflow: gpu.tensorflow, errors, trainingErrors, precision,
    gpuImagesPerSecond: gpu.imagesPerSecond ?? NaN, cpuImagesPerSecond: cpu.imagesPerSecond ?? NaN,
  };
}

/** Writes what a GPU has shown into its runtime's folder: from now on it is trained on. */
export async function recordProof(runtime: Runtime, proof: GpuProof, driver: string | undefined): Promise<RuntimeProof> {
  const record: RuntimeProof = {
    schemaVersion: 1, provedAt: new Date().toISOString(), device: proof.device, ...(driver !== undefined && { driver }),
    error: Math.max(...Object.values(proof.errors)), gpuImagesPerSecond: proof.gpuImagesPerSecond, cpuImagesPerSecond: proof.cpuImagesPerSecond,
  };
  await writeFileAtomic(path.join(runtime.directory, PROOF_FILE), `${JSON.stringify(record, undefined, 2)}\n`);
  return proofOf(runtime.directory) ?? record;
}

/** Takes back what was proved: the CPU build is trained on again. */
export async function withdrawProof(runtime: Runtime): Promise<void> {
  await rm(path.join(runtime.directory, PROOF_FILE), { force: true });
}

/** `execPath script --prove FILE`, and what it wrote there. */
export async function computeInChild(environment: NodeJS.ProcessEnv, timed: boolean, { execPath, script, signal }: Pick<ProofOptions, 'execPath' | 'script' | 'signal'>): Promise<DeviceResult> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'thaw-proof-'));
  try {
    const file = path.join(folder, 'result.json');
    const child = spawn(execPath, [script, '--prove', file, ...(timed ? ['--timed'] : [])], {
      cwd: folder,
      env: {
        ...Object.fromEntries(Object.entries(environment).filter(([name]) => !/^(?:NODE_|VSCODE_|ELECTRON_)/.test(name))),
        ...('electron' in process.versions && { ELECTRON_RUN_AS_NODE: '1' }), // else a second editor would open
        TF_CPP_MIN_LOG_LEVEL: '1', // warnings and errors, for the message
      },
      stdio: ['ignore', 'ignore', 'pipe'], timeout: CHILD_LIMIT_MS, killSignal: 'SIGKILL', windowsHide: true,
      ...(signal !== undefined && { signal }),
    });
    let output = '';
    child.stderr.on('data', (chunk: Buffer) => { output = (output + chunk.toString('utf8')).slice(-8192); });
    const ended = await new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, killedBy) => { resolve(code ?? killedBy); });
    });
    if (ended !== 0) {
      const words = output.trim().split('\n').at(-1)?.trim().replace(/\.+$/, '') ?? '';
      throw new ThawError(
        'engine', 'gpu-failed',
        ended === 'SIGKILL' ? `The GPU's proof was ended, or took more than ${CHILD_LIMIT_MS / 1000} s` : `TensorFlow failed in the GPU's proof (${ended}): ${words}`,
        'Training stays on the CPU; `thaw doctor` shows driver and GPU', { cause: new Error(output) },
      );
    }
    const complaint = output.split('\n').map((line) => /^E\d{4} .*?\] (.*)$/.exec(line)?.[1]?.trim().slice(0, 300)).findLast((words) => words !== undefined);
    return { ...v.parse(resultSchema, JSON.parse(await readFile(file, 'utf8'))), ...(complaint !== undefined && { complaint }) };
  } catch (error) {
    if (signal?.aborted === true) throw new ThawError('engine', 'cancelled', 'The GPU\'s proof was cancelled', 'Set up again when you like: what was fetched is kept', { cause: error });
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
