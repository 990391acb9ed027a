// The engine itself, on the TensorFlow of this machine: it loads, says what it is, and its kernels agree with PyTorch's numbers in float64.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, copyFileSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type { Rank, Tensor, Tensor1D, Tensor4D } from '@tensorflow/tfjs';
import { addonFor } from '../../src/engine/addon.js';
import { CONFIG_VARIABLE, memoryCapConfig } from '../../src/engine/contextConfig.js';
import { createFusedConvolution, type FusedConvolution } from '../../src/engine/fusedConvolution.js';
import type { OperationBackend } from '../../src/engine/kernels.js';
import { loadEngine, type Engine } from '../../src/engine/load.js';
import { ADDON_FILE, LIBRARY_FOLDER, TENSORFLOW_VERSION } from '../../src/engine/pins.js';
import { findRuntime, type Runtime } from '../../src/engine/runtime.js';
import { checkEngine } from '../../src/engine/selfCheck.js';
import { ThawError } from '../../src/protocol/errors.js';

interface Packed { readonly shape: number[]; readonly data: number[] }
interface Case {
  readonly inputs: Readonly<Record<string, Packed>>;
  readonly dy: Packed;
  readonly y: Packed;
  readonly gradients: Readonly<Record<string, Packed>>;
}
interface BatchNormCase extends Case { readonly epsilon: number; readonly mean: Packed; readonly variance: Packed }
interface ConvolutionCase extends Case { readonly kind: 'plain' | 'depthwise'; readonly stride: number; readonly kernel: number; readonly size: number }
interface FusedConvolutionCase extends ConvolutionCase { readonly activation: 'linear' | 'relu' | 'relu6' }
interface Golden {
  readonly batchNormTraining: BatchNormCase;
  readonly relu: Case;
  readonly relu6: Case;
  readonly convolutions: readonly ConvolutionCase[];
  readonly fusedConvolutions: readonly FusedConvolutionCase[];
}

const THREADS = 2;
const TOLERANCE = 1e-5; // relative, of norms: float32 against float64
const golden = JSON.parse(gunzipSync(readFileSync(path.join(process.cwd(), 'test', 'numeric', 'golden', 'kernels.json.gz'))).toString('utf8')) as Golden;

let engine: Engine;
let tensorsAtStart: number;

before(async () => {
  engine = await loadEngine({ threads: THREADS });
  tensorsAtStart = engine.tf.memory().numTensors;
});

after(() => {
  assert.equal(engine.tf.memory().numTensors, tensorsAtStart, 'tensors are left');
});

function unpack(packed: Packed): Tensor {
  return engine.tf.tensor(packed.data, packed.shape);
}

