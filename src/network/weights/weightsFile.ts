// A weights file of whichever kind: which one is seen from its first bytes, not from its name.
import { readPyTorchFile } from './pytorchFile.js';
import { readSafetensors } from './safetensors.js';
import type { StateDict } from './stateDict.js';

/** What `DataParallel` and `DistributedDataParallel` put before every name. */
const PARALLEL_PREFIX = 'module.';

/**
 * Reads the bytes of a PyTorch checkpoint or a safetensors file. The prefix `module.`, where every name has it, is left off.
 * @throws ThawError `bad-checkpoint` for anything else, in time and memory bounded by the file's length
 */
export async function readWeightsFile(bytes: Uint8Array): Promise<StateDict> {
  const state = isSafetensors(bytes) ? readSafetensors(bytes).state : await readPyTorchFile(bytes);
  if (state.size === 0 || ![...state.keys()].every((name) => name.startsWith(PARALLEL_PREFIX))) return state;
  return new Map([...state].map(([name, tensor]) => [name.slice(PARALLEL_PREFIX.length), tensor]));
}

/** Eight bytes of length, then an object of JSON. PyTorch's layouts have other bytes there. */
function isSafetensors(bytes: Uint8Array): boolean {
  return bytes[8] === 0x7b;
}
