// A folded network as an ONNX model: channels first, a batch of any size, padding in numbers. Operators: the ONNX standard, opset 17.
import type { Tensor } from '@tensorflow/tfjs';
import type { Engine } from '../../engine/load.js';
import type { FoldedParameters, FoldedStep } from '../forward.js';
import { INPUT, type Graph } from '../graph.js';
import { LUMINANCE, LUMINANCE_SCALE } from '../gray.js';
import { convolutionPadding, poolPadding, windowCount } from '../padding.js';
import { ONNX_TYPES, type OnnxAttribute, type OnnxModel, type OnnxNode, type OnnxTensor } from './onnxFile.js';

/** What every runtime of the last years reads. */
const OPSET = 17;
const IR_VERSION = 8;
const BATCH = 'batch';

export const ONNX_OUTPUTS = { probabilities: 'probabilities', logits: 'logits' } as const;

export interface OnnxTexts {
  readonly producerVersion: string;
  readonly description: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * The model of a graph whose batch norms are folded. Its input is `input`, float32 `[batch, 3, size, size]`, normalised; with `uint8` it is
 * `pixels`, uint8 `[batch, size, size, 3]`, RGB, and gray, where the network is for gray images, and the normalisation are part of the network. Outputs: `probabilities` and `logits`,
 * `[batch, classes]` each.
 */
export function onnxModel(engine: Engine, graph: Graph, folded: FoldedParameters, inputName: string, uint8: boolean, texts: OnnxTexts): OnnxModel {
  return new OnnxBuilder(engine, graph, folded).build(inputName, uint8, texts);
}

class OnnxBuilder {
  private readonly nodes: OnnxNode[] = [];
  private readonly initializers: OnnxTensor[] = [];
  /** What a result of the graph is called in the file. */
  private readonly names = new Map<string, string>();
  /** Rows, and as many columns, of each result that is a map. */
  private readonly sides = new Map<string, number>();

  constructor(private readonly engine: Engine, private readonly graph: Graph, private readonly folded: FoldedParameters) {}

  build(inputName: string, uint8: boolean, texts: OnnxTexts): OnnxModel {
    const { graph, folded } = this;
    const size = graph.inputSize;
    this.sides.set(INPUT, size);
    this.names.set(INPUT, uint8 ? this.normalisation(inputName) : inputName);
    for (const step of folded.steps) this.step(step);
    const last = this.name(folded.steps.at(-1)?.output ?? INPUT);
    this.node('Identity', [last], ONNX_OUTPUTS.logits);
    this.node('Softmax', [last], ONNX_OUTPUTS.probabilities, { axis: 1 });
    const classes = this.classes();
    return {
      irVersion: IR_VERSION,
      opset: OPSET,
      producer: { name: 'Thaw', version: texts.producerVersion },
      description: texts.description,
      metadata: texts.metadata,
      graph: {
        name: graph.name,
        nodes: this.nodes,
        initializers: this.initializers,
        inputs: [uint8 ? { name: inputName, type: 'uint8', shape: [BATCH, size, size, 3] } : { name: inputName, type: 'float32', shape: [BATCH, 3, size, size] }],
        outputs: Object.values(ONNX_OUTPUTS).map((name) => ({ name, type: 'float32', shape: [BATCH, classes] })),
      },
    };
  }

  /** Channels first, gray if the network is for gray images, and (value − mean) / std. */
  private normalisation(inputName: string): string {
    const { colour, mean, std } = this.graph.preprocessing;
    const channels = (name: string, values: readonly number[]): string => this.initializer(name, [1, 3, 1, 1], Float32Array.from(values));
    // No node of a graph has a slash in its name, so these are nobody else's.
    const values = this.node('Cast', [inputName], 'normalise/values', { to: ONNX_TYPES.float32 });
    const first = this.node('Transpose', [values], 'normalise/channels_first', { perm: [0, 3, 1, 2] });
    const shown = colour === 'gray' ? this.gray(first) : first;
    const centred = this.node('Sub', [shown, channels('normalise/mean', mean)], 'normalise/centred');
    return this.node('Div', [centred, channels('normalise/std', std)], 'normalise/normalised');
  }

  /**
   * `[batch, 3, size, size]` → `[batch, 1, size, size]`, whole levels; the subtraction that follows makes three channels of the one. Exact in
   * float32 in any order, and so the same everywhere: each product, and their sum, is a whole number of 65,536ths below 2^24. Not a convolution,
   * which some devices compute with fewer digits.
   */
  private gray(input: string): string {
    const weights = this.initializer('gray/weights', [1, 3, 1, 1], Float32Array.from(LUMINANCE, (weight) => weight / LUMINANCE_SCALE));
    const weighed = this.node('Mul', [input, weights], 'gray/weighed');
    // Of values that are never negative the sum of magnitudes is the sum; ReduceSum would want its axis as a tensor of int64.
    const sum = this.node('ReduceL1', [weighed], 'gray/sum', { axes: [1], keepdims: 1 });
    const raised = this.node('Add', [sum, this.scalar('gray/half', 0.5)], 'gray/raised');
    return this.node('Floor', [raised], 'gray/level');
  }

