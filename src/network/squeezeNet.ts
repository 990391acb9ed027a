// SqueezeNet (Iandola et al. 2016), version 1.1, as torchvision has it: no batch norm, pools that round up, and a last layer that is a
// convolution before the pooling. Names are torchvision's.
import { INPUT, type Graph, type GraphNode } from './graph.js';
import { IMAGENET_PREPROCESSING } from './imageNet.js';

/** A fire module: so many channels after its squeeze, and after each of its two expansions. A pool comes before it where `pool`. */
export interface FireModule {
  readonly squeeze: number;
  readonly expand: number;
  readonly pool: boolean;
}

export interface SqueezeNetShape {
  readonly inputSize: number;
  readonly stem: number;
  readonly fires: readonly FireModule[];
}

/** Version 1.1. */
export const SQUEEZE_NET_SHAPE: SqueezeNetShape = {
  inputSize: IMAGENET_PREPROCESSING.crop,
  stem: 64,
  fires: [
    { squeeze: 16, expand: 64, pool: true },
    { squeeze: 16, expand: 64, pool: false },
    { squeeze: 32, expand: 128, pool: true },
    { squeeze: 32, expand: 128, pool: false },
    { squeeze: 48, expand: 192, pool: true },
    { squeeze: 48, expand: 192, pool: false },
    { squeeze: 64, expand: 256, pool: false },
    { squeeze: 64, expand: 256, pool: false },
  ],
};

const DROPOUT = 0.5;
const POOL = { kernel: 3, stride: 2, padding: 0, ceilMode: true } as const;

/** SqueezeNet with a last layer of so many classes; input `[batch, inputSize, inputSize, 3]`. */
export function squeezeNet(name: string, shape: SqueezeNetShape, classes: number): Graph {
  const nodes: GraphNode[] = [];
  const add = (node: GraphNode): string => {
    nodes.push(node);
    return node.name;
  };
  const relu = (nodeName: string, input: string): string => add({ op: 'relu', name: nodeName, inputs: [input] });
  const conv = (nodeName: string, input: string, from: number, to: number, kernel: number, stride = 1, padding = (kernel - 1) / 2): string =>
    add({ op: 'conv', name: nodeName, inputs: [input], inputChannels: from, outputChannels: to, kernel, stride, padding, bias: true });

  // torchvision counts every layer of its sequence: pools and activations have numbers too.
  let layer = 0;
  const next = (): string => `features.${String(layer++)}`;
  let x = conv(next(), INPUT, 3, shape.stem, 3, 2, 0);
  x = relu(next(), x);
  let channels = shape.stem;
  let side = Math.floor((shape.inputSize - 3) / 2) + 1;
  for (const { squeeze, expand, pool } of shape.fires) {
    if (pool) {
      x = add({ op: 'maxPool', name: next(), inputs: [x], ...POOL });
      side = Math.ceil((side - POOL.kernel) / POOL.stride) + 1;
    }
    const prefix = next();
    const squeezed = relu(`${prefix}.squeeze_activation`, conv(`${prefix}.squeeze`, x, channels, squeeze, 1));
    const [one, three] = ([1, 3] as const).map((kernel) => {
      const branch = `${prefix}.expand${String(kernel)}x${String(kernel)}`;
      return relu(`${branch}_activation`, conv(branch, squeezed, squeeze, expand, kernel));
    });
    if (one === undefined || three === undefined) throw new Error('two branches');
    x = add({ op: 'concat', name: `${prefix}.concat`, inputs: [one, three] });
    channels = 2 * expand;
  }
  // The cut is before the pooling, since the head is: freeze keeps the whole map, and what it trains is torchvision's own classifier, exactly.
  const features = x;
  const dropped = add({ op: 'dropout', name: 'classifier.0', inputs: [features], rate: DROPOUT });
  const head = conv('classifier.1', dropped, channels, classes, 1);
  add({ op: 'globalAveragePool', name: 'classifier.3', inputs: [relu('classifier.2', head)] });
  return {
    name, inputSize: shape.inputSize, nodes, head, features, featureCount: channels, featurePositions: side ** 2,
    preprocessing: { ...IMAGENET_PREPROCESSING, crop: shape.inputSize, resizeShortSide: IMAGENET_PREPROCESSING.resizeShortSide - IMAGENET_PREPROCESSING.crop + shape.inputSize },
    // torchvision's, but for the head's bias, which is zero there: rectified, the head then mostly died (docs/recipes.md).
    initialisation: { weights: 'he-uniform', head: 'normal-.01', headBias: 'one' },
  };
}
