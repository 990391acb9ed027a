// Exported networks against PyTorch's float64, each run by something that is not Thaw where there is one: onnxruntime for ONNX.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { InferenceSession, Tensor as OnnxTensor } from 'onnxruntime-node';
import { loadEngine, type Engine } from '../../src/engine/load.js';
import { compareExport, EXPORTED_FILES, exportNetwork } from '../../src/network/exports/exportNetwork.js';
import { readOnnx, writeOnnx } from '../../src/network/exports/onnxFile.js';
import { layersLogits, readLayersModel } from '../../src/network/exports/layersModel.js';
import type { ExportChoice, ExportFiles, TrainedModel } from '../../src/network/exports/trainedModel.js';
import { readSafetensors } from '../../src/network/weights/safetensors.js';
import { ThawError } from '../../src/protocol/errors.js';
import { grayPixels } from '../../src/network/gray.js';
import { maximumError, namesOf, onePercentMore, readGolden, type GoldenName, type GoldenNetwork } from './goldenNetwork.js';

const FORWARD = 1e-4;
const ONNX: ExportChoice = { format: 'onnx', uint8: false };
const TFJS: ExportChoice = { format: 'tfjs', uint8: false };
const SAFETENSORS: ExportChoice = { format: 'safetensors', uint8: false };

let engine: Engine;
before(async () => { engine = await loadEngine(); });

/** For pictures of the golden file's size. */
function modelOf(golden: GoldenNetwork): TrainedModel {
  const size = golden.images.shape[1] ?? 0;
  const graph = { ...golden.graph, inputSize: size, preprocessing: { ...golden.graph.preprocessing, crop: size } };
  return { graph, state: golden.start, labels: Array.from({ length: golden.classes }, (_, index) => `class ${String(index)}`), card: '# A model\n' };
}

/** The files with one bit flipped in the exponent of the head's first bias, whose bytes are the same in every format. */
function damaged(files: ExportFiles, name: string, golden: GoldenNetwork): ExportFiles {
  const bytes = Buffer.from(files.get(name) ?? []);
  const bias = golden.start.get(`${golden.graph.head}.bias`);
  assert.ok(bias?.dtype === 'float32');
  const at = bytes.indexOf(Buffer.from(bias.data.buffer, bias.data.byteOffset, bias.data.byteLength));
  assert.ok(at >= 0, name);
  bytes[at + 3] = (bytes[at + 3] ?? 0) ^ 0x01;
  return new Map(files).set(name, bytes);
}

/** `[batch, size, size, 3]` → `[batch, 3, size, size]` */
function channelsFirst({ images }: GoldenNetwork): { shape: number[]; data: Float32Array } {
  const [batch = 0, height = 0, width = 0] = images.shape;
  const data = new Float32Array(images.data.length);
  for (let image = 0; image < batch; image++) {
    for (let pixel = 0; pixel < height * width; pixel++) {
      for (let colour = 0; colour < 3; colour++) data[(image * 3 + colour) * height * width + pixel] = images.data[(image * height * width + pixel) * 3 + colour] ?? NaN;
    }
  }
  return { shape: [batch, 3, height, width], data };
}

async function onnxruntime(bytes: Uint8Array, feeds: Record<string, OnnxTensor>): Promise<Record<string, Float32Array>> {
  const session = await InferenceSession.create(bytes);
  const results = await session.run(feeds);
  await session.release();
  return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensor.data as Float32Array]));
}