  private step(step: FoldedStep): void {
    const { node, output, activation } = step;
    const inputs = step.inputs.map((input) => this.name(input));
    const [first = INPUT] = step.inputs;
    const side = this.sides.get(first);
    const map = (): number => {
      if (side === undefined) throw new Error(`${node.name} reads no map`);
      return side;
    };
    let result: string;
    switch (node.op) {
      case 'conv':
      case 'depthwiseConv': {
        const depthwise = node.op === 'depthwiseConv';
        const padding = convolutionPadding(map(), node);
        const weights = [this.parameter(`${node.name}.weight`, step.filter, depthwise ? [2, 3, 0, 1] : [3, 2, 0, 1]), ...this.bias(step)];
        result = this.node('Conv', [...inputs, ...weights], output, {
          ...windows(node.kernel, node.stride, padding), group: depthwise ? node.channels : 1,
        }, activation !== 'linear');
        this.sides.set(output, windowCount(map(), node, padding));
        break;
      }
      case 'maxPool': {
        const padding = poolPadding(map(), node);
        result = this.node('MaxPool', inputs, output, windows(node.kernel, node.stride, padding));
        this.sides.set(output, windowCount(map(), node, padding));
        break;
      }
      case 'globalAveragePool':
        result = this.node('Flatten', [this.node('GlobalAveragePool', inputs, output, {}, true)], output, { axis: 1 });
        break;
      case 'dense':
        result = this.node('Gemm', [...inputs, this.parameter(`${node.name}.weight`, step.filter, [1, 0]), ...this.bias(step)], output, { transB: 1 });
        break;
      case 'relu':
      case 'relu6':
        result = this.activation(node.op, inputs, output);
        if (side !== undefined) this.sides.set(output, side);
        break;
      case 'add':
        result = this.node('Add', inputs, output);
        if (side !== undefined) this.sides.set(output, side);
        break;
      case 'concat':
        result = this.node('Concat', inputs, output, { axis: 1 });
        if (side !== undefined) this.sides.set(output, side);
        break;
      default:
        throw new Error(`${node.name}: ${node.op} has no form in ONNX here`);
    }
    this.names.set(output, activation === 'linear' ? result : this.activation(activation, [result], output));
  }

  private activation(kind: 'relu' | 'relu6', inputs: readonly string[], output: string): string {
    return kind === 'relu' ? this.node('Relu', inputs, output) : this.node('Clip', [...inputs, this.scalar('clip/zero', 0), this.scalar('clip/six', 6)], output);
  }

  /** Adds a node; its result is called as the graph calls it, or, if something still follows, after the operator too. */
  private node(operator: string, inputs: readonly string[], output: string, attributes: Readonly<Record<string, OnnxAttribute>> = {}, followed = false): string {
    const name = followed ? `${output}/${operator}` : output;
    this.nodes.push({ name, operator, inputs, outputs: [name], attributes });
    return name;
  }

  private scalar(name: string, value: number): string {
    return this.initializers.some((tensor) => tensor.name === name) ? name : this.initializer(name, [], Float32Array.of(value));
  }

  private bias({ node, bias }: FoldedStep): string[] {
    return bias === undefined ? [] : [this.parameter(`${node.name}.bias`, bias, [0])];
  }

  private parameter(name: string, tensor: Tensor | undefined, permutation: readonly number[]): string {
    if (tensor === undefined) throw new Error(`${name} is missing`);
    // Not in a tidy, which would look for tensors in every number of what it returns.
    const turned = this.engine.tf.transpose(tensor, [...permutation]);
    const data = turned.dataSync<'float32'>();
    turned.dispose();
    return this.initializer(name, turned.shape, data);
  }

  private initializer(name: string, shape: readonly number[], data: Float32Array): string {
    this.initializers.push({ name, shape, data });
    return name;
  }

  private classes(): number {
    const head = this.graph.nodes.find((node) => node.name === this.graph.head);
    if (head?.op === 'dense') return head.outputFeatures;
    if (head?.op === 'conv') return head.outputChannels;
    throw new Error(`${this.graph.name} has no head`);
  }

  private name(result: string): string {
    const name = this.names.get(result);
    if (name === undefined) throw new Error(`${result} is read before it is there`);
    return name;
  }
}

function windows(kernel: number, stride: number, [before, after]: readonly [number, number]): Record<string, OnnxAttribute> {
  return { kernel_shape: [kernel, kernel], strides: [stride, stride], pads: [before, before, after, after] };
}
