// Which network are these weights of? Answered by the names and shapes of the tensors.
import { ThawError } from '../../protocol/errors.js';
import { BACKBONES, type BackboneName } from '../../protocol/run.js';
import { graphFor } from '../architectures.js';
import { parameterSpecs } from '../graph.js';
import { checkParameters } from '../parameters.js';
import { quoted, type StateDict } from './stateDict.js';

export interface Recognised {
  readonly backbone: BackboneName;
  /** Outputs of the last layer. */
  readonly classes: number;
}

/** Below this likeness of names a file is of no network that we know, and naming one tensor that is wrong would say nothing. */
const LEAST_LIKENESS = 0.5;

/**
 * The network whose parameters a state dict holds, with however many classes.
 * @throws ThawError `weights-unknown` when it is like none; `weights-mismatch`, naming the tensor that is missing, left over, of another shape or
 *   of no finite numbers, when it is like one and doesn't fit
 */
export function recogniseWeights(state: StateDict): Recognised {
  const names = new Set([...state.keys()].filter((name) => !name.endsWith('.num_batches_tracked')));
  const [likeliest] = BACKBONES.map((backbone) => {
    const specs = parameterSpecs(graphFor(backbone, 1));
    const named = specs.filter(({ name }) => names.has(name));
    const shaped = named.filter(({ name, shape }) => state.get(name)?.shape.join() === shape.join());
    const total = specs.length + names.size;
    return { backbone, names: (2 * named.length) / total, shapes: (2 * shaped.length) / total };
  }).sort((first, second) => second.shapes - first.shapes || second.names - first.names);
  if (likeliest === undefined || likeliest.names < LEAST_LIKENESS) {
    const some = [...names].slice(0, 3).map((name) => quoted(name)).join(', ');
    throw new ThawError('input', 'weights-unknown', `These are not the weights of a network that Thaw knows; their tensors are called ${some === '' ? 'nothing, there are none' : `${some}…`}`, `Use weights of one of: ${BACKBONES.join(', ')}, with torchvision's names`);
  }
  const { backbone } = likeliest;
  const { head } = graphFor(backbone, 1);
  const classes = Math.max(1, state.get(`${head}.weight`)?.shape[0] ?? 1);
  checkParameters(graphFor(backbone, classes), state);
  return { backbone, classes };
}
