// The network that a run left behind.
import type { Engine } from '../engine/load.js';
import { graphFor } from '../network/architectures.js';
import type { Graph } from '../network/graph.js';
import { loadParameters, type Parameters } from '../network/parameters.js';
import { readSafetensors } from '../network/weights/safetensors.js';
import { ThawError } from '../protocol/errors.js';
import { isUnreadable, readModelWeights, readRun } from '../runs/readRun.js';
import type { TrainedRecord } from './modelCard.js';

/** The record of a run that has a model. @throws ThawError `unreadable-run`, `no-model` */
export async function readTrainedRecord(directory: string): Promise<TrainedRecord> {
  const run = await readRun(directory);
  if (isUnreadable(run)) throw new ThawError('input', 'unreadable-run', `The run ${directory} can't be read: ${run.reason}`, 'Choose another run; `thaw runs` lists them');
  const { data, result } = run.record;
  if (data === undefined || result === undefined) {
    throw new ThawError('input', 'no-model', `The run ${run.record.id} has no trained model: it is ${run.state}`, 'Choose a run that has finished, or was stopped after an epoch');
  }
  return { ...run.record, data, result };
}

/**
 * A run's trained tensors and the graph that they belong to. The caller disposes the tensors.
 * @throws ThawError `model-unreadable`, what the reader says of a damaged file, `weights-mismatch`
 */
export async function readTrainedParameters(engine: Engine, directory: string, record: TrainedRecord): Promise<{ graph: Graph; parameters: Parameters }> {
  const graph = graphFor(record.configuration.backbone, record.data.classes.length, record.configuration.colour);
  const { state } = readSafetensors(await readModelWeights(directory));
  return { graph, parameters: loadParameters(engine.tf, graph, state, { head: 'from-weights' }) };
}
