// A convolution with its bias and activation in one kernel. tfjs-node composes them of three, each a pass over the feature map, and has no
// gradient of the whole. On the first layers of EfficientNet-Lite0 one kernel takes a third of their time.
import type { NamedAttrMap, Tensor, Tensor1D, Tensor4D } from '@tensorflow/tfjs';
import { sumToChannels, type OperationAttribute, type OperationBackend } from './kernels.js';

type Tensorflow = typeof import('@tensorflow/tfjs');

export interface ConvolutionOptions {
  readonly stride: number;
  /** TensorFlow's; any other padding is the caller's to add first. */
  readonly pad: 'same' | 'valid';
  readonly activation: 'linear' | 'relu' | 'relu6';
  readonly depthwise: boolean;
}

/**
 * activation(convolution(x, filter) + bias), differentiable once in all three.
 * @param x [batch, height, width, channels]
 * @param filter [kernel, kernel, channels, outputs], or depthwise [kernel, kernel, channels, 1]
 * @param bias [outputs]
 * @returns [batch, height, width, outputs]
 */
export type FusedConvolution = (x: Tensor4D, filter: Tensor4D, bias: Tensor1D, options: ConvolutionOptions) => Tensor4D;

const ACTIVATIONS = { linear: [], relu: ['Relu'], relu6: ['Relu6'] } as const;

/**
 * Registers the kernel and its gradient with tfjs.
 * @param can.fuse whether TensorFlow's fused convolutions serve the device: they do on a CPU; elsewhere the three are composed
 * @param can.fuseDepthwise whether oneDNN's kernels are there: TensorFlow has no other fused depthwise convolution
 */
export function createFusedConvolution(tf: Tensorflow, backend: OperationBackend, can: { readonly fuse: boolean; readonly fuseDepthwise: boolean }): FusedConvolution {
  const { binding } = backend;
  // tfjs knows kernels by name alone.
  const name = `ConvolutionBiasActivation-${can.fuse ? 'fused' : 'composed'}-${can.fuseDepthwise ? 'fused' : 'composed'}`;
  const float: OperationAttribute = { name: 'T', type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT };
  const integers = (attribute: string, value: number | number[]): OperationAttribute => ({ name: attribute, type: binding.TF_ATTR_INT, value });
  const string = (attribute: string, value: string | string[]): OperationAttribute => ({ name: attribute, type: binding.TF_ATTR_STRING, value });
  const shared = ({ stride, pad }: ConvolutionOptions): OperationAttribute[] => [
    float, integers('strides', [1, stride, stride, 1]), string('padding', pad.toUpperCase()), string('data_format', 'NHWC'), integers('dilations', [1, 1, 1, 1]),
  ];
  const fused = (activation: ConvolutionOptions['activation']): OperationAttribute[] => [
    integers('num_args', 1), string('fused_ops', ['BiasAdd', ...ACTIVATIONS[activation]]), { name: 'epsilon', type: binding.TF_ATTR_FLOAT, value: 0 },
  ];

  const forward = (x: Tensor4D, filter: Tensor4D, bias: Tensor1D, options: ConvolutionOptions): Tensor => {
    if (can.fuse && !options.depthwise) {
      const types: OperationAttribute = { name: 'TArgs', type: binding.TF_ATTR_TYPE, value: [binding.TF_FLOAT] };
      return backend.executeSingleOutput('_FusedConv2D', [...shared(options), ...fused(options.activation), types, integers('explicit_paddings', [])], [x, filter, bias]);
    }
    if (can.fuseDepthwise && options.depthwise) {
      return backend.executeSingleOutput('_FusedDepthwiseConv2dNative', [...shared(options), ...fused(options.activation)], [x, filter, bias]);
    }
    return tf.tidy(() => {
      const convolve = options.depthwise ? tf.depthwiseConv2d : tf.conv2d;
      const y = tf.add(convolve(x, filter, options.stride, options.pad), bias);
      return options.activation === 'linear' ? y : tf[options.activation](y);
    });
  };

  // A TensorFlow that somebody else provided may know another form of these: then the three are composed there too.
  if (can.fuse && !works(false)) return createFusedConvolution(tf, backend, { ...can, fuse: false });
  if (can.fuseDepthwise && !works(true)) return createFusedConvolution(tf, backend, { ...can, fuseDepthwise: false });

  tf.registerKernel({
    kernelName: name,
    backendName: 'tensorflow',
    kernelFunc: ({ inputs, attrs }) => {
      // What runKernel was given below: tensors, though tfjs promises less.
      const { x, filter, bias } = inputs as unknown as { x: Tensor4D; filter: Tensor4D; bias: Tensor1D };
      return forward(x, filter, bias, attrs as unknown as ConvolutionOptions);
    },
  });
  tf.registerGradient({
    kernelName: name,
    inputsToSave: ['x', 'filter'],
    outputsToSave: [true],
    gradFunc: (given, saved, attrs) => {
      const dy = given as Tensor4D;
      const [x, filter, y] = saved as [Tensor4D, Tensor4D, Tensor4D];
      const { activation, depthwise, stride, pad } = attrs as unknown as ConvolutionOptions;
      const operation = { linear: undefined, relu: 'ReluGrad', relu6: 'Relu6Grad' }[activation];
      // The activation's gradient is told from its output: nothing is kept of what went in.
      const inner = operation === undefined ? dy : backend.executeSingleOutput(operation, [float], [dy, y]);
      const convolution = tf.getGradient(depthwise ? 'DepthwiseConv2dNative' : 'Conv2D').gradFunc(inner, [x, filter], {
        strides: [stride, stride], pad, dilations: [1, 1], dataFormat: 'NHWC', dimRoundingMode: null,
      } as unknown as NamedAttrMap);
      const gradientOf = (input: 'x' | 'filter') => (): Tensor => {
        const gradient = convolution[input];
        if (gradient === undefined) throw new Error(`tfjs has no gradient of a convolution's ${input}`);
        return gradient();
      };
      return { x: gradientOf('x'), filter: gradientOf('filter'), bias: () => sumToChannels(backend, inner) };
    },
  });
  return (x, filter, bias, options) => tf.engine().runKernel(name, { x, filter, bias }, options as unknown as NamedAttrMap);

  function works(depthwise: boolean): boolean {
    try {
      tf.tidy(() => forward(tf.ones([1, 2, 2, 1]), tf.ones([1, 1, 1, 1]), tf.ones([1]), { stride: 1, pad: 'same', activation: 'relu6', depthwise }));
      return true;
    } catch {
      return false;
    }
  }
}