for (const name of ['lite', 'residual', 'basic', 'bottleneck', 'mobile', 'squeeze'] satisfies GoldenName[]) {
  describe(name, () => {
    const golden = readGolden(name);
    const model = modelOf(golden);
    const exact = golden.value('evaluation/logits');

    test('ONNX: onnxruntime gives PyTorch\'s logits, and fails to when any one tensor is 1 % off', async () => {
      const { shape, data } = channelsFirst(golden);
      const logits = async (trained: TrainedModel): Promise<Float32Array> => {
        const bytes = (await exportNetwork(engine, trained, ONNX, '0')).get(EXPORTED_FILES.onnx) ?? new Uint8Array();
        const results = await onnxruntime(bytes, { input: new OnnxTensor('float32', data, shape) });
        return results['logits'] ?? new Float32Array();
      };
      const error = maximumError(await logits(model), exact);
      assert.ok(error <= FORWARD, String(error));
      for (const tensor of namesOf(golden.graph, 'all')) {
        const off = maximumError(await logits({ ...model, state: onePercentMore(golden.start, tensor) }), exact);
        assert.ok(off > FORWARD, `${tensor}: ${String(off)}`);
      }
    });

    test('ONNX: one image, and uint8 pixels normalised inside, give the same', async () => {
      const { mean, std, crop } = model.graph.preprocessing;
      const pixels = Uint8Array.from({ length: 2 * crop * crop * 3 }, (_, index) => (index * 37 + Math.floor(index / 97) * 11) % 256);
      const values = channelsFirst({ ...golden, images: { shape: [2, crop, crop, 3], data: Float32Array.from(pixels, (value, index) => (value - (mean[index % 3] ?? 0)) / (std[index % 3] ?? 1)) } });
      const [float, uint8] = await Promise.all([ONNX, { ...ONNX, uint8: true }].map(async (choice) => (await exportNetwork(engine, model, choice, '0')).get(EXPORTED_FILES.onnx) ?? new Uint8Array()));
      assert.ok(float && uint8);
      const both = await onnxruntime(float, { input: new OnnxTensor('float32', values.data, values.shape) });
      const first = await onnxruntime(float, { input: new OnnxTensor('float32', values.data.slice(0, values.data.length / 2), [1, 3, crop, crop]) });
      const fromPixels = await onnxruntime(uint8, { pixels: new OnnxTensor('uint8', pixels, [2, crop, crop, 3]) });
      for (const output of ['logits', 'probabilities']) {
        const expected = both[output] ?? new Float32Array();
        assert.equal(expected.length, 2 * golden.classes);
        assert.ok(maximumError(fromPixels[output] ?? [], expected) <= 1e-5, output);
        assert.ok(maximumError(first[output] ?? [], expected.slice(0, golden.classes)) <= 1e-5, output);
      }
      const sums = [...(both['probabilities'] ?? [])].slice(0, golden.classes).reduce((sum, value) => sum + value, 0);
      assert.ok(Math.abs(sums - 1) < 1e-5);
    });

    test('TensorFlow.js: the layers model gives PyTorch\'s logits', async () => {
      const { tf } = engine;
      const tensors = tf.memory().numTensors;
      const files = await exportNetwork(engine, model, TFJS, '0');
      const layers = await readLayersModel(engine, files);
      const logits = tf.tidy(() => layersLogits(engine, layers, tf.tensor(golden.images.data, [...golden.images.shape])).dataSync());
      layers.dispose();
      assert.ok(maximumError(logits, exact) <= FORWARD);
      assert.equal(tf.memory().numTensors, tensors);
      // Nothing but layers that Keras has as well.
      const topology = JSON.parse(Buffer.from(files.get('model.json') ?? []).toString()) as { modelTopology: { config: { layers: { class_name: string }[] } } };
      const known = new Set(['InputLayer', 'Conv2D', 'DepthwiseConv2D', 'ZeroPadding2D', 'MaxPooling2D', 'GlobalAveragePooling2D', 'Add', 'Concatenate', 'ReLU', 'Dense', 'Activation']);
      for (const { class_name: layer } of topology.modelTopology.config.layers) assert.ok(known.has(layer), layer);
    });

    test('safetensors: every tensor bit for bit, by PyTorch\'s names', async () => {
      const files = await exportNetwork(engine, model, SAFETENSORS, '0');
      const { state, metadata } = readSafetensors(files.get(EXPORTED_FILES.weights) ?? new Uint8Array());
      assert.deepEqual(state, golden.start);
      assert.equal(metadata['format'], 'pt');
      assert.deepEqual(JSON.parse(metadata['labels'] ?? ''), model.labels);
    });

    test('what was read back is compared, and a difference is an error', async () => {
      const { tf } = engine;
      for (const choice of [ONNX, { ...ONNX, uint8: true }, TFJS, SAFETENSORS]) {
        const files = await exportNetwork(engine, model, choice, '0');
        const tensors = tf.memory().numTensors;
        // As a file is read: a Buffer, here one that begins in the middle of another.
        const read = new Map([...files].map(([file, bytes]) => [file, Buffer.concat([Buffer.alloc(3), bytes]).subarray(3)]));
        const difference = await compareExport(engine, model, choice, read);
        assert.ok(difference <= 1e-5, `${choice.format}: ${String(difference)}`);
        const other = { ...model, state: onePercentMore(golden.start, `${golden.graph.head}.weight`) };
        await assert.rejects(compareExport(engine, other, choice, files), (error) => error instanceof ThawError && error.code === 'export-differs', choice.format);
        assert.equal(tf.memory().numTensors, tensors, choice.format);
      }
    });
  });
}

