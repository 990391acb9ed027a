// Every network by its name: the one table from which training, prediction, export and the weights' catalogue take their graphs.
import { publishedEfficientNetLite } from './efficientNetLite.js';
import type { Colour } from '../protocol/run.js';
import type { Graph } from './graph.js';
import { MOBILE_NET_V2_SHAPE, mobileNetV2 } from './mobileNetV2.js';
import { RESIDUAL_SHAPES, residualNetwork } from './residualNetwork.js';
import { SQUEEZE_NET_SHAPE, squeezeNet } from './squeezeNet.js';

const GRAPHS = {
  resnet18: (classes) => residualNetwork('resnet18', RESIDUAL_SHAPES.resnet18, classes),
  resnet34: (classes) => residualNetwork('resnet34', RESIDUAL_SHAPES.resnet34, classes),
  resnet50: (classes) => residualNetwork('resnet50', RESIDUAL_SHAPES.resnet50, classes),
  mobilenet_v2: (classes) => mobileNetV2('mobilenet_v2', MOBILE_NET_V2_SHAPE, classes),
  efficientnet_lite0: (classes) => publishedEfficientNetLite('efficientnet_lite0', classes),
  efficientnet_lite1: (classes) => publishedEfficientNetLite('efficientnet_lite1', classes),
  efficientnet_lite2: (classes) => publishedEfficientNetLite('efficientnet_lite2', classes),
  squeezenet1_1: (classes) => squeezeNet('squeezenet1_1', SQUEEZE_NET_SHAPE, classes),
} satisfies Readonly<Record<string, (classes: number) => Graph>>;

export type ArchitectureName = keyof typeof GRAPHS;

/** Names as torchvision's, the lite ones as their package's. */
export const ARCHITECTURES = Object.keys(GRAPHS) as readonly ArchitectureName[];

/** The graph of a network with a last layer of `classes` outputs, for images in colour or in gray. */
export function graphFor(architecture: ArchitectureName, classes: number, colour: Colour = 'rgb'): Graph {
  const graph = GRAPHS[architecture](classes);
  return { ...graph, preprocessing: { ...graph.preprocessing, colour } };
}
