// How many rows or columns a window is padded with, in numbers: for files of other frameworks, which know neither TensorFlow's `same` nor
// PyTorch's rounding up.
import type { ConvNode, DepthwiseConvNode, MaxPoolNode } from './graph.js';

/** Rows or columns before and after. */
export type SidePadding = [before: number, after: number];

/** Of zeros, along a side of so many pixels. `same` as TensorFlow has it: the odd one comes after. */
export function convolutionPadding(size: number, { kernel, stride, padding }: Pick<ConvNode | DepthwiseConvNode, 'kernel' | 'stride' | 'padding'>): SidePadding {
  if (padding !== 'same') return [padding, padding];
  const total = Math.max(0, (Math.ceil(size / stride) - 1) * stride + kernel - size);
  return [Math.floor(total / 2), Math.ceil(total / 2)];
}

/** Of −∞, along a side of so many pixels; rounding up as PyTorch has it, which drops a last window that would start in the padding at the end. */
export function poolPadding(size: number, { kernel, stride, padding, ceilMode }: Pick<MaxPoolNode, 'kernel' | 'stride' | 'padding' | 'ceilMode'>): SidePadding {
  if (!ceilMode) return [padding, padding];
  const full = size + 2 * padding;
  let windows = Math.ceil((full - kernel) / stride) + 1;
  if ((windows - 1) * stride >= size + padding) windows--;
  return [padding, padding + Math.max(0, (windows - 1) * stride + kernel - full)];
}

/** How many windows fit along a side. */
export function windowCount(size: number, { kernel, stride }: { readonly kernel: number; readonly stride: number }, [before, after]: SidePadding): number {
  return Math.floor((size + before + after - kernel) / stride) + 1;
}
