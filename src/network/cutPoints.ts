// Where a network can be cut in two with one tensor between the halves: at the end of each stage of one resolution.
import type { PlannedStep } from './forward.js';
import { INPUT, type Graph } from './graph.js';

export interface CutPoint {
  /** Whose output everything after it needs, and nothing before it: a result of inference. */
  readonly node: string;
  /** Pixels of the input for one position of the output, each way. */
  readonly stride: number;
  readonly channels: number;
}

/**
 * The last cut point at each resolution, from the pixels on, up to the features, whose node is the last.
 * @param steps the graph as inference runs it: `foldBatchNorm` has them
 */
export function cutPoints(graph: Graph, steps: readonly PlannedStep[]): CutPoint[] {
  const lastReader = new Map<string, number>();
  for (const [index, { inputs }] of steps.entries()) for (const input of inputs) lastReader.set(input, index);
  const shapes = new Map<string, { readonly stride: number; readonly channels: number }>([[INPUT, { stride: 1, channels: 3 }]]);
  const ofStride = new Map<number, CutPoint>();
  /** Results that a later step reads. */
  let alive: string[] = [INPUT];
  for (const [index, { node, inputs, output }] of steps.entries()) {
    const [before, ...others] = inputs.map((input) => shapes.get(input));
    if (before === undefined) throw new Error(`${node.name} reads what is not there`);
    const stride = before.stride * ('stride' in node ? node.stride : 1);
    const channels = node.op === 'conv' ? node.outputChannels : node.op === 'concat' ? others.reduce((sum, other) => sum + (other?.channels ?? 0), before.channels) : before.channels;
    shapes.set(output, { stride, channels });
    alive = [...alive, output].filter((name) => (lastReader.get(name) ?? -1) > index);
    if (alive.length === 1 && alive[0] === output) ofStride.set(stride, { node: output, stride, channels });
    if (output === graph.features) break;
  }
  return [...ofStride.values()].sort((a, b) => a.stride - b.stride);
}