/** ‖actual − expected‖ / ‖expected‖ */
function difference(actual: Tensor, expected: Packed): number {
  assert.deepEqual(actual.shape, expected.shape);
  const values = actual.dataSync();
  let error = 0;
  let norm = 0;
  expected.data.forEach((value, index) => {
    error += (value - values[index]!) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(error / norm);
}

function assertClose(actual: Tensor, expected: Packed, what: string): void {
  const found = difference(actual, expected);
  assert.ok(found <= TOLERANCE, `${what}: relative difference ${found}`);
}

/** Forward and backward pass against the golden values; every tensor is disposed of. */
function check(example: Case, compute: (...inputs: Tensor[]) => Tensor): void {
  const { tf } = engine;
  const before = tf.memory().numTensors;
  tf.tidy(() => {
    const names = Object.keys(example.inputs);
    const inputs = names.map((name) => unpack(example.inputs[name]!));
    assertClose(compute(...inputs), example.y, 'y');
    const gradients = tf.grads(compute)(inputs, unpack(example.dy));
    names.forEach((name, index) => assertClose(gradients[index]!, example.gradients[name]!, `gradient of ${name}`));
  });
  assert.equal(tf.memory().numTensors, before, 'tensors are left');
}

test('loads the pinned version and says in plain words what it computes on', () => {
  assert.equal(engine.tensorflowVersion, TENSORFLOW_VERSION);
  assert.equal(engine.tf.getBackend(), 'tensorflow');
  assert.equal(engine.threads, THREADS);
  if (engine.device.kind === 'cpu') {
    assert.equal(engine.device.name, 'CPU (2 threads)');
    assert.ok(engine.device.reason);
    // The pinned library has the fused kernels, oneDNN's among them.
    assert.ok(engine.tf.getKernel('ConvolutionBiasActivation-fused-fused', 'tensorflow'));
  } else {
    assert.match(engine.device.name, /NVIDIA/);
  }
});

test('a second call gives the same engine, one with other threads is refused', async () => {
  assert.equal(await loadEngine({ threads: THREADS }), engine);
  await assert.rejects(loadEngine({ threads: THREADS + 1 }), (error) => error instanceof ThawError && error.code === 'engine-already-loaded');
});

test('the self-check agrees with the plain sum', async () => {
  const { tensorflow, error } = await checkEngine({ threads: THREADS });
  assert.equal(tensorflow, TENSORFLOW_VERSION);
  assert.ok(error < 1e-5);
});

test('batch norm over the batch: values, statistics and gradients', () => {
  const example = golden.batchNormTraining;
  check(example, (x, scale, offset) => engine.kernels.batchNormTraining(x as Tensor4D, scale as Tensor1D, offset as Tensor1D, example.epsilon));

  const { tf, kernels } = engine;
  const inputs = ['x', 'scale', 'offset'].map((name) => unpack(example.inputs[name]!));
  const [x, scale, offset] = inputs as [Tensor4D, Tensor1D, Tensor1D];
  const statistics: Tensor1D[] = [];
  const y = tf.tidy(() => kernels.batchNormTraining(x, scale, offset, example.epsilon, (mean, variance) => { statistics.push(mean, variance); }));
  assert.equal(statistics.length, 2);
  assertClose(statistics[0]!, example.mean, 'mean');
  assertClose(statistics[1]!, example.variance, 'variance');
  tf.dispose([...inputs, ...statistics, y]);
});

test('relu and relu6: values and gradients, at the corners too', () => {
  check(golden.relu, (x) => engine.kernels.relu(x));
  check(golden.relu6, (x) => engine.kernels.relu6(x));
});

for (const example of golden.convolutions) {
  test(`${example.kind} convolution, ${example.size} px, kernel ${example.kernel}, stride ${example.stride}, padding same: values and gradients`, () => {
    const { tf } = engine;
    check(example, (x, filter) => (example.kind === 'plain'
      ? tf.conv2d(x as Tensor4D, filter as Tensor4D, example.stride, 'same')
      : tf.depthwiseConv2d(x as Tensor4D, filter as Tensor4D, example.stride, 'same')));
  });
}

for (const example of golden.fusedConvolutions) {
  const { activation, kernel, kind, size, stride } = example;
  test(`${kind} convolution with bias and ${activation}, ${size} px, ${example.inputs['x']!.shape[3]} channels, kernel ${kernel}, stride ${stride}: values and gradients`, () => {
    const compute = (convolution: FusedConvolution) => (x: Tensor, filter: Tensor, bias: Tensor): Tensor => (
      convolution(x as Tensor4D, filter as Tensor4D, bias as Tensor1D, { stride, pad: 'same', activation, depthwise: kind === 'depthwise' }));
    check(example, compute(engine.kernels.convolution));
    // What a GPU gets: its library has these fused for some activations only.
    check(example, compute(composedConvolution()));
  });
}

test('max pooling: values and gradients are those of TensorFlow\'s own kernels, equal values in a window too', () => {
  const { tf, kernels } = engine;
  for (const [size, kernel, stride] of [[12, 3, 2], [13, 3, 2], [9, 2, 2], [7, 3, 1]] as const) {
    tf.tidy(() => {
      const x = tf.relu(tf.randomNormal<Rank.R4>([2, size, size, 5], 0, 1, 'float32', size)); // half of it zero
      const plain = (input: Tensor): Tensor => tf.maxPool(input as Tensor4D, kernel, stride, 'valid');
      const y = kernels.maxPool(x, kernel, stride);
      assert.deepEqual(y.dataSync(), plain(x).dataSync());
      const dy = tf.randomNormal(y.shape, 0, 1, 'float32', kernel);
      const [ours, theirs] = [(input: Tensor) => kernels.maxPool(input as Tensor4D, kernel, stride), plain].map((pool) => tf.grad(pool)(x, dy).dataSync());
      assert.ok(ours !== undefined && theirs !== undefined && ours.some((value) => value !== 0));
      assert.ok(ours.every((value, index) => Math.abs(value - (theirs[index] ?? NaN)) <= 1e-6));
    });
  }
});

test('sums over many rows are exact to float32', () => {
  const { tf, kernels } = engine;
  tf.tidy(() => {
    const [rows, channels] = [200_000, 3];
    const x = tf.add(tf.randomNormal([rows, channels], 0, 1, 'float32', 1), 0.5); // their sum grows to 100,000
    const values = x.dataSync();
    const sums = [0, 0, 0];
    let squares = 0;
    values.forEach((value, index) => {
      sums[index % channels] = (sums[index % channels] ?? 0) + value;
      squares += value ** 2;
    });
    kernels.sumToChannels(x).dataSync().forEach((value, channel) => {
      assert.ok(Math.abs(value / (sums[channel] ?? NaN) - 1) < TOLERANCE, `${String(value)} for ${String(sums[channel])}`);
    });
    assert.ok(Math.abs((2 * (kernels.halfSquaredNorm(x).dataSync()[0] ?? NaN)) / squares - 1) < TOLERANCE);
  });
});

test('a parameter of a fused convolution that is wrong by 1 % is seen', () => {
  const { tf, kernels } = engine;
  for (const example of golden.fusedConvolutions) {
    tf.tidy(() => {
      const [x, filter, bias] = ['x', 'filter', 'bias'].map((name) => unpack(example.inputs[name]!)) as [Tensor4D, Tensor4D, Tensor1D];
      const options = { stride: example.stride, pad: 'same', activation: example.activation, depthwise: example.kind === 'depthwise' } as const;
      for (const [wrongFilter, wrongBias] of [[tf.mul(filter, 1.01), bias], [filter, tf.mul(bias, 1.01)]] as [Tensor4D, Tensor1D][]) {
        assert.ok(difference(kernels.convolution(x, wrongFilter, wrongBias, options), example.y) > TOLERANCE);
      }
    });
  }
});

let composed: FusedConvolution | undefined;
/** The convolution as it is where nothing can be fused. */
function composedConvolution(): FusedConvolution {
  return composed ??= createFusedConvolution(engine.tf, engine.tf.backend() as unknown as OperationBackend, { fuse: false, fuseDepthwise: false });
}

test('a training step through all kernels gives the same bits twice', () => {
  const { tf, kernels } = engine;
  const bits = (): string => tf.tidy(() => {
    const example = golden.convolutions[1]!;
    const [x, filter] = ['x', 'filter'].map((name) => unpack(example.inputs[name]!)) as [Tensor4D, Tensor4D];
    const ones = tf.tensor1d([1, 1, 1, 1]);
    const gradient = tf.grad((f: Tensor) => kernels.relu6(kernels.batchNormTraining(tf.conv2d(x, f as Tensor4D, 2, 'same'), ones, ones, 1e-3)).square().sum())(filter);
    return Buffer.from(gradient.dataSync().buffer).toString('hex');
  });
  assert.equal(bits(), bits());
});

test('somebody else\'s TensorFlow folder is used through links, and nothing is written into it', async () => {
  const runtime = findRuntime();
  assert.ok(runtime);
  const folder = mkdtempSync(path.join(tmpdir(), 'thaw-engine-'));
  try {
    // An addon that is not the one beside the libraries: a byte more after its end.
    const addon = path.join(folder, ADDON_FILE);
    copyFileSync(path.join(runtime.directory, LIBRARY_FOLDER, ADDON_FILE), addon);
    appendFileSync(addon, '\0');
    const listed = readdirSync(path.join(runtime.directory, LIBRARY_FOLDER));
    const foreign: Runtime = { ...runtime, source: 'configured' };
    const environment = { THAW_HOME: path.join(folder, 'home') };
    const file = await addonFor(foreign, environment, addon);
    assert.ok(file.startsWith(environment.THAW_HOME));
    assert.ok(lstatSync(path.join(path.dirname(file), 'libtensorflow_cc.so.2')).isSymbolicLink());
    assert.equal(await addonFor(foreign, environment, addon), file);
    assert.deepEqual(readdirSync(path.join(runtime.directory, LIBRARY_FOLDER)), listed);
    const child = spawnSync(process.execPath, ['-e', 'const m = { exports: {} }; process.dlopen(m, process.argv[1]); process.stdout.write(m.exports.TF_Version)', file], {
      encoding: 'utf8', env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '2' },
    });
    assert.equal(child.stdout, TENSORFLOW_VERSION, child.stderr);
    // The links of a TensorFlow that is gone go too, unless somebody is just making them.
    const [gone, fresh] = ['linked-0', 'linked-1'].map((name) => path.join(environment.THAW_HOME, 'runtimes', name));
    for (const linked of [gone ?? '', fresh ?? '']) mkdirSync(path.join(linked, LIBRARY_FOLDER), { recursive: true });
    symlinkSync(path.join(folder, 'uninstalled'), path.join(gone ?? '', LIBRARY_FOLDER, 'libtensorflow_cc.so.2'));
    utimesSync(gone ?? '', new Date(0), new Date(0));
    await addonFor(foreign, environment, addon);
    assert.deepEqual([gone, fresh, path.dirname(path.dirname(file))].map((linked) => existsSync(linked ?? '')), [false, true, true]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('the addon passes a configuration on to TensorFlow, and says when it is none', { skip: existsSync('/proc/self/task') ? false : 'needs /proc' }, async (context) => {
  const runtime = findRuntime();
  assert.ok(runtime);
  // This build's addon, whichever lies beside the libraries.
  const folder = mkdtempSync(path.join(tmpdir(), 'thaw-engine-'));
  context.after(() => { rmSync(folder, { recursive: true, force: true }); });
  const addon = await addonFor({ ...runtime, source: 'configured' }, { THAW_HOME: folder }, path.resolve('dist', ADDON_FILE));
  const script = 'const m = { exports: {} }; process.dlopen(m, process.argv[1]); process.stdout.write(String(require("fs").readdirSync("/proc/self/task").length))';
  const load = (config: string): { stdout: string; stderr: string } => spawnSync(process.execPath, ['-e', script, addon], {
    encoding: 'utf8', env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '2', TF_NUM_INTRAOP_THREADS: '', [CONFIG_VARIABLE]: config },
  });
  // intra_op_parallelism_threads, field 2: seen in how many threads there are.
  assert.equal(Number(load('1006').stdout) - Number(load('1001').stdout), 5);
  assert.ok(Number(load(memoryCapConfig(0.25)).stdout) > 0);
  assert.match(load('ffff').stderr, /TensorFlow refuses its configuration/);
});

test('TF_NUM_INTRAOP_THREADS decides how many threads TensorFlow starts', { skip: existsSync('/proc/self/task') ? false : 'needs /proc' }, () => {
  const runtime = findRuntime();
  assert.ok(runtime);
  const addon = path.join(runtime.directory, LIBRARY_FOLDER, ADDON_FILE);
  const script = 'const m = { exports: {} }; process.dlopen(m, process.argv[1]); process.stdout.write(String(require("fs").readdirSync("/proc/self/task").length))';
  const count = (threads: number): number => Number(spawnSync(process.execPath, ['-e', script, addon], {
    encoding: 'utf8', env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '2', TF_NUM_INTRAOP_THREADS: String(threads) },
  }).stdout);
  assert.equal(count(6) - count(1), 5);
});
