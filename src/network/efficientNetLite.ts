// EfficientNet-Lite0, 1 and 2: EfficientNet (Tan and Le 2019) without squeeze-and-excitation, with relu6 for swish, and with a stem and head of fixed
// width, so that it suits phones and CPUs (TensorFlow TPU models, `efficientnet/lite`). Names are those of the PyTorch package's state dict.
import { INPUT, type ActivationNode, type BatchNormNode, type Graph, type GraphNode } from './graph.js';

/** A row of the paper's table: so many inverted residual blocks, the first of which has the stride. */
export interface BlockGroup {
  readonly repeats: number;
  readonly kernel: number;
  readonly stride: number;
  /** How much wider the depthwise convolution is than the block's input. */
  readonly expansion: number;
  readonly channels: number;
}

export interface EfficientNetLiteShape {
  readonly stem: number;
  readonly groups: readonly BlockGroup[];
  /** Channels of the last convolution, which are the features. */
  readonly head: number;
  readonly inputSize: number;
}

const EPSILON = 1e-3;
const MOMENTUM = 0.01;
const DROPOUT = 0.2;
/** TensorFlow's evaluation cuts the centre out of an image that is so many pixels larger. */
const CROP_PADDING = 32;
const KERNELS = [3, 3, 5, 3, 5, 5, 3] as const;
const STRIDES = [1, 2, 2, 2, 1, 2, 1] as const;

/** The published networks: each scales Lite0's table in width, depth and pixels; stem and head stay, and so do the first and last group's depth. */
const EFFICIENT_NET_LITE_SHAPES = {
  efficientnet_lite0: published(224, [1, 2, 2, 3, 3, 4, 1], [16, 24, 40, 80, 112, 192, 320]),
  efficientnet_lite1: published(240, [1, 3, 3, 4, 4, 5, 1], [16, 24, 40, 80, 112, 192, 320]),
  efficientnet_lite2: published(260, [1, 3, 3, 4, 4, 5, 1], [16, 24, 48, 88, 120, 208, 352]),
} satisfies Readonly<Record<string, EfficientNetLiteShape>>;

/** A published network with a last layer of so many classes; input `[batch, size, size, 3]`, of 224, 240 or 260 pixels. */
export function publishedEfficientNetLite(name: keyof typeof EFFICIENT_NET_LITE_SHAPES, classes: number): Graph {
  return efficientNetLite(name, EFFICIENT_NET_LITE_SHAPES[name], classes);
}

/** The family: narrow and shallow members of it are what the numeric tests compare with PyTorch. */
export function efficientNetLite(name: string, shape: EfficientNetLiteShape, classes: number): Graph {
  const nodes: GraphNode[] = [];
  const add = (node: GraphNode): string => {
    nodes.push(node);
    return node.name;
  };
  const batchNorm = (nodeName: string, input: string, channels: number): string =>
    add({ op: 'batchNorm', name: nodeName, inputs: [input], channels, epsilon: EPSILON, momentum: MOMENTUM } satisfies BatchNormNode);
  const relu6 = (nodeName: string, input: string): string => add({ op: 'relu6', name: nodeName, inputs: [input] } satisfies ActivationNode);
  const conv = (nodeName: string, input: string, inputChannels: number, outputChannels: number, kernel: number, stride: number): string =>
    add({ op: 'conv', name: nodeName, inputs: [input], inputChannels, outputChannels, kernel, stride, padding: 'same', bias: false });

  let x = relu6('_relu0', batchNorm('_bn0', conv('_conv_stem', INPUT, 3, shape.stem, 3, 2), shape.stem));
  let channels = shape.stem;
  let block = 0;
  for (const group of shape.groups) {
    for (let repeat = 0; repeat < group.repeats; repeat++, block++) {
      const prefix = `_blocks.${String(block)}`;
      const stride = repeat === 0 ? group.stride : 1;
      const wide = channels * group.expansion;
      const start = x;
      if (group.expansion !== 1) {
        const expanded = conv(`${prefix}._expand_conv`, x, channels, wide, 1, 1);
        x = relu6(`${prefix}._relu0`, batchNorm(`${prefix}._bn0`, expanded, wide));
      }
      const filtered = add({
        op: 'depthwiseConv', name: `${prefix}._depthwise_conv`, inputs: [x], channels: wide, kernel: group.kernel, stride, padding: 'same',
      });
      x = relu6(`${prefix}._relu1`, batchNorm(`${prefix}._bn1`, filtered, wide));
      x = batchNorm(`${prefix}._bn2`, conv(`${prefix}._project_conv`, x, wide, group.channels, 1, 1), group.channels);
      if (stride === 1 && channels === group.channels) x = add({ op: 'add', name: `${prefix}._add`, inputs: [x, start] });
      channels = group.channels;
    }
  }
  x = relu6('_relu1', batchNorm('_bn1', conv('_conv_head', x, channels, shape.head, 1, 1), shape.head));
  const features = add({ op: 'globalAveragePool', name: '_avg_pooling', inputs: [x] });
  const dropped = add({ op: 'dropout', name: '_dropout', inputs: [features], rate: DROPOUT });
  const head = add({ op: 'dense', name: '_fc', inputs: [dropped], inputFeatures: shape.head, outputFeatures: classes });
  return {
    name,
    inputSize: shape.inputSize,
    nodes,
    head,
    features,
    featureCount: shape.head,
    featurePositions: 1,
    preprocessing: { colour: 'rgb', mean: [127, 127, 127], std: [128, 128, 128], resizeShortSide: shape.inputSize + CROP_PADDING, crop: shape.inputSize, kernel: 'cubic' },
    // Its package leaves every layer as PyTorch makes it.
    initialisation: { weights: 'uniform', head: 'uniform', headBias: 'uniform' },
  };
}

function published(inputSize: number, repeats: readonly number[], channels: readonly number[]): EfficientNetLiteShape {
  const groups = KERNELS.map((kernel, index) => ({
    repeats: repeats[index] ?? 1, kernel, stride: STRIDES[index] ?? 1, expansion: index === 0 ? 1 : 6, channels: channels[index] ?? 0,
  }));
  return { stem: 32, groups, head: 1280, inputSize };
}