describe('gray', () => {
  const golden = readGolden('basic');
  const colour = modelOf(golden);
  const model: TrainedModel = { ...colour, graph: { ...colour.graph, preprocessing: { ...colour.graph.preprocessing, colour: 'gray' } } };
  const { mean, std, crop } = model.graph.preprocessing;
  const pixels = Uint8Array.from({ length: 2 * crop * crop * 3 }, (_, index) => (index * 37 + Math.floor(index / 97) * 11) % 256);
  const onnx = async (trained: TrainedModel, uint8: boolean): Promise<Uint8Array> => (await exportNetwork(engine, trained, { format: 'onnx', uint8 }, '0')).get(EXPORTED_FILES.onnx) ?? new Uint8Array();
  const fromPixels = { pixels: new OnnxTensor('uint8', pixels, [2, crop, crop, 3]) };

  test('onnxruntime makes colours gray inside the network, level by level as Pillow does', async () => {
    const whole = readOnnx(await onnx(model, true));
    const upTo = writeOnnx({ ...whole, graph: { ...whole.graph, outputs: [{ name: 'gray/level', type: 'float32', shape: ['batch', 1, crop, crop] }] } });
    const { 'gray/level': levels } = await onnxruntime(upTo, fromPixels);
    assert.deepEqual([...levels ?? []], [...grayPixels(pixels)].filter((_, index) => index % 3 === 0)); // which gray.test.ts holds to Pillow's
  });

  test('pixels in colour, and gray pixels normalised outside, give the same; as they are they don\'t', async () => {
    const normalised = (levels: Uint8Array): OnnxTensor => {
      const { shape, data } = channelsFirst({ ...golden, images: { shape: [2, crop, crop, 3], data: Float32Array.from(levels, (value, index) => (value - (mean[index % 3] ?? 0)) / (std[index % 3] ?? 1)) } });
      return new OnnxTensor('float32', data, shape);
    };
    const float = await onnx(model, false);
    const { logits: expected = [] } = await onnxruntime(float, { input: normalised(grayPixels(pixels)) });
    assert.ok(maximumError((await onnxruntime(await onnx(model, true), fromPixels))['logits'] ?? [], expected) <= 1e-5);
    assert.ok(maximumError((await onnxruntime(await onnx(colour, true), fromPixels))['logits'] ?? [], expected) > 1e-3);
    assert.ok(maximumError((await onnxruntime(float, { input: normalised(pixels) }))['logits'] ?? [], expected) > 1e-3);
  });

  test('each format is read back and says gray', async () => {
    for (const choice of [ONNX, { ...ONNX, uint8: true }, TFJS, SAFETENSORS]) {
      const files = await exportNetwork(engine, model, choice, '0');
      assert.ok(await compareExport(engine, model, choice, files) <= 1e-5);
      // With the conversion inside, the file is another network than the one for colour.
      if (choice.uint8) await assert.rejects(compareExport(engine, colour, choice, files), (error) => error instanceof ThawError && error.code === 'export-differs');
      const preprocessing = JSON.parse(Buffer.from(files.get(EXPORTED_FILES.preprocessing) ?? []).toString()) as { gray?: { formula: string; insideTheNetwork: boolean }; input: { colours: string } };
      assert.equal(preprocessing.gray?.formula, 'floor((19595 * red + 38470 * green + 7471 * blue + 32768) / 65536)');
      assert.deepEqual([preprocessing.gray.insideTheNetwork, preprocessing.input.colours], choice.uint8 ? [true, 'RGB'] : [false, 'gray, three times']);
    }
  });
});

describe('files', () => {
  test('an ONNX file says what it is, and carries labels, preprocessing and card', async () => {
    const golden = readGolden('basic');
    const files = await exportNetwork(engine, modelOf(golden), ONNX, '1.2.3');
    const { opset, irVersion, producer, metadata, graph } = readOnnx(files.get(EXPORTED_FILES.onnx) ?? new Uint8Array());
    assert.deepEqual({ opset, irVersion, producer }, { opset: 17, irVersion: 8, producer: { name: 'Thaw', version: '1.2.3' } });
    assert.deepEqual(graph.inputs, [{ name: 'input', type: 'float32', shape: ['batch', 3, 40, 40] }]);
    assert.deepEqual(graph.outputs.map(({ name, shape }) => ({ name, shape })), ['probabilities', 'logits'].map((name) => ({ name, shape: ['batch', golden.classes] })));
    assert.deepEqual(JSON.parse(metadata['labels'] ?? ''), modelOf(golden).labels);
    assert.equal(metadata['model_card'], '# A model\n');
    assert.deepEqual(JSON.parse(metadata['preprocessing'] ?? ''), JSON.parse(Buffer.from(files.get(EXPORTED_FILES.preprocessing) ?? []).toString()));
  });

  test('a damaged file is refused, or is found to differ', async () => {
    const golden = readGolden('basic');
    const model = modelOf(golden);
    for (const [choice, name] of [[ONNX, EXPORTED_FILES.onnx], [TFJS, 'group1-shard1of1.bin'], [SAFETENSORS, EXPORTED_FILES.weights]] as const) {
      const files = await exportNetwork(engine, model, choice, '0');
      const bytes = files.get(name) ?? new Uint8Array();
      await assert.rejects(compareExport(engine, model, choice, damaged(files, name, golden)), ThawError, choice.format);
      await assert.rejects(compareExport(engine, model, choice, new Map(files).set(name, bytes.slice(0, -5))), choice.format);
    }
  });

  test('a padded pool over values that may be negative is not exported to layers that would pad it with zeros', async () => {
    const golden = readGolden('residual');
    const nodes = golden.graph.nodes.filter(({ name }) => name !== 'relu').map((node) => (node.name === 'pool' ? { ...node, inputs: ['bn'] } : node));
    const model = { ...modelOf(golden), graph: { ...modelOf(golden).graph, nodes } };
    await assert.rejects(exportNetwork(engine, model, TFJS, '0'), (error) => error instanceof ThawError && error.code === 'not-exportable');
    assert.ok(await compareExport(engine, model, ONNX, await exportNetwork(engine, model, ONNX, '0')) <= 1e-5);
  });
});
