// Runs an ONNX model on the engine, operator by operator as the standard describes them: how an export is checked after it is read back. It
// shares nothing with what wrote the file. Only the operators that Thaw writes; any other is an error.
import type { Tensor, Tensor4D } from '@tensorflow/tfjs';
import type { Engine } from '../../engine/load.js';
import { ThawError } from '../../protocol/errors.js';
import type { OnnxModel, OnnxNode } from './onnxFile.js';

/** @returns the model's outputs by name; the caller's to dispose. Shapes are those of the file. @throws ThawError `bad-onnx` */
export function runOnnx(engine: Engine, model: OnnxModel, input: Tensor): ReadonlyMap<string, Tensor> {
  const { tf } = engine;
  const { graph } = model;
  const [only, ...more] = graph.inputs;
  if (only === undefined || more.length > 0) throw refused('it has not one input');
  const results = tf.tidy(() => {
    const values = new Map<string, Tensor>([[only.name, input]]);
    const define = (name: string, value: Tensor): void => {
      if (values.has(name)) throw refused(`${name} is defined twice`);
      values.set(name, value);
    };
    for (const { name, shape, data } of graph.initializers) define(name, tf.tensor(data, [...shape]));
    for (const node of graph.nodes) {
      const inputs = node.inputs.map((name) => {
        const value = values.get(name);
        if (value === undefined) throw refused(`${name} is read before it is there`);
        return value;
      });
      const [output] = node.outputs;
      if (output === undefined) throw refused(`${node.name} has no output`);
      define(output, tf.tidy(() => operate(engine, node, inputs)));
    }
    return graph.outputs.map(({ name }) => {
      const value = values.get(name);
      if (value === undefined) throw refused(`its output ${name} is made nowhere`);
      return value;
    });
  });
  return new Map(graph.outputs.map(({ name }, index) => [name, results[index] as Tensor]));
}

function operate({ tf }: Engine, node: OnnxNode, inputs: readonly Tensor[]): Tensor {
  const [x, second, third] = inputs;
  if (x === undefined) throw refused(`${node.name} has no input`);
  const needed = (tensor: Tensor | undefined): Tensor => {
    if (tensor === undefined) throw refused(`${node.name} lacks an input`);
    return tensor;
  };
  const toLast = (tensor: Tensor): Tensor4D => tf.transpose(tensor as Tensor4D, [0, 2, 3, 1]);
  const toFirst = (tensor: Tensor): Tensor => tf.transpose(tensor, [0, 3, 1, 2]);
  switch (node.operator) {
    case 'Identity':
      return x.clone();
    case 'Cast':
      return tf.cast(x, 'float32');
    case 'Transpose':
      return tf.transpose(x, list(node, 'perm'));
    case 'Sub':
      return tf.sub(x, needed(second));
    case 'Div':
      return tf.div(x, needed(second));
    case 'Add':
      return tf.add(x, needed(second));
    case 'Mul':
      return tf.mul(x, needed(second));
    case 'Floor':
      return tf.floor(x);
    case 'ReduceL1':
      return tf.sum(tf.abs(x), list(node, 'axes'), whole(node, 'keepdims') === 1);
    case 'Concat':
      return tf.concat([...inputs], whole(node, 'axis'));
    case 'Relu':
      return tf.relu(x);
    case 'Clip':
      return tf.minimum(tf.maximum(x, needed(second)), needed(third));
    case 'Softmax':
      return tf.softmax(x, whole(node, 'axis'));
    case 'Flatten': {
      const axis = whole(node, 'axis');
      return tf.reshape(x, [x.shape.slice(0, axis).reduce((product, size) => product * size, 1), -1]);
    }
    case 'GlobalAveragePool':
      return tf.mean(x, [2, 3], true);
    case 'Gemm': {
      const product = tf.matMul(x, needed(second), false, whole(node, 'transB') === 1);
      return third === undefined ? product : tf.add(product, third);
    }
    case 'MaxPool': {
      const [kernel, strides] = [pair(node, 'kernel_shape'), pair(node, 'strides')];
      return toFirst(tf.maxPool(padded(toLast(x), Number.NEGATIVE_INFINITY), kernel, strides, 'valid'));
    }
    case 'Conv': {
      const filter = needed(second) as Tensor4D;
      const group = whole(node, 'group');
      const strides = pair(node, 'strides');
      const input = padded(toLast(x), 0);
      const channels = input.shape[3];
      if (group !== 1 && (group !== channels || filter.shape[1] !== 1 || filter.shape[0] !== channels)) throw refused(`${node.name} has groups of several channels`);
      const y = group === 1
        ? tf.conv2d(input, tf.transpose(filter, [2, 3, 1, 0]), strides, 'valid')
        : tf.depthwiseConv2d(input, tf.transpose(filter, [2, 3, 0, 1]), strides, 'valid');
      return toFirst(third === undefined ? y : tf.add(y, third));
    }
    default:
      throw refused(`operator ${node.operator} is unknown here`);
  }

  function padded(tensor: Tensor4D, value: number): Tensor4D {
    const [top = 0, left = 0, bottom = 0, right = 0] = list(node, 'pads');
    return tf.pad(tensor, [[0, 0], [top, bottom], [left, right], [0, 0]], value);
  }
}

function whole(node: OnnxNode, name: string): number {
  const value = node.attributes[name];
  if (typeof value !== 'number') throw refused(`${node.name} has no number ${name}`);
  return value;
}

function list(node: OnnxNode, name: string): number[] {
  const value = node.attributes[name];
  if (typeof value !== 'object') throw refused(`${node.name} has no list ${name}`);
  return [...value];
}

function pair(node: OnnxNode, name: string): [number, number] {
  const [first, second] = list(node, name);
  if (first === undefined || second === undefined) throw refused(`${node.name}: ${name} is no pair`);
  return [first, second];
}

function refused(why: string): ThawError {
  return new ThawError('run', 'bad-onnx', `The ONNX model can't be run: ${why}`, 'Export again');
}
