// Features of images as the measurements take them, and the inner products that most of them come down to.

/** Features, a vector an image. */
export interface FeatureMatrix {
  /** `[images, channels]`, row by row. */
  readonly values: Float32Array;
  readonly images: number;
  readonly channels: number;
}

/** Maps, a vector at each position, averaged over the positions: `[images, positions, channels]` → `[images, channels]`. */
export function pooledFeatures(values: Float32Array, images: number, positions: number, channels: number): FeatureMatrix {
  if (positions === 1) return { values, images, channels };
  const pooled = new Float32Array(images * channels);
  for (let image = 0; image < images; image++) {
    for (let channel = 0; channel < channels; channel++) {
      let sum = 0;
      for (let position = 0; position < positions; position++) sum += values[(image * positions + position) * channels + channel] as number;
      pooled[image * channels + channel] = sum / positions;
    }
  }
  return { values: pooled, images, channels };
}

/** Inner products of the rows with each other, `[images, images]`, in float64. */
export function gramMatrix({ values, images, channels }: FeatureMatrix): Float64Array {
  const gram = new Float64Array(images * images);
  for (let i = 0; i < images; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let a = i * channels, b = j * channels, end = a + channels; a < end; a++, b++) sum += (values[a] as number) * (values[b] as number);
      gram[i * images + j] = sum;
      gram[j * images + i] = sum;
    }
  }
  return gram;
}
