import type { InputPreprocessing } from './graph.js';

/** How torchvision prepares images for its networks: colours as shares of 255, normalised by ImageNet's mean and deviation. */
export const IMAGENET_PREPROCESSING = {
  colour: 'rgb',
  mean: [0.485 * 255, 0.456 * 255, 0.406 * 255],
  std: [0.229 * 255, 0.224 * 255, 0.225 * 255],
  resizeShortSide: 256,
  crop: 224,
  kernel: 'linear',
} as const satisfies InputPreprocessing;
