// What a trained model can be exported to, and what the export says when it is done.
import * as v from 'valibot';

export const EXPORT_FORMATS = ['onnx', 'tfjs', 'safetensors', 'pytorch'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** The last line of `thaw export --json`. */
export const exportResultSchema = v.object({
  type: v.literal('result'),
  /** The folder that was made. */
  out: v.string(),
  /** Absolute paths. */
  files: v.array(v.string()),
  bytes: v.number(),
  /** The largest difference between a probability of the export, read back, and one of the trained model. */
  maxDifference: v.number(),
});
export type ExportResult = Omit<v.InferOutput<typeof exportResultSchema>, 'type'>;

/** Name of the folder for an export where none is given: `hymenoptera-20261124-173639-freeze-3f9a1c-onnx`. */
export function exportFolderName(dataset: string, runId: string, format: ExportFormat): string {
  const plain = dataset.normalize('NFC').replace(/[^\p{L}\p{N}._-]+/gu, '-').replace(/^[.-]+/, '').slice(0, 60);
  return [plain, runId, format].filter((part) => part !== '').join('-');
}
