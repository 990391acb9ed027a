// The small networks whose values PyTorch computed in float64: see golden/make_network.py.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { efficientNetLite, type EfficientNetLiteShape } from '../../src/network/efficientNetLite.js';
import { mobileNetV2, type MobileNetV2Shape } from '../../src/network/mobileNetV2.js';
import { residualNetwork, type ResidualShape } from '../../src/network/residualNetwork.js';
import { squeezeNet, type SqueezeNetShape } from '../../src/network/squeezeNet.js';
import { INPUT, parameterSpecs, type Graph, type GraphNode } from '../../src/network/graph.js';
import { readSafetensors } from '../../src/network/weights/safetensors.js';
import type { StateDict } from '../../src/network/weights/stateDict.js';

export interface GoldenNetwork {
  readonly graph: Graph;
  /** Parameters at the start, in PyTorch's names and layouts. */
  readonly start: StateDict;
  /** `[batch, size, size, 3]`. */
  readonly images: { readonly shape: readonly number[]; readonly data: Float32Array };
  readonly labels: Int32Array;
  readonly classes: number;
  /** Of the three steps. */
  readonly sgd: { readonly lr: number; readonly momentum: number; readonly weight_decay: number };
  /** Whether the file holds what steps of SGD lead to, besides gradients. */
  readonly hasSteps: boolean;
  /** PyTorch's value, by its name in the file: `frozen/gradient/_fc.weight`. */
  value(name: string): Float32Array;
}

export type GoldenName = 'lite' | 'residual' | 'basic' | 'bottleneck' | 'mobile' | 'squeeze';

/** Graphs of the script's networks, from the shape that it recorded. */
const GRAPHS: Readonly<Record<GoldenName, (shape: unknown, classes: number) => Graph>> = {
  lite: (shape, classes) => efficientNetLite('narrow', shape as EfficientNetLiteShape, classes),
  residual: (_, classes) => residual(classes),
  basic: (shape, classes) => residualNetwork('basic', shape as ResidualShape, classes),
  bottleneck: (shape, classes) => residualNetwork('bottleneck', shape as ResidualShape, classes),
  mobile: (shape, classes) => mobileNetV2('mobile', shape as MobileNetV2Shape, classes),
  squeeze: (shape, classes) => squeezeNet('squeeze', shape as SqueezeNetShape, classes),
};

export function readGolden(name: GoldenName): GoldenNetwork {
  const { state, metadata } = readSafetensors(readFileSync(path.join(process.cwd(), 'test', 'numeric', 'golden', `${name}.safetensors`)));
  const float = (key: string): Float32Array => {
    const tensor = state.get(key);
    assert.ok(tensor?.dtype === 'float32', key);
    return tensor.data;
  };
  const labels = state.get('labels');
  assert.ok(labels?.dtype === 'int32');
  const classes = Number(metadata['classes']);
  const start: StateDict = new Map([...state].flatMap(([key, tensor]) => (key.startsWith('start/') ? [[key.slice('start/'.length), tensor] as const] : [])));
  const graph = GRAPHS[name](JSON.parse(metadata['shape'] ?? ''), classes);
  return {
    graph, start, classes, labels: labels.data, hasSteps: [...state.keys()].some((key) => key.includes('/step')),
    images: { shape: state.get('images')?.shape ?? [], data: float('images') },
    sgd: JSON.parse(metadata['sgd'] ?? '') as GoldenNetwork['sgd'],
    value: float,
  };
}

