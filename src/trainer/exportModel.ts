// The export job: from a run with a trained model to a folder that another program reads. Written beside its place, read back, compared with
// the trained model, and only then given its name.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { loadEngine, type Engine } from '../engine/load.js';
import { compareExport, exportNetwork } from '../network/exports/exportNetwork.js';
import type { ExportChoice, ExportFiles, TrainedModel } from '../network/exports/trainedModel.js';
import { toStateDict } from '../network/parameters.js';
import { ThawError } from '../protocol/errors.js';
import type { ExportResult } from '../protocol/exporting.js';
import { requireFreeFolder, writeFolderAtomic } from '../storage/atomicFolder.js';
import { configuredThreads } from './environment.js';
import { modelCard, type TrainedRecord } from './modelCard.js';
import { readTrainedParameters, readTrainedRecord } from './trainedModel.js';
import { THAW_VERSION } from './version.js';

export interface ExportRequest extends ExportChoice {
  /** Absolute path of the run folder. */
  readonly run: string;
  /** Absolute path of the folder to make. */
  readonly out: string;
}

export interface ExportOptions {
  readonly environment: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
  onProgress?(report: { readonly message: string }): void;
}

/**
 * Exports a run's model. The folder is there whole and checked, or not at all.
 * @throws ThawError `unreadable-run`, `no-model`, `folder-exists`, `weights-mismatch`, `not-exportable`, `export-differs`; the signal's reason
 */
export async function exportModel(request: ExportRequest, options: ExportOptions): Promise<ExportResult> {
  const { signal } = options;
  await requireFreeFolder(request.out);
  const record = await readTrainedRecord(request.run);
  options.onProgress?.({ message: 'Loading TensorFlow' });
  // On the CPU: a training may have the GPU, and single precision is exact there.
  const engine = await loadEngine({ environment: { ...options.environment, THAW_DEVICE: 'cpu' }, threads: configuredThreads(options.environment) });
  signal?.throwIfAborted();
  options.onProgress?.({ message: 'Writing the model' });
  const model = await readTrainedModel(engine, request, record);
  const files = await exportNetwork(engine, model, request, THAW_VERSION);
  signal?.throwIfAborted();
  const maxDifference = await writeFolderAtomic(request.out, files, async (temporary) => {
    options.onProgress?.({ message: 'Reading it back and comparing' });
    const difference = await readBack(engine, model, request, temporary, files);
    signal?.throwIfAborted();
    return difference;
  });
  return {
    out: request.out,
    files: [...files.keys()].map((name) => path.join(request.out, name)),
    bytes: [...files.values()].reduce((sum, { byteLength }) => sum + byteLength, 0),
    maxDifference,
  };
}

async function readTrainedModel(engine: Engine, request: ExportRequest, record: TrainedRecord): Promise<TrainedModel> {
  const labels = record.data.classes;
  const { graph, parameters } = await readTrainedParameters(engine, request.run, record);
  try {
    // The graph's own tensors and no others, whatever the file holds.
    return { graph, state: toStateDict(graph, parameters), labels, card: modelCard(record, graph, request, THAW_VERSION) };
  } finally {
    for (const tensor of parameters.values()) tensor.dispose();
  }
}

/**
 * Reads what was written: every file byte for byte, and then what the network in it says of a few pictures.
 * @returns the largest difference between two probabilities
 * @throws ThawError `export-differs`, or what a format's reader says of a damaged file
 */
export async function readBack(engine: Engine, model: TrainedModel, choice: ExportChoice, folder: string, written: ExportFiles): Promise<number> {
  const read = new Map<string, Uint8Array>();
  for (const [name, content] of written) {
    const bytes = await readFile(path.join(folder, name));
    if (!bytes.equals(content)) throw new ThawError('run', 'export-differs', `${name} was read back with other bytes than were written`, 'Check the disk, and export again');
    read.set(name, bytes);
  }
  return compareExport(engine, model, choice, read);
}
