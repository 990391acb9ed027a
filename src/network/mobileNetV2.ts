// MobileNetV2 (Sandler et al. 2018), as torchvision has it. Names are torchvision's.
import { INPUT, type Graph, type GraphNode } from './graph.js';
import { IMAGENET_PREPROCESSING } from './imageNet.js';

/** A row of the paper's table 2. */
export interface InvertedResidualGroup {
  /** How much wider the depthwise convolution is than the block's input. */
  readonly expansion: number;
  readonly channels: number;
  readonly repeats: number;
  readonly stride: number;
}

export interface MobileNetV2Shape {
  readonly stem: number;
  readonly groups: readonly InvertedResidualGroup[];
  /** Channels of the last convolution, which are the features. */
  readonly head: number;
}

/** Width 1.0. */
export const MOBILE_NET_V2_SHAPE: MobileNetV2Shape = {
  stem: 32,
  groups: [
    { expansion: 1, channels: 16, repeats: 1, stride: 1 },
    { expansion: 6, channels: 24, repeats: 2, stride: 2 },
    { expansion: 6, channels: 32, repeats: 3, stride: 2 },
    { expansion: 6, channels: 64, repeats: 4, stride: 2 },
    { expansion: 6, channels: 96, repeats: 3, stride: 1 },
    { expansion: 6, channels: 160, repeats: 3, stride: 2 },
    { expansion: 6, channels: 320, repeats: 1, stride: 1 },
  ],
  head: 1280,
};

const EPSILON = 1e-5;
const MOMENTUM = 0.1;
const DROPOUT = 0.2;

/** MobileNetV2 with a last layer of so many classes; input `[batch, 224, 224, 3]`, any size from 32 up. */
export function mobileNetV2(name: string, shape: MobileNetV2Shape, classes: number): Graph {
  const nodes: GraphNode[] = [];
  const add = (node: GraphNode): string => {
    nodes.push(node);
    return node.name;
  };
  const batchNorm = (nodeName: string, input: string, channels: number): string =>
    add({ op: 'batchNorm', name: nodeName, inputs: [input], channels, epsilon: EPSILON, momentum: MOMENTUM });
  const relu6 = (nodeName: string, input: string): string => add({ op: 'relu6', name: nodeName, inputs: [input] });
  const conv = (nodeName: string, input: string, from: number, to: number, kernel: number, stride: number): string =>
    add({ op: 'conv', name: nodeName, inputs: [input], inputChannels: from, outputChannels: to, kernel, stride, padding: (kernel - 1) / 2, bias: false });
  /** torchvision's Conv2dNormActivation, whose three parts are numbered. */
  const activated = (prefix: string, input: string, from: number, to: number, kernel: number, stride: number): string =>
    relu6(`${prefix}.2`, batchNorm(`${prefix}.1`, conv(`${prefix}.0`, input, from, to, kernel, stride), to));

  let x = activated('features.0', INPUT, 3, shape.stem, 3, 2);
  let channels = shape.stem;
  let block = 1;
  for (const group of shape.groups) {
    for (let repeat = 0; repeat < group.repeats; repeat++, block++) {
      const prefix = `features.${String(block)}`;
      const stride = repeat === 0 ? group.stride : 1;
      const wide = channels * group.expansion;
      const start = x;
      let part = 0;
      if (group.expansion !== 1) x = activated(`${prefix}.conv.${String(part++)}`, x, channels, wide, 1, 1);
      const filter = `${prefix}.conv.${String(part++)}`;
      x = add({ op: 'depthwiseConv', name: `${filter}.0`, inputs: [x], channels: wide, kernel: 3, stride, padding: 1 });
      x = relu6(`${filter}.2`, batchNorm(`${filter}.1`, x, wide));
      x = batchNorm(`${prefix}.conv.${String(part + 1)}`, conv(`${prefix}.conv.${String(part)}`, x, wide, group.channels, 1, 1), group.channels);
      if (stride === 1 && channels === group.channels) x = add({ op: 'add', name: `${prefix}.add`, inputs: [x, start] });
      channels = group.channels;
    }
  }
  x = activated(`features.${String(block)}`, x, channels, shape.head, 1, 1);
  const features = add({ op: 'globalAveragePool', name: 'avgpool', inputs: [x] });
  const dropped = add({ op: 'dropout', name: 'classifier.0', inputs: [features], rate: DROPOUT });
  const head = add({ op: 'dense', name: 'classifier.1', inputs: [dropped], inputFeatures: shape.head, outputFeatures: classes });
  return {
    name, inputSize: IMAGENET_PREPROCESSING.crop, nodes, head, features, featureCount: shape.head, featurePositions: 1, preprocessing: IMAGENET_PREPROCESSING,
    initialisation: { weights: 'he-normal-fan-out', head: 'normal-.01', headBias: 'zero' },
  };
}
