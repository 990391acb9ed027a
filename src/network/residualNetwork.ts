// ResNet (He et al. 2016), as torchvision has it: the stride of a bottleneck is on its 3 × 3 convolution. Names are torchvision's.
import { INPUT, type Graph, type GraphNode } from './graph.js';
import { IMAGENET_PREPROCESSING } from './imageNet.js';

export interface ResidualShape {
  readonly block: 'basic' | 'bottleneck';
  /** Blocks of each of the four stages. */
  readonly blocks: readonly number[];
  /** Channels of the stem and the first stage; each later stage has twice as many. 64 in the published networks. */
  readonly width: number;
}

/** The published sizes, by name. */
export const RESIDUAL_SHAPES = {
  resnet18: { block: 'basic', blocks: [2, 2, 2, 2], width: 64 },
  resnet34: { block: 'basic', blocks: [3, 4, 6, 3], width: 64 },
  resnet50: { block: 'bottleneck', blocks: [3, 4, 6, 3], width: 64 },
} as const satisfies Readonly<Record<string, ResidualShape>>;

const EPSILON = 1e-5;
const MOMENTUM = 0.1;
/** How much wider a bottleneck's output is than its middle. */
const EXPANSION = 4;

/** torchvision's. */
const INITIALISATION = { weights: 'he-normal-fan-out', head: 'uniform', headBias: 'uniform' } as const;

/** A residual network with a last layer of so many classes; input `[batch, 224, 224, 3]`, any size from 32 up. */
export function residualNetwork(name: string, shape: ResidualShape, classes: number): Graph {
  const nodes: GraphNode[] = [];
  const add = (node: GraphNode): string => {
    nodes.push(node);
    return node.name;
  };
  /** Convolution and batch norm: names as torchvision's, `conv1` with `bn1`. */
  const normalised = (convName: string, normName: string, input: string, from: number, to: number, kernel: number, stride: number): string => {
    const conv = add({ op: 'conv', name: convName, inputs: [input], inputChannels: from, outputChannels: to, kernel, stride, padding: (kernel - 1) / 2, bias: false });
    return add({ op: 'batchNorm', name: normName, inputs: [conv], channels: to, epsilon: EPSILON, momentum: MOMENTUM });
  };
  const relu = (nodeName: string, input: string): string => add({ op: 'relu', name: nodeName, inputs: [input] });

  let x = relu('relu', normalised('conv1', 'bn1', INPUT, 3, shape.width, 7, 2));
  x = add({ op: 'maxPool', name: 'maxpool', inputs: [x], kernel: 3, stride: 2, padding: 1, ceilMode: false });
  let channels = shape.width;
  for (const [stage, count] of shape.blocks.entries()) {
    const middle = shape.width * 2 ** stage;
    const output = shape.block === 'basic' ? middle : middle * EXPANSION;
    for (let block = 0; block < count; block++) {
      const prefix = `layer${String(stage + 1)}.${String(block)}`;
      const stride = stage > 0 && block === 0 ? 2 : 1;
      const convs = shape.block === 'basic'
        ? [{ to: middle, kernel: 3, stride }, { to: middle, kernel: 3, stride: 1 }]
        : [{ to: middle, kernel: 1, stride: 1 }, { to: middle, kernel: 3, stride }, { to: output, kernel: 1, stride: 1 }];
      let branch = x;
      let from = channels;
      for (const [index, { to, kernel, stride: step }] of convs.entries()) {
        const number = String(index + 1);
        branch = normalised(`${prefix}.conv${number}`, `${prefix}.bn${number}`, branch, from, to, kernel, step);
        if (index < convs.length - 1) branch = relu(`${prefix}.relu${number}`, branch);
        from = to;
      }
      const shortcut = stride === 1 && channels === output ? x : normalised(`${prefix}.downsample.0`, `${prefix}.downsample.1`, x, channels, output, 1, stride);
      x = relu(`${prefix}.relu`, add({ op: 'add', name: `${prefix}.add`, inputs: [branch, shortcut] }));
      channels = output;
    }
  }
  const features = add({ op: 'globalAveragePool', name: 'avgpool', inputs: [x] });
  const head = add({ op: 'dense', name: 'fc', inputs: [features], inputFeatures: channels, outputFeatures: classes });
  return { name, inputSize: IMAGENET_PREPROCESSING.crop, nodes, head, features, featureCount: channels, featurePositions: 1, preprocessing: IMAGENET_PREPROCESSING, initialisation: INITIALISATION };
}
