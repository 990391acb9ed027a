// A folded network as a model of TensorFlow.js's layers, standard Keras layers only, and back: tfjs itself writes it and reads it.
import type { layers, LayersModel, SymbolicTensor, Tensor } from '@tensorflow/tfjs';
import * as v from 'valibot';
import type { Engine } from '../../engine/load.js';
import { ThawError } from '../../protocol/errors.js';
import type { FoldedParameters, FoldedStep } from '../forward.js';
import { INPUT, type Graph } from '../graph.js';
import { convolutionPadding, poolPadding, windowCount, type SidePadding } from '../padding.js';
import type { ExportFiles } from './trainedModel.js';

/** Browsers keep files up to this size in their cache. */
const SHARD_BYTES = 4 * 2 ** 20;
const MODEL_FILE = 'model.json';

/**
 * The files of a graph whose batch norms are folded: `model.json` and shards of weights, for `tf.loadLayersModel`. Input `[batch, size, size, 3]`,
 * normalised; output `[batch, classes]`, probabilities.
 * @param metadata becomes `userDefinedMetadata`
 * @throws ThawError `not-exportable` for a padded pool over values that may be negative, which no standard layer expresses
 */
export async function writeLayersModel(engine: Engine, graph: Graph, folded: FoldedParameters, inputName: string, metadata: Readonly<Record<string, unknown>>): Promise<ExportFiles> {
  const { tf } = engine;
  const model = new LayersBuilder(engine, graph).build(folded, inputName);
  try {
    const files = new Map<string, Uint8Array>();
    await model.save(tf.io.withSaveHandler((artifacts) => {
      const weights = new Uint8Array(tf.io.CompositeArrayBuffer.join(artifacts.weightData));
      const count = Math.max(1, Math.ceil(weights.length / SHARD_BYTES));
      const paths = Array.from({ length: count }, (_, index) => `group1-shard${String(index + 1)}of${String(count)}.bin`);
      files.set(MODEL_FILE, Buffer.from(JSON.stringify({
        format: artifacts.format, generatedBy: artifacts.generatedBy, convertedBy: artifacts.convertedBy ?? null,
        modelTopology: artifacts.modelTopology, weightsManifest: [{ paths, weights: artifacts.weightSpecs }], userDefinedMetadata: metadata,
      })));
      for (const [index, name] of paths.entries()) files.set(name, weights.slice(index * SHARD_BYTES, (index + 1) * SHARD_BYTES));
      return Promise.resolve({ modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' as const } });
    }));
    return files;
  } finally {
    model.dispose();
  }
}

const modelFileSchema = v.object({
  format: v.literal('layers-model'),
  modelTopology: v.record(v.string(), v.unknown()),
  weightsManifest: v.array(v.object({ paths: v.array(v.string()), weights: v.array(v.looseObject({ name: v.string(), shape: v.array(v.number()), dtype: v.literal('float32') })) })),
});

/**
 * The model that the files hold. The caller disposes it.
 * @throws ThawError `bad-layers-model`, or tfjs's own error for a model that makes no sense
 */
export async function readLayersModel(engine: Engine, files: ExportFiles): Promise<LayersModel> {
  const { tf } = engine;
  const held = (name: string): Uint8Array => {
    const bytes = files.get(name);
    if (bytes === undefined) throw new ThawError('run', 'bad-layers-model', `The exported model has no ${name}`, 'Export again');
    return bytes;
  };
  const parsed = v.safeParse(modelFileSchema, JSON.parse(Buffer.from(held(MODEL_FILE)).toString('utf8')));
  if (!parsed.success) throw new ThawError('run', 'bad-layers-model', `The exported ${MODEL_FILE} is no layers model: ${parsed.issues[0].message}`, 'Export again');
  const { modelTopology, weightsManifest } = parsed.output;
  const weights = Buffer.concat(weightsManifest.flatMap(({ paths }) => paths.map(held)));
  return tf.loadLayersModel(tf.io.fromMemory({
    modelTopology, weightSpecs: weightsManifest.flatMap((group) => group.weights), weightData: Uint8Array.from(weights).buffer,
  }));
}

/** The logits of a model that ends with softmax, `[batch, classes]`; the caller's to dispose. */
export function layersLogits(engine: Engine, model: LayersModel, x: Tensor): Tensor {
  const { tf } = engine;
  const last = model.layers.at(-1);
  if (last === undefined || Array.isArray(last.input)) throw new ThawError('run', 'bad-layers-model', 'The exported model has no last layer', 'Export again');
  return tf.model({ inputs: model.inputs, outputs: last.input }).predict(x) as Tensor;
}

class LayersBuilder {
  private readonly values = new Map<string, SymbolicTensor>();
  private readonly sides = new Map<string, number>();
  /** Results that hold no negative number: zeros around them change no maximum. */
  private readonly nonNegative = new Set<string>();
  private readonly used = new Set<string>();

  constructor(private readonly engine: Engine, private readonly graph: Graph) {}

  build(folded: FoldedParameters, inputName: string): LayersModel {
    const { tf } = this.engine;
    const size = this.graph.inputSize;
    const input = tf.input({ shape: [size, size, 3], name: this.layerName(inputName) });
    this.values.set(INPUT, input);
    this.sides.set(INPUT, size);
    for (const step of folded.steps) this.step(step);
    const logits = this.value(folded.steps.at(-1)?.output ?? INPUT);
    const probabilities = tf.layers.activation({ activation: 'softmax', name: this.layerName('probabilities') }).apply(logits) as SymbolicTensor;
    return tf.model({ inputs: input, outputs: probabilities, name: this.graph.name });
  }

  private step(step: FoldedStep): void {
    const { tf } = this.engine;
    const { node, output, activation } = step;
    const inputs = step.inputs.map((name) => this.value(name));
    const [first = INPUT] = step.inputs;
    const [input] = inputs;
    if (input === undefined) throw new Error(`${node.name} has no input`);
    const side = this.sides.get(first);
    const name = this.layerName(output);
    let nonNegative = activation !== 'linear' || step.inputs.every((each) => this.nonNegative.has(each));
    let result: unknown;
    switch (node.op) {
      case 'conv':
      case 'depthwiseConv': {
        const sides = convolutionPadding(known(side), node);
        // TensorFlow's own `same` where the numbers are the same, so that nothing is copied.
        const same = convolutionPadding(known(side), { ...node, padding: 'same' }).join() === sides.join();
        const shared = { kernelSize: node.kernel, strides: node.stride, padding: same ? 'same' as const : 'valid' as const, useBias: step.bias !== undefined, activation, name };
        const layer = node.op === 'conv'
          ? tf.layers.conv2d({ ...shared, filters: node.outputChannels, kernelInitializer: 'zeros' })
          : tf.layers.depthwiseConv2d({ ...shared, depthwiseInitializer: 'zeros' });
        result = this.withWeights(layer, same ? input : this.padded(input, sides, output), step);
        this.sides.set(output, windowCount(known(side), node, sides));
        nonNegative = activation !== 'linear';
        break;
      }
      case 'maxPool': {
        const sides = poolPadding(known(side), node);
        const padded = sides[0] > 0 || sides[1] > 0;
        if (padded && !nonNegative) {
          throw new ThawError('run', 'not-exportable', `${node.name} of ${this.graph.name} pools values that may be negative, with padding: no standard layer of TensorFlow.js does that`, 'Export to another format');
        }
        result = tf.layers.maxPooling2d({ poolSize: node.kernel, strides: node.stride, padding: 'valid', name }).apply(padded ? this.padded(input, sides, output) : input);
        this.sides.set(output, windowCount(known(side), node, sides));
        break;
      }
      case 'globalAveragePool':
        result = tf.layers.globalAveragePooling2d({ name, dataFormat: 'channelsLast' }).apply(input);
        break;
      case 'dense': {
        result = this.withWeights(tf.layers.dense({ units: node.outputFeatures, kernelInitializer: 'zeros', name }), input, step);
        nonNegative = false;
        break;
      }
      case 'relu':
      case 'relu6':
        result = tf.layers.reLU({ name, ...(node.op === 'relu6' && { maxValue: 6 }) }).apply(input);
        nonNegative = true;
        break;
      case 'add':
        result = tf.layers.add({ name }).apply(inputs);
        break;
      case 'concat':
        result = tf.layers.concatenate({ name, axis: -1 }).apply(inputs);
        break;
      default:
        throw new Error(`${node.name}: ${node.op} has no layer here`);
    }
    if (nonNegative) this.nonNegative.add(output);
    if (side !== undefined && (node.op === 'relu' || node.op === 'relu6' || node.op === 'add' || node.op === 'concat')) this.sides.set(output, side);
    this.values.set(output, result as SymbolicTensor);

    function known(value: number | undefined): number {
      if (value === undefined) throw new Error(`${node.name} reads no map`);
      return value;
    }
  }

  private padded(input: SymbolicTensor, sides: SidePadding, output: string): SymbolicTensor {
    if (sides[0] === 0 && sides[1] === 0) return input;
    return this.engine.tf.layers.zeroPadding2d({ padding: [sides, sides], name: this.layerName(`${output}_padding`) }).apply(input) as SymbolicTensor;
  }

  private withWeights(layer: layers.Layer, input: SymbolicTensor, { node, filter, bias }: FoldedStep): unknown {
    if (filter === undefined) throw new Error(`${node.name} has no weights`);
    const result = layer.apply(input);
    layer.setWeights(bias === undefined ? [filter] : [filter, bias]);
    return result;
  }

  /** tfjs wants names that begin with a letter or digit. */
  private layerName(name: string): string {
    const plain = name.replace(/[^A-Za-z0-9_.-]/g, '_').replace(/^[^A-Za-z0-9]+/, '');
    let unique = plain;
    for (let count = 2; this.used.has(unique); count++) unique = `${plain}_${String(count)}`;
    this.used.add(unique);
    return unique;
  }

  private value(name: string): SymbolicTensor {
    const value = this.values.get(name);
    if (value === undefined) throw new Error(`${name} is read before it is there`);
    return value;
  }
}
