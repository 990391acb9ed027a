// What is exported: a trained network, and what a person needs to use it. Nothing here knows where it came from.
import type { ExportFormat } from '../../protocol/exporting.js';
import type { Graph } from '../graph.js';
import { LUMINANCE, LUMINANCE_SCALE } from '../gray.js';
import type { StateDict } from '../weights/stateDict.js';

export interface TrainedModel {
  readonly graph: Graph;
  /** Every parameter of the graph, in PyTorch's names and layouts. */
  readonly state: StateDict;
  /** Names of the classes, in the order of the outputs. */
  readonly labels: readonly string[];
  /** Markdown. */
  readonly card: string;
}

export interface ExportChoice {
  readonly format: ExportFormat;
  /** ONNX only: pixels go in as they are decoded, in colour, and the network makes them gray if it has to, and normalises them. */
  readonly uint8: boolean;
}

/** File name → content. */
export type ExportFiles = ReadonlyMap<string, Uint8Array>;

/** What goes into an exported network. */
export interface InputForm {
  /** The input's name in the file; of PyTorch's networks it is the first argument. */
  readonly name: string;
  readonly type: 'float32' | 'uint8';
  readonly layout: 'NCHW' | 'NHWC';
}

export function inputFormOf({ format, uint8 }: ExportChoice): InputForm {
  if (uint8) return { name: 'pixels', type: 'uint8', layout: 'NHWC' };
  return { name: 'input', type: 'float32', layout: format === 'tfjs' ? 'NHWC' : 'NCHW' };
}

/** Of 8-bit values, in whole numbers. */
export const GRAY_FORMULA = `floor((${LUMINANCE.map((weight, index) => `${String(weight)} * ${['red', 'green', 'blue'][index] ?? ''}`).join(' + ')} + ${String(LUMINANCE_SCALE / 2)}) / ${String(LUMINANCE_SCALE)})`;

/** How an image becomes the input, for programs: the model card says the same for people. */
export function preprocessingOf(graph: Graph, choice: ExportChoice): Record<string, unknown> {
  const { resizeShortSide, crop, kernel, colour, mean, std } = graph.preprocessing;
  const form = inputFormOf(choice);
  const shape = form.layout === 'NCHW' ? ['batch', 3, crop, crop] : ['batch', crop, crop, 3];
  return {
    decode: { colour: 'sRGB, 8 bits', orientation: 'EXIF applied', alpha: 'over white', colourProfile: 'applied for CMYK only' },
    resize: { shortSide: resizeShortSide, longSide: 'in proportion, rounded down', kernel: kernel === 'cubic' ? 'bicubic (a = -0.5)' : 'bilinear', antialias: true },
    crop: { size: crop, position: 'centre, halves rounded to even' },
    ...(colour === 'gray' && { gray: { formula: GRAY_FORMULA, channels: 'the level on all three', insideTheNetwork: form.type === 'uint8' } }),
    normalise: { formula: '(value - mean) / std', scale: '0 to 255', mean, std, insideTheNetwork: form.type === 'uint8' },
    input: { ...form, shape, colours: colour === 'gray' && form.type !== 'uint8' ? 'gray, three times' : 'RGB' },
  };
}
