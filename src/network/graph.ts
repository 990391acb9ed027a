// A network is data: a list of named nodes, each after its inputs. Forward passes, parameter lists and folding all come from this one list.

import type { Colour } from '../protocol/run.js';

/** The name of the pixels that go in, `[batch, height, width, 3]`. */
export const INPUT = 'input';

/**
 * `same`: TensorFlow's, the output is ⌈input / stride⌉ and an odd remainder is padded at the bottom right.
 * A number: PyTorch's, so many rows and columns on every side.
 */
export type Padding = 'same' | number;

interface Node {
  /** Unique; also the prefix of the node's parameter names. */
  readonly name: string;
  readonly inputs: readonly string[];
}

/** Convolution, square kernel. Parameters: weight `[outputs, inputs, kernel, kernel]`, and bias `[outputs]` if `bias`. */
export interface ConvNode extends Node {
  readonly op: 'conv';
  readonly inputChannels: number;
  readonly outputChannels: number;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: Padding;
  readonly bias: boolean;
}

/** One filter a channel. Parameter: weight `[channels, 1, kernel, kernel]`. */
export interface DepthwiseConvNode extends Node {
  readonly op: 'depthwiseConv';
  readonly channels: number;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: Padding;
}

/** Batch normalisation (Ioffe and Szegedy 2015) over all but the channels. Parameters: weight, bias, running_mean, running_var, each `[channels]`. */
export interface BatchNormNode extends Node {
  readonly op: 'batchNorm';
  readonly channels: number;
  readonly epsilon: number;
  /** PyTorch's: the share of the new value, as the weights were trained. A recipe may choose another. */
  readonly momentum: number;
}

export interface ActivationNode extends Node {
  readonly op: 'relu' | 'relu6';
}

export interface MaxPoolNode extends Node {
  readonly op: 'maxPool';
  readonly kernel: number;
  readonly stride: number;
  /** PyTorch's: rows and columns of −∞ on every side. */
  readonly padding: number;
  /** PyTorch's: a last window may hang over the edge, if it starts inside the image or its left padding. */
  readonly ceilMode: boolean;
}

/** `[batch, height, width, channels]` → `[batch, channels]`. */
export interface GlobalAveragePoolNode extends Node {
  readonly op: 'globalAveragePool';
}

/** Sum of two inputs of one shape. */
export interface AddNode extends Node {
  readonly op: 'add';
}

/** Channels of all inputs, one after the other. */
export interface ConcatNode extends Node {
  readonly op: 'concat';
}

/** Zeroes a share of its input while training, when asked to; otherwise passes it on. */
export interface DropoutNode extends Node {
  readonly op: 'dropout';
  readonly rate: number;
}

/** Fully connected, `[batch, inputs]` → `[batch, outputs]`. Parameters: weight `[outputs, inputs]`, bias `[outputs]`. */
export interface DenseNode extends Node {
  readonly op: 'dense';
  readonly inputFeatures: number;
  readonly outputFeatures: number;
}

export type GraphNode =
  | ConvNode
  | DepthwiseConvNode
  | BatchNormNode
  | ActivationNode
  | MaxPoolNode
  | GlobalAveragePoolNode
  | AddNode
  | ConcatNode
  | DropoutNode
  | DenseNode;

/** How an image becomes the network's input. */
export interface InputPreprocessing {
  /** `gray`: luminance on all three channels, before they are normalised. */
  readonly colour: Colour;
  /** Of each colour, on the scale 0 to 255; the input is (value − mean) / std. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
  /** Pixels of the shorter side after resizing. */
  readonly resizeShortSide: number;
  /** Side of the square cut from the centre. */
  readonly crop: number;
  /** PIL's bicubic or bilinear, both widened when shrinking. */
  readonly kernel: 'cubic' | 'linear';
}

/**
 * What random values are drawn from: He et al. 2015, normal by fan-out or uniform by fan-in, of variance 2 / fan; PyTorch's default of its layers,
 * uniform in ±1/√fan-in; or normal with a deviation of .01.
 */
export type Distribution = 'he-normal-fan-out' | 'he-uniform' | 'uniform' | 'normal-.01';

/** How a network begins that learns from nothing, as its own package begins it. Biases but the head's are zero. */
export interface Initialisation {
  /** Of every weight but the head's. */
  readonly weights: Distribution;
  readonly head: Distribution;
  /** `one`: of a head that is rectified. */
  readonly headBias: 'uniform' | 'zero' | 'one';
}

export interface Graph {
  readonly name: string;
  /** Side of the square input in pixels. */
  readonly inputSize: number;
  /** Each after its inputs; the last one gives the logits. */
  readonly nodes: readonly GraphNode[];
  /** The node that classifies: dense, or a 1 × 1 convolution with bias whose map is rectified and averaged into the logits. */
  readonly head: string;
  /** The node whose output freeze caches: `[batch, featureCount]`, or `[batch, height, width, featureCount]` before a head that is a convolution. */
  readonly features: string;
  /** Channels of the features, which the head weighs. */
  readonly featureCount: number;
  /** Height × width of the features; 1 when they are pooled. */
  readonly featurePositions: number;
  readonly preprocessing: InputPreprocessing;
  readonly initialisation: Initialisation;
}

/** What a tensor is in its node. Scale and offset are batch norm's γ and β, mean and variance its running statistics. */
export type ParameterRole = 'weight' | 'bias' | 'scale' | 'offset' | 'mean' | 'variance';

export interface ParameterSpec {
  /** As in PyTorch's state dict. */
  readonly name: string;
  /** In PyTorch's layout. */
  readonly shape: readonly number[];
  readonly role: ParameterRole;
  /** Whether gradient descent moves it; running statistics are moved by batch norm itself. */
  readonly trainable: boolean;
  readonly node: string;
  readonly op: GraphNode['op'];
}

/** Every tensor that a graph needs, in the order of its nodes. */
export function parameterSpecs(graph: Graph): ParameterSpec[] {
  return graph.nodes.flatMap((node) => {
    const spec = (suffix: string, role: ParameterRole, shape: readonly number[], trainable = true): ParameterSpec =>
      ({ name: `${node.name}.${suffix}`, shape, role, trainable, node: node.name, op: node.op });
    switch (node.op) {
      case 'conv': {
        const weight = spec('weight', 'weight', [node.outputChannels, node.inputChannels, node.kernel, node.kernel]);
        return node.bias ? [weight, spec('bias', 'bias', [node.outputChannels])] : [weight];
      }
      case 'depthwiseConv':
        return [spec('weight', 'weight', [node.channels, 1, node.kernel, node.kernel])];
      case 'batchNorm':
        return [
          spec('weight', 'scale', [node.channels]),
          spec('bias', 'offset', [node.channels]),
          spec('running_mean', 'mean', [node.channels], false),
          spec('running_var', 'variance', [node.channels], false),
        ];
      case 'dense':
        return [spec('weight', 'weight', [node.outputFeatures, node.inputFeatures]), spec('bias', 'bias', [node.outputFeatures])];
      default:
        return [];
    }
  });
}