/** Class `Residual` of the script. */
function residual(classes: number): Graph {
  const conv = (name: string, input: string, inputChannels: number, outputChannels: number, kernel: number, stride: number, padding: number, bias: boolean): GraphNode =>
    ({ op: 'conv', name, inputs: [input], inputChannels, outputChannels, kernel, stride, padding, bias });
  const batchNorm = (name: string, input: string, channels: number): GraphNode => ({ op: 'batchNorm', name, inputs: [input], channels, epsilon: 1e-5, momentum: 0.1 });
  const relu = (name: string, input: string): GraphNode => ({ op: 'relu', name, inputs: [input] });
  const nodes: GraphNode[] = [
    conv('stem', INPUT, 3, 8, 5, 2, 2, true),
    batchNorm('bn', 'stem', 8),
    relu('relu', 'bn'),
    { op: 'maxPool', name: 'pool', inputs: ['relu'], kernel: 3, stride: 2, padding: 1, ceilMode: false },
    conv('conv1', 'pool', 8, 12, 3, 2, 1, false),
    batchNorm('bn1', 'conv1', 12),
    relu('relu1', 'bn1'),
    conv('conv2', 'relu1', 12, 12, 3, 1, 1, false),
    batchNorm('bn2', 'conv2', 12),
    conv('down', 'pool', 8, 12, 1, 2, 0, false),
    batchNorm('bnd', 'down', 12),
    { op: 'add', name: 'add', inputs: ['bn2', 'bnd'] },
    relu('relu2', 'add'),
    conv('squeeze', 'relu2', 12, 6, 1, 1, 0, true),
    relu('relu3', 'squeeze'),
    conv('expand1', 'relu3', 6, 8, 1, 1, 0, true),
    relu('relu4', 'expand1'),
    conv('expand3', 'relu3', 6, 8, 3, 1, 1, true),
    relu('relu5', 'expand3'),
    { op: 'concat', name: 'concat', inputs: ['relu4', 'relu5'] },
    { op: 'maxPool', name: 'pool2', inputs: ['concat'], kernel: 3, stride: 2, padding: 0, ceilMode: true },
    { op: 'globalAveragePool', name: 'mean', inputs: ['pool2'] },
    { op: 'dropout', name: 'drop', inputs: ['mean'], rate: 0.5 },
    { op: 'dense', name: 'fc', inputs: ['drop'], inputFeatures: 16, outputFeatures: classes },
  ];
  return {
    name: 'residual', inputSize: 45, nodes, head: 'fc', features: 'mean', featureCount: 16, featurePositions: 1,
    preprocessing: { colour: 'rgb', mean: [127, 127, 127], std: [128, 128, 128], resizeShortSide: 256, crop: 45, kernel: 'cubic' },
    initialisation: { weights: 'uniform', head: 'uniform', headBias: 'uniform' },
  };
}

/** max|a − b| / max|b|. */
export function maximumError(values: ArrayLike<number>, exact: ArrayLike<number>): number {
  assert.equal(values.length, exact.length);
  let error = 0;
  let largest = 0;
  for (let index = 0; index < exact.length; index++) {
    const difference = Math.abs((values[index] ?? NaN) - (exact[index] ?? NaN));
    // A NaN must not hide in Math.max.
    if (!(difference <= error)) error = difference;
    largest = Math.max(largest, Math.abs(exact[index] ?? 0));
  }
  return error / largest;
}

/** ‖a‖, in float64. */
export function norm(values: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < values.length; index++) sum += (values[index] ?? NaN) ** 2;
  return Math.sqrt(sum);
}

export function difference(a: ArrayLike<number>, b: ArrayLike<number>): Float64Array {
  assert.equal(a.length, b.length);
  return Float64Array.from(a, (value, index) => value - (b[index] ?? NaN));
}

/** The same parameters, one tensor 1 % larger. */
export function onePercentMore(start: StateDict, name: string): StateDict {
  const tensor = start.get(name);
  assert.ok(tensor?.dtype === 'float32', name);
  return new Map(start).set(name, { ...tensor, data: tensor.data.map((value) => value * 1.01) });
}

/** Names of a graph's tensors, those that learn or all. */
export function namesOf(graph: Graph, which: 'trainable' | 'all'): string[] {
  return parameterSpecs(graph).filter((spec) => which === 'all' || spec.trainable).map((spec) => spec.name);
}
